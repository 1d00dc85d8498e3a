// The writer's side of the engine: batches, durability, housekeeping.
#include <algorithm>
#include <shared_mutex>

#include "orch/base/log.h"
#include "storage/engine.h"
#include "storage/errors.h"
#include "storage/mutants.h"
#include "storage/store_metrics.h"

namespace orch::storage {

namespace {

constexpr size_t kBatchRequests = 1024;
constexpr size_t kBatchBytes = 4 << 20;
// Events, rows or keys of one step of housekeeping: as many as take about kStepTime.
constexpr size_t kStepMin = 16, kStepMax = 512;
constexpr Millis kStepTime{4};
// Callers that committed themselves leave work behind; one step for many of them.
constexpr Millis kNap{5};
// A commit that a thread with other duties may do itself.
constexpr Micros kQuick{1000};

size_t bytes_of(const TxnRequest& request) {
  size_t bytes = 0;
  for (const auto* ops : {&request.success, &request.failure}) {
    for (const Op& op : *ops) bytes += op.key.size() + (op.value ? op.value->size() : 0);
  }
  return bytes;
}

}  // namespace

// A thread's place to wait for its answer; outlives any request.
struct Engine::Waiter {
  std::mutex mutex;
  std::condition_variable ready;
  bool done = false;
};

void Engine::submit(Request& request) {
  if (!backend_) {
    std::lock_guard lock(direct_);
    if (stopped_) {
      request.error = stopped_error();
      return;
    }
    std::vector<Request*> requests{&request};
    commit_batch(requests);
    return;
  }
  if (commit_alone(request)) return;
  static thread_local Waiter waiter;
  waiter.done = false;
  request.waiter = &waiter;
  if (!enqueue(request)) return;
  std::unique_lock lock(waiter.mutex);
  waiter.ready.wait(lock, [&] { return waiter.done; });
}

bool Engine::enqueue(Request& request) {
  {
    std::lock_guard lock(queue_mutex_);
    if (stopped_) {
      request.error = stopped_error();
      return false;
    }
    queue_.push_back(&request);
  }
  queue_ready_.notify_one();
  return true;
}

struct Engine::AsyncTxn {
  TxnRequest txn;
  TxnDone done;
  Request request;
};

void Engine::txn_async(TxnRequest txn_request, TxnDone done, bool alone) {
  if (auto valid = validate(txn_request, options_.request_bytes_max); !valid) {
    return done(Err(valid.error()));
  }
  if (!backend_ || read_only(txn_request)) return done(txn(txn_request));
  auto waiting = std::make_unique<AsyncTxn>(AsyncTxn{std::move(txn_request), std::move(done), {}});
  Request& request = waiting->request;
  request.txn = &waiting->txn;
  request.answered = [raw = waiting.get()](Request& finished) {
    const std::unique_ptr<AsyncTxn> held(raw);
    if (finished.error) {
      held->done(Err(std::move(*finished.error)));
    } else {
      held->done(std::move(finished.response));
    }
  };
  if ((alone && commit_alone(request, true)) || enqueue(request)) {
    (void)waiting.release();
  } else {
    waiting->done(Err(std::move(*request.error)));
  }
}

// False: somebody else writes, or is about to, or the store is stopped. `hurried` callers do
// nobody's housekeeping and do not wait for a slow disk.
bool Engine::commit_alone(Request& request, bool hurried) {
  std::unique_lock writing(writing_, std::try_to_lock);
  if (!writing) return false;
  if (hurried && (last_commit_ > kQuick || backend_->overdue())) return false;
  {
    std::lock_guard lock(queue_mutex_);
    if (!queue_.empty() || stopped_) return false;
  }
  std::vector<Request*> requests{&request};
  commit_batch(requests);
  // Callers that follow each other closely must not keep the writer thread from its work for ever.
  if (backend_->overdue()) (void)maintain(false);
  writing.unlock();
  {
    std::lock_guard lock(queue_mutex_);
    if (std::exchange(work_wanted_, true)) return true;
  }
  queue_ready_.notify_one();
  return true;
}

void Engine::answer(std::vector<Request*>& requests) {
  for (Request* request : requests) {
    if (request->answered) {
      const auto answered = std::move(request->answered);
      answered(*request);
      continue;
    }
    Waiter* waiter = request->waiter;
    if (!waiter) continue;
    std::lock_guard lock(waiter->mutex);
    waiter->done = true;
    waiter->ready.notify_one();
  }
  requests.clear();
}

void Engine::writer_loop() {
  std::vector<Request*> requests;
  for (bool more = true;;) {
    bool flush = false, quit = false;
    if (!more) {
      std::unique_lock lock(queue_mutex_);
      const auto called = [&] { return !queue_.empty() || flush_wanted_ || quit_; };
      queue_ready_.wait(lock, [&] { return called() || work_wanted_; });
      queue_ready_.wait_for(lock, kNap, called);
    }
    std::lock_guard writing(writing_);
    {
      std::lock_guard lock(queue_mutex_);
      const size_t take = batch_size();
      requests.assign(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(take));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(take));
      flush = std::exchange(flush_wanted_, false);
      work_wanted_ = false;
      quit = quit_ && requests.empty();
    }
    if (quit) {
      flush_all();
      return;
    }
    if (flush && flushing_.empty()) {
      flushing_.assign(dirty_.begin(), dirty_.end());
      dirty_.clear();
    }
    const bool idle = requests.empty();
    if (!idle) commit_batch(requests);
    more = maintain(idle) || !idle;
    if (!more || refused_) compaction_pending_ = false;
  }
}

// How many of the queue make one batch: as many as there are, within bounds that keep the log on
// disk and the time to answer small.
size_t Engine::batch_size() const {
  size_t bytes = 0;
  for (size_t i = 0; i < queue_.size(); ++i) {
    if (i >= kBatchRequests || (i > 0 && bytes > kBatchBytes)) return i;
    if (queue_[i]->txn) bytes += bytes_of(*queue_[i]->txn);
  }
  return queue_.size();
}

void Engine::commit_batch(std::vector<Request*>& requests) {
  std::erase_if(requests, [&](Request* request) {
    if (request->kind != Request::Kind::kRead) return false;
    serve_read(*request);
    std::vector<Request*> one{request};
    answer(one);
    return true;
  });
  if (requests.empty()) return;
  if (refused_) {
    for (Request* request : requests) request->error = *refused_;
    answer(requests);
    return;
  }
  for (Request* request : requests) {
    if (request->kind == Request::Kind::kRebuild) {
      backend_->start_rebuild(std::move(request->rebuilt));
    }
  }
  Changes changes;
  Batch batch;
  {
    std::unique_lock lock(mvcc_.mutex());
    batch = mvcc_.begin();
    for (Request* request : requests) evaluate(*request, batch, changes);
  }
  if (backend_) {
    add_rows(batch, changes);
    add_reservation(batch, changes);
    // Under load compaction rides along, faster than history grows.
    const size_t rows = changes.rows.size();
    size_t erasures =
        changes.empty() ? 0 : add_erasures(rows + std::min(rows + 16, step_), changes);
    env_.faults.hit("storage.before_commit");
    if (ORCH_MUTANT("event before commit")) {
      published_now(std::exchange(batch, Batch{}), changes);
      hub_->published();
    }
    if (auto done = persist(changes); !done) {
      take_back(batch, done.error(), requests);
      answer(requests);
      return;
    }
    env_.faults.hit("storage.after_commit");
    erasable_.erase(erasable_.begin(), erasable_.begin() + static_cast<ptrdiff_t>(erasures));
  }
  const size_t events = batch.events.size();
  if (events > 0 || changes.compacted) published_now(std::move(batch), changes);
  for (Request* request : requests) {
    if (request->missing.empty() || request->error) continue;
    const auto read = [this](const std::vector<int64_t>& ids) {
      return backend_->read_values(ids);
    };
    if (auto filled = fill(request->response, request->missing, read); !filled) {
      request->error = filled.error();
    }
  }
  if (backend_) store_metrics::batch_requests().observe(static_cast<double>(requests.size()));
  answer(requests);
  if (events > 0) hub_->published();
  bound_history(events);
  (void)trim_some(2 * events + 64);
}

void Engine::evaluate(Request& request, Batch& batch, Changes& changes) {
  switch (request.kind) {
    case Request::Kind::kTxn: {
      auto result = run_txn(
          *request.txn, mvcc_, leases_, batch,
          [this](const KeyRange& range) { return floor_of(range); }, request.missing);
      if (result) {
        request.response = std::move(result).value();
      } else {
        request.error = std::move(result).error();
      }
      return;
    }
    case Request::Kind::kGrant:
      if (request.lease == 0) {
        do {
          request.lease = static_cast<LeaseId>(env_.random.next() >> 1);
        } while (request.lease == 0 || leases_.find(request.lease));
      } else if (leases_.find(request.lease)) {
        request.error = Error{ErrorCode::kLeaseExists, "lease already exists"};
        return;
      }
      leases_.add(request.lease, request.ttl_seconds, request.now);
      changes.leases.emplace_back(request.lease, request.ttl_seconds);
      batch.leases_touched = true;
      return;
    case Request::Kind::kRevoke:
      return evaluate_revoke(request, batch, changes);
    case Request::Kind::kCompact:
      // Against the newest published revision: what is in this batch may still be taken back.
      if (request.revision > mvcc_.published()) {
        request.error = future_error(request.revision, mvcc_.published());
      } else if (request.revision <= mvcc_.compacted()) {
        request.error = compacted_error(request.revision, mvcc_.compacted());
      } else if (!request.durable) {
        mvcc_.set_compacted(request.revision);
        trimming_ = true;
      } else {
        changes.compacted = std::max(request.revision, changes.compacted.value_or(0));
        compaction_pending_ = backend_ != nullptr;
      }
      return;
    case Request::Kind::kRead:
    case Request::Kind::kRebuild:
      return;
  }
}

void Engine::evaluate_revoke(Request& request, Batch& batch, Changes& changes) {
  const LeaseTable::Entry* lease = leases_.find(request.lease);
  const bool kept = request.only_expired && lease && lease->deadline > request.now;
  if (!lease || kept) {
    request.error = lease_not_found(request.lease);
    return;
  }
  // One revision, unless there are more keys than a revision can hold changes.
  std::vector<std::string> keys(lease->keys.begin(), lease->keys.end());
  const auto step = static_cast<size_t>(kPlaceMax);
  for (size_t at = 0; at < keys.size(); at += step) {
    const size_t end = std::min(keys.size(), at + step);
    erase_keys(
        {keys.begin() + static_cast<ptrdiff_t>(at), keys.begin() + static_cast<ptrdiff_t>(end)},
        mvcc_, leases_, batch);
  }
  request.revoked = leases_.remove(request.lease);
  changes.leases_erased.push_back(request.lease);
  std::erase_if(changes.leases, [&](const auto& l) { return l.first == request.lease; });
  batch.leases_touched = true;
}

void Engine::add_rows(const Batch& batch, Changes& changes) {
  for (size_t i = 0; i < batch.events.size(); ++i) {
    const KeyValue& kv = batch.events[i].kv;
    if (is_volatile(*kv.key)) continue;
    Row row;
    row.id = batch.ids[i];
    row.key = kv.key;
    row.create = kv.create_revision;
    row.version = kv.version;
    row.lease = kv.lease;
    row.value = kv.value;
    changes.rows.push_back(std::move(row));
  }
}

// The log's own rows witness their revisions; those of volatile changes only a reservation does.
void Engine::add_reservation(const Batch& batch, Changes& changes) const {
  if (batch.tip <= reserved_ || changes.rows.size() == batch.events.size()) return;
  changes.reserved = batch.tip + limits_.reserve;
}

StoreResult<Unit> Engine::persist(const Changes& changes) {
  if (changes.empty()) return Unit{};
  const MonoTime start = system_clock().mono();
  auto done = backend_->commit(changes);
  last_commit_ = std::chrono::duration_cast<Micros>(system_clock().mono() - start);
  store_metrics::backend_commit().observe(std::chrono::duration<double>(last_commit_).count());
  if (!done && done.error().code != ErrorCode::kNoSpace) {
    refused_ = Error{ErrorCode::kUnavailable,
                     "the store takes no more writes after an I/O error: " + done.error().message};
    log::error("storage", "{}", refused_->message);
    return Err(*refused_);
  }
  if (done) {
    if (changes.reserved) reserved_ = *changes.reserved;
    if (changes.compacted) persisted_compaction_ = *changes.compacted;
  }
  return done;
}

void Engine::take_back(const Batch& batch, const Error& error, std::vector<Request*>& requests) {
  std::unique_lock lock(mvcc_.mutex());
  mvcc_.undo(batch);
  if (batch.leases_touched) {
    for (Request* request : requests) {
      if (request->error) continue;
      if (request->kind == Request::Kind::kGrant) (void)leases_.remove(request->lease);
      if (request->revoked) leases_.put_back(request->lease, std::move(*request->revoked));
    }
    leases_.detach_all();
    mvcc_.table().for_each(KeyRange{"", std::string_view("\0", 1)}, [&](const Item& item) {
      leases_.move_key(*item.key, 0, item.latest.alive() ? item.latest.lease : 0);
      return true;
    });
  }
  for (Request* request : requests) {
    if (!request->error) request->error = error;
  }
}

void Engine::published_now(Batch&& batch, const Changes& changes) {
  if (backend_) {
    for (const Event& event : batch.events) {
      if (is_volatile(*event.kv.key)) dirty_.insert(*event.kv.key);
    }
  }
  store_metrics::published(batch.events, static_cast<size_t>(batch.tip - mvcc_.published()),
                           batch.tip);
  std::unique_lock lock(mvcc_.mutex());
  mvcc_.publish(std::move(batch));
  if (changes.compacted && *changes.compacted > mvcc_.compacted()) {
    mvcc_.set_compacted(*changes.compacted);
    trimming_ = true;
  }
}

// History beyond its bounds: values go (they are on disk), or, if they cannot, compaction comes
// early.
void Engine::bound_history(size_t events) {
  {
    std::unique_lock lock(mvcc_.mutex());
    (void)mvcc_.shed(limits_.history_bytes, limits_.whole_events, 2 * events + 64);
  }
  const int64_t pinned = mvcc_.pinned_bytes();
  if (mvcc_.history_events() <= limits_.history_events && pinned <= 2 * limits_.history_bytes) {
    return;
  }
  const Revision cut = std::min(mvcc_.middle(), mvcc_.published());
  if (cut <= mvcc_.compacted()) return;
  std::unique_lock lock(mvcc_.mutex());
  mvcc_.set_compacted(cut);
  trimming_ = true;
}

// Forgets some of what is compacted. False when nothing could be.
bool Engine::trim_some(size_t events) {
  if (!trimming_) return false;
  std::vector<int64_t> erased;
  size_t done = 0;
  {
    std::unique_lock lock(mvcc_.mutex());
    done = mvcc_.trim(events,
                      ORCH_MUTANT("compaction past a reader") ? INT64_MAX - 1 : hub_->dispatched(),
                      erased);
    trimming_ = mvcc_.needs_trim();
  }
  erasable_.insert(erasable_.end(), erased.begin(), erased.end());
  if (done > 0) store_metrics::compacted(mvcc_.compacted());
  return done > 0;
}

size_t Engine::add_erasures(size_t max, Changes& changes) const {
  const size_t count = std::min(max, erasable_.size());
  if (count == 0) return 0;
  changes.erased.assign(erasable_.begin(), erasable_.begin() + static_cast<ptrdiff_t>(count));
  if (!changes.compacted && mvcc_.compacted() > persisted_compaction_) {
    changes.compacted = mvcc_.compacted();
  }
  return count;
}

// One step of housekeeping. True when there may be more to do.
bool Engine::maintain(bool idle) {
  if (refused_) return false;
  if (auto step = backend_->housekeep(idle); !step) {
    if (step.error().code != ErrorCode::kNoSpace) {
      refused_ =
          Error{ErrorCode::kUnavailable,
                "the store takes no more writes after an I/O error: " + step.error().message};
      log::error("storage", "{}", refused_->message);
    }
    return false;
  } else if (step.value()) {
    return true;
  }
  if (!idle) return true;
  if (trim_some(kStepMax / 2)) return true;
  {
    std::unique_lock lock(mvcc_.mutex());
    if (mvcc_.shed(limits_.history_bytes, limits_.whole_events, kStepMax / 2)) return true;
  }
  if (!erasable_.empty()) {
    Changes changes;
    const size_t count = add_erasures(step_, changes);
    if (!persist(changes)) return false;
    store_metrics::compaction_step().observe(std::chrono::duration<double>(last_commit_).count());
    adapt_step(count);
    erasable_.erase(erasable_.begin(), erasable_.begin() + static_cast<ptrdiff_t>(count));
    return true;
  }
  return flush_some(step_);
}

// `done`: rows of a step of housekeeping that has just been committed.
void Engine::adapt_step(size_t done) {
  if (last_commit_ > kStepTime) {
    step_ = std::max(kStepMin, step_ / 2);
  } else if (done >= step_ && 2 * last_commit_ < kStepTime) {
    step_ = std::min(kStepMax, step_ * 2);
  }
}

bool Engine::flush_some(size_t max) {
  if (flushing_.empty()) return false;
  const size_t count = std::min(max, flushing_.size());
  const auto first = flushing_.end() - static_cast<ptrdiff_t>(count);
  Changes changes;
  {
    std::shared_lock lock(mvcc_.mutex());
    for (auto key = first; key != flushing_.end(); ++key) {
      const Item* item = mvcc_.table().find(*key);
      const Version* version = item ? item->at(mvcc_.published()) : nullptr;
      if (!version) {
        changes.volatile_erased.push_back(std::make_shared<const std::string>(*key));
        continue;
      }
      changes.volatile_put.push_back({version->id, item->key, version->create, version->version,
                                      version->lease, version->value});
    }
  }
  if (!persist(changes)) {
    dirty_.insert(flushing_.begin(), flushing_.end());
    flushing_.clear();
    return false;
  }
  adapt_step(count);
  flushing_.erase(first, flushing_.end());
  return true;
}

// On the way out: the volatile tier, and the exact revision in place of the reservation.
void Engine::flush_all() {
  if (refused_) return;
  flushing_.insert(flushing_.end(), dirty_.begin(), dirty_.end());
  dirty_.clear();
  while (flush_some(kStepMax)) {
  }
  if (!dirty_.empty() || reserved_ <= mvcc_.published()) return;
  Changes changes;
  changes.reserved = mvcc_.published();
  (void)persist(changes);
}

void Engine::serve_read(Request& request) {
  auto values = backend_->read_values(request.ids);
  if (values) {
    request.values = std::move(values).value();
  } else {
    request.error = std::move(values).error();
  }
}

}  // namespace orch::storage
