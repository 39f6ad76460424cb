// SPDX-License-Identifier: Apache-2.0
// A map and its single entries.
#pragma once

#include <bpf/bpf.h>
#include <napi.h>

#include "argument.h"

/// What user space needs to know of a map to size its buffers. `value_size` counts all CPUs' padded values.
struct MapShape {
  size_t key_size;
  size_t value_size;
  size_t max_entries;
};

MapShape ShapeOf(Napi::Env env, int fd);

/// Sizes are checked here and not in TypeScript, as only the kernel knows them. `count` entries of `size`
/// bytes.
void CheckSize(Napi::Env env, const char* what, const Bytes& bytes, size_t count, size_t size);

/// bpf_map_update_elem, trying again when a map that allocates on demand is out of memory for a moment.
int UpdateElement(int fd, const void* key, const void* value, uint64_t flags);

Napi::Value MapInfo(const Napi::CallbackInfo& info);
Napi::Value MapLookup(const Napi::CallbackInfo& info);
Napi::Value MapUpdate(const Napi::CallbackInfo& info);
Napi::Value MapDelete(const Napi::CallbackInfo& info);
Napi::Value CreateArray(const Napi::CallbackInfo& info);
Napi::Value MapById(const Napi::CallbackInfo& info);
