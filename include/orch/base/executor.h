// Where work runs. Production: a small thread pool with strands; tests and simulation: one thread
// in virtual time. Tasks run to completion; they block only in Transport or KvStore calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "orch/base/clock.h"

namespace orch {

using Task = std::function<void()>;

// Runs its tasks one after another, in the order posted, never two at once. Any thread may post.
class Strand {
 public:
  virtual ~Strand() = default;
  virtual void post(Task task) = 0;
  // Posts `task` after `delay`. The returned id cancels it with cancel_timer(); a timer whose task
  // was already posted can no longer be cancelled.
  virtual uint64_t post_after(Micros delay, Task task) = 0;
  virtual void cancel_timer(uint64_t id) = 0;
};

class Executor {
 public:
  virtual ~Executor() = default;
  // `name` shows in logs and metrics. Tasks still queued when the strand's last reference goes are
  // dropped.
  virtual std::shared_ptr<Strand> make_strand(std::string_view name) = 0;
};

// A pool of `threads` threads (at least 1). stop() finishes running tasks, drops the rest, joins;
// idempotent, called by the destructor.
class ThreadPoolExecutor : public Executor {
 public:
  static std::unique_ptr<ThreadPoolExecutor> create(unsigned threads);
  virtual void stop() = 0;
};

// One thread, virtual time: run_until_idle() runs what is due now; advance() moves `clock` from
// timer to timer. Deterministic. Not thread-safe.
class ManualExecutor : public Executor {
 public:
  static std::unique_ptr<ManualExecutor> create(ManualClock& clock);
  virtual void run_until_idle() = 0;
  virtual void advance(Micros by) = 0;
};

}  // namespace orch
