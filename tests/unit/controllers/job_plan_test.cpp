// The Job plan without a cluster: plans are applied to values, pods end when the test says so.
#include <catch2/catch.hpp>

#include "orch/api/codec.h"
#include "server/controllers/job.h"

namespace orch::server {
namespace {

using api::Time;
using api::batchv1::Job;
using api::corev1::Pod;

struct JobRun {
  Job job;
  std::vector<Pod> pods;
  JobBackoff backoff;
  WallTime now = WallTime{Seconds{1'700'000'000}};
  std::vector<std::string> events;
  int made = 0;

  explicit JobRun(int32_t completions = 3, int32_t parallelism = 2, bool indexed = false) {
    job.metadata.name = "work";
    job.metadata.namespace_ = "default";
    job.metadata.uid = "uid-work";
    job.spec.completions = completions;
    job.spec.parallelism = parallelism;
    job.spec.backoffLimit = 6;
    job.spec.completionMode = indexed ? "Indexed" : "NonIndexed";
    job.spec.podReplacementPolicy = "TerminatingOrFailed";
    job.spec.template_.spec.containers.emplace_back().name = "c";
    job.spec.template_.spec.restartPolicy = "Never";
  }
  JobInput input() const {
    JobInput in{job, {}, {}, backoff, true, now};
    for (const auto& pod : pods) in.pods.push_back(std::make_shared<const Pod>(pod));
    return in;
  }
  JobPlan plan() const { return plan_job(input()); }

  // One round as the shell does it; false = nothing written. With `crash` it stops after the first
  // status, or after the finalizers (2).
  bool round(int crash = 0) {
    if (job_end(job) != nullptr) return false;
    const JobInput in = input();
    const JobPlan plan = plan_job(in);
    bool wrote = !plan.creates.empty() || !plan.deletes.empty();
    for (const auto& victim : plan.deletes) {
      Pod& pod = at(victim->metadata.uid);
      if (plan.release_deleted) pod.metadata.finalizers.clear();
      pod.metadata.deletionTimestamp = Time(now);
    }
    for (size_t i = 0; i < plan.creates.size(); ++i) {
      Pod pod = job_pod(job, plan, i);
      pod.metadata.uid = "pod-" + std::to_string(++made);
      pod.metadata.name = pod.metadata.generateName + std::to_string(made);
      pod.metadata.creationTimestamp = Time(now);
      pod.status.phase = "Pending";
      pods.push_back(std::move(pod));
    }
    JobStep step = count_job(in, plan, true);
    wrote = write(step.status) || wrote;
    backoff = plan.backoff;
    note(step.events);
    if (crash == 1) return true;
    for (const auto& released : step.release) {
      at(released->metadata.uid).metadata.finalizers.clear();
      step.tracked.erase(released->metadata.uid);
      wrote = true;
    }
    if (crash == 2) return true;
    const JobEnd end = finish_job(job, step, step.tracked, now);
    wrote = write(end.status) || wrote;
    note(end.events);
    // What is deleted and let go of is gone.
    std::erase_if(pods, [](const Pod& pod) {
      return pod.metadata.deletionTimestamp && pod.metadata.finalizers.empty();
    });
    return wrote;
  }
  void settle() {
    for (int i = 0; i < 20; ++i) {
      if (!round()) return;
    }
    FAIL("no fixpoint");
  }
  void end_pod(Pod& pod, bool success, int exit_code = 1) {
    pod.status.phase = success ? "Succeeded" : "Failed";
    pod.status.containerStatuses.clear();
    auto& status = pod.status.containerStatuses.emplace_back();
    status.name = "c";
    auto& terminated = status.state.terminated.ensure();
    terminated.exitCode = success ? 0 : exit_code;
    terminated.finishedAt = Time(now);
  }
  std::vector<Pod*> active() {
    std::vector<Pod*> out;
    for (auto& pod : pods) {
      if (pod.status.phase == "Pending" || pod.status.phase == "Running") out.push_back(&pod);
    }
    return out;
  }
  Pod& of_index(int32_t index) {
    for (auto* pod : active()) {
      if (completion_index(*pod) == index) return *pod;
    }
    FAIL("no active pod of index " << index);
    return pods.front();
  }
  std::vector<int32_t> active_indexes() {
    std::vector<int32_t> out;
    for (auto* pod : active()) out.push_back(completion_index(*pod));
    return out;
  }
  std::string condition(const std::string& type) const {
    for (const auto& c : job.status.conditions) {
      if (c.type == type) return c.status + " " + c.reason + ": " + c.message;
    }
    return "";
  }

 private:
  Pod& at(const std::string& uid) {
    for (auto& pod : pods) {
      if (pod.metadata.uid == uid) return pod;
    }
    FAIL("no pod " << uid);
    return pods.front();
  }
  bool write(const api::batchv1::JobStatus& status) {
    if (api::equal(status, job.status)) return false;
    job.status = status;
    return true;
  }
  void note(const std::vector<JobEvent>& more) {
    for (const auto& event : more) events.push_back(event.reason + ": " + event.message);
  }
};

using Numbers = std::vector<int32_t>;
using Texts = std::vector<std::string>;

TEST_CASE("job: index sets as statuses show them") {
  IndexSet set;
  for (int index : {5, 1, 3, 4, 9, 8, 1}) set.add(index);
  CHECK(set.str() == "1,3-5,8,9");
  CHECK(set.total() == 6);
  CHECK(set.has(4));
  CHECK_FALSE(set.has(2));
  CHECK(set.missing(4, 20) == Numbers{0, 2, 6, 7});
  CHECK(set.missing(4, 3) == Numbers{0, 2});
  CHECK(IndexSet::parse("1,3-5,8,9", 100) == set);
  CHECK(IndexSet::parse("0-9", 4).str() == "0-3");
  CHECK(IndexSet::parse("1,x,3", 9).str() == "1");
  CHECK(IndexSet::parse("2-1,-3,1-2-3", 9).empty());
  CHECK(IndexSet::parse("99999999999999999999", 9).empty());
  CHECK(set.common_with(IndexSet::parse("0-3,9", 100)) == 3);
}

TEST_CASE("job: pods run to completion, each counted once") {
  JobRun run(3, 2);
  run.settle();
  REQUIRE(run.active().size() == 2);
  CHECK(run.job.status.active == 2);
  CHECK(run.job.status.startTime);
  CHECK(run.job.status.ready == 0);
  CHECK(run.job.status.terminating == 0);
  CHECK(run.pods[0].metadata.finalizers == Texts{kJobFinalizer});
  CHECK(run.pods[0].metadata.generateName == "work-");
  run.end_pod(*run.active()[0], true);
  run.settle();
  CHECK(run.job.status.succeeded == 1);
  CHECK(run.active().size() == 2);
  for (auto* pod : run.active()) run.end_pod(*pod, true);
  run.settle();
  CHECK(run.job.status.succeeded == 3);
  CHECK(run.job.status.active == 0);
  CHECK(run.job.status.completionTime);
  CHECK(run.condition("SuccessCriteriaMet") ==
        "True CompletionsReached: Reached expected number of succeeded pods");
  CHECK(run.condition("Complete") ==
        "True CompletionsReached: Reached expected number of succeeded pods");
  CHECK(run.events == Texts{"Completed: Job completed"});
  for (const auto& pod : run.pods) CHECK(pod.metadata.finalizers.empty());
  CHECK(run.job.status.uncountedTerminatedPods->succeeded.empty());
}

TEST_CASE("job: a crash between any two writes loses no pod and counts none twice") {
  for (int crash : {1, 2}) {
    JobRun run(4, 4);
    run.job.spec.backoffLimit = 100;
    run.settle();
    run.end_pod(*run.active()[0], true);
    run.end_pod(*run.active()[0], false);
    run.round(crash);
    run.now += Seconds{60};
    run.settle();
    CHECK(run.job.status.succeeded == 1);
    CHECK(run.job.status.failed == 1);
    while (job_end(run.job) == nullptr) {
      for (auto* pod : run.active()) run.end_pod(*pod, true);
      run.round(crash);
      run.settle();
    }
    CHECK(run.job.status.succeeded == 4);
    CHECK(run.job.status.failed == 1);
  }
}

TEST_CASE("job: failures wait longer and longer, then the Job fails") {
  JobRun run(1, 1);
  run.job.spec.backoffLimit = 2;
  run.settle();
  const Seconds waits[] = {Seconds{10}, Seconds{20}};
  for (int failure = 0; failure < 2; ++failure) {
    run.end_pod(*run.active()[0], false);
    run.settle();
    CHECK(run.active().empty());
    const auto plan = run.plan();
    REQUIRE(plan.look_again);
    CHECK(*plan.look_again == Micros(waits[failure]));
    run.now += waits[failure] - Seconds{1};
    run.settle();
    CHECK(run.active().empty());
    run.now += Seconds{1};
    run.settle();
    REQUIRE(run.active().size() == 1);
  }
  run.end_pod(*run.active()[0], false);
  run.settle();
  CHECK(run.job.status.failed == 3);
  CHECK(run.condition("FailureTarget") ==
        "True BackoffLimitExceeded: Job has reached the specified backoff limit");
  CHECK(run.condition("Failed") ==
        "True BackoffLimitExceeded: Job has reached the specified backoff limit");
  CHECK(run.events == Texts{"BackoffLimitExceeded: Job has reached the specified backoff limit"});
  CHECK_FALSE(run.job.status.completionTime);
}

TEST_CASE("job: back-off doubles to ten minutes, a success ends it") {
  const WallTime end{Seconds{1000}};
  CHECK(backoff_left(0, end, end) == Micros{0});
  CHECK(backoff_left(1, end, end) == Micros(Seconds{10}));
  CHECK(backoff_left(6, end, end) == Micros(Seconds{320}));
  CHECK(backoff_left(7, end, end) == Micros(Seconds{600}));
  CHECK(backoff_left(1'000'000, end, end) == Micros(Seconds{600}));
  CHECK(backoff_left(1, end, end + Seconds{11}) == Micros{0});

  JobRun run;
  const auto ended = [&](bool success, int after) {
    Pod pod;
    run.now = WallTime{Seconds{1000 + after}};
    run.end_pod(pod, success);
    return std::make_shared<const Pod>(pod);
  };
  const auto before = next_backoff({}, {}, {ended(false, 1), ended(false, 2)});
  CHECK(before.failures == 2);
  CHECK(before.last_failure == WallTime{Seconds{1002}});
  CHECK(next_backoff(before, {}, {}).failures == 2);
  CHECK(next_backoff(before, {ended(true, 5)}, {}).failures == 0);
  CHECK(next_backoff(before, {ended(true, 5)}, {ended(false, 4), ended(false, 6)}).failures == 1);
}

TEST_CASE("job: indexed pods carry their index in every form") {
  JobRun run(4, 2, true);
  run.settle();
  CHECK(run.active_indexes() == Numbers{0, 1});
  const Pod& pod = run.of_index(1);
  CHECK(pod.metadata.annotations.at(kJobIndexKey) == "1");
  CHECK(pod.metadata.labels.at(kJobIndexKey) == "1");
  CHECK(pod.metadata.generateName == "work-1-");
  CHECK(pod.spec.hostname == "work-1");
  REQUIRE(pod.spec.containers[0].env.size() == 1);
  CHECK(pod.spec.containers[0].env[0].name == "JOB_COMPLETION_INDEX");
  CHECK(pod.spec.containers[0].env[0].valueFrom->fieldRef->fieldPath ==
        "metadata.labels['batch.kubernetes.io/job-completion-index']");
  run.end_pod(run.of_index(1), true);
  run.settle();
  CHECK(run.job.status.completedIndexes == "1");
  CHECK(run.active_indexes() == Numbers{0, 2});
  // A second pod of an index is one too many.
  Pod twin = run.of_index(2);
  twin.metadata.uid = "twin";
  twin.status.phase = "Running";
  twin.spec.nodeName = "n1";
  run.pods.push_back(twin);
  run.settle();
  CHECK(run.active_indexes() == Numbers{0, 2});
  CHECK(run.of_index(2).metadata.uid == "twin");
  CHECK(run.job.status.failed == 0);
  for (int round = 0; round < 3 && job_end(run.job) == nullptr; ++round) {
    for (auto* active : run.active()) run.end_pod(*active, true);
    run.settle();
  }
  CHECK(run.job.status.completedIndexes == "0-3");
  CHECK(run.job.status.succeeded == 4);
  CHECK(is_job_succeeded(run.job));
}

TEST_CASE("job: who was noted as failed while it was deleted does not complete its index") {
  JobRun run(2, 2, true);
  run.settle();
  Pod& deleted = run.of_index(1);
  run.job.status.uncountedTerminatedPods.ensure().failed.push_back(deleted.metadata.uid);
  run.end_pod(deleted, true);
  run.end_pod(run.of_index(0), true);
  CHECK(run.plan().succeeded == 1);
  // Nor who is being let go of, as long as the cache shows its finalizer.
  run.job.status.uncountedTerminatedPods->failed.clear();
  JobInput in = run.input();
  in.released.insert(run.pods[1].metadata.uid);
  CHECK(plan_job(in).succeeded == 1);
}

TEST_CASE("job: each index has its own back-off and limit") {
  JobRun run(3, 3, true);
  run.job.spec.backoffLimit = INT32_MAX;
  run.job.spec.backoffLimitPerIndex = 1;
  run.settle();
  run.end_pod(run.of_index(0), false);
  run.end_pod(run.of_index(1), true);
  run.settle();
  CHECK(run.active_indexes() == Numbers{2});  // index 0 waits for 10 s
  CHECK(run.plan().look_again == Micros(Seconds{10}));
  CHECK(run.job.status.failedIndexes == "");
  run.now += Seconds{10};
  run.settle();
  CHECK(run.of_index(0).metadata.annotations.at("batch.kubernetes.io/job-index-failure-count") ==
        "1");
  run.end_pod(run.of_index(0), false);
  run.settle();
  CHECK(run.job.status.failedIndexes == "0");
  CHECK(job_end(run.job) == nullptr);
  run.end_pod(run.of_index(2), true);
  run.settle();
  CHECK(run.job.status.completedIndexes == "1,2");
  CHECK(run.condition("Failed") == "True FailedIndexes: Job has failed indexes");
  CHECK(run.job.status.failed == 2);
  for (const auto& pod : run.pods) CHECK(pod.metadata.finalizers.empty());
}

TEST_CASE("job: too many failed indexes end the Job and its running pods") {
  JobRun run(10, 4, true);
  run.job.spec.backoffLimit = INT32_MAX;
  run.job.spec.backoffLimitPerIndex = 0;
  run.job.spec.maxFailedIndexes = 1;
  run.settle();
  run.end_pod(run.of_index(0), false);
  run.end_pod(run.of_index(2), false);
  run.round();
  CHECK(run.condition("FailureTarget") ==
        "True MaxFailedIndexesExceeded: Job has exceeded the specified maximal number of failed "
        "indexes");
  CHECK(run.condition("Failed").empty());  // pods still terminate
  run.settle();
  CHECK(run.condition("Failed").starts_with("True MaxFailedIndexesExceeded"));
  CHECK(run.job.status.failedIndexes == "0,2");
  CHECK(run.job.status.failed == 4);
}

api::batchv1::PodFailurePolicyRule exit_rule(const std::string& action, int32_t code) {
  api::batchv1::PodFailurePolicyRule rule;
  rule.action = action;
  auto& codes = rule.onExitCodes.ensure();
  codes.operator_ = "In";
  codes.values = {code};
  return rule;
}

TEST_CASE("job: the failure policy ignores, counts, fails the index or the Job") {
  JobRun run(3, 3, true);
  run.job.spec.backoffLimit = INT32_MAX;
  run.job.spec.backoffLimitPerIndex = 3;
  run.job.spec.podReplacementPolicy = "Failed";
  auto& rules = run.job.spec.podFailurePolicy.ensure().rules;
  rules = {exit_rule("FailJob", 42), exit_rule("FailIndex", 43)};
  api::batchv1::PodFailurePolicyRule disrupted;
  disrupted.action = "Ignore";
  auto& pattern = disrupted.onPodConditions.emplace_back();
  pattern.type = "DisruptionTarget";
  pattern.status = "True";
  rules.push_back(disrupted);
  run.settle();

  Pod& evicted = run.of_index(0);
  run.end_pod(evicted, false, 1);
  auto& condition = evicted.status.conditions.emplace_back();
  condition.type = "DisruptionTarget";
  condition.status = "True";
  run.end_pod(run.of_index(1), false, 43);
  run.settle();
  CHECK(run.job.status.failed == 1);
  CHECK(run.job.status.failedIndexes == "1");
  run.now += Seconds{10};
  run.settle();
  const auto& annotations = run.of_index(0).metadata.annotations;
  CHECK(annotations.at("batch.kubernetes.io/job-index-failure-count") == "0");
  CHECK(annotations.at("batch.kubernetes.io/job-index-ignored-failure-count") == "1");

  const std::string name = run.of_index(2).metadata.name;
  run.end_pod(run.of_index(2), false, 42);
  run.settle();
  CHECK(run.condition("FailureTarget") ==
        "True PodFailurePolicy: Container c for pod default/" + name +
            " failed with exit code 42 matching FailJob rule at index 0");
}

TEST_CASE("job: the success policy ends the Job early; pods that still run count as nothing") {
  JobRun run(5, 5, true);
  auto& rule = run.job.spec.successPolicy.ensure().rules.emplace_back();
  rule.succeededIndexes = "0,2-3";
  rule.succeededCount = 2;
  run.settle();
  run.end_pod(run.of_index(1), true);
  run.end_pod(run.of_index(2), true);
  run.settle();
  CHECK(run.condition("SuccessCriteriaMet").empty());
  run.end_pod(run.of_index(0), true);
  run.settle();
  CHECK(run.condition("SuccessCriteriaMet") == "True SuccessPolicy: Matched rules at index 0");
  CHECK(run.condition("Complete") == "True SuccessPolicy: Matched rules at index 0");
  CHECK(run.job.status.completedIndexes == "0-2");
  CHECK(run.job.status.failed == 0);
  CHECK(run.active().empty());
}

TEST_CASE("job: suspending removes pods without failures, resuming starts anew") {
  JobRun run(3, 2);
  run.settle();
  run.job.spec.suspend = true;
  run.settle();
  CHECK(run.pods.empty());
  CHECK(run.job.status.active == 0);
  CHECK(run.job.status.failed == 0);
  CHECK(run.condition("Suspended") == "True JobSuspended: Job suspended");
  run.now += Seconds{100};
  run.job.spec.suspend = false;
  run.settle();
  CHECK(run.active().size() == 2);
  CHECK(run.condition("Suspended") == "False JobResumed: Job resumed");
  CHECK(run.job.status.startTime->wall() == run.now);
  CHECK(run.events == Texts{"Suspended: Job suspended", "Resumed: Job resumed"});

  JobRun asleep;
  asleep.job.spec.suspend = true;
  asleep.settle();
  CHECK(asleep.pods.empty());
  CHECK_FALSE(asleep.job.status.startTime);
}

TEST_CASE("job: the deadline ends it") {
  JobRun run(3, 2);
  run.job.spec.activeDeadlineSeconds = 30;
  run.settle();
  CHECK(run.plan().look_again == Micros(Seconds{30}));
  run.now += Seconds{30};
  run.settle();
  CHECK(run.condition("Failed") ==
        "True DeadlineExceeded: Job was active longer than specified deadline");
  CHECK(run.active().empty());
  CHECK(run.job.status.failed == 2);
}

TEST_CASE("job: replacements wait for the end of a pod where only failed ones are replaced") {
  for (const bool wait : {false, true}) {
    JobRun run(1, 1);
    run.job.spec.podReplacementPolicy = wait ? "Failed" : "TerminatingOrFailed";
    run.settle();
    run.active()[0]->metadata.deletionTimestamp = Time(run.now);
    const auto plan = run.plan();
    CHECK(plan.terminating == 1);
    CHECK(plan.look_again.has_value() == !wait);  // counted as a failure at once, or not yet
    run.round();
    CHECK(run.job.status.failed == (wait ? 0 : 1));
    if (!wait) continue;
    run.end_pod(run.pods[0], false);
    run.settle();
    CHECK(run.job.status.failed == 1);
  }
}

TEST_CASE("job: restarts in place count against the limit") {
  JobRun run(1, 1);
  run.job.spec.template_.spec.restartPolicy = "OnFailure";
  run.job.spec.backoffLimit = 3;
  run.settle();
  run.pods[0].status.phase = "Running";
  run.pods[0].status.containerStatuses.emplace_back().restartCount = 2;
  run.settle();
  CHECK(job_end(run.job) == nullptr);
  run.pods[0].status.containerStatuses[0].restartCount = 3;
  run.settle();
  CHECK(run.condition("Failed").starts_with("True BackoffLimitExceeded"));
}

TEST_CASE("job: without completions one success is enough, the others may end") {
  JobRun run(0, 3);
  run.job.spec.completions.reset();
  run.settle();
  REQUIRE(run.active().size() == 3);
  run.end_pod(*run.active()[0], true);
  run.settle();
  CHECK(run.active().size() == 2);
  CHECK(job_end(run.job) == nullptr);
  for (auto* pod : run.active()) run.end_pod(*pod, true);
  run.settle();
  CHECK(is_job_succeeded(run.job));
  CHECK(run.job.status.succeeded == 3);
}

TEST_CASE("job: nothing is created or deleted while the cache is behind") {
  JobRun run;
  JobInput in = run.input();
  in.may_act = false;
  const auto plan = plan_job(in);
  CHECK(plan.creates.empty());
  CHECK_FALSE(plan.managed);
  CHECK_FALSE(count_job(in, plan, true).finished);
}

TEST_CASE("job: odd sizes") {
  JobRun none(0, 5);
  none.settle();
  CHECK(is_job_succeeded(none.job));
  JobRun stopped(5, 0);
  stopped.settle();
  CHECK(stopped.pods.empty());
  CHECK(job_end(stopped.job) == nullptr);
  JobRun huge(INT32_MAX, INT32_MAX, true);
  CHECK(huge.plan().creates.size() == 500);
  JobRun few(2, 2);
  few.settle();
  few.job.spec.parallelism = 1;
  few.settle();
  CHECK(few.active().size() == 1);
  CHECK(few.job.status.failed == 0);
}

}  // namespace
}  // namespace orch::server
