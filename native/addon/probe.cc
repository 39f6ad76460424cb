// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <climits>
#include <vector>

#include "argument.h"
#include "descriptor.h"
#include "failure.h"
#include "link.h"

namespace {

bpf_insn Move(uint8_t to, int32_t value) { return {BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value}; }

bpf_insn Call(int32_t helper) { return {BPF_JMP | BPF_CALL, 0, 0, 0, helper}; }

bpf_insn Exit() { return {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}; }

UniqueFd Load(Napi::Env env, const std::vector<bpf_insn>& code) {
  UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "weft_probe", "Dual BSD/GPL", code.data(),
                                 code.size(), nullptr));
  if (program.get() < 0) Fail(env, "bpf", program.get());
  return program;
}

/// A VXLAN frame with an inner IPv4 one, zero but for what the kernel looks at: room for 50 bytes to go or to
/// come.
std::vector<uint8_t> TunnelFrame() {
  std::vector<uint8_t> frame(14 + 50 + 20 + 8 + 64);
  frame[12] = 0x08;  // EtherType IPv4
  uint8_t* ip = &frame[14];
  ip[0] = 0x45;
  ip[3] = frame.size() - 14;
  ip[8] = 64;
  ip[9] = 17;
  frame[62] = 0x08;  // inner EtherType
  frame[64] = 0x45;
  return frame;
}

Napi::Value Supported(Napi::Env env, int answer) {
  if (answer < 0) Fail(env, "bpf", answer);
  return Napi::Boolean::New(env, answer == 1);
}

}  // namespace

// A kernel that knows tcx looks for the device and finds none (ENODEV); an older one refuses the attach type
// (EINVAL).
Napi::Value ProbeTcx(const Napi::CallbackInfo& info) {
  const UniqueFd program = Load(info.Env(), {Move(0, 0), Exit()});
  const UniqueFd link(
      bpf_link_create(program.get(), INT_MAX, static_cast<bpf_attach_type>(kTcxIngress), nullptr));
  if (link.get() == -EPERM) Fail(info.Env(), "bpf", EPERM);
  return Napi::Boolean::New(info.Env(), link.get() == -ENODEV);
}

Napi::Value ProbeHelper(const Napi::CallbackInfo& info) {
  const auto helper = static_cast<bpf_func_id>(ToInt(info[0]));
  return Supported(info.Env(), libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, helper, nullptr));
}

Napi::Value ProbeMapType(const Napi::CallbackInfo& info) {
  return Supported(info.Env(), libbpf_probe_bpf_map_type(static_cast<bpf_map_type>(ToInt(info[0])), nullptr));
}

Napi::Value ProbeResizableInnerMaps(const Napi::CallbackInfo& info) {
  auto options = MakeOptions<bpf_map_create_opts>();
  options.map_flags = BPF_F_INNER_MAP;
  const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "weft_probe", sizeof(uint32_t), 4, 1, &options));
  if (map.get() < 0 && map.get() != -EINVAL) Fail(info.Env(), "bpf", map.get());
  return Napi::Boolean::New(info.Env(), map.get() >= 0);
}

Napi::Value ProbeAdjustRoom(const Napi::CallbackInfo& info) {
  bool lossless = false;
  const uint64_t flags = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  const UniqueFd program =
      Load(info.Env(), {Move(2, ToInt(info[0])),
                        Move(3, BPF_ADJ_ROOM_MAC),
                        {BPF_LD | BPF_IMM | BPF_DW, 4, 0, 0, static_cast<int32_t>(flags)},
                        {0, 0, 0, 0, static_cast<int32_t>(flags >> 32)},
                        Call(BPF_FUNC_skb_adjust_room),
                        Exit()});
  std::vector<uint8_t> frame = TunnelFrame();
  auto run = MakeOptions<bpf_test_run_opts>();
  run.data_in = frame.data();
  run.data_size_in = frame.size();
  run.repeat = 1;
  const int error = ErrorOf(bpf_prog_test_run_opts(program.get(), &run));
  if (error != 0) Fail(info.Env(), "bpf", error);
  return Napi::Boolean::New(info.Env(), run.retval == 0);
}

Napi::Value PossibleCpus(const Napi::CallbackInfo& info) {
  const int count = libbpf_num_possible_cpus();
  if (count < 0) Fail(info.Env(), "open", count);
  return Napi::Number::New(info.Env(), count);
}
