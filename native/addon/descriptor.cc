// SPDX-License-Identifier: Apache-2.0
#include "descriptor.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#include <cerrno>

#include "argument.h"
#include "failure.h"

UniqueFd Duplicate(Napi::Env env, int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (copy.get() < 0) Fail(env, "fcntl", errno);
  return copy;
}

Napi::Value Pin(const Napi::CallbackInfo& info) {
  const int error = ErrorOf(bpf_obj_pin(ToInt(info[0]), ToString(info[1]).c_str()));
  if (error != 0) Fail(info.Env(), "bpf", error);
  return info.Env().Undefined();
}

Napi::Value OpenPinned(const Napi::CallbackInfo& info) {
  UniqueFd fd(bpf_obj_get(ToString(info[0]).c_str()));
  if (fd.get() == -ENOENT) return info.Env().Null();
  if (fd.get() < 0) Fail(info.Env(), "bpf", fd.get());
  return Napi::Number::New(info.Env(), fd.release());
}

Napi::Value CloseFd(const Napi::CallbackInfo& info) {
  if (close(ToInt(info[0])) != 0) Fail(info.Env(), "close", errno);
  return info.Env().Undefined();
}
