// SPDX-License-Identifier: Apache-2.0
#include "map_batch.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <vector>

#include "failure.h"
#include "map.h"

namespace {

/// What takes entries as they are read. `restart`: those taken so far will come again.
struct Sink {
  std::function<void()> restart;
  std::function<void(const uint8_t* keys, const uint8_t* values, size_t count)> take;
};

/// The answer of a map type without batch operations (ENOTSUPP), and of a kernel without them (EINVAL).
bool HasNoBatch(int error) { return error == kNotSupported || error == EINVAL || error == EOPNOTSUPP; }

/// Entries a failed batch call got through. The kernel leaves `count` alone when it fails before the first.
uint32_t Processed(int error, uint32_t asked, uint32_t count) {
  if (error == 0) return asked;
  return count == asked ? 0 : count;
}

/// Reads all by batches; false when a batch cannot serve this map, or was disturbed.
bool ReadByBatch(Napi::Env env, int fd, const MapShape& shape, const Sink& sink) {
  constexpr size_t kFirstBatch = 4096;
  size_t batch = std::max<size_t>(1, std::min(shape.max_entries, kFirstBatch));
  // The position is a bucket number or a key, whichever the map type likes.
  const size_t token_size = std::max<size_t>(shape.key_size, sizeof(uint64_t));
  std::vector<uint8_t> position(token_size);
  std::vector<uint8_t> next(token_size);
  std::vector<uint8_t> keys;
  std::vector<uint8_t> values;
  const auto options = MakeOptions<bpf_map_batch_opts>();
  for (bool first = true;; first = false) {
    keys.resize(batch * shape.key_size);
    values.resize(batch * shape.value_size);
    uint32_t count = batch;
    const int error = ErrorOf(bpf_map_lookup_batch(fd, first ? nullptr : position.data(), next.data(),
                                                   keys.data(), values.data(), &count, &options));
    if (error == ENOSPC) {
      // One bucket holds more than fits; nothing was read and the position stands.
      batch *= 2;
      if (first) position = next;
      continue;
    }
    if (HasNoBatch(error) || error == EINTR) return false;
    if (error != 0 && error != ENOENT) Fail(env, "bpf", error);
    sink.take(keys.data(), values.data(), count);
    if (error == ENOENT) return true;
    position.swap(next);
  }
}

/// Walks key by key. A key deleted under the walk sends it back to the start, so it is bounded.
void ReadOneByOne(Napi::Env env, int fd, const MapShape& shape, const Sink& sink) {
  std::vector<uint8_t> key(shape.key_size);
  std::vector<uint8_t> next(shape.key_size);
  std::vector<uint8_t> value(shape.value_size);
  const size_t limit = 2 * shape.max_entries + 16;
  for (size_t step = 0; step < limit; step++) {
    int error = ErrorOf(bpf_map_get_next_key(fd, step == 0 ? nullptr : key.data(), next.data()));
    if (error == ENOENT) return;
    if (error != 0) Fail(env, "bpf", error);
    key.swap(next);
    error = ErrorOf(bpf_map_lookup_elem(fd, key.data(), value.data()));
    if (error == ENOENT) continue;
    if (error != 0) Fail(env, "bpf", error);
    sink.take(key.data(), value.data(), 1);
  }
  Fail(env, "bpf", EAGAIN, "the map changes faster than it can be read");
}

void ReadAll(Napi::Env env, int fd, const MapShape& shape, const Sink& sink) {
  if (ReadByBatch(env, fd, shape, sink)) return;
  sink.restart();
  ReadOneByOne(env, fd, shape, sink);
}

/// Eight bytes at a time into a 64-bit state; the multipliers are those of splitmix64 (Steele et al., 2014).
uint64_t Mix(uint64_t state, const uint8_t* bytes, size_t size) {
  for (size_t at = 0; at < size; at += sizeof state) {
    uint64_t word = 0;
    memcpy(&word, bytes + at, std::min(sizeof word, size - at));
    state = (state ^ word) * 0xbf58476d1ce4e5b9;
    state = (state ^ (state >> 30)) * 0x94d049bb133111eb;
    state ^= state >> 31;
  }
  return state;
}

/// Updates one by one from `done` on; returns the error that stopped it, with `done` moved along.
int UpdateOneByOne(int fd, const MapShape& shape, const Bytes& keys, const Bytes& values, uint32_t count,
                   uint32_t& done) {
  for (; done < count; done++) {
    const int error = ErrorOf(
        UpdateElement(fd, keys.data + done * shape.key_size, values.data + done * shape.value_size, BPF_ANY));
    if (error != 0) return error;
  }
  return 0;
}

/// Updates by batches; goes on one by one where a batch stops, which also rides out a moment without memory.
int UpdateAll(int fd, const MapShape& shape, const Bytes& keys, const Bytes& values, uint32_t count,
              uint32_t& done) {
  const auto options = MakeOptions<bpf_map_batch_opts>();
  while (done < count) {
    uint32_t batch = count - done;
    const uint32_t asked = batch;
    const int error = ErrorOf(bpf_map_update_batch(fd, keys.data + done * shape.key_size,
                                                   values.data + done * shape.value_size, &batch, &options));
    done += Processed(error, asked, batch);
    if (error == 0) return 0;
    uint32_t until = HasNoBatch(error) ? count : done + 1;
    const int single = UpdateOneByOne(fd, shape, keys, values, until, done);
    if (single != 0) return single;
  }
  return 0;
}

/// Deletes by batches; the kernel stops at a key that is not there, which is stepped over. Returns the error.
int DeleteAll(int fd, const MapShape& shape, const Bytes& keys, uint32_t count, uint32_t& deleted) {
  const auto options = MakeOptions<bpf_map_batch_opts>();
  bool by_batch = true;
  for (uint32_t done = 0; done < count;) {
    uint8_t* key = keys.data + done * shape.key_size;
    uint32_t batch = by_batch ? count - done : 1;
    const uint32_t asked = batch;
    const int error =
        ErrorOf(by_batch ? bpf_map_delete_batch(fd, key, &batch, &options) : bpf_map_delete_elem(fd, key));
    if (by_batch && HasNoBatch(error)) {
      by_batch = false;
      continue;
    }
    const uint32_t processed = by_batch ? Processed(error, asked, batch) : (error == 0 ? 1 : 0);
    deleted += processed;
    done += processed;
    if (error == ENOENT) done++;
    if (error != 0 && error != ENOENT) return error;
  }
  return 0;
}

}  // namespace

Napi::Value MapEntries(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = ToInt(info[0]);
  const MapShape shape = ShapeOf(env, fd);
  std::vector<uint8_t> keys;
  std::vector<uint8_t> values;
  const auto restart = [&] {
    keys.clear();
    values.clear();
  };
  const auto take = [&](const uint8_t* key, const uint8_t* value, size_t count) {
    keys.insert(keys.end(), key, key + count * shape.key_size);
    values.insert(values.end(), value, value + count * shape.value_size);
  };
  ReadAll(env, fd, shape, {restart, take});
  Napi::Object result = Napi::Object::New(env);
  result.Set("count", static_cast<double>(keys.size() / shape.key_size));
  result.Set("keys", FromBytes(env, keys.data(), keys.size()));
  result.Set("values", FromBytes(env, values.data(), values.size()));
  return result;
}

Napi::Value MapDigest(const Napi::CallbackInfo& info) {
  const int fd = ToInt(info[0]);
  const MapShape shape = ShapeOf(info.Env(), fd);
  uint64_t digest = 0;
  const auto take = [&](const uint8_t* keys, const uint8_t* values, size_t count) {
    for (size_t i = 0; i < count; i++) {
      const uint64_t key = Mix(shape.key_size, keys + i * shape.key_size, shape.key_size);
      digest += Mix(key, values + i * shape.value_size, shape.value_size);
    }
  };
  ReadAll(info.Env(), fd, shape, {[&] { digest = 0; }, take});
  return Napi::BigInt::New(info.Env(), digest);
}

Napi::Value MapUpdateBatch(const Napi::CallbackInfo& info) {
  const int fd = ToInt(info[0]);
  const uint32_t count = ToUint(info[1]);
  const Bytes keys = ToBytes(info[2]);
  const Bytes values = ToBytes(info[3]);
  const MapShape shape = ShapeOf(info.Env(), fd);
  CheckSize(info.Env(), "key", keys, count, shape.key_size);
  CheckSize(info.Env(), "value", values, count, shape.value_size);
  uint32_t done = 0;
  const int error = UpdateAll(fd, shape, keys, values, count, done);
  if (error != 0) {
    Fail(info.Env(), "bpf", error,
         std::to_string(done) + " of " + std::to_string(count) + " entries are in place");
  }
  return info.Env().Undefined();
}

Napi::Value MapDeleteBatch(const Napi::CallbackInfo& info) {
  const int fd = ToInt(info[0]);
  const uint32_t count = ToUint(info[1]);
  const Bytes keys = ToBytes(info[2]);
  const MapShape shape = ShapeOf(info.Env(), fd);
  CheckSize(info.Env(), "key", keys, count, shape.key_size);
  uint32_t deleted = 0;
  const int error = DeleteAll(fd, shape, keys, count, deleted);
  if (error != 0) Fail(info.Env(), "bpf", error, std::to_string(deleted) + " entries were deleted");
  return Napi::Number::New(info.Env(), deleted);
}
