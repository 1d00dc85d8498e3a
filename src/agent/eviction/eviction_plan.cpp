#include "agent/eviction/eviction_plan.h"

#include <algorithm>

namespace orch::agent {
namespace {

bool is_met(const Threshold& threshold, const Observations& seen, bool with_reclaim) {
  const auto at = seen.find(threshold.signal);
  if (at == seen.end()) return false;
  api::Quantity quantity = threshold.value.of(at->second.capacity);
  if (with_reclaim && threshold.minimum_reclaim) {
    quantity += threshold.minimum_reclaim->of(at->second.capacity);
  }
  return quantity > api::Quantity::of_bytes(at->second.available);
}

bool holds(std::optional<MonoTime>& last, bool now_under, MonoTime now, Micros period) {
  if (now_under) last = now;
  if (last && now - *last >= period && !now_under) last.reset();
  return last.has_value();
}

}  // namespace

bool still_met(const EvictionConfig& config, const std::vector<size_t>& thresholds,
               const Observations& seen) {
  return std::any_of(thresholds.begin(), thresholds.end(),
                     [&](size_t i) { return is_met(config.thresholds[i], seen, true); });
}

Judgement judge(const EvictionConfig& config, const Observations& seen, MonoTime now,
                PressureState& state) {
  std::vector<size_t> met;
  for (size_t i = 0; i < config.thresholds.size(); ++i) {
    const bool before = std::find(state.met.begin(), state.met.end(), i) != state.met.end();
    if (is_met(config.thresholds[i], seen, before)) met.push_back(i);
  }
  std::map<size_t, MonoTime> first_seen;
  Pressure now_under;
  for (size_t i : met) {
    const auto known = state.first_seen.find(i);
    first_seen[i] = known == state.first_seen.end() ? now : known->second;
    const Signal signal = config.thresholds[i].signal;
    bool& condition = signal == Signal::kMemoryAvailable ? now_under.memory
                      : signal == Signal::kPidAvailable  ? now_under.pid
                                                         : now_under.disk;
    condition = true;
  }
  state.first_seen = std::move(first_seen);
  Judgement out;
  const Micros period = config.transition_period;
  out.pressure.memory = holds(state.memory_at, now_under.memory, now, period);
  out.pressure.disk = holds(state.disk_at, now_under.disk, now, period);
  out.pressure.pid = holds(state.pid_at, now_under.pid, now, period);
  for (size_t i : met) {
    const Threshold& threshold = config.thresholds[i];
    if (threshold.grace && now - state.first_seen[i] < *threshold.grace) continue;
    out.act_on.push_back(i);
  }
  state.met = out.act_on;
  // Memory first: without it the machine kills as it likes.
  std::stable_sort(out.act_on.begin(), out.act_on.end(), [&](size_t a, size_t b) {
    const auto memory = [&](size_t i) {
      return config.thresholds[i].signal == Signal::kMemoryAvailable;
    };
    return memory(a) && !memory(b);
  });
  return out;
}

}  // namespace orch::agent
