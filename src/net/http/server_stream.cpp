#include "net/http/server_stream.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace orch::net {

LoopInbox::LoopInbox() : wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

LoopInbox::~LoopInbox() {
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

void LoopInbox::wake() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t ignored = ::write(wake_fd_, &one, sizeof one);
}

void LoopInbox::clear_wake() {
  uint64_t count;
  [[maybe_unused]] ssize_t ignored = ::read(wake_fd_, &count, sizeof count);
}

void LoopInbox::push(std::shared_ptr<ResponseStream> stream) {
  bool first;
  {
    std::lock_guard lock(mutex_);
    first = dirty_.empty();
    dirty_.push_back(std::move(stream));
  }
  if (first) wake();
}

std::vector<std::shared_ptr<ResponseStream>> LoopInbox::take() {
  std::lock_guard lock(mutex_);
  return std::exchange(dirty_, {});
}

ResponseStream::ResponseStream(std::shared_ptr<LoopInbox> inbox, Connection* owner, bool chunked,
                               size_t buffer_bytes_max)
    : connection(owner),
      inbox_(std::move(inbox)),
      chunked_(chunked),
      buffer_bytes_max_(buffer_bytes_max) {}

void ResponseStream::announce(std::unique_lock<std::mutex>& lock) {
  if (dirty_) return;
  dirty_ = true;
  lock.unlock();
  inbox_->push(shared_from_this());
}

bool ResponseStream::write(std::string bytes) {
  return write(std::make_shared<const std::string>(std::move(bytes)));
}

bool ResponseStream::write(std::shared_ptr<const std::string> bytes) {
  std::unique_lock lock(mutex_);
  if (closed_ || finished_ || overflowed_) return false;
  // One write is always taken when nothing waits, however large it is.
  if (queue_.bytes() > 0 && queue_.bytes() + bytes->size() > buffer_bytes_max_) {
    overflowed_ = true;
    queue_.clear();
    announce(lock);
    return false;
  }
  queue_.push(std::move(bytes), chunked_);
  announce(lock);
  return true;
}

size_t ResponseStream::buffered_bytes() const {
  std::lock_guard lock(mutex_);
  return queue_.bytes();
}

bool ResponseStream::wait_below(size_t bytes, Millis timeout) {
  std::unique_lock lock(mutex_);
  bool below = progress_.wait_for(
      lock, timeout, [&] { return closed_ || overflowed_ || queue_.bytes() <= bytes; });
  return below && !closed_ && !overflowed_;
}

void ResponseStream::finish() {
  std::unique_lock lock(mutex_);
  if (closed_ || finished_) return;
  finished_ = true;
  announce(lock);
}

void ResponseStream::on_close(std::function<void()> fn) {
  {
    std::lock_guard lock(mutex_);
    if (!closed_) {
      on_close_ = std::move(fn);
      return;
    }
  }
  fn();
}

void ResponseStream::take_dirty() {
  std::lock_guard lock(mutex_);
  dirty_ = false;
}

void ResponseStream::requeue() {
  std::unique_lock lock(mutex_);
  announce(lock);
}

void ResponseStream::gather(std::string& record) {
  std::lock_guard lock(mutex_);
  queue_.gather(record);
  if (queue_.empty() && finished_ && !end_sent_ && record.size() + 5 <= kRecordBytes) {
    end_sent_ = true;
    if (chunked_) record.append("0\r\n\r\n");
  }
  progress_.notify_all();
}

bool ResponseStream::overflowed() const {
  std::lock_guard lock(mutex_);
  return overflowed_;
}

bool ResponseStream::drained() const {
  std::lock_guard lock(mutex_);
  return end_sent_;
}

void ResponseStream::closed() {
  std::function<void()> fn;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    queue_.clear();
    fn = std::move(on_close_);
    on_close_ = nullptr;
    progress_.notify_all();
  }
  if (fn) fn();
}

}  // namespace orch::net
