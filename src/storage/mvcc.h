// The truth in memory: current keys, their recent versions, and the log of recent commits.
//
// The one writer applies changes under the unique lock; they stay invisible to readers, who look
// at the published revision, until they are durable and publish() is called, or are taken back by
// undo(). Events are kept whole while they are new; of older ones only what changed is, and they
// are put together again from the versions of the keys. Superseded values beyond a budget are shed
// (forgotten here, still on disk); what compaction drops is gone.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <vector>

#include "orch/storage/kv_store.h"
#include "storage/fair_shared_mutex.h"
#include "storage/key_table.h"

namespace orch::storage {

inline constexpr size_t kWholeEvents = 10'000;  // enough for watchers that keep up

// Changes applied but not yet published.
struct Batch {
  Revision tip = 0;  // newest applied revision
  std::vector<Event> events;
  std::vector<int64_t> ids;  // of the events
  bool leases_touched = false;
};

// A value that a result needs but memory has shed.
struct MissingValue {
  int64_t id = 0;
  size_t index = 0;       // in the result's list
  bool previous = false;  // Event::prev_kv rather than Event::kv
};

// Events of whole revisions read back from the log.
struct HistoryChunk {
  std::shared_ptr<const std::vector<Event>> events;
  std::shared_ptr<std::vector<Event>> rebuilt;  // set instead of `events` when values are missing
  std::vector<MissingValue> missing;
  Revision through = 0;
};

class Mvcc {
 public:
  using Pinned = std::function<bool(std::string_view key)>;

  // `pinned` keys have no copy on disk: their history is never shed.
  explicit Mvcc(Pinned pinned);

  FairSharedMutex& mutex() const { return mutex_; }
  Revision published() const { return published_.load(std::memory_order_acquire); }
  Revision compacted() const { return compacted_.load(std::memory_order_acquire); }

  // -- Under the shared lock at least.
  // `newest`: the revision that counts as newest (the batch's tip for its writer). `missing` gets
  // what the caller must fetch from disk, by index into kvs.
  StoreResult<RangeResponse> range(const RangeRequest& request, Revision newest, Revision floor,
                                   std::vector<MissingValue>& missing) const;
  bool holds(const Compare& compare, Revision at) const;
  const KeyTable& table() const { return table_; }

  // -- Under the unique lock.
  Batch begin() const;
  void apply(Batch& batch, const Bytes& key, Version version);
  void undo(const Batch& batch);
  void publish(Batch&& batch);
  void set_compacted(Revision revision);
  // Forgets at least `max_events` events below the compaction, if there are as many, none after
  // `dispatched`. Ids of versions that are gone, in an order in which a disk may erase them, go to
  // `erased` (pinned ones aside). Returns how many events.
  bool needs_trim() const { return oldest() < compacted(); }
  size_t trim(size_t max_events, Revision dispatched, std::vector<int64_t>& erased);
  // Keeps no more than `whole_max` events whole and no more than `budget_bytes` of values that can
  // be shed; the oldest go first, about `max_events` at a time. False when nothing was to be done.
  bool shed(int64_t budget_bytes, size_t whole_max, size_t max_events);
  // Loading: a version that was current before history begins.
  void load_base(const Bytes& key, Version version, std::vector<int64_t>& erased);
  void load_done(Revision revision, Revision compacted);

  // -- Locks by itself.
  // What was published after `after` and up to `through`, oldest first, about `max_events` events;
  // nothing when all was read. With `only`, shed events outside of it are left out.
  std::vector<HistoryChunk> read(Revision after, Revision through, size_t max_events,
                                 const KeyRange* only) const;
  // The revision in the middle of the history, for cutting it early.
  Revision middle() const;
  size_t history_events() const { return history_events_.load(std::memory_order_relaxed); }
  int64_t pinned_bytes() const { return pinned_bytes_.load(std::memory_order_relaxed); }
  int64_t current_bytes() const { return current_bytes_.load(std::memory_order_relaxed); }

 private:
  struct Ref {
    Bytes key;
    int64_t id = 0;
    Revision revision() const { return id_revision(id); }
  };
  using Refs = std::deque<Ref>;
  struct Commit {
    Revision first = 0, last = 0;
    EventBatch events;
    std::vector<int64_t> ids;
  };
  void account(std::string_view key, const Bytes& value, int sign);
  Revision oldest() const;
  size_t fold_oldest();
  void shed_replaced(const Ref& ref);
  HistoryChunk rebuild(Refs::const_iterator ref, Refs::const_iterator end,
                       const KeyRange* only) const;

  Pinned pinned_;
  mutable FairSharedMutex mutex_;
  KeyTable table_;
  Refs refs_;        // the older history
  size_t bare_ = 0;  // of refs_, from the oldest on: what they replaced is shed, if it may be
  std::deque<Commit> log_;  // the newer history
  size_t whole_ = 0;        // events in log_
  std::atomic<Revision> published_{1};
  std::atomic<Revision> compacted_{0};
  std::atomic<size_t> history_events_{0};
  std::atomic<int64_t> loose_bytes_{0};   // superseded values that may be shed
  std::atomic<int64_t> pinned_bytes_{0};  // superseded values that may not
  std::atomic<int64_t> current_bytes_{0};
};

}  // namespace orch::storage
