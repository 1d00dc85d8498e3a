// Events expire after an hour: their keys hang on store leases, one lease for all events of a
// minute.
#pragma once

#include <mutex>

#include "orch/base/clock.h"
#include "orch/storage/kv_store.h"

namespace orch::server {

class EventLeases {
 public:
  EventLeases(Clock& clock, storage::KvStore& store) : clock_(clock), store_(store) {}
  // 0 when the store grants none: the event then stays, rather than being lost.
  storage::LeaseId current();

 private:
  Clock& clock_;
  storage::KvStore& store_;
  std::mutex mutex_;
  storage::LeaseId lease_ = 0;
  MonoTime granted_{};
};

}  // namespace orch::server
