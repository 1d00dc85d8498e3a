#include "kinds_support.h"
#include "orch/api/batchv1.h"

namespace orch::api::test {
namespace {

using batchv1::CronJob;
using batchv1::Job;

constexpr const char* kJob = R"({"metadata":{"name":"pi","namespace":"default","uid":"u1"},
  "spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never",
  "containers":[{"name":"c","image":"perl:5"}]}}}})";

Job created(const std::string& json) {
  auto job = decoded<Job>(json);
  job.metadata.uid = "u1";
  resource_of<Job>().prepare(job, nullptr, {});
  return job;
}

TEST_CASE("jobs: defaults, labels and selector") {
  const auto job = created(kJob);
  CHECK(job.spec.completions == 1);
  CHECK(job.spec.parallelism == 1);
  CHECK(job.spec.backoffLimit == 6);
  CHECK(job.spec.completionMode == "NonIndexed");
  CHECK(job.spec.suspend == false);
  CHECK(job.spec.podReplacementPolicy == "TerminatingOrFailed");
  CHECK(job.metadata.generation == 1);
  CHECK(job.metadata.labels == std::map<std::string, std::string>{{"a", "b"}});
  CHECK(job.spec.template_.metadata.labels ==
        std::map<std::string, std::string>{{"a", "b"},
                                           {"batch.kubernetes.io/controller-uid", "u1"},
                                           {"batch.kubernetes.io/job-name", "pi"},
                                           {"controller-uid", "u1"},
                                           {"job-name", "pi"}});
  CHECK(to_json(*job.spec.selector) ==
        R"({"matchLabels":{"batch.kubernetes.io/controller-uid":"u1"}})");

  auto indexed = decoded<Job>(R"({"spec":{"parallelism":3,"backoffLimitPerIndex":1,
      "podFailurePolicy":{"rules":[{"action":"Ignore","onPodConditions":[{"type":"X"}]}]}}})");
  CHECK_FALSE(indexed.spec.completions);
  CHECK(indexed.spec.backoffLimit == 2147483647);
  CHECK(indexed.spec.podReplacementPolicy == "Failed");
  CHECK(indexed.spec.podFailurePolicy->rules[0].onPodConditions[0].status == "True");

  auto manual = decoded<Job>(kJob);
  manual.spec.manualSelector = true;
  resource_of<Job>().prepare(manual, nullptr, {});
  CHECK_FALSE(manual.spec.selector);
}

TEST_CASE("jobs: rows") {
  auto job = created(kJob);
  const WallTime now{Seconds{1000}};
  const auto shown = [&] {
    auto all = cells(job, now);
    all.resize(4);
    return all;
  };
  CHECK(shown() == Texts{"pi", "Running", "0/1", ""});
  job.status.startTime = Time(now - Seconds{90});
  CHECK(shown() == Texts{"pi", "Running", "0/1", "90s"});
  job.status.completionTime = Time(now - Seconds{80});
  job.status.succeeded = 1;
  job.status.conditions.emplace_back();
  job.status.conditions[0].type = "Complete";
  job.status.conditions[0].status = "True";
  CHECK(shown() == Texts{"pi", "Complete", "1/1", "10s"});
  CHECK(resource_of<Job>().field_value(job, "status.successful") == "1");
  job.spec.completions.reset();
  job.spec.parallelism = 3;
  job.status.conditions[0].type = "Suspended";
  CHECK(shown() == Texts{"pi", "Suspended", "1/1 of 3", "10s"});
  job.metadata.deletionTimestamp = Time(now);
  CHECK(shown()[1] == "Terminating");
}

TEST_CASE("cron jobs: defaults and rows") {
  auto job = decoded<CronJob>(R"({"metadata":{"name":"c"},"spec":{"schedule":"* * * * *",
      "jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"x","image":"i"}]}}}}}})");
  CHECK(job.spec.concurrencyPolicy == "Allow");
  CHECK(job.spec.suspend == false);
  CHECK(job.spec.successfulJobsHistoryLimit == 3);
  CHECK(job.spec.failedJobsHistoryLimit == 1);
  CHECK_FALSE(job.spec.jobTemplate.spec.completions);
  CHECK(job.spec.jobTemplate.spec.template_.spec.schedulerName == "default-scheduler");
  CHECK(cells(job) ==
        Texts{"c", "* * * * *", "<none>", "False", "0", "<none>", "<unknown>", "x", "i", "<none>"});
  job.spec.timeZone = "Etc/UTC";
  job.status.active.resize(2);
  job.status.lastScheduleTime = Time(WallTime{});
  CHECK(cells(job, WallTime{Seconds{30}}) ==
        Texts{"c", "* * * * *", "Etc/UTC", "False", "2", "30s", "<unknown>", "x", "i", "<none>"});
}

}  // namespace
}  // namespace orch::api::test
