#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "orch/base/log.h"
#include "orch/base/metrics.h"
#include "orch/client/reconciler.h"

namespace orch::client {
namespace {

constexpr Micros kBackoffFirst = Millis{5};
constexpr Micros kBackoffMax = Seconds{1000};

Micros backoff(unsigned failures) {
  Micros delay = kBackoffFirst;
  for (unsigned i = 0; i < failures && delay < kBackoffMax; ++i) delay *= 2;
  return std::min(delay, kBackoffMax);
}

}  // namespace

Watch owned_by(const api::ResourceInfo& resource, std::string_view owner_group,
               std::string_view owner_kind) {
  auto keys = [group = std::string(owner_group), kind = std::string(owner_kind)](
                  const api::ObjectPtr& old, const api::ObjectPtr& now) {
    std::vector<api::ObjectKey> out;
    for (const auto* object : {old.get(), now.get()}) {
      if (!object) continue;
      for (const auto& owner : object->metadata.ownerReferences) {
        if (!owner.controller.value_or(false) || owner.kind != kind) continue;
        const auto slash = owner.apiVersion.find('/');
        const auto owner_group_of = slash == std::string::npos
                                        ? std::string_view{}
                                        : std::string_view(owner.apiVersion).substr(0, slash);
        if (owner_group_of != group) continue;
        api::ObjectKey key{object->metadata.namespace_, owner.name};
        if (out.empty() || out.back() != key) out.push_back(std::move(key));
      }
    }
    return out;
  };
  return {&resource, std::move(keys)};
}

struct Controller::Impl : std::enable_shared_from_this<Impl> {
  Impl(ControllerContext context, ControllerSpec spec)
      : context_(context),
        spec_(std::move(spec)),
        queue_(spec_.name),
        retries_(metrics::counter("workqueue_retries_total",
                                  "Total number of retries handled by workqueue",
                                  "name=\"" + spec_.name + "\"")),
        seconds_(metrics::histogram("workqueue_work_duration_seconds",
                                    "How long in seconds processing an item takes",
                                    "name=\"" + spec_.name + "\"")),
        waited_(metrics::histogram(
            "workqueue_queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested",
            "name=\"" + spec_.name + "\"")) {
    for (unsigned i = 0; i < std::max(1u, spec_.strands); ++i) {
      workers_.push_back(context_.env.executor.make_strand(spec_.name));
      idle_.push_back(i);
    }
    timers_ = context_.env.executor.make_strand(spec_.name + "/timers");
  }

  void start() {
    {
      std::lock_guard lock(mutex_);
      if (reconciler_ || stopped_) return;
      reconciler_ = spec_.make(context_);
      unsynced_ = spec_.watches.size();
    }
    for (const auto& key : spec_.initial_keys) queue_.add(key);
    for (const auto& watch : spec_.watches) {
      InformerBase& informer = context_.informers.get(*watch.resource);
      informer.add_handler([weak = weak_from_this(), keys = watch.keys](const api::ObjectPtr& old,
                                                                        const api::ObjectPtr& now) {
        auto self = weak.lock();
        if (!self || self->stopped_) return;
        for (const auto& key : keys(old, now)) self->enqueue(key);
      });
      informer.on_synced([weak = weak_from_this()] {
        if (auto self = weak.lock()) self->informer_synced();
      });
    }
    wake();
  }

  void informer_synced() {
    {
      std::lock_guard lock(mutex_);
      --unsynced_;
    }
    wake();
  }

  void stop() {
    std::unique_lock lock(mutex_);
    stopped_ = true;
    for (const auto& [key, timer] : delayed_) timers_->cancel_timer(timer.id);
    delayed_.clear();
    // Called from a reconcile (nested in one thread): that one cannot be waited for.
    const size_t own = running_.count(std::this_thread::get_id());
    finished_.wait(lock, [&] { return running_.size() <= own; });
  }

  void enqueue(const api::ObjectKey& key) {
    if (stopped_) return;
    {
      std::lock_guard lock(mutex_);
      waiting_.try_emplace(key, context_.env.clock.mono());
    }
    queue_.add(key);
    wake();
  }

  // Gives waiting keys to idle strands.
  void wake() {
    std::lock_guard lock(mutex_);
    if (stopped_ || !reconciler_ || unsynced_ > 0) return;
    for (size_t waiting = queue_.size(); waiting > 0 && !idle_.empty(); --waiting) {
      const size_t worker = idle_.back();
      idle_.pop_back();
      post_work(worker);
    }
  }

  void post_work(size_t worker) {
    workers_[worker]->post([weak = weak_from_this(), worker] {
      if (auto self = weak.lock()) self->work(worker);
    });
  }

  // One key, then back through the pool: controllers take turns.
  void work(size_t worker) {
    std::optional<api::ObjectKey> key;
    {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      key = queue_.take();
      if (!key) {
        idle_.push_back(worker);
        return;
      }
      running_.insert(std::this_thread::get_id());
      if (auto since = waiting_.find(*key); since != waiting_.end()) {
        const Micros waited = context_.env.clock.mono() - since->second;
        waited_.observe(std::chrono::duration<double>(waited).count());
        waiting_.erase(since);
      }
    }
    run_one(*key);
    {
      std::lock_guard lock(mutex_);
      running_.erase(running_.find(std::this_thread::get_id()));
      if (stopped_) {
        finished_.notify_all();
        return;
      }
    }
    queue_.done(*key);
    post_work(worker);
  }

  void run_one(const api::ObjectKey& key) {
    const MonoTime begin = context_.env.clock.mono();
    ReconcileResult result = reconcile(key);
    const Micros took = context_.env.clock.mono() - begin;
    seconds_.observe(std::chrono::duration<double>(took).count());

    std::lock_guard lock(mutex_);
    if (stopped_) return;
    if (result) {
      failures_.erase(key);
      if (result->after) add_after(key, *result->after);
      return;
    }
    if (result.error().terminal) {
      log::warn("controller", "{}: {}: {}; not retried", spec_.name, key.str(),
                result.error().message);
      failures_.erase(key);
      return;
    }
    unsigned& failures = failures_[key];
    const Micros delay = backoff(failures++);
    // The first few are mostly conflicts with a cache that lags.
    const auto level = failures > 3 ? log::Level::kWarn : log::Level::kDebug;
    if (log::enabled(level)) {
      log::write(level, "controller",
                 fmt::format("{}: {}: {}; retry in {} ms", spec_.name, key.str(),
                             result.error().message, delay.count() / 1000));
    }
    retries_.add();
    add_after(key, delay);
  }

  ReconcileResult reconcile(const api::ObjectKey& key) {
    try {
      return reconciler_->reconcile(key);
    } catch (const std::exception& e) {  // one bad object must not end the process
      return Err(ReconcileError(std::string("exception: ") + e.what()));
    }
  }

  // mutex_ held. The earliest wish of a key wins, as in client-go's delaying queue.
  void add_after(const api::ObjectKey& key, Micros delay) {
    if (delay <= Micros{0}) {
      queue_.add(key);
      return;
    }
    const MonoTime due = context_.env.clock.mono() + delay;
    auto at = delayed_.find(key);
    if (at != delayed_.end()) {
      if (at->second.due <= due) return;
      timers_->cancel_timer(at->second.id);
      delayed_.erase(at);
    }
    const uint64_t serial = ++serial_;
    const uint64_t id = timers_->post_after(delay, [weak = weak_from_this(), key, serial] {
      if (auto self = weak.lock()) self->timer_due(key, serial);
    });
    delayed_.emplace(key, Delayed{due, id, serial});
  }

  void timer_due(const api::ObjectKey& key, uint64_t serial) {
    {
      std::lock_guard lock(mutex_);
      auto at = delayed_.find(key);
      if (stopped_ || at == delayed_.end() || at->second.serial != serial) return;
      delayed_.erase(at);
    }
    enqueue(key);
  }

  struct Delayed {
    MonoTime due;
    uint64_t id;
    uint64_t serial;
  };

  ControllerContext context_;
  const ControllerSpec spec_;
  WorkQueue queue_;
  metrics::Counter& retries_;
  metrics::Histogram& seconds_;
  metrics::Histogram& waited_;
  std::vector<std::shared_ptr<Strand>> workers_;
  std::shared_ptr<Strand> timers_;
  std::atomic<bool> stopped_{false};

  std::mutex mutex_;  // all below
  std::condition_variable finished_;
  std::unique_ptr<Reconciler> reconciler_;
  size_t unsynced_ = 0;
  std::vector<size_t> idle_;  // positions in workers_
  std::multiset<std::thread::id> running_;
  std::map<api::ObjectKey, unsigned> failures_;
  std::map<api::ObjectKey, Delayed> delayed_;
  std::map<api::ObjectKey, MonoTime> waiting_;  // since when, of those in the queue
  uint64_t serial_ = 0;
};

Controller::Controller(ControllerContext context, ControllerSpec spec)
    : impl_(std::make_shared<Impl>(context, std::move(spec))) {}
Controller::~Controller() { stop(); }
void Controller::start() { impl_->start(); }
void Controller::stop() { impl_->stop(); }
void Controller::enqueue(const api::ObjectKey& key) { impl_->enqueue(key); }

}  // namespace orch::client
