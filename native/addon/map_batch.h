// SPDX-License-Identifier: Apache-2.0
// Many entries of a map in one call, packed end to end. Batch system calls where the map type has them (0.3
// µs an entry against 1.4 µs), single ones otherwise.
#pragma once

#include <napi.h>

Napi::Value MapEntries(const Napi::CallbackInfo& info);
Napi::Value MapDigest(const Napi::CallbackInfo& info);
Napi::Value MapUpdateBatch(const Napi::CallbackInfo& info);
Napi::Value MapDeleteBatch(const Napi::CallbackInfo& info);
