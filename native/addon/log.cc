// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <new>

static thread_local LogCapture* current = nullptr;

LogCapture::LogCapture() : outer_(current) { current = this; }

LogCapture::~LogCapture() { current = outer_; }

void LogCapture::Append(const char* text, size_t size) {
  text_.append(text, size);
  if (text_.size() <= kTailBytes) return;
  const size_t line = text_.find('\n', text_.size() - kTailBytes);
  text_.erase(0, line == std::string::npos ? text_.size() - kTailBytes : line + 1);
}

// Called by libbpf, which is C: nothing may be thrown. A message lost for want of memory is a smaller loss.
static int Print(enum libbpf_print_level level, const char* format, va_list arguments) noexcept {
  if (level == LIBBPF_DEBUG || current == nullptr) return 0;
  va_list again;
  va_copy(again, arguments);
  const int size = vsnprintf(nullptr, 0, format, arguments);
  try {
    std::string message(size > 0 ? size + 1 : 1, '\0');
    vsnprintf(message.data(), message.size(), format, again);
    current->Append(message.data(), message.size() - 1);
  } catch (const std::bad_alloc&) {
  }
  va_end(again);
  return 0;
}

void InstallLog() { libbpf_set_print(Print); }
