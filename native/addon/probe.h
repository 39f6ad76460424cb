// SPDX-License-Identifier: Apache-2.0
// What this kernel can do, found out by trying things without effect.
#pragma once

#include <napi.h>

Napi::Value ProbeTcx(const Napi::CallbackInfo& info);
Napi::Value ProbeHelper(const Napi::CallbackInfo& info);
Napi::Value ProbeMapType(const Napi::CallbackInfo& info);
Napi::Value ProbeResizableInnerMaps(const Napi::CallbackInfo& info);
Napi::Value ProbeAdjustRoom(const Napi::CallbackInfo& info);
Napi::Value PossibleCpus(const Napi::CallbackInfo& info);
