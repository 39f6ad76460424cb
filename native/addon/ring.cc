// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include <bpf/libbpf.h>
#include <uv.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <vector>

#include "argument.h"
#include "descriptor.h"
#include "failure.h"

namespace {

/// Records taken per turn of the event loop, so that a flood of them cannot starve it; the rest stays in the
/// ring.
constexpr size_t kRecordsPerTurn = 256;

struct FreeRingBuffer {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};

/// Runs what libuv and Node call back, which are C. Only a lack of memory or a dying environment fails here.
template <typename Body>
void Guard(Body body) noexcept {
  try {
    body();
  } catch (...) {
    napi_fatal_error("weft ring", NAPI_AUTO_LENGTH, "reading the ring buffer failed beyond repair",
                     NAPI_AUTO_LENGTH);
  }
}

/// Shared by its JavaScript handle and by the event loop; open until Close, freed when both have let go.
class Ring : public std::enable_shared_from_this<Ring> {
 public:
  Ring(Napi::Env env, UniqueFd map, Napi::Function on_record)
      : env_(env), map_(std::move(map)), on_record_(Napi::Persistent(on_record)) {}

  void Open();
  size_t Drain();
  void Close();

 private:
  static int Take(void* ring, void* data, size_t size) noexcept;
  static void OnReadable(uv_poll_t* poll, int status, int events) noexcept;
  static void OnClosed(uv_handle_t* poll) noexcept;
  static void OnExit(napi_async_cleanup_hook_handle hook, void* ring) noexcept;
  void Deliver(const std::vector<uint8_t>& record);

  Napi::Env env_;
  UniqueFd map_;
  Napi::FunctionReference on_record_;
  std::unique_ptr<ring_buffer, FreeRingBuffer> buffer_;
  std::deque<std::vector<uint8_t>> taken_;
  uv_poll_t poll_{};
  napi_async_cleanup_hook_handle exit_hook_ = nullptr;
  /// The event loop's share: set while it knows poll_.
  std::shared_ptr<Ring> polled_;
};

using Handle = Napi::External<std::shared_ptr<Ring>>;

void Ring::Open() {
  buffer_.reset(ring_buffer__new(map_.get(), Take, this, nullptr));
  if (buffer_ == nullptr) Fail(env_, "bpf", errno);
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env_, &loop) != napi_ok) throw Napi::Error::New(env_);
  const int error = uv_poll_init(loop, &poll_, ring_buffer__epoll_fd(buffer_.get()));
  if (error != 0) Fail(env_, "epoll_ctl", error);
  polled_ = shared_from_this();
  poll_.data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
  if (uv_poll_start(&poll_, UV_READABLE, OnReadable) != 0 ||
      napi_add_async_cleanup_hook(env_, OnExit, this, &exit_hook_) != napi_ok) {
    Close();
    Fail(env_, "epoll_ctl", EINVAL);
  }
}

/// Takes what is there, at most a turn's worth, then delivers: JavaScript may close the ring while it is
/// called.
size_t Ring::Drain() {
  if (buffer_ == nullptr) return 0;
  const int result = ring_buffer__consume(buffer_.get());
  if (result < 0 && result != -EAGAIN) Fail(env_, "bpf", result);
  size_t delivered = 0;
  for (; !taken_.empty(); delivered++) {
    const std::vector<uint8_t> record = std::move(taken_.front());
    taken_.pop_front();
    Deliver(record);
  }
  return delivered;
}

void Ring::Close() {
  if (buffer_ == nullptr) return;
  taken_.clear();
  on_record_.Reset();
  uv_poll_stop(&poll_);
  buffer_.reset();
  map_ = UniqueFd();
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), OnClosed);
}

void Ring::Deliver(const std::vector<uint8_t>& record) {
  const Napi::HandleScope scope(env_);
  try {
    const Napi::Value bytes = FromBytes(env_, record.data(), record.size());
    on_record_.Value().MakeCallback(env_.Global(), {bytes});
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env_, error.Value());
  }
}

int Ring::Take(void* ring, void* data, size_t size) noexcept {
  auto& taken = static_cast<Ring*>(ring)->taken_;
  const auto* bytes = static_cast<const uint8_t*>(data);
  try {
    taken.emplace_back(bytes, bytes + size);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  return taken.size() < kRecordsPerTurn ? 0 : -EAGAIN;
}

void Ring::OnReadable(uv_poll_t* poll, int, int) noexcept {
  const std::shared_ptr<Ring> ring = static_cast<Ring*>(poll->data)->polled_;
  Guard([&] {
    const Napi::HandleScope scope(ring->env_);
    try {
      ring->Drain();
    } catch (const Napi::Error& error) {
      napi_fatal_exception(ring->env_, error.Value());
    }
  });
}

void Ring::OnClosed(uv_handle_t* poll) noexcept {
  const std::shared_ptr<Ring> ring = std::move(static_cast<Ring*>(poll->data)->polled_);
  if (ring->exit_hook_ != nullptr) napi_remove_async_cleanup_hook(ring->exit_hook_);
}

/// The environment ends with the ring open: the loop must forget it before it is torn down.
void Ring::OnExit(napi_async_cleanup_hook_handle, void* ring) noexcept {
  Guard([&] { static_cast<Ring*>(ring)->Close(); });
}

std::shared_ptr<Ring> ToRing(const Napi::Value& value) { return *value.As<Handle>().Data(); }

}  // namespace

Napi::Value RingOpen(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto ring = std::make_shared<Ring>(env, Duplicate(env, ToInt(info[0])), info[1].As<Napi::Function>());
  ring->Open();
  auto handle = std::make_unique<std::shared_ptr<Ring>>(std::move(ring));
  return Handle::New(env, handle.release(), [](Napi::Env, std::shared_ptr<Ring>* data) {
    std::unique_ptr<std::shared_ptr<Ring>> owned(data);
  });
}

Napi::Value RingDrain(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ToRing(info[0])->Drain()));
}

Napi::Value RingClose(const Napi::CallbackInfo& info) {
  ToRing(info[0])->Close();
  return info.Env().Undefined();
}
