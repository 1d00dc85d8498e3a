// From what is seen of the node to its conditions and to what has to be reclaimed. Pure: the state
// between two looks is the caller's.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "agent/eviction/thresholds.h"
#include "agent/node/pressure.h"

namespace orch::agent {

struct Observation {
  int64_t available = 0, capacity = 0;
};
using Observations = std::map<Signal, Observation>;  // what is not known is not there

// Thresholds are named by their place in the configuration.
struct PressureState {
  std::vector<size_t> met;  // those whose grace is over; they hold until enough is reclaimed
  std::map<size_t, MonoTime> first_seen;
  std::optional<MonoTime> memory_at, disk_at, pid_at;  // last under pressure
};

struct Judgement {
  Pressure pressure;           // for the Node's conditions: stays for the transition period
  std::vector<size_t> act_on;  // thresholds to reclaim for, the most urgent first
};
Judgement judge(const EvictionConfig& config, const Observations& seen, MonoTime now,
                PressureState& state);

// Whether one of the thresholds (judged met before) is not yet left behind by its minimum reclaim.
bool still_met(const EvictionConfig& config, const std::vector<size_t>& thresholds,
               const Observations& seen);

}  // namespace orch::agent
