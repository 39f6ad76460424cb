// SPDX-License-Identifier: Apache-2.0
#include "test_run.h"

#include <bpf/bpf.h>

#include <vector>

#include "argument.h"
#include "failure.h"

Napi::Value TestRun(const Napi::CallbackInfo& info) {
  // More than any encapsulation adds.
  constexpr size_t kRoomToGrow = 4096;
  const Bytes frame = ToBytes(info[1]);
  const Bytes context = ToBytes(info[2]);
  std::vector<uint8_t> frame_after(frame.size + kRoomToGrow);
  std::vector<uint8_t> context_after(sizeof(__sk_buff));
  auto run = MakeOptions<bpf_test_run_opts>();
  run.data_in = frame.data;
  run.data_size_in = frame.size;
  run.data_out = frame_after.data();
  run.data_size_out = frame_after.size();
  run.ctx_in = context.data;
  run.ctx_size_in = context.size;
  run.ctx_out = context_after.data();
  run.ctx_size_out = context_after.size();
  run.repeat = ToInt(info[3]);
  const int error = ErrorOf(bpf_prog_test_run_opts(ToInt(info[0]), &run));
  if (error != 0) Fail(info.Env(), "bpf", error);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("verdict", static_cast<int32_t>(run.retval));
  result.Set("data", FromBytes(info.Env(), frame_after.data(), run.data_size_out));
  result.Set("context", FromBytes(info.Env(), context_after.data(), run.ctx_size_out));
  result.Set("durationNs", run.duration);
  return result;
}
