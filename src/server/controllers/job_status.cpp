// Counting a Job's pods: each exactly once, whatever happens between two writes.
#include <algorithm>

#include "server/controllers/job.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using batchv1::Job;
using batchv1::JobCondition;
using batchv1::JobStatus;
using corev1::Pod;

namespace {

constexpr size_t kMostNoted = 500;  // uids in the status at a time

// A condition that never was is not written as False. True = changed.
bool set_condition(JobStatus& status, const char* type, bool value, const std::string& reason,
                   const std::string& message, WallTime now) {
  const char* text = value ? "True" : "False";
  auto at = std::find_if(status.conditions.begin(), status.conditions.end(),
                         [&](const auto& c) { return c.type == type; });
  if (at == status.conditions.end()) {
    if (!value) return false;
    at = status.conditions.emplace(status.conditions.end());
  } else if (at->status == text && at->reason == reason && at->message == message) {
    return false;
  }
  at->type = type;
  at->status = text;
  at->lastProbeTime = at->lastTransitionTime = Time(now);
  at->reason = reason;
  at->message = message;
  return true;
}

// Noted pods whose finalizer is gone are in the counters from now on.
void count_released(const Job& job, JobStatus& status, const std::set<std::string>& tracked) {
  auto& uncounted = status.uncountedTerminatedPods.ensure();
  const auto move = [&](std::vector<std::string>& uids) {
    return static_cast<int32_t>(
        std::erase_if(uids, [&](const std::string& uid) { return tracked.count(uid) == 0; }));
  };
  const int32_t succeeded = move(uncounted.succeeded);
  if (job.spec.completionMode != "Indexed") status.succeeded += succeeded;
  status.failed += move(uncounted.failed);
}

class JobCounter {
 public:
  JobCounter(const JobInput& in, const JobPlan& plan, bool acted)
      : in_(in), plan_(plan), job_(in.job), acted_(acted) {}

  JobStep run() {
    step_.status = job_.status;
    step_.status.uncountedTerminatedPods.ensure();
    if (!step_.status.startTime && !suspended()) step_.status.startTime = Time(in_.now);
    finished_ = plan_.finished;
    count_active();
    for (const auto& pod : in_.pods) {
      if (is_tracked(*pod)) step_.tracked.insert(pod->metadata.uid);
    }
    count_released(job_, step_.status, step_.tracked);
    note_ended();
    if (is_indexed()) show_indexes();
    announce();
    return std::move(step_);
  }

 private:
  bool suspended() const { return job_.spec.suspend.value_or(false); }
  bool is_indexed() const { return job_.spec.completionMode == "Indexed"; }
  bool is_tracked(const Pod& pod) const {
    return has_job_finalizer(pod) && in_.released.count(pod.metadata.uid) == 0;
  }

  void count_active() {
    auto& status = step_.status;
    status.active = plan_.active;
    int32_t ready = plan_.ready, terminating = plan_.terminating;
    if (acted_) {
      for (const auto& pod : plan_.deletes) {
        --status.active;
        ++terminating;
        if (is_ready(*pod)) --ready;
      }
      status.active += static_cast<int32_t>(plan_.creates.size());
    }
    status.ready = ready;
    status.terminating = terminating;
    if (finished_) {
      // There may be pods left that are not in the cache yet.
      if (!acted_ || !in_.may_act) finished_.reset();
      return;
    }
    const bool complete =
        job_.spec.completions ? plan_.succeeded >= *job_.spec.completions : plan_.succeeded > 0;
    if (complete && status.active == 0) {
      finish_with("SuccessCriteriaMet", "CompletionsReached",
                  "Reached expected number of succeeded pods");
    } else if (plan_.managed) {
      show_suspension();
    }
  }

  void finish_with(const char* type, std::string reason, std::string message) {
    auto& out = finished_.emplace();
    out.type = type;
    out.status = "True";
    out.lastProbeTime = out.lastTransitionTime = Time(in_.now);
    out.reason = std::move(reason);
    out.message = std::move(message);
  }

  void show_suspension() {
    const char* what = suspended() ? "Suspended" : "Resumed";
    const std::string reason = std::string("Job") + what;
    const std::string message = suspended() ? "Job suspended" : "Job resumed";
    if (!set_condition(step_.status, "Suspended", suspended(), reason, message, in_.now)) return;
    step_.events.push_back({"Normal", what, message});
    if (!suspended()) step_.status.startTime = Time(in_.now);
  }

  bool may_release(const Pod& pod, bool failed) const {
    if (job_.metadata.deletionTimestamp || finished_ || pod.status.phase == "Succeeded")
      return true;
    if (!failed) return false;
    const auto last = plan_.last_failed.find(completion_index(pod));
    return last == plan_.last_failed.end() || last->second->metadata.uid != pod.metadata.uid;
  }

  // What the Job's end makes of pods that still run: failures, unless it succeeded.
  bool ends_as_failed() const { return finished_ && finished_->type != "SuccessCriteriaMet"; }

  void note_ended() {
    std::vector<PodPtr> pods = in_.pods;
    if (is_indexed()) {
      std::stable_sort(pods.begin(), pods.end(), [](const PodPtr& a, const PodPtr& b) {
        return completion_index(*a) < completion_index(*b);
      });
    }
    auto& noted = *step_.status.uncountedTerminatedPods;
    const auto is_noted = [](const std::vector<std::string>& uids, const std::string& uid) {
      return std::find(uids.begin(), uids.end(), uid) != uids.end();
    };
    size_t new_indexes = 0;
    counted_ = plan_.counted;
    for (const auto& pod : pods) {
      const std::string& uid = pod->metadata.uid;
      if (!is_tracked(*pod)) continue;
      const bool failed = is_failed_for_job(*pod, job_);
      if (!may_release(*pod, failed)) continue;
      step_.release.push_back(pod);
      const int32_t index = completion_index(*pod);
      const bool valid = !is_indexed() || (index >= 0 && index < job_.spec.completions.value_or(0));
      if (pod->status.phase == "Succeeded" && !is_noted(noted.failed, uid)) {
        if (is_indexed()) {
          // The index itself keeps it from being counted twice.
          if (valid && !counted_.has(index)) {
            counted_.add(index);
            ++new_indexes;
          }
        } else if (!is_noted(noted.succeeded, uid)) {
          noted.succeeded.push_back(uid);
        }
      } else if ((failed || ends_as_failed()) && valid && !is_noted(noted.failed, uid) &&
                 judge_failure(job_, *pod).counts) {
        noted.failed.push_back(uid);
      }
      if (new_indexes + noted.succeeded.size() + noted.failed.size() >= kMostNoted) {
        more_ = true;
        return;
      }
    }
  }

  void show_indexes() {
    step_.status.succeeded = counted_.total();
    step_.status.completedIndexes = counted_.str();
    step_.status.failedIndexes =
        plan_.failed_indexes ? std::optional(plan_.failed_indexes->str()) : std::nullopt;
  }

  // The interim condition is seen before the first finalizer goes; the final one follows.
  void announce() {
    if (!finished_) return;
    auto& conditions = step_.status.conditions;
    const bool interim =
        finished_->type == "FailureTarget" || finished_->type == "SuccessCriteriaMet";
    const bool there = std::any_of(conditions.begin(), conditions.end(), [&](const auto& c) {
      return c.type == finished_->type && c.status == "True";
    });
    if (interim && !there) conditions.push_back(*finished_);
    if (finished_->type == "FailureTarget") {
      finish_with("Failed", finished_->reason, finished_->message);
    } else if (finished_->type == "SuccessCriteriaMet") {
      finish_with("Complete", finished_->reason, finished_->message);
    }
    if (!more_) step_.finished = finished_;
  }

  const JobInput& in_;
  const JobPlan& plan_;
  const Job& job_;
  const bool acted_;
  std::optional<JobCondition> finished_;
  IndexSet counted_;
  bool more_ = false;  // pods that ended are left for the next round
  JobStep step_;
};

}  // namespace

JobStep count_job(const JobInput& in, const JobPlan& plan, bool acted) {
  return JobCounter(in, plan, acted).run();
}

JobEnd finish_job(const Job& job, const JobStep& step, const std::set<std::string>& tracked,
                  WallTime now) {
  JobEnd end{step.status, {}};
  JobStatus& status = end.status;
  count_released(job, status, tracked);
  const auto& uncounted = *status.uncountedTerminatedPods;
  if (!step.finished || !uncounted.succeeded.empty() || !uncounted.failed.empty() ||
      status.terminating.value_or(0) > 0) {
    return end;
  }
  const auto& finished = *step.finished;
  set_condition(status, finished.type.c_str(), true, finished.reason, finished.message, now);
  if (finished.type == "Complete") {
    status.completionTime = finished.lastTransitionTime;
    if (job.spec.completions && status.succeeded > *job.spec.completions) {
      end.events.push_back({"Warning", "TooManySucceededPods",
                            "Too many succeeded pods running after completion count reached"});
    }
    end.events.push_back({"Normal", "Completed", "Job completed"});
  } else {
    end.events.push_back({"Warning", finished.reason, finished.message});
  }
  return end;
}

}  // namespace orch::server
