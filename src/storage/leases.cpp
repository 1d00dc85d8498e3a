#include "storage/leases.h"

#include <algorithm>

namespace orch::storage {

const LeaseTable::Entry* LeaseTable::find(LeaseId id) const {
  auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second;
}

void LeaseTable::add(LeaseId id, int64_t ttl_seconds, MonoTime now) {
  Entry entry;
  entry.ttl_seconds = ttl_seconds;
  entry.deadline = now + Seconds(ttl_seconds);
  leases_.emplace(id, std::move(entry));
}

std::optional<LeaseTable::Entry> LeaseTable::remove(LeaseId id) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return std::nullopt;
  Entry entry = std::move(it->second);
  leases_.erase(it);
  return entry;
}

void LeaseTable::move_key(const std::string& key, LeaseId before, LeaseId after) {
  if (before == after) return;
  if (auto it = leases_.find(before); it != leases_.end()) it->second.keys.erase(key);
  if (auto it = leases_.find(after); it != leases_.end()) it->second.keys.insert(key);
}

void LeaseTable::detach_all() {
  for (auto& [id, entry] : leases_) entry.keys.clear();
}

bool LeaseTable::keep_alive(LeaseId id, MonoTime now) {
  auto it = leases_.find(id);
  if (it == leases_.end() || it->second.deadline <= now) return false;
  it->second.deadline = now + Seconds(it->second.ttl_seconds);
  return true;
}

std::vector<LeaseId> LeaseTable::ids() const {
  std::vector<LeaseId> ids;
  ids.reserve(leases_.size());
  for (const auto& [id, entry] : leases_) ids.push_back(id);
  return ids;
}

std::vector<LeaseId> LeaseTable::expired(MonoTime now) const {
  std::vector<LeaseId> ids;
  for (const auto& [id, entry] : leases_) {
    if (entry.deadline <= now) ids.push_back(id);
  }
  return ids;
}

std::optional<MonoTime> LeaseTable::next_deadline() const {
  std::optional<MonoTime> next;
  for (const auto& [id, entry] : leases_) {
    if (!next || entry.deadline < *next) next = entry.deadline;
  }
  return next;
}

}  // namespace orch::storage
