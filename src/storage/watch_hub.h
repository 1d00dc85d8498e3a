// Delivers published events to watchers, away from the threads that write.
//
// One dispatcher at a time runs run(): it takes what was published since its last turn from the
// log and offers it to the watchers whose range it touches. A new watcher first replays the log up
// to the dispatcher's position, in bounded chunks between the live turns, and then joins: since
// both happen in the dispatcher and every event is held against the revision that the watcher
// needs next, nothing is missed or repeated.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "orch/storage/kv_store.h"
#include "storage/mvcc.h"

namespace orch::storage {

class WatchHub : public std::enable_shared_from_this<WatchHub> {
 public:
  using Fetch = std::function<StoreResult<std::vector<Bytes>>(const std::vector<int64_t>& ids)>;

  // `mvcc` must outlive stop(); `fetch` reads shed values; `wake` arranges for a run() soon, after
  // the call that started it at the latest.
  WatchHub(const Mvcc& mvcc, Fetch fetch, std::function<void()> wake);
  ~WatchHub();

  // `start` is resolved and not compacted.
  std::unique_ptr<WatchHandle> add(std::string key, std::string range_end, Revision start,
                                   std::shared_ptr<WatchSink> sink);
  // Something was published.
  void published() { wake_(); }
  // The dispatcher's turn: works until nothing is left to do. Never two at once.
  void run();
  // Closes all watches; no call into a sink runs or begins afterwards.
  void stop(const Error& why);
  // Events up to here were offered to all watchers that have joined.
  Revision dispatched() const { return dispatched_.load(std::memory_order_acquire); }
  void start_at(Revision revision) { dispatched_.store(revision); }

 private:
  struct Watcher;
  struct Handle;
  struct Group;  // watchers of one range
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  struct Range {
    std::string key, end;
    auto operator<=>(const Range&) const = default;
  };
  using WatcherPtr = std::shared_ptr<Watcher>;
  using GroupIndex = std::unordered_map<std::string, std::shared_ptr<Group>, Hash, std::equal_to<>>;

  bool dispatch_live();
  void dispatch(const HistoryChunk& chunk);
  void group_offer(Group& group, const EventBatch& batch, Revision through);
  bool replay_some();
  void replay(const WatcherPtr& watcher);
  bool take_requests();
  StoreResult<EventBatch> complete(const HistoryChunk& chunk);
  void join(const WatcherPtr& watcher);
  void drop_ended();
  void request_progress(const WatcherPtr& watcher);
  void wake();

  const Mvcc& mvcc_;
  const Fetch fetch_;
  const std::function<void()> wake_;
  std::atomic<Revision> dispatched_{1};
  std::atomic<bool> stopped_{false};

  std::mutex run_mutex_;  // held by run(); guards what follows
  std::vector<WatcherPtr> replaying_;
  std::map<Range, std::shared_ptr<Group>> groups_;
  GroupIndex exact_, prefixes_;           // by key; by prefix
  std::map<size_t, int> prefix_lengths_;  // in use, with how many prefixes
  std::vector<std::shared_ptr<Group>> other_;
  std::vector<Group*> touched_;

  std::mutex mutex_;  // guards what other threads leave for the dispatcher
  std::vector<WatcherPtr> fresh_;
  std::vector<WatcherPtr> progress_;
  std::set<Range> ended_;
};

}  // namespace orch::storage
