// Threads for work that blocks: API calls, mounts, network probes. Threads come as work comes, up
// to a limit, and leave when idle. Any thread may post.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

#include "orch/base/clock.h"

namespace orch::agent {

class BlockingPool {
 public:
  explicit BlockingPool(size_t threads_max, Millis idle = Millis{5000})
      : threads_max_(threads_max), idle_(idle) {}
  ~BlockingPool() { stop(); }
  void post(std::function<void()> task);
  // Drops what is queued, waits for what runs, at most `wait`. False = something still runs, and
  // this object must live on. Idempotent; later posts are dropped.
  bool stop(Millis wait = Millis{60'000});

 private:
  void run();

  const size_t threads_max_;
  const Millis idle_;
  std::mutex mutex_;
  std::condition_variable work_, gone_;
  std::deque<std::function<void()>> queue_;
  size_t threads_ = 0, idle_threads_ = 0;
  bool stopped_ = false;
};

}  // namespace orch::agent
