// SPDX-License-Identifier: Apache-2.0
// BPF_PROG_TEST_RUN: a frame through a program, without a device.
#pragma once

#include <napi.h>

Napi::Value TestRun(const Napi::CallbackInfo& info);
