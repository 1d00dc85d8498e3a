// The nine rules a watch must keep, as etcd's robustness tests state them, over what a watcher
// recorded and the history it should have seen.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "unit/storage/support.h"

namespace orch::storage::test {

struct WatchResponse {
  std::vector<Event> events;  // none: a bookmark
  Revision through = 0;
};
struct WatchRecord {
  std::string key, range_end;
  Revision start = 0;  // 0 = from now on
  std::vector<WatchResponse> responses;
};

// One line for each violation: filter, ordered, unique, atomic, bookmarkable, resumable, reliable,
// is-create, prev-kv. `history`: all events of the store. `compacted`: events up to there may lack
// what they replaced.
std::vector<std::string> check_watch(const WatchRecord& record, const std::vector<Event>& history,
                                     Revision compacted = 0);

// Watches a range until it is stopped; every so often it loses its connection, or reads slowly and
// is cut off, and goes on where it was.
class Watcher {
 public:
  struct Habits {
    size_t responses = SIZE_MAX;  // after so many it starts a new watch where it is
    bool slow = false;            // refuses an offer now and then
    bool asks_progress = false;
  };
  Watcher(KvStore& store, std::string key, std::string range_end, Revision start, Habits habits);
  ~Watcher();
  // Once: looks after what became of its watch. False: compacted away, it began again later.
  bool tend();
  // Waits until it has seen `revision`, then ends. All watches it had.
  std::vector<WatchRecord> finish(Revision revision);

 private:
  struct Sink;
  void begin(Revision start);

  KvStore& store_;
  const std::string key_, range_end_;
  const Habits habits_;
  std::shared_ptr<Sink> sink_;
  std::unique_ptr<WatchHandle> handle_;
  std::vector<WatchRecord> records_;
};

}  // namespace orch::storage::test
