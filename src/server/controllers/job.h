// The Job controller's pure core. Pods are counted without loss through the finalizer
// batch.kubernetes.io/job-tracking: a pod that ended is first noted in
// status.uncountedTerminatedPods, then loses its finalizer, then moves into the counters.
//
//   plan_job     what to create and delete, and whether the Job's end is decided
//   count_job    after that was done: the status to write before any finalizer goes
//   finish_job   after the finalizers went: the status to write last
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orch/api/batchv1.h"
#include "orch/base/clock.h"
#include "server/controllers/job_indexes.h"
#include "server/controllers/pod_control.h"

namespace orch::server {

inline constexpr const char* kJobFinalizer = "batch.kubernetes.io/job-tracking";
inline constexpr const char* kJobIndexKey = "batch.kubernetes.io/job-completion-index";

// ---- Pods and Jobs seen alone ----

bool has_job_finalizer(const api::corev1::Pod& pod);
int32_t completion_index(const api::corev1::Pod& pod);  // -1 = none
// The condition Complete or Failed, if it is True.
const api::batchv1::JobCondition* job_end(const api::batchv1::Job& job);
bool is_job_succeeded(const api::batchv1::Job& job);
// Another controller has it (spec.managedBy).
bool is_job_managed_elsewhere(const api::batchv1::Job& job);
// When the pod's containers ended, or what comes nearest to that.
WallTime pod_end_time(const api::corev1::Pod& pod);
// Failed, or being deleted where that counts as a failure.
bool is_failed_for_job(const api::corev1::Pod& pod, const api::batchv1::Job& job);
// A replacement has to wait until the failed pod is gone for good.
bool replaces_only_failed(const api::batchv1::Job& job);

// ---- policies ----

struct FailureVerdict {
  std::string fail_job;      // the message, "" = the Job goes on
  bool counts = true;        // towards the back-off limits
  bool fails_index = false;  // the index at once
};
FailureVerdict judge_failure(const api::batchv1::Job& job, const api::corev1::Pod& pod);
// The message of the success rule that is met, "" = none.
std::string met_success_rule(const api::batchv1::Job& job, const IndexSet& succeeded);

// ---- back-off ----

// Failures since a pod last succeeded; kept by the shell from round to round.
struct JobBackoff {
  int32_t failures = 0;
  WallTime last_failure{};
};
JobBackoff next_backoff(const JobBackoff& before, const std::vector<PodPtr>& succeeded,
                        const std::vector<PodPtr>& failed);
// 10 s doubled with every failure, at most 10 min, counted from the last one.
Micros backoff_left(int32_t failures, WallTime last_failure, WallTime now);
// Failures of its index that a pod with backoffLimitPerIndex carries on, those ignored included.
int32_t index_failures(const api::corev1::Pod& pod, bool with_ignored);

// ---- plan ----

struct JobInput {
  const api::batchv1::Job& job;
  std::vector<PodPtr> pods;  // the Job's own
  // uids whose finalizer was taken, which the cache may not show yet
  std::set<std::string> released;
  JobBackoff backoff;
  bool may_act = true;  // what was created and deleted before is in `pods`
  WallTime now;
};

struct JobPlan {
  std::vector<PodPtr> deletes;
  // They are let go of before: superfluous pods do not count as failed ones.
  bool release_deleted = false;
  std::vector<int32_t> creates;  // completion indexes; -1 each where the Job has none
  std::optional<api::batchv1::JobCondition> finished;  // FailureTarget, SuccessCriteriaMet, Failed
  bool managed = false;                                // pods were compared with what is wanted
  int32_t active = 0, ready = 0, terminating = 0, succeeded = 0;
  IndexSet counted;    // indexes that the status shows as succeeded
  IndexSet completed;  // and those of pods that succeeded since
  std::optional<IndexSet> failed_indexes;
  // Of an index that neither runs nor is done: the pod that carries its count of failures.
  std::map<int32_t, PodPtr> last_failed;
  JobBackoff backoff;
  std::optional<Micros> look_again;
};
JobPlan plan_job(const JobInput& in);
// The pod for plan.creates[at].
api::corev1::Pod job_pod(const api::batchv1::Job& job, const JobPlan& plan, size_t at);

// ---- counting ----

struct JobEvent {
  std::string type, reason, message;
};
struct JobStep {
  api::batchv1::JobStatus status;
  std::vector<PodPtr> release;    // lose their finalizer once the status is written
  std::set<std::string> tracked;  // uids of all pods that still have it
  std::optional<api::batchv1::JobCondition> finished;  // Complete or Failed, when all is counted
  std::vector<JobEvent> events;
};
// `acted`: creates and deletes of the plan all went well.
JobStep count_job(const JobInput& in, const JobPlan& plan, bool acted);
struct JobEnd {
  api::batchv1::JobStatus status;
  std::vector<JobEvent> events;  // of a Job that is finished now
};
// `tracked`: step.tracked without those that were released.
JobEnd finish_job(const api::batchv1::Job& job, const JobStep& step,
                  const std::set<std::string>& tracked, WallTime now);

}  // namespace orch::server
