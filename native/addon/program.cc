// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <bpf/bpf.h>

#include <cstdio>

#include "argument.h"
#include "failure.h"

Napi::Value ProgramInfo(const Napi::CallbackInfo& info) {
  bpf_prog_info program{};
  uint32_t size = sizeof program;
  const int error = ErrorOf(bpf_obj_get_info_by_fd(ToInt(info[0]), &program, &size));
  if (error != 0) Fail(info.Env(), "bpf", error);
  std::string tag;
  for (const uint8_t byte : program.tag) {
    char digits[3];
    snprintf(digits, sizeof digits, "%02x", byte);
    tag += digits;
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("id", program.id);
  result.Set("name", program.name);
  result.Set("tag", tag);
  return result;
}
