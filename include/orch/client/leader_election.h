// One leader among several processes, by a Lease, as client-go's leader election: the holder renews
// it; others take it over when it was not renewed for its duration, by their own clock since they
// last saw it change. A leader that cannot renew in time ends its term before others may begin one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "orch/base/env.h"
#include "orch/client/client.h"

namespace orch::client {

struct LeaderElectionTimes {
  Seconds lease_duration{15};
  Micros renew_deadline = Seconds(10);  // a leader gives up after this long without renewing
  Micros retry_period = Seconds(2);
};
inline LeaderElectionTimes fast_leader_election() {
  return {Seconds(4), Millis(2500), Millis(500)};
}

struct LeaderElectionOptions {
  std::string ns = "kube-system", name;  // of the Lease
  std::string identity;                  // unique among the candidates
  LeaderElectionTimes times;
  // Called on the election's thread. Began: may take a while. Ended: at once when leadership is
  // lost, before anything else is tried.
  std::function<void()> began, ended;
};

class LeaderElection {
 public:
  // `client` outlives it.
  static std::unique_ptr<LeaderElection> start(Env& env, const Client& client,
                                               LeaderElectionOptions options);
  virtual ~LeaderElection() = default;
  virtual bool leading() const = 0;
  // Ends the term, gives the Lease back so that another need not wait. Idempotent.
  virtual void stop() = 0;
};

// What a candidate knows of the Lease, and what it should do next. Pure.
struct LeaderRecord {
  std::string holder;  // "" = free
  int64_t duration_seconds = 0;
  int64_t transitions = 0;
  std::string stamp;  // changes with every renewal
};
enum class LeaderMove { kWait, kTake, kRenew };
// `seen_at`: when this candidate first saw `record` as it is; none = there is no Lease.
LeaderMove plan_leader_move(const std::optional<LeaderRecord>& record, MonoTime seen_at,
                            MonoTime now, const std::string& identity);

}  // namespace orch::client
