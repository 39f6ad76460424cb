// SPDX-License-Identifier: Apache-2.0
// An errno value as the JavaScript error that crosses: `code` its name, `syscall`, and `details` libbpf's log
// or null.
#pragma once

#include <napi.h>

#include <string>

/// ENOTSUPP: the kernel's own "no such operation", which user space headers leave out.
constexpr int kNotSupported = 524;

/// Throws; `error` is an errno value of either sign. `note` and `log` may be empty.
[[noreturn]] void Fail(Napi::Env env, const char* syscall, int error, const std::string& note = {},
                       const std::string& log = {});

/// The errno value of a libbpf result, 0 for success.
inline int ErrorOf(int result) { return result < 0 ? -result : 0; }
