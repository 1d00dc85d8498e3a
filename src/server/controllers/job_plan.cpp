// What a Job's pods should be.
#include <algorithm>
#include <tuple>

#include "server/controllers/job.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using batchv1::Job;
using batchv1::JobCondition;
using corev1::Pod;

namespace {

constexpr size_t kBurst = 500;  // pods created or deleted a round

bool is_indexed(const Job& job) { return job.spec.completionMode == "Indexed"; }

bool has_true_condition(const Job& job, std::string_view type) {
  return std::any_of(job.status.conditions.begin(), job.status.conditions.end(),
                     [&](const auto& c) { return c.type == type && c.status == "True"; });
}

JobCondition condition(const char* type, const char* reason, std::string message, WallTime now) {
  JobCondition out;
  out.type = type;
  out.status = "True";
  out.lastProbeTime = out.lastTransitionTime = Time(now);
  out.reason = reason;
  out.message = std::move(message);
  return out;
}

const JobCondition* find(const Job& job, std::string_view type) {
  for (const auto& c : job.status.conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

// Smaller is missed less (upstream's ActivePods): not placed, not running, not ready, ready or made
// only lately, restarted often.
auto removal_rank(const Pod& pod) {
  const auto* ready = find_condition(pod, "Ready");
  const bool is_pod_ready = ready != nullptr && ready->status == "True";
  int32_t restarts = 0;
  for (const auto& status : pod.status.containerStatuses) {
    restarts = std::max(restarts, status.restartCount);
  }
  const int phase = pod.status.phase == "Pending" ? 0 : pod.status.phase == "Running" ? 2 : 1;
  return std::make_tuple(!pod.spec.nodeName.empty(), phase, is_pod_ready,
                         is_pod_ready ? -ready->lastTransitionTime.unix_seconds : int64_t{0},
                         -restarts, -pod.metadata.creationTimestamp.unix_seconds,
                         pod.metadata.name);
}

class JobPlanner {
 public:
  explicit JobPlanner(const JobInput& in) : in_(in), job_(in.job), spec_(in.job.spec) {
    const auto& uncounted = job_.status.uncountedTerminatedPods;
    if (uncounted) {
      noted_.insert(uncounted->succeeded.begin(), uncounted->succeeded.end());
      noted_.insert(uncounted->failed.begin(), uncounted->failed.end());
    }
  }

  JobPlan run() {
    look_at_pods();
    decide_end();
    if (is_indexed(job_)) look_at_indexes();
    if (plan_.finished) {
      plan_.deletes = active_;
    } else if (in_.may_act && !job_.metadata.deletionTimestamp) {
      plan_.managed = true;
      manage();
    }
    return std::move(plan_);
  }

 private:
  int32_t completions() const { return spec_.completions.value_or(0); }
  bool suspended() const { return spec_.suspend.value_or(false); }
  // An index that exists; always where the Job has none.
  bool has_valid_index(const Pod& pod) const {
    if (!is_indexed(job_)) return true;
    const int32_t index = completion_index(pod);
    return index >= 0 && index < completions();
  }
  // Neither in the counters nor noted as about to be.
  bool is_new(const Pod& pod) const {
    return has_job_finalizer(pod) && noted_.count(pod.metadata.uid) == 0 &&
           in_.released.count(pod.metadata.uid) == 0 && has_valid_index(pod);
  }

  void look_at_pods() {
    std::vector<PodPtr> new_succeeded, new_failed;
    int32_t counted_failures = 0;
    for (const auto& pod : in_.pods) {
      if (is_active(*pod)) {
        active_.push_back(pod);
        if (is_ready(*pod)) ++plan_.ready;
      } else if (!is_terminal(*pod)) {
        ++plan_.terminating;
      }
      if (!is_new(*pod)) continue;
      if (pod->status.phase == "Succeeded") {
        new_succeeded.push_back(pod);
      } else if (is_failed_for_job(*pod, job_)) {
        new_failed.push_back(pod);
        if (judge_failure(job_, *pod).counts) ++counted_failures;
      }
    }
    const auto& status = job_.status;
    plan_.active = static_cast<int32_t>(active_.size());
    plan_.succeeded = status.succeeded + static_cast<int32_t>(new_succeeded.size());
    failed_ = status.failed + counted_failures;
    if (status.uncountedTerminatedPods) {
      plan_.succeeded += static_cast<int32_t>(status.uncountedTerminatedPods->succeeded.size());
      failed_ += static_cast<int32_t>(status.uncountedTerminatedPods->failed.size());
    }
    plan_.backoff = next_backoff(in_.backoff, new_succeeded, new_failed);
  }

  void fail(const char* reason, std::string message) {
    plan_.finished = condition("FailureTarget", reason, std::move(message), in_.now);
  }

  void decide_end() {
    if (const auto* met = find(job_, "SuccessCriteriaMet"); met && met->status == "True") {
      plan_.finished = *met;
      return;
    }
    if (has_true_condition(job_, "FailureTarget")) {
      const auto* target = find(job_, "FailureTarget");
      plan_.finished = condition("Failed", "", target->message, in_.now);
      plan_.finished->reason = target->reason;
      return;
    }
    for (const auto& pod : in_.pods) {
      if (!spec_.podFailurePolicy) break;
      if (!is_failed_for_job(*pod, job_)) continue;
      auto verdict = judge_failure(job_, *pod);
      if (!verdict.fail_job.empty()) return fail("PodFailurePolicy", std::move(verdict.fail_job));
    }
    if (failed_ > spec_.backoffLimit.value_or(6) || restarted_too_often()) {
      return fail("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    if (!spec_.activeDeadlineSeconds || suspended()) return;
    const WallTime start = job_.status.startTime ? job_.status.startTime->wall() : in_.now;
    const Micros left = start + Seconds{*spec_.activeDeadlineSeconds} - in_.now;
    if (left.count() <= 0) {
      return fail("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    look_again(left);
  }

  // With restartPolicy OnFailure the agent restarts in place: restarts are the failures.
  bool restarted_too_often() const {
    if (spec_.template_.spec.restartPolicy != "OnFailure") return false;
    int64_t restarts = 0;
    for (const auto& pod : in_.pods) {
      if (pod->status.phase != "Running" && pod->status.phase != "Pending") continue;
      for (const auto& status : pod->status.initContainerStatuses) restarts += status.restartCount;
      for (const auto& status : pod->status.containerStatuses) restarts += status.restartCount;
    }
    const int32_t limit = spec_.backoffLimit.value_or(6);
    return limit == 0 ? restarts > 0 : restarts >= limit;
  }

  void look_at_indexes() {
    plan_.counted = IndexSet::parse(job_.status.completedIndexes, completions());
    plan_.completed = plan_.counted;
    for (const auto& pod : in_.pods) {
      // One that was noted as failed when its deletion began stays so, however it ended; and one
      // whose finalizer is being taken was counted as what it was then.
      const std::string& uid = pod->metadata.uid;
      if (pod->status.phase == "Succeeded" && has_valid_index(*pod) && has_job_finalizer(*pod) &&
          noted_.count(uid) == 0 && in_.released.count(uid) == 0) {
        plan_.completed.add(completion_index(*pod));
      }
    }
    plan_.succeeded = plan_.completed.total();
    if (spec_.backoffLimitPerIndex) look_at_failed_indexes();
    if (plan_.finished) return;
    if (auto met = met_success_rule(job_, plan_.completed); !met.empty()) {
      plan_.finished = condition("SuccessCriteriaMet", "SuccessPolicy", std::move(met), in_.now);
    }
  }

  bool fails_index(const Pod& pod) const {
    const auto verdict = judge_failure(job_, pod);
    if (verdict.fails_index) return true;
    return verdict.counts && index_failures(pod, false) >= *spec_.backoffLimitPerIndex;
  }

  void look_at_failed_indexes() {
    auto& failed = plan_.failed_indexes.emplace(
        IndexSet::parse(job_.status.failedIndexes.value_or(""), completions()));
    for (const auto& pod : in_.pods) {
      if (!has_job_finalizer(*pod) || !has_valid_index(*pod)) continue;
      const int32_t index = completion_index(*pod);
      if (!failed.has(index) && is_failed_for_job(*pod, job_) && fails_index(*pod)) {
        failed.add(index);
      }
    }
    if (!plan_.finished) {
      const int32_t done = failed.total() + plan_.completed.total();
      if (spec_.maxFailedIndexes && failed.total() > *spec_.maxFailedIndexes) {
        fail("MaxFailedIndexesExceeded",
             "Job has exceeded the specified maximal number of failed indexes");
      } else if (failed.total() > 0 && done >= completions()) {
        fail("FailedIndexes", "Job has failed indexes");
      }
    }
    find_last_failed();
  }

  // A pod that carries the number of its index's failures stays until the next one carries it.
  void find_last_failed() {
    const IndexSet running = indexes_of(active_);
    for (const auto& pod : in_.pods) {
      if (!has_job_finalizer(*pod) || in_.released.count(pod->metadata.uid) != 0 ||
          !has_valid_index(*pod) || !is_failed_for_job(*pod, job_)) {
        continue;
      }
      const int32_t index = completion_index(*pod);
      if (plan_.completed.has(index) || plan_.failed_indexes->has(index) || running.has(index)) {
        continue;
      }
      auto& last = plan_.last_failed[index];
      if (!last || (index_failures(*last, true) <= index_failures(*pod, true) &&
                    pod_end_time(*pod) >= pod_end_time(*last))) {
        last = pod;
      }
    }
  }

  static IndexSet indexes_of(const std::vector<PodPtr>& pods) {
    IndexSet out;
    for (const auto& pod : pods) {
      if (const int32_t index = completion_index(*pod); index >= 0) out.add(index);
    }
    return out;
  }

  // ---- what is wanted ----

  void manage() {
    const int32_t wanted = suspended() ? 0 : wanted_active();
    const auto too_many = static_cast<size_t>(std::max(0, plan_.active - wanted));
    plan_.deletes = superfluous(too_many);
    // A Job that is suspended loses all its pods at once.
    if (!suspended() && plan_.deletes.size() > kBurst) plan_.deletes.resize(kBurst);
    if (!plan_.deletes.empty()) {
      plan_.release_deleted = true;
      return;  // creating waits for the next round
    }
    if (suspended()) return;
    const int32_t terminating = replaces_only_failed(job_) ? plan_.terminating : 0;
    const int32_t short_of = wanted - terminating - plan_.active;
    if (short_of > 0) create(std::min(static_cast<size_t>(short_of), kBurst));
  }

  int32_t wanted_active() const {
    const int32_t parallelism = spec_.parallelism.value_or(1);
    if (!spec_.completions) return plan_.succeeded > 0 ? plan_.active : parallelism;
    return std::clamp(*spec_.completions - plan_.succeeded, 0, parallelism);
  }

  // Pods of no index or of a doubled one, and as many others as it takes.
  std::vector<PodPtr> superfluous(size_t at_least) const {
    std::vector<PodPtr> ranked = active_, gone, left;
    std::sort(ranked.begin(), ranked.end(),
              [](const PodPtr& a, const PodPtr& b) { return removal_rank(*a) < removal_rank(*b); });
    if (is_indexed(job_)) {
      IndexSet kept;  // from the end: the pod that is missed most keeps the index
      for (auto pod = ranked.rbegin(); pod != ranked.rend(); ++pod) {
        const int32_t index = completion_index(**pod);
        const bool keep = has_valid_index(**pod) && !kept.has(index);
        if (keep) kept.add(index);
        (keep ? left : gone).push_back(*pod);
      }
      std::reverse(left.begin(), left.end());
    } else {
      left = std::move(ranked);
    }
    for (size_t i = 0; gone.size() < at_least && i < left.size(); ++i) gone.push_back(left[i]);
    return gone;
  }

  void create(size_t count) {
    if (!spec_.backoffLimitPerIndex) {
      const Micros wait = backoff_left(plan_.backoff.failures, plan_.backoff.last_failure, in_.now);
      if (wait.count() > 0) return look_again(wait);
    }
    if (!is_indexed(job_)) {
      plan_.creates.assign(count, -1);
      return;
    }
    IndexSet taken = plan_.completed;
    taken.add(indexes_of(active_));
    if (plan_.failed_indexes) taken.add(*plan_.failed_indexes);
    if (replaces_only_failed(job_)) {
      for (const auto& pod : in_.pods) {
        const int32_t index = completion_index(*pod);
        if (!is_active(*pod) && !is_terminal(*pod) && index >= 0) taken.add(index);
      }
    }
    for (const int32_t index : taken.missing(static_cast<int32_t>(count), completions())) {
      const auto last = plan_.last_failed.find(index);
      Micros wait{0};
      if (last != plan_.last_failed.end()) {
        const Pod& pod = *last->second;
        wait = backoff_left(index_failures(pod, true) + 1, pod_end_time(pod), in_.now);
      }
      if (wait.count() > 0) {
        look_again(wait);
      } else {
        plan_.creates.push_back(index);
      }
    }
  }

  void look_again(Micros in) {
    if (!plan_.look_again || in < *plan_.look_again) plan_.look_again = in;
  }

  const JobInput& in_;
  const Job& job_;
  const batchv1::JobSpec& spec_;
  std::set<std::string> noted_;  // uids in status.uncountedTerminatedPods
  std::vector<PodPtr> active_;
  int32_t failed_ = 0;
  JobPlan plan_;
};

void add_index_variable(std::vector<corev1::Container>& containers) {
  for (auto& container : containers) {
    const bool there =
        std::any_of(container.env.begin(), container.env.end(),
                    [](const auto& variable) { return variable.name == "JOB_COMPLETION_INDEX"; });
    if (there) continue;
    auto& variable = container.env.emplace_back();
    variable.name = "JOB_COMPLETION_INDEX";
    auto& field = variable.valueFrom.ensure().fieldRef.ensure();
    field.apiVersion = "v1";
    field.fieldPath = std::string("metadata.labels['") + kJobIndexKey + "']";
  }
}

// The failures of an index, told from pod to pod.
void carry_failures(Pod& pod, const Job& job, const PodPtr& replaced) {
  int32_t counted = 0, ignored = 0;
  if (replaced) {
    counted = index_failures(*replaced, false);
    ignored = index_failures(*replaced, true) - counted;
    ++(judge_failure(job, *replaced).counts ? counted : ignored);
  }
  auto& annotations = pod.metadata.annotations;
  annotations["batch.kubernetes.io/job-index-failure-count"] = std::to_string(counted);
  if (ignored > 0) {
    annotations["batch.kubernetes.io/job-index-ignored-failure-count"] = std::to_string(ignored);
  }
}

}  // namespace

JobPlan plan_job(const JobInput& in) { return JobPlanner(in).run(); }

Pod job_pod(const Job& job, const JobPlan& plan, size_t at) {
  Pod pod = pod_from_template(job.spec.template_, job);
  if (!has_job_finalizer(pod)) pod.metadata.finalizers.emplace_back(kJobFinalizer);
  const int32_t index = plan.creates[at];
  if (index < 0) return pod;
  const std::string number = std::to_string(index);
  pod.metadata.annotations[kJobIndexKey] = number;
  pod.metadata.labels[kJobIndexKey] = number;
  pod.spec.hostname = job.metadata.name + "-" + number;
  // The suffix of a generated name needs 5 of the 63 characters; the index must stay whole.
  const std::string end = "-" + number + "-";
  pod.metadata.generateName = job.metadata.name.substr(0, 58 - end.size()) + end;
  add_index_variable(pod.spec.initContainers);
  add_index_variable(pod.spec.containers);
  if (job.spec.backoffLimitPerIndex) {
    const auto last = plan.last_failed.find(index);
    carry_failures(pod, job, last == plan.last_failed.end() ? nullptr : last->second);
  }
  return pod;
}

}  // namespace orch::server
