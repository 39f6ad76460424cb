// SPDX-License-Identifier: Apache-2.0
// The reader of a ring buffer: libbpf's epoll descriptor polled by the event loop of the environment that
// opened it.
#pragma once

#include <napi.h>

Napi::Value RingOpen(const Napi::CallbackInfo& info);
Napi::Value RingDrain(const Napi::CallbackInfo& info);
Napi::Value RingClose(const Napi::CallbackInfo& info);
