// SPDX-License-Identifier: Apache-2.0
#include "failure.h"

#include <cstdlib>
#include <cstring>

static std::string NameOf(int error) {
  if (error == kNotSupported) return "ENOTSUPP";
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "errno " + std::to_string(error);
}

static std::string TextOf(int error) {
  if (error == kNotSupported) return "Operation is not supported";
  const char* text = strerrordesc_np(error);
  return text != nullptr ? text : "Unknown error";
}

void Fail(Napi::Env env, const char* syscall, int error, const std::string& note, const std::string& log) {
  const int number = std::abs(error);
  std::string message = TextOf(number) + " (" + NameOf(number) + ")";
  if (!note.empty()) message += ": " + note;
  Napi::Error failure = Napi::Error::New(env, message);
  failure.Set("code", NameOf(number));
  failure.Set("syscall", syscall);
  failure.Set("details", log.empty() ? env.Null() : Napi::String::New(env, log));
  throw failure;
}
