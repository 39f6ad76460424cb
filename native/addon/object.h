// SPDX-License-Identifier: Apache-2.0
// A compiled object file: opened, adjusted, loaded, and closed again; what it loaded stays with the caller.
#pragma once

#include <napi.h>

Napi::Value LoadObject(const Napi::CallbackInfo& info);
