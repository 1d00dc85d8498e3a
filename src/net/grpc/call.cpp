#include "net/grpc/peer.h"

namespace orch::net {

void Call::send(std::string message) {
  if (closed()) return;
  buffered_.fetch_add(message.size(), std::memory_order_relaxed);
  loop_->post([self = shared_from_this(), message = std::move(message)]() mutable {
    if (self->closed()) return;
    if (auto peer = self->peer_.lock()) peer->push(self, std::move(message));
  });
}

void Call::finish(GrpcStatus status) {
  if (closed()) return;
  loop_->post([self = shared_from_this(), status = std::move(status)]() mutable {
    if (self->closed()) return;
    if (auto peer = self->peer_.lock()) peer->finish(self, std::move(status));
  });
}

bool Call::wait_below(size_t bytes, Millis timeout) {
  std::unique_lock lock(mutex_);
  return moved_.wait_for(lock, timeout, [&] { return closed() || buffered_bytes() <= bytes; }) &&
         !closed();
}

void Call::when_below(size_t bytes, std::function<void()> fn) {
  loop_->post([self = shared_from_this(), bytes, fn = std::move(fn)]() mutable {
    if (self->closed()) return;
    self->drained_.emplace_back(bytes, std::move(fn));
    self->sent(0);
  });
}

void Call::sent(size_t bytes) {
  {
    std::lock_guard lock(mutex_);
    buffered_.fetch_sub(bytes, std::memory_order_relaxed);
  }
  moved_.notify_all();
  if (drained_.empty()) return;
  std::erase_if(drained_, [&](auto& waiting) {
    if (buffered_bytes() > waiting.first) return false;
    loop_->post(std::move(waiting.second));
    return true;
  });
}

void Call::end(const GrpcStatus& status) {
  {
    std::lock_guard lock(mutex_);
    if (closed_.exchange(true)) return;
  }
  moved_.notify_all();
  drained_.clear();
  out.clear();
  if (deadline_timer != 0) loop_->cancel(deadline_timer);
  if (auto held = std::exchange(handler, nullptr)) held->on_closed(status);
}

}  // namespace orch::net
