// SPDX-License-Identifier: Apache-2.0
#include "filter.h"

#include <bpf/libbpf.h>

#include <cerrno>

#include "argument.h"
#include "failure.h"
#include "log.h"

static bpf_tc_hook IngressOf(int ifindex) {
  auto hook = MakeOptions<bpf_tc_hook>();
  hook.ifindex = ifindex;
  hook.attach_point = BPF_TC_INGRESS;
  return hook;
}

static bpf_tc_opts PlaceOf(const Napi::Value& handle, const Napi::Value& priority) {
  auto place = MakeOptions<bpf_tc_opts>();
  place.handle = ToUint(handle);
  place.priority = ToUint(priority);
  return place;
}

/// No filter, no device, or no clsact qdisc (which the kernel calls an invalid parent).
static bool IsAbsent(int error) { return error == ENOENT || error == ENODEV || error == EINVAL; }

Napi::Value AttachClsact(const Napi::CallbackInfo& info) {
  const LogCapture log;
  bpf_tc_hook hook = IngressOf(ToInt(info[1]));
  int error = ErrorOf(bpf_tc_hook_create(&hook));
  if (error != 0 && error != EEXIST) Fail(info.Env(), "netlink", error, {}, log.text());
  bpf_tc_opts filter = PlaceOf(info[2], info[3]);
  filter.prog_fd = ToInt(info[0]);
  filter.flags = BPF_TC_F_REPLACE;
  error = ErrorOf(bpf_tc_attach(&hook, &filter));
  if (error != 0) Fail(info.Env(), "netlink", error, {}, log.text());
  return info.Env().Undefined();
}

Napi::Value DetachClsact(const Napi::CallbackInfo& info) {
  const LogCapture log;
  const bpf_tc_hook hook = IngressOf(ToInt(info[0]));
  const bpf_tc_opts filter = PlaceOf(info[1], info[2]);
  const int error = ErrorOf(bpf_tc_detach(&hook, &filter));
  if (error != 0 && !IsAbsent(error)) Fail(info.Env(), "netlink", error, {}, log.text());
  return Napi::Boolean::New(info.Env(), error == 0);
}

Napi::Value ClsactInfo(const Napi::CallbackInfo& info) {
  const LogCapture log;
  const bpf_tc_hook hook = IngressOf(ToInt(info[0]));
  bpf_tc_opts filter = PlaceOf(info[1], info[2]);
  const int error = ErrorOf(bpf_tc_query(&hook, &filter));
  if (IsAbsent(error)) return info.Env().Null();
  if (error != 0) Fail(info.Env(), "netlink", error, {}, log.text());
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("programId", filter.prog_id);
  return result;
}
