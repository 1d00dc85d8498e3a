#include "agent/blocking_pool.h"

#include <thread>

namespace orch::agent {

void BlockingPool::post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  queue_.push_back(std::move(task));
  if (queue_.size() > idle_threads_ && threads_ < threads_max_) {
    ++threads_;
    std::thread([this] { run(); }).detach();
  } else {
    work_.notify_one();
  }
}

void BlockingPool::run() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (queue_.empty()) {
      ++idle_threads_;
      bool woken = work_.wait_for(lock, idle_, [this] { return stopped_ || !queue_.empty(); });
      --idle_threads_;
      if (!woken) break;
      continue;
    }
    auto task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
  // The last touch of this object is under the lock that stop() waits with.
  --threads_;
  gone_.notify_all();
}

bool BlockingPool::stop(Millis wait) {
  std::deque<std::function<void()>> dropped;
  std::unique_lock lock(mutex_);
  stopped_ = true;
  dropped.swap(queue_);
  work_.notify_all();
  return gone_.wait_for(lock, wait, [this] { return threads_ == 0; });
}

}  // namespace orch::agent
