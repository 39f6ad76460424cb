// SPDX-License-Identifier: Apache-2.0
// File descriptors, and the pins that keep what they refer to alive.
#pragma once

#include <napi.h>
#include <unistd.h>

#include <utility>

/// Owns a file descriptor until it is released to JavaScript, which then closes it by closeFd.
class UniqueFd {
 public:
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (fd_ >= 0) close(fd_);
  }

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// A second descriptor of the same thing, closed on exec.
UniqueFd Duplicate(Napi::Env env, int fd);

Napi::Value Pin(const Napi::CallbackInfo& info);
Napi::Value OpenPinned(const Napi::CallbackInfo& info);
Napi::Value CloseFd(const Napi::CallbackInfo& info);
