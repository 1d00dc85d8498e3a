// The store over a backend (or none: memory only). Everything but persistence is here once.
//
// With a backend, one thread at a time writes: callers queue, the writer thread takes all that is
// queued as one batch, applies it invisibly, makes it durable with one backend transaction,
// publishes and answers. A caller that finds the queue empty and nobody writing does this itself,
// which saves it two changes of threads, and leaves the housekeeping to the writer thread. Without
// a backend, callers do the same in turn, themselves. Watchers are served by a thread
// of its own with a backend, by a strand of the executor without (so that a simulation on one
// thread stays deterministic). Timers (lease expiry, compaction, flush) run on a strand.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "orch/storage/kv_store.h"
#include "storage/backend.h"
#include "storage/leases.h"
#include "storage/mvcc.h"
#include "storage/txn.h"
#include "storage/watch_hub.h"

namespace orch::storage {

struct EngineLimits {
  int64_t history_bytes = 32 << 20;    // superseded values kept in memory
  size_t history_events = 500'000;     // more makes compaction come early
  size_t whole_events = kWholeEvents;  // of them kept as watchers get them
  Revision reserve = 10'000;           // revisions per reservation of the volatile tier
};

class Engine final : public KvStore {
 public:
  Engine(Env& env, StoreOptions options, EngineLimits limits, std::unique_ptr<Backend> backend);
  ~Engine() override;
  // Loads and starts. Once, before anything else.
  StoreResult<Unit> start();

  StoreResult<RangeResponse> range(const RangeRequest& request) override;
  StoreResult<TxnResponse> txn(const TxnRequest& request) override;
  void txn_async(TxnRequest request, TxnDone done, bool alone) override;
  bool answers_later() const override { return true; }
  StoreResult<std::unique_ptr<WatchHandle>> watch(const std::string& key,
                                                  const std::string& range_end, Revision start,
                                                  std::shared_ptr<WatchSink> sink) override;
  StoreResult<Unit> compact(Revision revision) override;
  bool compaction_pending() const override { return compaction_pending_; }
  Revision revision() const override { return mvcc_.published(); }
  Revision compact_revision() const override { return mvcc_.compacted(); }
  StoreResult<Lease> lease_grant(LeaseId id, int64_t ttl_seconds) override;
  StoreResult<Unit> lease_revoke(LeaseId id) override;
  StoreResult<Lease> lease_keep_alive(LeaseId id) override;
  StoreResult<Lease> lease_info(LeaseId id, bool keys) override;
  std::vector<LeaseId> leases() override;
  int64_t size_bytes() const override;
  const ValueTransformer* transformer() const override { return options_.transformer.get(); }
  StoreResult<Unit> rebuild() override;
  int64_t stale_values() const override { return backend_ ? backend_->stale_values() : 0; }
  void stop() override;

 private:
  struct Waiter;
  // One thing for the writer to do; lives on the caller's stack until it is answered.
  struct Request {
    enum class Kind : uint8_t { kTxn, kGrant, kRevoke, kCompact, kRead, kRebuild };
    Kind kind = Kind::kTxn;
    const TxnRequest* txn = nullptr;
    LeaseId lease = 0;
    int64_t ttl_seconds = 0;
    bool only_expired = false;  // kRevoke: unless it was kept alive meanwhile
    MonoTime now{};             // kGrant, kRevoke
    Revision revision = 0;      // kCompact
    bool durable = true;        // kCompact: survives a restart even if nothing is erased
    std::vector<int64_t> ids;   // kRead
    std::function<void(StoreResult<Unit>)> rebuilt;  // kRebuild, which is answered when it began

    std::optional<Error> error;
    TxnResponse response;
    std::vector<TxnMissing> missing;
    std::vector<Bytes> values;  // kRead
    std::optional<LeaseTable::Entry> revoked;

    Waiter* waiter = nullptr;
    std::function<void(Request&)> answered;  // instead of the waiter; frees the request
  };
  struct AsyncTxn;
  struct Dispatcher;  // runs the hub
  struct Timers;      // what timer tasks may still reach

  // -- the writer (engine_commit.cpp)
  void submit(Request& request);  // and wait
  bool enqueue(Request& request);
  bool commit_alone(Request& request, bool hurried = false);
  void writer_loop();
  size_t batch_size() const;
  void commit_batch(std::vector<Request*>& requests);
  void evaluate(Request& request, Batch& batch, Changes& changes);
  void evaluate_revoke(Request& request, Batch& batch, Changes& changes);
  void add_rows(const Batch& batch, Changes& changes);
  void add_reservation(const Batch& batch, Changes& changes) const;
  void take_back(const Batch& batch, const Error& error, std::vector<Request*>& requests);
  void published_now(Batch&& batch, const Changes& changes);
  StoreResult<Unit> persist(const Changes& changes);
  bool trim_some(size_t events);
  size_t add_erasures(size_t max, Changes& changes) const;
  bool maintain(bool idle);
  void adapt_step(size_t done);
  bool flush_some(size_t max);
  void flush_all();
  void answer(std::vector<Request*>& requests);
  void serve_read(Request& request);
  void bound_history(size_t events);

  // -- reading
  Revision floor_of(const KeyRange& range) const;
  bool is_volatile(std::string_view key) const;
  StoreResult<std::vector<Bytes>> fetch(const std::vector<int64_t>& ids);
  StoreResult<Unit> fill(RangeResponse& response, const std::vector<MissingValue>& missing,
                         const WatchHub::Fetch& read) const;
  StoreResult<Unit> fill(TxnResponse& response, const std::vector<TxnMissing>& missing,
                         const WatchHub::Fetch& read) const;

  // -- loading and timers (engine.cpp)
  struct Loading;
  StoreResult<Unit> load();
  void load_row(Row&& row, Loading& loading);
  StoreResult<Unit> load_volatile(std::vector<Row>&& rows, Loading& loading);
  void start_timers();
  void repeat(Seconds interval, void (Engine::*tick)());
  void arm_lease_timer(Micros at_least);
  void want_flush();
  void expire_leases();
  void auto_compact();
  Lease describe(LeaseId id, const LeaseTable::Entry& entry, bool keys) const;

  Env& env_;
  const StoreOptions options_;
  const EngineLimits limits_;
  const std::unique_ptr<Backend> backend_;
  Mvcc mvcc_;
  LeaseTable leases_;            // under mvcc_.mutex()
  Revision volatile_floor_ = 0;  // volatile keys' history begins here; fixed by load()
  std::shared_ptr<WatchHub> hub_;
  std::shared_ptr<Dispatcher> dispatcher_;

  // Of whoever holds writing_ (without a backend: direct_). Taken before queue_mutex_.
  std::mutex direct_;
  std::mutex writing_;
  Revision reserved_ = 0;
  Revision persisted_compaction_ = 0;
  std::deque<int64_t> erasable_;  // log rows that compaction dropped from memory
  std::set<std::string> dirty_;   // volatile keys changed since their last flush
  std::vector<std::string> flushing_;
  std::optional<Error> refused_;  // set once, after an I/O error
  bool trimming_ = false;
  size_t step_ = 64;       // of housekeeping: rows that the disk takes quickly
  Micros last_commit_{0};  // how long the disk took
  std::atomic<bool> compaction_pending_{false};
  Revision tick_revision_ = 0;  // newest at the last auto_compact(); the timers' strand only

  std::mutex queue_mutex_;
  std::condition_variable queue_ready_;
  std::deque<Request*> queue_;
  bool flush_wanted_ = false, work_wanted_ = false, quit_ = false;
  std::atomic<bool> stopped_{false};
  std::mutex stop_mutex_;
  std::thread writer_;

  std::shared_ptr<Timers> timers_;
};

}  // namespace orch::storage
