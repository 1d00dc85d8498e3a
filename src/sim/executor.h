// The executor of the simulation: virtual time on one thread, where a task can wait.
//
// A task runs on a fiber of its own. sleep() parks it until virtual time has come that far; other
// strands run meanwhile, and its own strand waits with it, as in production, where the task would
// hold a thread of the pool. So the product's blocking calls interleave as they do on real threads,
// but in an order that a seed decides: the same seed, the same run.
//
// Time stands still while anything can run. One thread owns all of it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "orch/base/executor.h"
#include "orch/base/random.h"

namespace orch::sim {

// Wall time can be stepped apart from monotonic time, as a machine's clock is set.
class SimClock final : public Clock {
 public:
  WallTime now() const override { return wall_; }
  MonoTime mono() const override { return mono_; }
  void advance(Micros by) {
    wall_ += by;
    mono_ += by;
  }
  void step_wall(Micros by) { wall_ += by; }

 private:
  WallTime wall_{std::chrono::hours{481800}};
  MonoTime mono_{};
};

class SimExecutor final : public Executor {
 public:
  // `order` decides which of the strands that could run does; null: first come, first served.
  SimExecutor(SimClock& clock, Random* order);
  ~SimExecutor() override;
  SimExecutor(const SimExecutor&) = delete;

  std::shared_ptr<Strand> make_strand(std::string_view name) override;

  // Within a task: it goes on after `by`. Outside: the world runs that long.
  void sleep(Micros by);
  // From outside of tasks: runs what can run, moving time from timer to timer, for `by`.
  void advance(Micros by);
  bool in_task() const { return current_ != nullptr; }
  uint64_t steps() const { return steps_; }  // tasks begun and resumed

 private:
  struct StrandState;
  struct SimStrand;
  struct Fiber;
  struct Timer {
    std::weak_ptr<StrandState> strand;
    Task task;
    Fiber* fiber = nullptr;  // to be resumed, in place of a task
  };
  using Place = std::pair<MonoTime, uint64_t>;
  struct Ready {
    std::shared_ptr<StrandState> strand;
    Fiber* fiber = nullptr;
  };

  uint64_t add_timer(Micros delay, Timer timer);
  void cancel(uint64_t id);
  void enqueue(const std::shared_ptr<StrandState>& strand);
  void release_due();
  void run_ready();
  void run(Ready ready);
  Fiber* idle_fiber();
  void enter(Fiber& fiber);
  void leave(Fiber& fiber);
  static void fiber_main(unsigned high, unsigned low);

  SimClock& clock_;
  Random* order_;
  std::deque<Ready> ready_;
  std::map<Place, Timer> timers_;
  std::unordered_map<uint64_t, MonoTime> due_;  // of each timer, by id
  uint64_t serial_ = 0;
  uint64_t steps_ = 0;
  Fiber* current_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  struct Context;
  std::unique_ptr<Context> main_;
};

}  // namespace orch::sim
