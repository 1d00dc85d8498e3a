// Threads, strands and timers of production: tasks are queued per strand; a strand with tasks is
// in the pool's ready list at most once, which is what keeps its tasks from running together.
#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "orch/base/executor.h"
#include "orch/base/log.h"

namespace orch {
namespace {

class PoolStrand;

// Shared by the executor and its strands, so that a strand may outlive the executor (its posts
// are then dropped).
struct Pool {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::shared_ptr<PoolStrand>> ready;
  struct Timer {
    uint64_t id;
    std::weak_ptr<PoolStrand> strand;
    Task task;
  };
  std::multimap<MonoTime, Timer> timers;
  uint64_t timer_serial = 0;
  bool stopped = false;

  void push_locked(const std::shared_ptr<PoolStrand>& strand, Task task);
};

class PoolStrand final : public Strand, public std::enable_shared_from_this<PoolStrand> {
 public:
  PoolStrand(std::shared_ptr<Pool> pool, std::string_view name)
      : pool_(std::move(pool)), name_(name) {}

  void post(Task task) override {
    std::lock_guard lock(pool_->mutex);
    pool_->push_locked(shared_from_this(), std::move(task));
  }

  uint64_t post_after(Micros delay, Task task) override {
    std::lock_guard lock(pool_->mutex);
    const uint64_t id = ++pool_->timer_serial;
    const bool first = pool_->timers.empty();
    const MonoTime due = system_clock().mono() + delay;
    auto it = pool_->timers.emplace(due, Pool::Timer{id, weak_from_this(), std::move(task)});
    if (first || it == pool_->timers.begin()) pool_->wake.notify_one();
    return id;
  }

  void cancel_timer(uint64_t id) override {
    std::lock_guard lock(pool_->mutex);
    auto it = std::find_if(pool_->timers.begin(), pool_->timers.end(),
                           [id](const auto& entry) { return entry.second.id == id; });
    if (it != pool_->timers.end()) pool_->timers.erase(it);
  }

  const std::string& name() const { return name_; }

  std::deque<Task> tasks;   // guarded by the pool's mutex
  bool scheduled = false;   // in `ready` or running

 private:
  std::shared_ptr<Pool> pool_;
  std::string name_;
};

void Pool::push_locked(const std::shared_ptr<PoolStrand>& strand, Task task) {
  if (stopped) return;
  strand->tasks.push_back(std::move(task));
  if (strand->scheduled) return;
  strand->scheduled = true;
  ready.push_back(strand);
  wake.notify_one();
}

class PoolExecutor final : public ThreadPoolExecutor {
 public:
  explicit PoolExecutor(unsigned threads) : pool_(std::make_shared<Pool>()) {
    for (unsigned i = 0; i < std::max(1u, threads); ++i) {
      threads_.emplace_back([pool = pool_] { run(*pool); });
      pthread_setname_np(threads_.back().native_handle(), "executor");
    }
  }
  ~PoolExecutor() override { stop(); }

  std::shared_ptr<Strand> make_strand(std::string_view name) override {
    return std::make_shared<PoolStrand>(pool_, name);
  }

  void stop() override {
    std::deque<std::shared_ptr<PoolStrand>> dropped;  // destroyed outside the lock
    std::multimap<MonoTime, Pool::Timer> timers;
    {
      std::lock_guard lock(pool_->mutex);
      pool_->stopped = true;
      dropped.swap(pool_->ready);
      timers.swap(pool_->timers);
      pool_->wake.notify_all();
    }
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  static void fire_due_timers(Pool& pool, MonoTime now) {
    while (!pool.timers.empty() && pool.timers.begin()->first <= now) {
      auto timer = std::move(pool.timers.begin()->second);
      pool.timers.erase(pool.timers.begin());
      if (auto strand = timer.strand.lock()) pool.push_locked(strand, std::move(timer.task));
    }
  }

  static void run(Pool& pool) {
    std::unique_lock lock(pool.mutex);
    while (!pool.stopped) {
      fire_due_timers(pool, system_clock().mono());
      if (pool.ready.empty()) {
        if (pool.timers.empty()) {
          pool.wake.wait(lock);
        } else {
          const MonoTime due = pool.timers.begin()->first;
          pool.wake.wait_until(lock, due);
        }
        continue;
      }
      auto strand = std::move(pool.ready.front());
      pool.ready.pop_front();
      // Tasks left for other threads: wake one, as posting woke only this one.
      if (!pool.ready.empty()) pool.wake.notify_one();
      Task task = std::move(strand->tasks.front());
      strand->tasks.pop_front();
      lock.unlock();
      task();
      task = nullptr;  // its captures end here, outside the lock
      lock.lock();
      if (strand->tasks.empty() || pool.stopped) {
        strand->scheduled = false;
      } else {
        pool.ready.push_back(strand);
      }
      lock.unlock();
      strand.reset();
      lock.lock();
    }
  }

  std::shared_ptr<Pool> pool_;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<ThreadPoolExecutor> ThreadPoolExecutor::create(unsigned threads) {
  return std::make_unique<PoolExecutor>(threads);
}

}  // namespace orch
