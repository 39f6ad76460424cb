// SPDX-License-Identifier: Apache-2.0
// Node-API values to C++ values and back. Types are the TypeScript side's promise; a broken one throws in
// node-addon-api.
#pragma once

#include <napi.h>

#include <cstdint>
#include <cstring>
#include <string>

/// Bytes owned by JavaScript: valid during the call they came with.
struct Bytes {
  uint8_t* data;
  size_t size;
};

inline int ToInt(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

inline uint32_t ToUint(const Napi::Value& value) { return value.As<Napi::Number>().Uint32Value(); }

inline std::string ToString(const Napi::Value& value) { return value.As<Napi::String>().Utf8Value(); }

inline Bytes ToBytes(const Napi::Value& value) {
  if (value.IsNull()) return {nullptr, 0};
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

inline Napi::Value FromBytes(Napi::Env env, const void* data, size_t size) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, size);
  if (size > 0) memcpy(array.Data(), data, size);
  return array;
}

/// A libbpf options record: all zero but for its size, padding included, as libbpf checks the bytes it does
/// not know.
template <typename Options>
Options MakeOptions() {
  Options options;
  memset(&options, 0, sizeof options);
  options.sz = sizeof options;
  return options;
}
