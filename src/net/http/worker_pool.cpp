#include "net/http/worker_pool.h"

#include "net/http/thread.h"
#include "orch/base/log.h"

namespace orch::net {

WorkerPool::WorkerPool(const char* name, unsigned threads_max, Millis idle)
    : name_(name), threads_max_(threads_max == 0 ? 1 : threads_max), idle_(idle) {}

void WorkerPool::run(const std::shared_ptr<State>& state, Millis idle) {
  std::unique_lock lock(state->mutex);
  while (true) {
    if (state->queue.empty()) {
      if (state->stopping) break;
      ++state->idle;
      bool woken = state->work.wait_for(lock, idle,
                                        [&] { return !state->queue.empty() || state->stopping; });
      --state->idle;
      if (!woken) break;
      continue;
    }
    std::function<void()> work = std::move(state->queue.front());
    state->queue.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
  --state->threads;
  state->gone.notify_all();
}

void WorkerPool::submit(std::function<void()> work) {
  std::unique_lock lock(state_->mutex);
  if (state_->stopping) return;
  state_->queue.push_back(std::move(work));
  if (state_->idle >= state_->queue.size() || state_->threads >= threads_max_) {
    lock.unlock();
    state_->work.notify_one();
    return;
  }
  ++state_->threads;
  bool first = state_->threads == 1;
  lock.unlock();
  auto state = state_;
  if (start_detached_thread(name_, kHandlerStackBytes,
                            [state, idle = idle_] { run(state, idle); })) {
    return;
  }
  lock.lock();
  --state_->threads;
  state_->gone.notify_all();
  if (first) log::error("http", "cannot start a worker thread: requests wait");
}

void WorkerPool::stop() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->work.notify_all();
  state_->gone.wait(lock, [&] { return state_->threads == 0; });
}

unsigned WorkerPool::threads() const {
  std::lock_guard lock(state_->mutex);
  return state_->threads;
}

}  // namespace orch::net
