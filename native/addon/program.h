// SPDX-License-Identifier: Apache-2.0
// A loaded program.
#pragma once

#include <napi.h>

Napi::Value ProgramInfo(const Napi::CallbackInfo& info);
