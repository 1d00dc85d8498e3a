// Virtual time on one thread, for tests and simulation: same posts, same order, same run.
#include <deque>
#include <map>
#include <string>

#include "orch/base/executor.h"

namespace orch {
namespace {

struct Queue {
  std::deque<Task> ready;
  struct Timer {
    uint64_t id;
    Task task;
  };
  std::multimap<MonoTime, Timer> timers;
  uint64_t serial = 0;
};

class ManualStrand final : public Strand {
 public:
  ManualStrand(std::shared_ptr<Queue> queue, ManualClock& clock)
      : queue_(std::move(queue)), clock_(clock), alive_(std::make_shared<bool>(true)) {}
  ~ManualStrand() override { *alive_ = false; }

  void post(Task task) override { queue_->ready.push_back(guarded(std::move(task))); }
  uint64_t post_after(Micros delay, Task task) override {
    const uint64_t id = ++queue_->serial;
    queue_->timers.emplace(clock_.mono() + delay, Queue::Timer{id, guarded(std::move(task))});
    return id;
  }
  void cancel_timer(uint64_t id) override {
    for (auto it = queue_->timers.begin(); it != queue_->timers.end(); ++it) {
      if (it->second.id == id) {
        queue_->timers.erase(it);
        return;
      }
    }
  }

 private:
  Task guarded(Task task) {
    return [alive = alive_, task = std::move(task)] {
      if (*alive) task();
    };
  }
  std::shared_ptr<Queue> queue_;
  ManualClock& clock_;
  std::shared_ptr<bool> alive_;
};

class ManualExecutorImpl final : public ManualExecutor {
 public:
  explicit ManualExecutorImpl(ManualClock& clock)
      : clock_(clock), queue_(std::make_shared<Queue>()) {}

  std::shared_ptr<Strand> make_strand(std::string_view) override {
    return std::make_shared<ManualStrand>(queue_, clock_);
  }

  void run_until_idle() override {
    for (;;) {
      while (!queue_->timers.empty() && queue_->timers.begin()->first <= clock_.mono()) {
        queue_->ready.push_back(std::move(queue_->timers.begin()->second.task));
        queue_->timers.erase(queue_->timers.begin());
      }
      if (queue_->ready.empty()) return;
      Task task = std::move(queue_->ready.front());
      queue_->ready.pop_front();
      task();
    }
  }

  void advance(Micros by) override {
    const MonoTime end = clock_.mono() + by;
    run_until_idle();
    while (!queue_->timers.empty() && queue_->timers.begin()->first <= end) {
      const MonoTime due = queue_->timers.begin()->first;
      if (due > clock_.mono()) clock_.advance(due - clock_.mono());
      run_until_idle();
    }
    if (end > clock_.mono()) clock_.advance(end - clock_.mono());
    run_until_idle();
  }

 private:
  ManualClock& clock_;
  std::shared_ptr<Queue> queue_;
};

}  // namespace

std::unique_ptr<ManualExecutor> ManualExecutor::create(ManualClock& clock) {
  return std::make_unique<ManualExecutorImpl>(clock);
}

}  // namespace orch
