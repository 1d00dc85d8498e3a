// The callers' side of the engine: reads, watches, leases, timers, start and stop.
#include "storage/engine.h"

#include <algorithm>
#include <shared_mutex>

#include <fmt/format.h>

#include "storage/errors.h"
#include "storage/mutants.h"

namespace orch::storage {

namespace {

constexpr int64_t kLeaseTtlMax = 9'000'000'000;
constexpr size_t kFetchStep = 256;

}  // namespace

struct Engine::Dispatcher : std::enable_shared_from_this<Engine::Dispatcher> {
  std::mutex mutex;
  std::condition_variable ready;
  bool pending = false, quit = false;
  std::weak_ptr<WatchHub> hub;
  std::shared_ptr<Strand> strand;  // null: a thread of its own
  std::thread thread;

  void wake() {
    std::lock_guard lock(mutex);
    if (pending || quit) return;
    pending = true;
    if (!strand) {
      ready.notify_one();
      return;
    }
    strand->post([self = shared_from_this()] {
      {
        std::lock_guard posted(self->mutex);
        self->pending = false;
      }
      if (auto hub = self->hub.lock()) hub->run();
    });
  }
  void loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      ready.wait(lock, [&] { return pending || quit; });
      if (quit) return;
      pending = false;
      lock.unlock();
      if (auto held = hub.lock()) held->run();
      lock.lock();
    }
  }
  void stop() {
    std::shared_ptr<Strand> dropped;
    {
      std::lock_guard lock(mutex);
      quit = true;
      dropped.swap(strand);
      ready.notify_one();
    }
    if (thread.joinable()) thread.join();
  }
};

struct Engine::Timers {
  std::shared_ptr<Strand> strand;
  std::mutex mutex;          // held while a task works on the engine
  Engine* engine = nullptr;  // null once stopped
  std::mutex arm_mutex;
  std::optional<MonoTime> lease_armed;
  uint64_t lease_timer = 0;
};

Engine::Engine(Env& env, StoreOptions options, EngineLimits limits,
               std::unique_ptr<Backend> backend)
    : env_(env),
      options_(std::move(options)),
      limits_(limits),
      backend_(std::move(backend)),
      mvcc_([this](std::string_view key) { return !backend_ || is_volatile(key); }) {}

Engine::~Engine() { stop(); }

StoreResult<Unit> Engine::start() {
  dispatcher_ = std::make_shared<Dispatcher>();
  hub_ = std::make_shared<WatchHub>(
      mvcc_, [this](const std::vector<int64_t>& ids) { return fetch(ids); },
      [dispatcher = dispatcher_] { dispatcher->wake(); });
  dispatcher_->hub = hub_;
  timers_ = std::make_shared<Timers>();
  ORCH_CHECK(load());
  hub_->start_at(mvcc_.published());
  if (backend_) {
    dispatcher_->thread = std::thread([this] { dispatcher_->loop(); });
    writer_ = std::thread([this] { writer_loop(); });
  } else {
    dispatcher_->strand = env_.executor.make_strand("watch-hub");
  }
  start_timers();
  return Unit{};
}

void Engine::stop() {
  std::lock_guard stopping(stop_mutex_);
  {
    std::scoped_lock lock(queue_mutex_, direct_);
    if (stopped_.exchange(true)) return;
  }
  if (timers_) {
    std::scoped_lock lock(timers_->mutex, timers_->arm_mutex);
    timers_->engine = nullptr;
    timers_->strand.reset();
  }
  if (hub_) hub_->stop(stopped_error());
  if (dispatcher_) dispatcher_->stop();
  if (writer_.joinable()) {
    {
      std::lock_guard lock(queue_mutex_);
      quit_ = true;
    }
    queue_ready_.notify_one();
    writer_.join();
  }
  if (backend_) backend_->close();
}

bool Engine::is_volatile(std::string_view key) const {
  return std::any_of(options_.volatile_prefixes.begin(), options_.volatile_prefixes.end(),
                     [&](const std::string& prefix) { return key.starts_with(prefix); });
}

Revision Engine::floor_of(const KeyRange& range) const {
  const Revision compacted = mvcc_.compacted();
  if (volatile_floor_ <= compacted) return compacted;
  for (const std::string& prefix : options_.volatile_prefixes) {
    if (range.overlaps_prefix(prefix)) return volatile_floor_;
  }
  return compacted;
}

// In portions, between which the writer serves others.
StoreResult<std::vector<Bytes>> Engine::fetch(const std::vector<int64_t>& ids) {
  ORCH_ASSERT(backend_ != nullptr);  // without one nothing is ever shed
  std::vector<Bytes> values;
  values.reserve(ids.size());
  while (values.size() < ids.size()) {
    const auto first = ids.begin() + static_cast<ptrdiff_t>(values.size());
    const size_t count = std::min(kFetchStep, ids.size() - values.size());
    Request request;
    request.kind = Request::Kind::kRead;
    request.ids.assign(first, first + static_cast<ptrdiff_t>(count));
    submit(request);
    if (request.error) return Err(std::move(*request.error));
    std::move(request.values.begin(), request.values.end(), std::back_inserter(values));
  }
  return values;
}

StoreResult<Unit> Engine::fill(RangeResponse& response, const std::vector<MissingValue>& missing,
                               const WatchHub::Fetch& read) const {
  if (missing.empty()) return Unit{};
  std::vector<int64_t> ids;
  ids.reserve(missing.size());
  for (const MissingValue& value : missing) ids.push_back(value.id);
  ORCH_TRY(std::vector<Bytes> values, read(ids));
  for (size_t i = 0; i < values.size(); ++i) {
    // Gone from disk: compacted since the keys were looked up.
    if (!values[i]) return Err(compacted_error(id_revision(ids[i]), mvcc_.compacted()));
    response.kvs[missing[i].index].value = std::move(values[i]);
  }
  return Unit{};
}

StoreResult<Unit> Engine::fill(TxnResponse& response, const std::vector<TxnMissing>& missing,
                               const WatchHub::Fetch& read) const {
  for (const TxnMissing& of_result : missing) {
    ORCH_CHECK(fill(response.results[of_result.result].range, of_result.values, read));
  }
  return Unit{};
}

StoreResult<RangeResponse> Engine::range(const RangeRequest& request) {
  if (stopped_) return Err(stopped_error());
  if (request.key.empty()) return Err(Error{ErrorCode::kInvalid, "key is not provided"});
  std::vector<MissingValue> missing;
  RangeResponse response;
  {
    std::shared_lock lock(mvcc_.mutex());
    const Revision floor =
        request.revision > 0 ? floor_of(KeyRange{request.key, request.range_end}) : 0;
    const Revision stale = ORCH_MUTANT("stale read") && mvcc_.published() > 100 ? 1 : 0;
    ORCH_TRY(response, mvcc_.range(request, mvcc_.published() - stale, floor, missing));
  }
  ORCH_CHECK(fill(response, missing, [this](const auto& ids) { return fetch(ids); }));
  return response;
}

StoreResult<TxnResponse> Engine::txn(const TxnRequest& request) {
  if (stopped_) return Err(stopped_error());
  ORCH_CHECK(validate(request, options_.request_bytes_max));
  if (read_only(request)) {
    std::vector<TxnMissing> missing;
    TxnResponse response;
    {
      std::shared_lock lock(mvcc_.mutex());
      ORCH_TRY(response, run_read_only(
                             request, mvcc_, mvcc_.published(),
                             [this](const KeyRange& range) { return floor_of(range); }, missing));
    }
    ORCH_CHECK(fill(response, missing, [this](const auto& ids) { return fetch(ids); }));
    return response;
  }
  Request queued;
  queued.txn = &request;
  submit(queued);
  if (queued.error) return Err(std::move(*queued.error));
  return std::move(queued.response);
}

StoreResult<std::unique_ptr<WatchHandle>> Engine::watch(const std::string& key,
                                                        const std::string& range_end,
                                                        Revision start,
                                                        std::shared_ptr<WatchSink> sink) {
  if (stopped_) return Err(stopped_error());
  if (key.empty()) return Err(Error{ErrorCode::kInvalid, "key is not provided"});
  if (start < 0) return Err(Error{ErrorCode::kInvalid, "start revision is negative"});
  if (start > 0) {
    const Revision floor = floor_of(KeyRange{key, range_end});
    // At the volatile floor itself an event may be missing: that revision's log is not on disk.
    const Revision first = floor > mvcc_.compacted() ? floor + 1 : floor;
    if (start < first) return Err(compacted_error(start, first));
  }
  return hub_->add(key, range_end, start > 0 ? start : mvcc_.published() + 1, std::move(sink));
}

StoreResult<Unit> Engine::compact(Revision revision) {
  Request request;
  request.kind = Request::Kind::kCompact;
  request.revision = revision;
  submit(request);
  if (request.error) return Err(std::move(*request.error));
  if (!backend_) {
    std::lock_guard lock(direct_);
    while (trim_some(4096)) {
    }
  }
  return Unit{};
}

StoreResult<Lease> Engine::lease_grant(LeaseId id, int64_t ttl_seconds) {
  if (id < 0) return Err(Error{ErrorCode::kInvalid, "lease id is negative"});
  if (ttl_seconds > kLeaseTtlMax) {
    return Err(Error{ErrorCode::kInvalid, fmt::format("lease TTL {} is too large", ttl_seconds)});
  }
  Request request;
  request.kind = Request::Kind::kGrant;
  request.lease = id;
  request.ttl_seconds = std::max<int64_t>(1, ttl_seconds);
  request.now = env_.clock.mono();
  submit(request);
  if (request.error) return Err(std::move(*request.error));
  arm_lease_timer(Micros(0));
  Lease lease;
  lease.id = request.lease;
  lease.ttl_seconds = lease.remaining_seconds = request.ttl_seconds;
  return lease;
}

StoreResult<Unit> Engine::lease_revoke(LeaseId id) {
  Request request;
  request.kind = Request::Kind::kRevoke;
  request.lease = id;
  request.now = env_.clock.mono();
  submit(request);
  if (request.error) return Err(std::move(*request.error));
  return Unit{};
}

Lease Engine::describe(LeaseId id, const LeaseTable::Entry& entry, bool keys) const {
  Lease lease;
  lease.id = id;
  lease.ttl_seconds = entry.ttl_seconds;
  const auto left = std::chrono::ceil<Seconds>(entry.deadline - env_.clock.mono()).count();
  lease.remaining_seconds = std::max<int64_t>(0, left);
  if (keys) lease.keys.assign(entry.keys.begin(), entry.keys.end());
  return lease;
}

StoreResult<Lease> Engine::lease_keep_alive(LeaseId id) {
  if (stopped_) return Err(stopped_error());
  std::unique_lock lock(mvcc_.mutex());
  if (!leases_.keep_alive(id, env_.clock.mono())) return Err(lease_not_found(id));
  return describe(id, *leases_.find(id), false);
}

StoreResult<Lease> Engine::lease_info(LeaseId id, bool keys) {
  if (stopped_) return Err(stopped_error());
  std::shared_lock lock(mvcc_.mutex());
  const LeaseTable::Entry* entry = leases_.find(id);
  if (!entry) return Err(lease_not_found(id));
  return describe(id, *entry, keys);
}

std::vector<LeaseId> Engine::leases() {
  std::shared_lock lock(mvcc_.mutex());
  return leases_.ids();
}

int64_t Engine::size_bytes() const {
  if (backend_) return backend_->size_bytes();
  return mvcc_.current_bytes() + mvcc_.pinned_bytes();
}

StoreResult<Unit> Engine::rebuild() {
  if (!backend_) return Unit{};
  struct Outcome {
    std::mutex mutex;
    std::condition_variable ready;
    std::optional<StoreResult<Unit>> result;
  };
  auto outcome = std::make_shared<Outcome>();
  Request request;
  request.kind = Request::Kind::kRebuild;
  request.rebuilt = [outcome](StoreResult<Unit> result) {
    std::lock_guard lock(outcome->mutex);
    outcome->result = std::move(result);
    outcome->ready.notify_all();
  };
  submit(request);
  if (request.error) return Err(std::move(*request.error));
  std::unique_lock lock(outcome->mutex);
  outcome->ready.wait(lock, [&] { return outcome->result.has_value(); });
  return *outcome->result;
}

// -- timers

void Engine::start_timers() {
  timers_->strand = env_.executor.make_strand("storage");
  timers_->engine = this;
  tick_revision_ = mvcc_.published();
  if (options_.compaction_interval > Seconds(0)) {
    repeat(options_.compaction_interval, &Engine::auto_compact);
  }
  if (backend_ && !options_.volatile_prefixes.empty() && options_.volatile_flush > Seconds(0)) {
    repeat(options_.volatile_flush, &Engine::want_flush);
  }
  arm_lease_timer(Micros(0));
}

void Engine::repeat(Seconds interval, void (Engine::*tick)()) {
  std::lock_guard lock(timers_->arm_mutex);
  if (!timers_->strand) return;
  timers_->strand->post_after(interval, [weak = std::weak_ptr(timers_), interval, tick] {
    auto timers = weak.lock();
    if (!timers) return;
    std::lock_guard working(timers->mutex);
    if (!timers->engine) return;
    (timers->engine->*tick)();
    timers->engine->repeat(interval, tick);
  });
}

void Engine::want_flush() {
  {
    std::lock_guard lock(queue_mutex_);
    flush_wanted_ = true;
  }
  queue_ready_.notify_one();
}

// History older than the last tick goes: between one and two intervals are kept.
void Engine::auto_compact() {
  const Revision target = std::exchange(tick_revision_, mvcc_.published());
  if (target <= mvcc_.compacted()) return;
  Request request;
  request.kind = Request::Kind::kCompact;
  request.revision = target;
  request.durable = false;
  submit(request);
  if (!backend_ && !request.error) {
    std::lock_guard lock(direct_);
    while (trim_some(4096)) {
    }
  }
}

// One timer, for the earliest deadline; a lease kept alive meanwhile only makes it fire early.
void Engine::arm_lease_timer(Micros at_least) {
  std::optional<MonoTime> next;
  {
    std::shared_lock lock(mvcc_.mutex());
    next = leases_.next_deadline();
  }
  if (!next) return;
  std::lock_guard lock(timers_->arm_mutex);
  if (!timers_->strand) return;
  if (timers_->lease_armed && *timers_->lease_armed <= *next) return;
  if (timers_->lease_armed) timers_->strand->cancel_timer(timers_->lease_timer);
  timers_->lease_armed = *next;
  const Micros delay = std::max(*next - env_.clock.mono(), at_least);
  timers_->lease_timer = timers_->strand->post_after(delay, [weak = std::weak_ptr(timers_)] {
    auto timers = weak.lock();
    if (!timers) return;
    std::lock_guard working(timers->mutex);
    if (timers->engine) timers->engine->expire_leases();
  });
}

void Engine::expire_leases() {
  {
    std::lock_guard lock(timers_->arm_mutex);
    timers_->lease_armed.reset();
  }
  const MonoTime now = env_.clock.mono();
  std::vector<LeaseId> expired;
  {
    std::shared_lock lock(mvcc_.mutex());
    expired = leases_.expired(now);
  }
  bool failed = false;
  for (const LeaseId id : expired) {
    Request request;
    request.kind = Request::Kind::kRevoke;
    request.lease = id;
    request.only_expired = true;
    request.now = now;
    submit(request);
    failed |= request.error && request.error->code != ErrorCode::kLeaseNotFound;
  }
  arm_lease_timer(failed ? Micros(Seconds(1)) : Micros(0));
}

}  // namespace orch::storage
