#include "sim/executor.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "orch/base/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace orch::sim {
namespace {

// Touched pages only cost memory. Decoders recurse with the depth of what they read.
constexpr size_t kStackBytes = 1024 * 1024;

void* make_stack() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* at = mmap(nullptr, kStackBytes + page, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ORCH_ASSERT(at != MAP_FAILED);
  mprotect(at, page, PROT_NONE);  // an overflow faults rather than corrupts
  return static_cast<char*>(at) + page;
}

void free_stack(void* stack) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  munmap(static_cast<char*>(stack) - page, kStackBytes + page);
}

}  // namespace

struct SimExecutor::Context {
  ucontext_t context{};
  // AddressSanitizer wants to know of every change of stacks.
  const void* bottom = nullptr;
  size_t size = 0;
  void* fake = nullptr;
};

struct SimExecutor::StrandState {
  std::deque<Task> tasks;
  bool busy = false;    // a task runs or sleeps
  bool queued = false;  // in ready_
  bool dropped = false;
};

struct SimExecutor::Fiber : Context {
  SimExecutor* executor = nullptr;
  void* stack = nullptr;
  std::shared_ptr<StrandState> strand;  // whose task it runs
  Task task;
  bool asleep = false;
};

// Tasks queued when the last reference goes are dropped.
struct SimExecutor::SimStrand final : Strand {
  explicit SimStrand(SimExecutor& executor)
      : executor_(executor), state_(std::make_shared<StrandState>()) {}
  ~SimStrand() override {
    state_->dropped = true;
    const auto dropped = std::exchange(state_->tasks, {});  // may own this strand's friends
  }
  void post(Task task) override {
    state_->tasks.push_back(std::move(task));
    executor_.enqueue(state_);
  }
  uint64_t post_after(Micros delay, Task task) override {
    return executor_.add_timer(delay, {state_, std::move(task), nullptr});
  }
  void cancel_timer(uint64_t id) override { executor_.cancel(id); }

 private:
  SimExecutor& executor_;
  const std::shared_ptr<StrandState> state_;
};

SimExecutor::SimExecutor(SimClock& clock, Random* order)
    : clock_(clock), order_(order), main_(std::make_unique<Context>()) {}

SimExecutor::~SimExecutor() {
  for (auto& fiber : fibers_) free_stack(fiber->stack);
}

std::shared_ptr<Strand> SimExecutor::make_strand(std::string_view) {
  return std::make_shared<SimStrand>(*this);
}

uint64_t SimExecutor::add_timer(Micros delay, Timer timer) {
  const uint64_t id = ++serial_;
  const MonoTime due = clock_.mono() + std::max(delay, Micros{0});
  timers_.emplace(Place{due, id}, std::move(timer));
  due_.emplace(id, due);
  return id;
}

void SimExecutor::cancel(uint64_t id) {
  const auto at = due_.find(id);
  if (at == due_.end()) return;
  const auto gone = timers_.extract({at->second, id});
  due_.erase(at);
}

void SimExecutor::enqueue(const std::shared_ptr<StrandState>& strand) {
  if (strand->busy || strand->queued || strand->tasks.empty()) return;
  strand->queued = true;
  ready_.push_back({strand, nullptr});
}

void SimExecutor::release_due() {
  while (!timers_.empty() && timers_.begin()->first.first <= clock_.mono()) {
    auto node = timers_.extract(timers_.begin());
    due_.erase(node.key().second);
    Timer& timer = node.mapped();
    if (timer.fiber != nullptr) {
      ready_.push_back({nullptr, timer.fiber});
    } else if (auto strand = timer.strand.lock(); strand && !strand->dropped) {
      strand->tasks.push_back(std::move(timer.task));
      enqueue(strand);
    }
  }
}

void SimExecutor::run_ready() {
  for (release_due(); !ready_.empty(); release_due()) {
    if (order_ != nullptr && ready_.size() > 1) {
      std::swap(ready_.front(), ready_[random_below(*order_, ready_.size())]);
    }
    Ready next = std::move(ready_.front());
    ready_.pop_front();
    run(std::move(next));
  }
}

void SimExecutor::run(Ready ready) {
  Fiber* fiber = ready.fiber;
  if (fiber == nullptr) {
    ready.strand->queued = false;
    if (ready.strand->dropped || ready.strand->tasks.empty()) return;
    fiber = idle_fiber();
    fiber->task = std::move(ready.strand->tasks.front());
    ready.strand->tasks.pop_front();
    ready.strand->busy = true;
    fiber->strand = std::move(ready.strand);
  }
  ++steps_;
  enter(*fiber);
  if (fiber->asleep) return;
  const auto strand = std::move(fiber->strand);
  strand->busy = false;
  idle_.push_back(fiber);
  if (!strand->dropped) enqueue(strand);
}

SimExecutor::Fiber* SimExecutor::idle_fiber() {
  if (!idle_.empty()) {
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return fiber;
  }
  Fiber* fiber = fibers_.emplace_back(std::make_unique<Fiber>()).get();
  fiber->executor = this;
  fiber->stack = make_stack();
  fiber->bottom = fiber->stack;
  fiber->size = kStackBytes;
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack;
  fiber->context.uc_stack.ss_size = kStackBytes;
  fiber->context.uc_link = nullptr;
  // makecontext() passes ints.
  const auto address = reinterpret_cast<uintptr_t>(fiber);
  makecontext(&fiber->context, reinterpret_cast<void (*)()>(&SimExecutor::fiber_main), 2,
              static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
  return fiber;
}

void SimExecutor::enter(Fiber& fiber) {
  current_ = &fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&main_->fake, fiber.bottom, fiber.size);
#endif
  swapcontext(&main_->context, &fiber.context);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(main_->fake, nullptr, nullptr);
#endif
  current_ = nullptr;
}

void SimExecutor::leave(Fiber& fiber) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fiber.fake, main_->bottom, main_->size);
#endif
  swapcontext(&fiber.context, &main_->context);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber.fake, &main_->bottom, &main_->size);
#endif
}

void SimExecutor::fiber_main(unsigned high, unsigned low) {
  auto& fiber = *reinterpret_cast<Fiber*>((static_cast<uintptr_t>(high) << 32) | low);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &fiber.executor->main_->bottom,
                                  &fiber.executor->main_->size);
#endif
  for (;;) {
    {
      const Task task = std::move(fiber.task);  // what it holds dies before the strand is free
      fiber.task = nullptr;
      task();
    }
    fiber.executor->leave(fiber);
  }
}

void SimExecutor::sleep(Micros by) {
  if (current_ == nullptr) {
    advance(by);
    return;
  }
  Fiber& fiber = *current_;
  add_timer(by, {{}, nullptr, &fiber});
  fiber.asleep = true;
  leave(fiber);
  fiber.asleep = false;
}

void SimExecutor::advance(Micros by) {
  ORCH_ASSERT(current_ == nullptr);
  const MonoTime end = clock_.mono() + by;
  for (run_ready(); !timers_.empty() && timers_.begin()->first.first <= end; run_ready()) {
    const MonoTime due = timers_.begin()->first.first;
    if (due > clock_.mono()) clock_.advance(due - clock_.mono());
  }
  if (end > clock_.mono()) clock_.advance(end - clock_.mono());
  run_ready();
}

}  // namespace orch::sim
