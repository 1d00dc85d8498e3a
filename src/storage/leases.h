// Leases and the keys attached to them. Under the lock of mvcc.h: shared for const, else unique.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orch/base/clock.h"
#include "orch/storage/kv_store.h"

namespace orch::storage {

class LeaseTable {
 public:
  struct Entry {
    int64_t ttl_seconds = 0;
    MonoTime deadline{};
    std::set<std::string, std::less<>> keys;
  };
  const Entry* find(LeaseId id) const;
  void add(LeaseId id, int64_t ttl_seconds, MonoTime now);
  void put_back(LeaseId id, Entry entry) { leases_[id] = std::move(entry); }
  std::optional<Entry> remove(LeaseId id);
  // A key's lease changes from `before` to `after` (0 = none).
  void move_key(const std::string& key, LeaseId before, LeaseId after);
  void detach_all();
  // False when unknown or past its deadline.
  bool keep_alive(LeaseId id, MonoTime now);
  std::vector<LeaseId> ids() const;
  std::vector<LeaseId> expired(MonoTime now) const;
  std::optional<MonoTime> next_deadline() const;

 private:
  std::map<LeaseId, Entry> leases_;
};

}  // namespace orch::storage
