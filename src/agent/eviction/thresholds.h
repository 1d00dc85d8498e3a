// Eviction thresholds: what the flags say. Pure. Source: the kubelet's evictionHard, evictionSoft,
// evictionSoftGracePeriod and evictionMinimumReclaim.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/value.h"
#include "orch/base/clock.h"
#include "orch/base/result.h"

namespace orch::agent {

enum class Signal : uint8_t {
  kMemoryAvailable,
  kNodefsAvailable,
  kNodefsInodesFree,
  kImagefsAvailable,
  kImagefsInodesFree,
  kContainerfsAvailable,  // follows nodefs or imagefs: never observed on its own
  kContainerfsInodesFree,
  kPidAvailable,
};
std::string_view signal_name(Signal signal);         // "memory.available"
std::string_view resource_of_signal(Signal signal);  // "memory", "ephemeral-storage", ...

// "100Mi" or "10%".
struct Amount {
  std::optional<api::Quantity> quantity;
  float part = 0;  // of the capacity, without a quantity
  api::Quantity of(int64_t capacity) const;
};

struct Threshold {
  Signal signal = Signal::kMemoryAvailable;
  Amount value;
  std::optional<Micros> grace;  // a soft one; without: hard
  std::optional<Amount> minimum_reclaim;
  bool hard() const { return !grace; }
};

struct EvictionConfig {
  std::vector<Threshold> thresholds;
  Micros transition_period = Seconds{300};
  int64_t max_pod_grace_seconds = 0;
  // Of hard thresholds; nullptr = none.
  const Amount* hard(Signal signal) const;
};

struct EvictionFlags {
  std::vector<std::string> hard;  // "memory.available<100Mi"; empty = the defaults
  std::vector<std::string> soft, soft_grace_period, minimum_reclaim;
  std::string transition_period = "5m0s", max_pod_grace_period = "0";
};
// Error: names the flag.
Result<EvictionConfig, std::string> parse_eviction(const EvictionFlags& flags);

}  // namespace orch::agent
