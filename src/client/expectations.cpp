#include <algorithm>

#include "orch/client/reconciler.h"

namespace orch::client {
namespace {

// A watch event that never comes must not block a controller for good.
constexpr Micros kExpiry = std::chrono::minutes{5};

}  // namespace

void Expectations::expect_creations(const std::string& key, int count) {
  std::lock_guard lock(mutex_);
  entries_[key] = Entry{count, {}, clock_.mono()};
}

void Expectations::expect_deletions(const std::string& key, const std::vector<std::string>& uids) {
  std::lock_guard lock(mutex_);
  entries_[key] = Entry{0, uids, clock_.mono()};
}

void Expectations::creation_observed(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto at = entries_.find(key);
  if (at != entries_.end() && at->second.creations > 0) --at->second.creations;
}

void Expectations::deletion_observed(const std::string& key, const std::string& uid) {
  std::lock_guard lock(mutex_);
  auto at = entries_.find(key);
  if (at != entries_.end()) std::erase(at->second.deletions, uid);
}

bool Expectations::satisfied(const std::string& key) {
  std::lock_guard lock(mutex_);
  auto at = entries_.find(key);
  if (at == entries_.end()) return true;
  const Entry& entry = at->second;
  if (entry.creations == 0 && entry.deletions.empty()) return true;
  return clock_.mono() - entry.since > kExpiry;
}

void Expectations::forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  entries_.erase(key);
}

}  // namespace orch::client
