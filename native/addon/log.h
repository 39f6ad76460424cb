// SPDX-License-Identifier: Apache-2.0
// What libbpf and the verifier print, kept for the error instead of going to stderr.
#pragma once

#include <string>

/// While one exists, libbpf's warnings on this thread are collected in it; without one they are dropped.
class LogCapture {
 public:
  LogCapture();
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  /// The last kTailBytes at most, beginning at the start of a line.
  const std::string& text() const { return text_; }
  void Append(const char* text, size_t size);

 private:
  static constexpr size_t kTailBytes = 16 * 1024;
  LogCapture* outer_;
  std::string text_;
};

/// Directs libbpf's output here, once per process.
void InstallLog();
