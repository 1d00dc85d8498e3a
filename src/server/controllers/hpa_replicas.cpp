// Replicas that one metric calls for.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "server/controllers/hpa.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using corev1::Pod;

namespace {

constexpr double kTolerance = 0.1;
constexpr Micros kCpuStartup = Seconds{300};  // samples of this time are trusted of ready pods only
constexpr Micros kFirstReadiness = Seconds{30};

int32_t whole(double replicas) {
  return static_cast<int32_t>(std::min(std::ceil(replicas), double{INT32_MAX}));
}
bool within_tolerance(double ratio) { return std::abs(1.0 - ratio) <= kTolerance; }

struct Groups {
  int32_t ready = 0;
  std::set<std::string> unready, missing, ignored;
};

// CPU of a pod that is starting says nothing of the load.
bool is_starting(const Pod& pod, const PodSample& sample, WallTime now) {
  const auto* ready = find_condition(pod, "Ready");
  if (ready == nullptr || !pod.status.startTime) return true;
  const WallTime start = pod.status.startTime->wall();
  const WallTime changed = ready->lastTransitionTime.wall();
  if (start + kCpuStartup > now) {
    return ready->status == "False" || sample.at < changed + sample.window;
  }
  return ready->status == "False" && start + kFirstReadiness > changed;
}

Groups group(const HpaPods& in, const PodSamples& samples, bool is_cpu) {
  Groups out;
  for (const auto& pod : in.pods) {
    const std::string& name = pod->metadata.name;
    if (pod->metadata.deletionTimestamp || pod->status.phase == "Failed") {
      out.ignored.insert(name);
    } else if (pod->status.phase == "Pending") {
      out.unready.insert(name);
    } else if (const auto sample = samples.find(name); sample == samples.end()) {
      out.missing.insert(name);
    } else if (is_cpu && is_starting(*pod, sample->second, in.now)) {
      out.unready.insert(name);
    } else {
      ++out.ready;
    }
  }
  return out;
}

// The sum of milli requests of each pod, or what is missing.
Result<std::map<std::string, int64_t>, std::string> requests_of(const std::vector<PodPtr>& pods,
                                                                const std::string& resource,
                                                                const std::string& container) {
  std::map<std::string, int64_t> out;
  for (const auto& pod : pods) {
    int64_t& sum = out[pod->metadata.name];
    const auto add = [&](const corev1::Container& c) {
      if (!container.empty() && c.name != container) return true;
      const auto at = c.resources.requests.find(resource);
      if (at == c.resources.requests.end()) return false;
      sum += at->second.milli();
      return true;
    };
    const auto missing = [&](const corev1::Container& c) {
      return Err(fmt::format("missing request for {} in container {} of Pod {}", resource, c.name,
                             pod->metadata.name));
    };
    for (const auto& c : pod->spec.containers) {
      if (!add(c)) return missing(c);
    }
    for (const auto& c : pod->spec.initContainers) {
      if (c.restartPolicy == "Always" && !add(c)) return missing(c);
    }
  }
  return out;
}

// What both ways of looking at samples share: `ratio_of` compares them with the target, `missing`
// is what a pod without samples is taken for when the others call for less.
template <class RatioOf, class Missing>
Result<int32_t, std::string> weigh(const HpaPods& in, PodSamples& samples, const Groups& groups,
                                   double ratio, RatioOf ratio_of, Missing missing) {
  const bool up_with_unready = !groups.unready.empty() && ratio > 1.0;
  if (!up_with_unready && groups.missing.empty()) {
    if (within_tolerance(ratio)) return in.current;
    return whole(ratio * groups.ready);
  }
  for (const auto& name : groups.missing) {
    // Carefully: full use where the size would shrink, none where it would grow.
    if (ratio < 1.0) samples[name].milli = missing(name);
    if (ratio > 1.0) samples[name].milli = 0;
  }
  if (up_with_unready) {
    for (const auto& name : groups.unready) samples[name].milli = 0;
  }
  ORCH_TRY(const double again, ratio_of(samples));
  const bool turned = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
  if (within_tolerance(again) || turned) return in.current;
  const int32_t replicas = whole(again * static_cast<double>(samples.size()));
  const bool backwards =
      (again < 1.0 && replicas > in.current) || (again > 1.0 && replicas < in.current);
  return backwards ? in.current : replicas;
}

Result<Groups, std::string> usable_samples(const HpaPods& in, PodSamples& samples, bool is_cpu) {
  if (in.pods.empty()) {
    return Err(std::string("no pods returned by selector while calculating replica count"));
  }
  Groups groups = group(in, samples, is_cpu);
  for (const auto* names : {&groups.ignored, &groups.unready}) {
    for (const auto& name : *names) samples.erase(name);
  }
  if (samples.empty()) {
    return Err(std::string("did not receive metrics for targeted pods (pods might be unready)"));
  }
  return groups;
}

}  // namespace

ProposalResult replicas_for_utilization(const HpaPods& in, PodSamples samples, int32_t target,
                                        const std::string& resource, const std::string& container) {
  ORCH_TRY(const auto groups, usable_samples(in, samples, resource == "cpu"));
  ORCH_TRY(const auto requests, requests_of(in.pods, resource, container));
  Proposal out;
  const auto ratio_of = [&](const PodSamples& of) -> Result<double, std::string> {
    int64_t used = 0, requested = 0, count = 0;
    for (const auto& [name, sample] : of) {
      const auto request = requests.find(name);
      if (request == requests.end()) continue;
      used += sample.milli;
      requested += request->second;
      ++count;
    }
    if (requested == 0) return Err(std::string("no metrics returned matched known pods"));
    out.utilization = static_cast<int32_t>(std::min<int64_t>(used * 100 / requested, INT32_MAX));
    out.value = used / count;
    return static_cast<double>(out.utilization) / std::max(1, target);
  };
  ORCH_TRY(const double ratio, ratio_of(samples));
  const Proposal shown = out;  // of the real samples
  const int64_t full = std::max(100, target);
  ORCH_TRY(const int32_t replicas,
           weigh(in, samples, groups, ratio, ratio_of,
                 [&](const std::string& name) { return requests.at(name) * full / 100; }));
  out = shown;
  out.replicas = replicas;
  return out;
}

ProposalResult replicas_for_average(const HpaPods& in, PodSamples samples, int64_t target,
                                    bool is_cpu) {
  ORCH_TRY(const auto groups, usable_samples(in, samples, is_cpu));
  Proposal out;
  const auto ratio_of = [&](const PodSamples& of) -> Result<double, std::string> {
    int64_t sum = 0;
    for (const auto& [name, sample] : of) sum += sample.milli;
    out.value = sum / static_cast<int64_t>(of.size());
    return static_cast<double>(out.value) / static_cast<double>(std::max<int64_t>(1, target));
  };
  ORCH_TRY(const double ratio, ratio_of(samples));
  const Proposal shown = out;
  ORCH_TRY(const int32_t replicas,
           weigh(in, samples, groups, ratio, ratio_of, [&](const std::string&) { return target; }));
  out = shown;
  out.replicas = replicas;
  return out;
}

Proposal replicas_for_value(const HpaPods& in, int64_t usage, int64_t target) {
  const double ratio =
      static_cast<double>(usage) / static_cast<double>(std::max<int64_t>(1, target));
  if (in.current == 0) return {whole(ratio), 0, usage};
  if (within_tolerance(ratio)) return {in.current, 0, usage};
  const auto ready = std::count_if(in.pods.begin(), in.pods.end(), [](const PodPtr& pod) {
    return pod->status.phase == "Running" && is_ready(*pod);
  });
  return {whole(ratio * static_cast<double>(ready)), 0, usage};
}

Proposal replicas_for_shared(int32_t status_replicas, int64_t usage, int64_t target) {
  const auto wanted = static_cast<double>(std::max<int64_t>(1, target));
  Proposal out{status_replicas, 0, usage};
  const double ratio = static_cast<double>(usage) / (wanted * std::max(1, status_replicas));
  if (status_replicas == 0 || !within_tolerance(ratio)) {
    out.replicas = whole(static_cast<double>(usage) / wanted);
  }
  if (status_replicas > 0) out.value = (usage + status_replicas - 1) / status_replicas;
  return out;
}

}  // namespace orch::server
