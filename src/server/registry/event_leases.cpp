#include "server/registry/event_leases.h"

namespace orch::server {
namespace {
constexpr int64_t kEventTtlSeconds = 3600;
constexpr Seconds kLeaseReuse{60};
}  // namespace

storage::LeaseId EventLeases::current() {
  std::lock_guard lock(mutex_);
  const MonoTime now = clock_.mono();
  if (lease_ != 0 && now - granted_ < kLeaseReuse) return lease_;
  auto lease = store_.lease_grant(0, kEventTtlSeconds + kLeaseReuse.count());
  lease_ = lease ? lease->id : 0;
  granted_ = now;
  return lease_;
}

}  // namespace orch::server
