// Clients that use a store at the same time and record what they see.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "unit/storage/history.h"
#include "unit/storage/support.h"

namespace orch::storage::test {

struct Run {
  std::vector<OpRecord> ops;
  std::vector<Event> events;  // all, as a watcher of everything saw them
};

// Each client does `each` operations, one at a time; `disturb` runs beside them until they are
// done. Every fourth one works on volatile keys unless `all_durable`. kUnavailable is recorded as
// lost.
Run run_clients(KvStore& store, int clients, int each, const std::function<void()>& disturb,
                bool all_durable = false);

}  // namespace orch::storage::test
