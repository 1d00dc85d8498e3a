// Virtual time on one thread, for tests and simulation: same posts, same order, same run.
#include <deque>
#include <map>
#include <string>
#include <unordered_map>

#include "orch/base/executor.h"

namespace orch {
namespace {

struct Queue {
  std::deque<Task> ready;
  using Place = std::pair<MonoTime, uint64_t>;  // due, then in the order of their making
  std::map<Place, Task> timers;
  std::unordered_map<uint64_t, MonoTime> due;  // of each timer, by id
  uint64_t serial = 0;

  Task take_first() {
    auto first = timers.extract(timers.begin());
    due.erase(first.key().second);
    return std::move(first.mapped());
  }
};

class ManualStrand final : public Strand {
 public:
  ManualStrand(std::shared_ptr<Queue> queue, ManualClock& clock)
      : queue_(std::move(queue)), clock_(clock), alive_(std::make_shared<bool>(true)) {}
  ~ManualStrand() override { *alive_ = false; }

  void post(Task task) override { queue_->ready.push_back(guarded(std::move(task))); }
  uint64_t post_after(Micros delay, Task task) override {
    const uint64_t id = ++queue_->serial;
    const MonoTime due = clock_.mono() + delay;
    queue_->timers.emplace(Queue::Place{due, id}, guarded(std::move(task)));
    queue_->due.emplace(id, due);
    return id;
  }
  void cancel_timer(uint64_t id) override {
    const auto at = queue_->due.find(id);
    if (at == queue_->due.end()) return;
    queue_->timers.erase({at->second, id});
    queue_->due.erase(at);
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
      while (!queue_->timers.empty() && queue_->timers.begin()->first.first <= clock_.mono()) {
        queue_->ready.push_back(queue_->take_first());
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
    while (!queue_->timers.empty() && queue_->timers.begin()->first.first <= end) {
      const MonoTime due = queue_->timers.begin()->first.first;
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
