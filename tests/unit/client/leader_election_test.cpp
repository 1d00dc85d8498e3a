// Who may take the Lease, and when.
#include "orch/client/leader_election.h"

#include <catch2/catch.hpp>

using namespace orch;
using namespace orch::client;

TEST_CASE("a candidate takes a free Lease, renews its own, waits for another's to run out") {
  const MonoTime seen{Seconds(100)};
  const LeaderRecord others{"other", 15, 0, "7"};
  CHECK(plan_leader_move(std::nullopt, seen, seen, "me") == LeaderMove::kTake);
  CHECK(plan_leader_move(LeaderRecord{"", 15, 0, "1"}, seen, seen, "me") == LeaderMove::kTake);
  CHECK(plan_leader_move(LeaderRecord{"me", 15, 0, "1"}, seen, seen + Seconds(60), "me") ==
        LeaderMove::kRenew);
  CHECK(plan_leader_move(others, seen, seen, "me") == LeaderMove::kWait);
  CHECK(plan_leader_move(others, seen, seen + Seconds(15) - Micros(1), "me") == LeaderMove::kWait);
  CHECK(plan_leader_move(others, seen, seen + Seconds(15), "me") == LeaderMove::kTake);
}

TEST_CASE("a leader gives up before others may take over") {
  for (const LeaderElectionTimes& times : {LeaderElectionTimes{}, fast_leader_election()}) {
    CHECK(times.renew_deadline < times.lease_duration);
    CHECK(times.retry_period < times.renew_deadline);
  }
  // Until another has noticed, too.
  const auto fast = fast_leader_election();
  CHECK(fast.lease_duration + fast.retry_period <= Seconds(5));
}
