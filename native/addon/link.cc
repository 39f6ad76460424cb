// SPDX-License-Identifier: Apache-2.0
#include "link.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <cerrno>

#include "argument.h"
#include "descriptor.h"
#include "failure.h"

Napi::Value AttachTcx(const Napi::CallbackInfo& info) {
  const std::string path = ToString(info[2]);
  // Asked before attaching, lest the program runs for the moment until the pin is refused.
  if (access(path.c_str(), F_OK) == 0) Fail(info.Env(), "bpf", EEXIST);
  const UniqueFd link(
      bpf_link_create(ToInt(info[0]), ToInt(info[1]), static_cast<bpf_attach_type>(kTcxIngress), nullptr));
  if (link.get() < 0) Fail(info.Env(), "bpf", link.get());
  const int error = ErrorOf(bpf_obj_pin(link.get(), path.c_str()));
  if (error != 0) Fail(info.Env(), "bpf", error);
  return info.Env().Undefined();
}

Napi::Value UpdateLink(const Napi::CallbackInfo& info) {
  const UniqueFd link(bpf_obj_get(ToString(info[0]).c_str()));
  if (link.get() == -ENOENT) return Napi::String::New(info.Env(), "missing");
  if (link.get() < 0) Fail(info.Env(), "bpf", link.get());
  const int error = ErrorOf(bpf_link_update(link.get(), ToInt(info[1]), nullptr));
  if (error == ENOLINK) return Napi::String::New(info.Env(), "defunct");
  if (error != 0) Fail(info.Env(), "bpf", error);
  return Napi::String::New(info.Env(), "updated");
}

Napi::Value LinkInfo(const Napi::CallbackInfo& info) {
  const UniqueFd link(bpf_obj_get(ToString(info[0]).c_str()));
  if (link.get() == -ENOENT) return info.Env().Null();
  if (link.get() < 0) Fail(info.Env(), "bpf", link.get());
  bpf_link_info description{};
  uint32_t size = sizeof description;
  const int error = ErrorOf(bpf_obj_get_info_by_fd(link.get(), &description, &size));
  if (error != 0) Fail(info.Env(), "bpf", error);
  if (description.type != kLinkTypeTcx) Fail(info.Env(), "bpf", EINVAL, "it is not a tcx link");
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("id", description.id);
  result.Set("programId", description.prog_id);
  // The index comes first in the kernel's tcx record as in its xdp record.
  result.Set("ifindex", description.xdp.ifindex);
  return result;
}
