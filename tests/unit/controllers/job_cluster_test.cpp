// Jobs, CronJobs and their ends against the API server, in virtual time.
#include "orch/api/batchv1.h"
#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;
using api::batchv1::Job;

constexpr const char* kJobs = "/apis/batch/v1/namespaces/default/jobs";

std::string job(const std::string& name, const std::string& spec_more) {
  return R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":")" + name +
         R"("},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[)"
         R"({"name":"c","image":"i"}]}})" +
         spec_more + "}}";
}

void end_pod(Cluster& c, const std::string& name, bool success) {
  const auto answer = c.patch(
      std::string(kPods) + "/" + name + "/status", "application/merge-patch+json",
      std::string(R"({"status":{"phase":")") + (success ? "Succeeded" : "Failed") + R"("}})");
  INFO(answer.body);
  REQUIRE(answer.status == 200);
}

// What agents do with pods that have not ended: start them, and remove those that are to go.
void run_pods(Cluster& c) {
  for (int round = 0; round < 10; ++round) {
    bool acted = false;
    for (const auto& pod : c.pods()) {
      const std::string path = std::string(kPods) + "/" + pod->metadata.name;
      if (pod->metadata.deletionTimestamp) {
        c.del(path + "?gracePeriodSeconds=0");
        acted = true;
      } else if (pod->status.phase == "Pending") {
        c.run_pod(path);
        acted = true;
      }
    }
    c.settle();
    if (!acted) return;
  }
  FAIL("pods never come to rest");
}

// Ends all pods that run, as the agents would see them end.
void end_pods(Cluster& c, bool success) {
  for (const auto& pod : c.pods()) {
    if (pod->status.phase == "Running") end_pod(c, pod->metadata.name, success);
  }
  c.settle();
}

Job get_job(Cluster& c, const std::string& name) {
  auto found = c.client.get<Job>("default", name);
  REQUIRE(found);
  return *found;
}

std::string reason_of(const Job& job, const std::string& type) {
  for (const auto& condition : job.status.conditions) {
    if (condition.type == type && condition.status == "True") return condition.reason;
  }
  return "";
}

TEST_CASE("a pod that ends while its Job is being suspended is counted, not deleted") {
  Cluster c;
  c.must_post(kJobs, job("work", R"(,"completions":2,"parallelism":2)"));
  c.settle();
  run_pods(c);
  const auto pods = c.pods();
  REQUIRE(pods.size() == 2);
  bool ended = false;
  c.transport->before = [&](const client::Request& request) {
    if (request.verb != "patch" || request.resource != "pods" || ended) return;
    ended = true;
    const auto answer = c.send("PATCH", std::string(kPods) + "/" + request.name + "/status",
                               R"({"status":{"phase":"Succeeded"}})",
                               {{"Content-Type", "application/merge-patch+json"}});
    REQUIRE(answer.status == 200);
  };
  REQUIRE(c.patch(std::string(kJobs) + "/work", "application/merge-patch+json",
                  R"({"spec":{"suspend":true}})")
              .status == 200);
  c.advance(Seconds{5});
  CHECK(ended);
  CHECK(get_job(c, "work").status.succeeded == 1);
  CHECK(get_job(c, "work").status.active == 0);
}

TEST_CASE("an indexed Job runs to its end, all is counted, nobody writes after") {
  Cluster c;
  c.must_post(kJobs, job("work", R"(,"completions":5,"parallelism":2,"completionMode":"Indexed")"));
  c.settle();
  REQUIRE(c.pods().size() == 2);
  run_pods(c);
  CHECK(get_job(c, "work").status.ready == 2);
  c.check_quiet();
  for (int i = 0; i < 3; ++i) {
    end_pods(c, true);
    run_pods(c);
  }
  const auto done = get_job(c, "work");
  CHECK(done.status.succeeded == 5);
  CHECK(done.status.completedIndexes == "0-4");
  CHECK(reason_of(done, "Complete") == "CompletionsReached");
  CHECK(done.status.active == 0);
  for (const auto& pod : c.pods()) CHECK(pod->metadata.finalizers.empty());
  CHECK(c.events_of("work").back() == "Completed: Job completed");
  c.check_quiet();
}

TEST_CASE("a failing Job backs off, then fails with its reason") {
  Cluster c;
  c.must_post(kJobs, job("bad", R"(,"backoffLimit":1)"));
  c.settle();
  run_pods(c);
  end_pods(c, false);
  CHECK(get_job(c, "bad").status.failed == 1);
  CHECK(c.pods().size() == 1);  // waits for 10 s
  c.advance(Seconds{11});
  REQUIRE(c.pods().size() == 2);
  run_pods(c);
  end_pods(c, false);
  const auto failed = get_job(c, "bad");
  CHECK(failed.status.failed == 2);
  CHECK(reason_of(failed, "Failed") == "BackoffLimitExceeded");
  CHECK(c.events_of("bad").back() ==
        "BackoffLimitExceeded: Job has reached the specified backoff limit");
  c.check_quiet();
}

TEST_CASE("a pod that is deleted behind a Job's back is a failure, and is replaced") {
  Cluster c;
  c.must_post(kJobs, job("work", R"(,"completions":1)"));
  c.settle();
  run_pods(c);
  c.must_delete(std::string(kPods) + "/" + c.pods()[0]->metadata.name);
  run_pods(c);
  CHECK(get_job(c, "work").status.failed == 1);
  c.advance(Seconds{11});
  run_pods(c);
  REQUIRE(c.pods().size() == 1);
  end_pods(c, true);
  CHECK(reason_of(get_job(c, "work"), "Complete") == "CompletionsReached");
}

TEST_CASE("pods of a deleted Job keep no finalizer: deleted with it, or orphaned") {
  Cluster c;
  for (const char* policy : {"Background", "Foreground", "Orphan"}) {
    INFO(policy);
    c.must_post(kJobs, job("work", R"(,"completions":3,"parallelism":3)"));
    c.settle();
    run_pods(c);
    REQUIRE(c.pods().size() == 3);
    c.must_delete(std::string(kJobs) + "/work", policy);
    run_pods(c);
    c.settle();
    CHECK(c.get(std::string(kJobs) + "/work").status == 404);
    if (std::string(policy) == "Orphan") {
      REQUIRE(c.pods().size() == 3);
      for (const auto& pod : c.pods()) CHECK(pod->metadata.finalizers.empty());
    } else {
      CHECK(c.pods().empty());
    }
  }
  c.check_quiet();
}

TEST_CASE("a suspended Job has no pods; another controller's Job is left alone") {
  Cluster c;
  c.must_post(kJobs, job("work", R"(,"completions":2,"parallelism":2)"));
  c.must_post(kJobs, job("theirs", R"(,"managedBy":"example.com/queue")"));
  c.settle();
  run_pods(c);
  REQUIRE(c.pods().size() == 2);
  const std::string path = std::string(kJobs) + "/work";
  c.patch(path, "application/merge-patch+json", R"({"spec":{"suspend":true}})");
  c.settle();
  run_pods(c);
  CHECK(c.pods().empty());
  CHECK(reason_of(get_job(c, "work"), "Suspended") == "JobSuspended");
  CHECK(get_job(c, "work").status.failed == 0);
  CHECK_FALSE(get_job(c, "theirs").status.startTime);
  c.check_quiet();
  c.patch(path, "application/merge-patch+json", R"({"spec":{"suspend":false}})");
  c.settle();
  run_pods(c);
  CHECK(c.pods().size() == 2);
  c.check_quiet();
}

TEST_CASE("a finished Job goes when its time to live is over, with its pods") {
  Cluster c;
  c.must_post(kJobs, job("brief", R"(,"ttlSecondsAfterFinished":30)"));
  c.settle();
  run_pods(c);
  end_pods(c, true);
  c.advance(Seconds{28});
  CHECK(c.get(std::string(kJobs) + "/brief").status == 200);
  c.advance(Seconds{3});
  CHECK(c.get(std::string(kJobs) + "/brief").status == 404);
  CHECK(c.pods().empty());
}

constexpr const char* kCronJobs = "/apis/batch/v1/namespaces/default/cronjobs";

std::string cron_job(const std::string& name, const std::string& spec_more) {
  return R"({"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":")" + name +
         R"("},"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":{"spec":)"
         R"({"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}})" +
         spec_more + "}}";
}

TEST_CASE("a CronJob starts a Job a minute and keeps some of the past") {
  Cluster c;
  c.must_post(kCronJobs, cron_job("tick", R"(,"successfulJobsHistoryLimit":1)"));
  c.settle();
  CHECK(c.all<Job>().empty());
  for (int minute = 0; minute < 3; ++minute) {
    c.advance(Seconds{60});
    run_pods(c);
    const auto running = c.client.get<api::batchv1::CronJob>("default", "tick");
    REQUIRE(running);
    CHECK(running->status.active.size() == 1);
    CHECK(running->status.lastScheduleTime);
    end_pods(c, true);
  }
  const auto jobs = c.all<Job>();
  REQUIRE(jobs.size() == 1);
  const auto done = c.client.get<api::batchv1::CronJob>("default", "tick");
  REQUIRE(done);
  CHECK(done->status.active.empty());
  CHECK(done->status.lastSuccessfulTime == jobs[0]->status.completionTime);
  CHECK(jobs[0]->metadata.ownerReferences[0].name == "tick");
  c.check_quiet();
}

TEST_CASE("a CronJob that may not overlap skips; one that replaces, replaces") {
  Cluster c;
  c.must_post(kCronJobs, cron_job("wait", R"(,"concurrencyPolicy":"Forbid")"));
  c.must_post(kCronJobs, cron_job("swap", R"(,"concurrencyPolicy":"Replace")"));
  c.must_post(kCronJobs, cron_job("off", R"(,"suspend":true)"));
  c.settle();
  std::string first;
  for (int minute = 0; minute < 2; ++minute) {
    c.advance(Seconds{60});
    run_pods(c);
    std::map<std::string, std::vector<std::string>> by_owner;
    for (const auto& made : c.all<Job>()) {
      by_owner[made->metadata.ownerReferences[0].name].push_back(made->metadata.name);
    }
    CHECK(by_owner["wait"].size() == 1);
    REQUIRE(by_owner["swap"].size() == 1);
    CHECK(by_owner["swap"][0] != first);
    first = by_owner["swap"][0];
    CHECK(by_owner.count("off") == 0);
  }
  CHECK(c.pods().size() == 2);
  CHECK(c.events_of("wait").back().starts_with("JobAlreadyActive: "));
}

}  // namespace
}  // namespace orch::server
