// One busy life of a store with everything a history test records and checks: concurrent clients,
// watchers of all habits, faults beside them. What the mutants are held against, too.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "unit/storage/clients.h"
#include "unit/storage/watch_rules.h"

namespace orch::storage::test {

struct Life {
  Run run;
  std::vector<WatchRecord> watches;
  Revision first = 1;      // of the store when it began
  Revision compacted = 0;  // when it ended
};
Life live(KvStore& store, int clients, int each, const std::function<void()>& disturb,
          unsigned seed, bool all_durable = false);

// Everything there is to say against it: linearizability by search, the history by its revisions,
// the nine rules of each watch. Empty = all promises kept.
std::vector<std::string> broken_promises(const Life& life);

}  // namespace orch::storage::test
