// SPDX-License-Identifier: Apache-2.0
// A tcx link: a program on a device's ingress, held by its pin.
#pragma once

#include <napi.h>

/// BPF_TCX_INGRESS and BPF_LINK_TYPE_TCX of linux/bpf.h since 6.6, which libbpf 1.1 and its headers do not
/// know.
constexpr int kTcxIngress = 46;
constexpr uint32_t kLinkTypeTcx = 11;

Napi::Value AttachTcx(const Napi::CallbackInfo& info);
Napi::Value UpdateLink(const Napi::CallbackInfo& info);
Napi::Value LinkInfo(const Napi::CallbackInfo& info);
