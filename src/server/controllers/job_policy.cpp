// What pods and Jobs are seen alone: ends, failure and success policies, back-off.
#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"
#include "server/controllers/job.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using batchv1::Job;
using batchv1::JobCondition;
using corev1::Pod;

namespace {

constexpr Micros kFirstBackoff = Seconds{10};
constexpr Micros kLongestBackoff = Seconds{600};

int32_t annotated_number(const Pod& pod, const char* key, int32_t missing) {
  const auto& annotations = pod.metadata.annotations;
  const auto it = annotations.find(key);
  if (it == annotations.end()) return missing;
  const int64_t number = parse_int(it->second).value_or(missing);
  return number < 0 || number > INT32_MAX ? missing : static_cast<int32_t>(number);
}

// The first container that ended with a code the requirement is about.
const corev1::ContainerStatus* match_exit_codes(
    const std::vector<corev1::ContainerStatus>& statuses,
    const batchv1::PodFailurePolicyOnExitCodesRequirement& wanted) {
  for (const auto& status : statuses) {
    if (!status.state.terminated || status.state.terminated->exitCode == 0) continue;
    if (wanted.containerName && *wanted.containerName != status.name) continue;
    const bool listed = std::find(wanted.values.begin(), wanted.values.end(),
                                  status.state.terminated->exitCode) != wanted.values.end();
    if (listed == (wanted.operator_ == "In")) return &status;
  }
  return nullptr;
}

const corev1::PodCondition* match_conditions(
    const Pod& pod, const std::vector<batchv1::PodFailurePolicyOnPodConditionsPattern>& patterns) {
  for (const auto& condition : pod.status.conditions) {
    for (const auto& pattern : patterns) {
      if (pattern.type == condition.type && pattern.status == condition.status) return &condition;
    }
  }
  return nullptr;
}

// Text of what matched the rule, nullopt = it does not apply.
std::optional<std::string> match_rule(const Pod& pod, const batchv1::PodFailurePolicyRule& rule,
                                      size_t index) {
  if (rule.onExitCodes) {
    const auto* status = match_exit_codes(pod.status.containerStatuses, *rule.onExitCodes);
    if (status == nullptr) {
      status = match_exit_codes(pod.status.initContainerStatuses, *rule.onExitCodes);
    }
    if (status == nullptr) return std::nullopt;
    return fmt::format(
        "Container {} for pod {}/{} failed with exit code {} matching {} rule at index {}",
        status->name, pod.metadata.namespace_, pod.metadata.name,
        status->state.terminated->exitCode, rule.action, index);
  }
  const auto* condition = match_conditions(pod, rule.onPodConditions);
  if (condition == nullptr) return std::nullopt;
  return fmt::format("Pod {}/{} has condition {} matching {} rule at index {}",
                     pod.metadata.namespace_, pod.metadata.name, condition->type, rule.action,
                     index);
}

std::optional<WallTime> containers_end(const Pod& pod) {
  std::optional<WallTime> last;
  for (const auto& status : pod.status.containerStatuses) {
    if (!status.state.terminated || !status.state.terminated->finishedAt) return std::nullopt;
    const WallTime end = status.state.terminated->finishedAt.wall();
    if (!last || end > *last) last = end;
  }
  return last;
}

}  // namespace

bool has_job_finalizer(const Pod& pod) {
  const auto& finalizers = pod.metadata.finalizers;
  return std::find(finalizers.begin(), finalizers.end(), kJobFinalizer) != finalizers.end();
}

int32_t completion_index(const Pod& pod) { return annotated_number(pod, kJobIndexKey, -1); }

const JobCondition* job_end(const Job& job) {
  for (const auto& condition : job.status.conditions) {
    if ((condition.type == "Complete" || condition.type == "Failed") &&
        condition.status == "True") {
      return &condition;
    }
  }
  return nullptr;
}

bool is_job_succeeded(const Job& job) {
  const auto* end = job_end(job);
  return end != nullptr && end->type == "Complete";
}

bool is_job_managed_elsewhere(const Job& job) {
  return job.spec.managedBy && *job.spec.managedBy != "kubernetes.io/job-controller";
}

WallTime pod_end_time(const Pod& pod) {
  if (const auto end = containers_end(pod)) return *end;
  const auto* ready = find_condition(pod, "Ready");
  if (ready != nullptr && ready->status == "False" && ready->lastTransitionTime) {
    return ready->lastTransitionTime.wall();
  }
  if (pod.metadata.deletionTimestamp) {  // which is the end of the grace period
    const Seconds grace{pod.metadata.deletionGracePeriodSeconds.value_or(0)};
    return pod.metadata.deletionTimestamp->wall() - grace;
  }
  return pod.metadata.creationTimestamp.wall();
}

bool replaces_only_failed(const Job& job) {
  return job.spec.podReplacementPolicy == "Failed" || job.spec.podFailurePolicy;
}

bool is_failed_for_job(const Pod& pod, const Job& job) {
  if (pod.status.phase == "Failed") return true;
  if (replaces_only_failed(job)) return false;
  // Pods that are deleted may never get to the phase Failed.
  return pod.metadata.deletionTimestamp && pod.status.phase != "Succeeded";
}

FailureVerdict judge_failure(const Job& job, const Pod& pod) {
  FailureVerdict verdict;
  if (!job.spec.podFailurePolicy) return verdict;
  const auto& rules = job.spec.podFailurePolicy->rules;
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto matched = match_rule(pod, rules[i], i);
    if (!matched) continue;
    if (rules[i].action == "FailJob") verdict.fail_job = *matched;
    if (rules[i].action == "Ignore") verdict.counts = false;
    if (rules[i].action == "FailIndex") verdict.fails_index = true;
    return verdict;
  }
  return verdict;
}

std::string met_success_rule(const Job& job, const IndexSet& succeeded) {
  if (!job.spec.successPolicy || succeeded.empty()) return "";
  const auto& rules = job.spec.successPolicy->rules;
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto& rule = rules[i];
    bool met = false;
    if (rule.succeededIndexes) {
      const auto wanted = IndexSet::parse(*rule.succeededIndexes, job.spec.completions.value_or(0));
      met = wanted.common_with(succeeded) >= rule.succeededCount.value_or(wanted.total());
    } else if (rule.succeededCount) {
      met = succeeded.total() >= *rule.succeededCount;
    }
    if (met) return fmt::format("Matched rules at index {}", i);
  }
  return "";
}

JobBackoff next_backoff(const JobBackoff& before, const std::vector<PodPtr>& succeeded,
                        const std::vector<PodPtr>& failed) {
  std::optional<WallTime> last_success;
  for (const auto& pod : succeeded) {
    const WallTime end = pod_end_time(*pod);
    if (!last_success || end > *last_success) last_success = end;
  }
  JobBackoff after = last_success ? JobBackoff{} : before;
  for (const auto& pod : failed) {
    const WallTime end = pod_end_time(*pod);
    if (last_success && end <= *last_success) continue;
    ++after.failures;
    after.last_failure = std::max(after.last_failure, end);
  }
  return after;
}

Micros backoff_left(int32_t failures, WallTime last_failure, WallTime now) {
  if (failures <= 0) return Micros{0};
  // Seven doublings exceed the longest wait.
  const Micros wait = std::min(kLongestBackoff, kFirstBackoff * (1 << std::min(failures - 1, 7)));
  return std::max(Micros{0}, last_failure + wait - now);
}

int32_t index_failures(const Pod& pod, bool with_ignored) {
  int32_t sum = annotated_number(pod, "batch.kubernetes.io/job-index-failure-count", 0);
  if (with_ignored) {
    sum += annotated_number(pod, "batch.kubernetes.io/job-index-ignored-failure-count", 0);
  }
  return sum;
}

}  // namespace orch::server
