// SPDX-License-Identifier: Apache-2.0
#include "object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "argument.h"
#include "descriptor.h"
#include "failure.h"
#include "log.h"

namespace {

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

using NamedFds = std::vector<std::pair<std::string, UniqueFd>>;

/// A `const volatile` variable in the object's memory, which the kernel gets a frozen copy of.
struct Variable {
  uint8_t* data;
  size_t size;
};

Object Open(Napi::Env env, const std::string& path, const std::optional<std::string>& pin_path,
            const LogCapture& log) {
  auto options = MakeOptions<bpf_object_open_opts>();
  options.pin_root_path = pin_path ? pin_path->c_str() : nullptr;
  Object object(bpf_object__open_file(path.c_str(), &options));
  if (object == nullptr) Fail(env, "open", errno, {}, log.text());
  if (pin_path) return object;
  bpf_map* map;
  bpf_object__for_each_map(map, object.get()) bpf_map__set_pin_path(map, nullptr);
  return object;
}

std::optional<Variable> FindVariableIn(const btf* types, bpf_map* map, const std::string& name) {
  if (!bpf_map__is_internal(map)) return std::nullopt;
  const btf_type* section = btf__type_by_id(types, bpf_map__btf_value_type_id(map));
  if (section == nullptr || !btf_is_datasec(section)) return std::nullopt;
  if (std::string(btf__name_by_offset(types, section->name_off)).rfind(".rodata", 0) != 0)
    return std::nullopt;
  size_t size = 0;
  auto* memory = static_cast<uint8_t*>(const_cast<void*>(bpf_map__initial_value(map, &size)));
  if (memory == nullptr) return std::nullopt;
  const btf_var_secinfo* entries = btf_var_secinfos(section);
  for (int i = 0; i < btf_vlen(section); i++) {
    const btf_type* variable = btf__type_by_id(types, entries[i].type);
    if (name != btf__name_by_offset(types, variable->name_off)) continue;
    if (entries[i].offset + entries[i].size > size) return std::nullopt;
    return Variable{memory + entries[i].offset, entries[i].size};
  }
  return std::nullopt;
}

Variable FindVariable(Napi::Env env, bpf_object* object, const std::string& name) {
  const btf* types = bpf_object__btf(object);
  bpf_map* map;
  bpf_object__for_each_map(map, object) {
    const auto variable = types != nullptr ? FindVariableIn(types, map, name) : std::nullopt;
    if (variable) return *variable;
  }
  Fail(env, "open", ENOENT, "the object has no const volatile variable " + name);
}

/// Whether a variable of `size` bytes holds the number, be it signed or not.
bool Fits(int64_t number, size_t size) {
  if (size >= sizeof number) return size == sizeof number;
  const int64_t end = int64_t{1} << (8 * size);
  return number < end && number >= -(end / 2);
}

void SetVariable(Napi::Env env, bpf_object* object, const std::string& name, const Napi::Value& value) {
  const Variable variable = FindVariable(env, object, name);
  const std::string width = "variable " + name + " is " + std::to_string(variable.size) + " bytes";
  if (!value.IsNumber()) {
    const Bytes bytes = ToBytes(value);
    if (bytes.size != variable.size) Fail(env, "open", EINVAL, width + ", not " + std::to_string(bytes.size));
    memcpy(variable.data, bytes.data, bytes.size);
    return;
  }
  const int64_t number = value.As<Napi::Number>().Int64Value();
  if (!Fits(number, variable.size))
    Fail(env, "open", EINVAL, width + ", " + std::to_string(number) + " does not fit");
  // The first bytes of a little-endian number are its low ones, the last of a big-endian one.
  const bool big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
  memcpy(variable.data, reinterpret_cast<const uint8_t*>(&number) + (big ? sizeof number - variable.size : 0),
         variable.size);
}

/// Calls `apply(name, value)` for each pair of an array of [name, value].
template <typename Apply>
void ForEachPair(const Napi::Value& value, Apply apply) {
  const auto pairs = value.As<Napi::Array>();
  for (uint32_t i = 0; i < pairs.Length(); i++) {
    const auto pair = pairs.Get(i).As<Napi::Array>();
    apply(ToString(pair.Get(0u)), pair.Get(1u));
  }
}

void SetMaxEntries(Napi::Env env, bpf_object* object, const std::string& name, uint32_t entries) {
  bpf_map* map = bpf_object__find_map_by_name(object, name.c_str());
  if (map == nullptr) Fail(env, "open", ENOENT, "the object has no map " + name);
  const int error = ErrorOf(bpf_map__set_max_entries(map, entries));
  if (error != 0) Fail(env, "open", error, "map " + name);
}

/// Chooses what loads, and gives programs of a section this libbpf does not know (`tcx/…`) their type.
void SelectPrograms(Napi::Env env, bpf_object* object, const Napi::Value& names) {
  bpf_program* program;
  bpf_object__for_each_program(program, object) {
    if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC)
      bpf_program__set_type(program, BPF_PROG_TYPE_SCHED_CLS);
    if (!names.IsNull()) bpf_program__set_autoload(program, false);
  }
  if (names.IsNull()) return;
  const auto list = names.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const std::string name = ToString(list.Get(i));
    program = bpf_object__find_program_by_name(object, name.c_str());
    if (program == nullptr) Fail(env, "open", ENOENT, "the object has no program " + name);
    bpf_program__set_autoload(program, true);
  }
}

NamedFds LoadedPrograms(Napi::Env env, bpf_object* object) {
  NamedFds fds;
  bpf_program* program;
  bpf_object__for_each_program(program, object) {
    if (!bpf_program__autoload(program)) continue;
    fds.emplace_back(bpf_program__name(program), Duplicate(env, bpf_program__fd(program)));
  }
  return fds;
}

NamedFds LoadedMaps(Napi::Env env, bpf_object* object) {
  NamedFds fds;
  bpf_map* map;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__is_internal(map)) continue;
    fds.emplace_back(bpf_map__name(map), Duplicate(env, bpf_map__fd(map)));
  }
  return fds;
}

Napi::Array FromNamedFds(Napi::Env env, const NamedFds& fds) {
  Napi::Array result = Napi::Array::New(env, fds.size());
  for (uint32_t i = 0; i < fds.size(); i++) {
    Napi::Array pair = Napi::Array::New(env, 2);
    pair.Set(0u, fds[i].first);
    pair.Set(1u, fds[i].second.get());
    result.Set(i, pair);
  }
  return result;
}

}  // namespace

Napi::Value LoadObject(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto source = info[0].As<Napi::Object>();
  const Napi::Value pin_path = source.Get("pinPath");
  const LogCapture log;
  const Object object = Open(env, ToString(source.Get("path")),
                             pin_path.IsNull() ? std::nullopt : std::make_optional(ToString(pin_path)), log);
  ForEachPair(source.Get("rodata"), [&](const std::string& name, const Napi::Value& value) {
    SetVariable(env, object.get(), name, value);
  });
  ForEachPair(source.Get("maxEntries"), [&](const std::string& name, const Napi::Value& value) {
    SetMaxEntries(env, object.get(), name, ToUint(value));
  });
  SelectPrograms(env, object.get(), source.Get("programs"));
  const int error = ErrorOf(bpf_object__load(object.get()));
  if (error != 0) Fail(env, "bpf", error, {}, log.text());
  NamedFds programs = LoadedPrograms(env, object.get());
  NamedFds maps = LoadedMaps(env, object.get());
  Napi::Object result = Napi::Object::New(env);
  result.Set("programs", FromNamedFds(env, programs));
  result.Set("maps", FromNamedFds(env, maps));
  for (auto& [name, fd] : programs) fd.release();
  for (auto& [name, fd] : maps) fd.release();
  return result;
}
