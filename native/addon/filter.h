// SPDX-License-Identifier: Apache-2.0
// A direct-action filter on clsact ingress, for kernels without tcx.
#pragma once

#include <napi.h>

Napi::Value AttachClsact(const Napi::CallbackInfo& info);
Napi::Value DetachClsact(const Napi::CallbackInfo& info);
Napi::Value ClsactInfo(const Napi::CallbackInfo& info);
