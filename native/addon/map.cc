// SPDX-License-Identifier: Apache-2.0
#include "map.h"

#include <bpf/libbpf.h>
#include <sched.h>

#include <cerrno>
#include <vector>

#include "descriptor.h"
#include "failure.h"

static bpf_map_info Describe(Napi::Env env, int fd) {
  bpf_map_info map{};
  uint32_t size = sizeof map;
  const int error = ErrorOf(bpf_obj_get_info_by_fd(fd, &map, &size));
  if (error != 0) Fail(env, "bpf", error);
  return map;
}

static bool IsPerCpu(uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

MapShape ShapeOf(Napi::Env env, int fd) {
  const bpf_map_info map = Describe(env, fd);
  if (!IsPerCpu(map.type)) return {map.key_size, map.value_size, map.max_entries};
  const size_t padded = (size_t{map.value_size} + 7) / 8 * 8;
  return {map.key_size, padded * libbpf_num_possible_cpus(), map.max_entries};
}

void CheckSize(Napi::Env env, const char* what, const Bytes& bytes, size_t count, size_t size) {
  if (bytes.size == count * size) return;
  Fail(env, "bpf", EINVAL,
       std::string(what) + " is " + std::to_string(bytes.size / count) + " bytes, the map takes " +
           std::to_string(size));
}

int UpdateElement(int fd, const void* key, const void* value, uint64_t flags) {
  constexpr int kAttempts = 4;
  for (int attempt = 1;; attempt++) {
    const int result = bpf_map_update_elem(fd, key, value, flags);
    if (result != -ENOMEM || attempt == kAttempts) return result;
    sched_yield();
  }
}

Napi::Value MapInfo(const Napi::CallbackInfo& info) {
  const bpf_map_info map = Describe(info.Env(), ToInt(info[0]));
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("type", map.type);
  result.Set("keySize", map.key_size);
  result.Set("valueSize", map.value_size);
  result.Set("maxEntries", map.max_entries);
  result.Set("id", map.id);
  result.Set("name", map.name);
  return result;
}

Napi::Value MapLookup(const Napi::CallbackInfo& info) {
  const int fd = ToInt(info[0]);
  const Bytes key = ToBytes(info[1]);
  const MapShape shape = ShapeOf(info.Env(), fd);
  CheckSize(info.Env(), "key", key, 1, shape.key_size);
  std::vector<uint8_t> value(shape.value_size);
  const int error = ErrorOf(bpf_map_lookup_elem(fd, key.data, value.data()));
  if (error == ENOENT) return info.Env().Null();
  if (error != 0) Fail(info.Env(), "bpf", error);
  return FromBytes(info.Env(), value.data(), value.size());
}

Napi::Value MapUpdate(const Napi::CallbackInfo& info) {
  const int fd = ToInt(info[0]);
  const Bytes key = ToBytes(info[1]);
  const Bytes value = ToBytes(info[2]);
  const MapShape shape = ShapeOf(info.Env(), fd);
  CheckSize(info.Env(), "key", key, 1, shape.key_size);
  CheckSize(info.Env(), "value", value, 1, shape.value_size);
  const int error = ErrorOf(UpdateElement(fd, key.data, value.data, ToUint(info[3])));
  if (error != 0) Fail(info.Env(), "bpf", error);
  return info.Env().Undefined();
}

Napi::Value MapDelete(const Napi::CallbackInfo& info) {
  const int fd = ToInt(info[0]);
  const Bytes key = ToBytes(info[1]);
  CheckSize(info.Env(), "key", key, 1, ShapeOf(info.Env(), fd).key_size);
  const int error = ErrorOf(bpf_map_delete_elem(fd, key.data));
  if (error != 0 && error != ENOENT) Fail(info.Env(), "bpf", error);
  return Napi::Boolean::New(info.Env(), error == 0);
}

Napi::Value CreateArray(const Napi::CallbackInfo& info) {
  const uint32_t value_size = ToUint(info[1]);
  const uint32_t count = ToUint(info[2]);
  const Bytes values = ToBytes(info[3]);
  auto options = MakeOptions<bpf_map_create_opts>();
  options.map_flags = BPF_F_INNER_MAP;
  UniqueFd fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, ToString(info[0]).c_str(), sizeof(uint32_t), value_size,
                             count, &options));
  if (fd.get() < 0) Fail(info.Env(), "bpf", fd.get());
  for (uint32_t i = 0; i < count; i++) {
    const int error =
        ErrorOf(bpf_map_update_elem(fd.get(), &i, values.data + size_t{i} * value_size, BPF_ANY));
    if (error != 0) Fail(info.Env(), "bpf", error);
  }
  return Napi::Number::New(info.Env(), fd.release());
}

Napi::Value MapById(const Napi::CallbackInfo& info) {
  UniqueFd fd(bpf_map_get_fd_by_id(ToUint(info[0])));
  if (fd.get() == -ENOENT) return info.Env().Null();
  if (fd.get() < 0) Fail(info.Env(), "bpf", fd.get());
  return Napi::Number::New(info.Env(), fd.release());
}
