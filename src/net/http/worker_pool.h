// A pool that starts threads as work waits and lets them go after a while of idleness. Private to
// net/http.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "orch/base/clock.h"

namespace orch::net {

class WorkerPool {
 public:
  WorkerPool(const char* name, unsigned threads_max, Millis idle);
  ~WorkerPool() { stop(); }
  // Runs `work` as soon as a thread is free. Any thread. Dropped after stop().
  void submit(std::function<void()> work);
  void stop();  // finishes what was submitted, waits for the threads
  unsigned threads() const;

 private:
  struct State {
    mutable std::mutex mutex;
    std::condition_variable work, gone;
    std::deque<std::function<void()>> queue;
    unsigned threads = 0, idle = 0;
    bool stopping = false;
  };
  static void run(const std::shared_ptr<State>& state, Millis idle);
  const char* name_;
  unsigned threads_max_;
  Millis idle_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace orch::net
