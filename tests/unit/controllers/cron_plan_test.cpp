#include <catch2/catch.hpp>

#include "orch/api/codec.h"
#include "server/controllers/cron_job.h"

namespace orch::server {
namespace {

using api::Time;
using api::batchv1::CronJob;
using api::batchv1::Job;

constexpr int64_t kStart = 1'704'067'200;  // 2024-01-01T00:00:00Z

CronJob cron(const std::string& schedule) {
  CronJob out;
  out.metadata.name = "tick";
  out.metadata.namespace_ = "default";
  out.metadata.uid = "uid-tick";
  out.metadata.creationTimestamp = WallTime{Seconds{kStart}};
  out.spec.schedule = schedule;
  out.spec.timeZone = "UTC";
  out.spec.concurrencyPolicy = "Allow";
  out.spec.successfulJobsHistoryLimit = 3;
  out.spec.failedJobsHistoryLimit = 1;
  return out;
}

WallTime after(int64_t seconds) { return WallTime{Seconds{kStart + seconds}}; }

CronStart start(const CronJob& job, WallTime now) {
  auto schedule = cron_schedule(job);
  REQUIRE(schedule);
  return plan_cron_start(job, *schedule, now);
}

std::shared_ptr<Job> job(const std::string& name, const std::string& end = "", int64_t ended = 0) {
  auto out = std::make_shared<Job>();
  out->metadata.name = name;
  out->metadata.namespace_ = "default";
  out->metadata.uid = "uid-" + name;
  if (end.empty()) return out;
  out->status.startTime = Time(after(ended - 5));
  if (end == "Complete") out->status.completionTime = Time(after(ended));
  auto& condition = out->status.conditions.emplace_back();
  condition.type = end;
  condition.status = "True";
  return out;
}

api::corev1::ObjectReference active(const std::string& name) {
  api::corev1::ObjectReference out;
  out.name = name;
  out.namespace_ = "default";
  out.uid = "uid-" + name;
  return out;
}

TEST_CASE("cron: starts when due, sleeps until the next time otherwise") {
  CronJob hourly = cron("0 * * * *");
  auto plan = start(hourly, after(600));
  CHECK_FALSE(plan.due);
  CHECK(plan.look_again == Micros(Seconds{3000}) + Millis{100});
  plan = start(hourly, after(3600));
  REQUIRE(plan.due);
  CHECK(*plan.due == kStart + 3600);
  hourly.status.lastScheduleTime = Time(after(3600));
  plan = start(hourly, after(3601));
  CHECK_FALSE(plan.due);
  CHECK(plan.look_again == Micros(Seconds{3599}) + Millis{100});
}

TEST_CASE("cron: of missed starts only the last is made up for; many are complained about") {
  const CronJob every_minute = cron("* * * * *");
  auto plan = start(every_minute, after(60 * 50 + 5));
  CHECK(plan.due == kStart + 60 * 50);
  CHECK(plan.events.empty());
  plan = start(every_minute, after(60 * 101 + 5));
  CHECK(plan.due == kStart + 60 * 101);
  REQUIRE(plan.events.size() == 1);
  CHECK(plan.events[0].reason == "TooManyMissedTimes");
  CHECK(plan.events[0].message ==
        "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check "
        "clock skew");
}

TEST_CASE("cron: the deadline limits what is made up for") {
  CronJob hourly = cron("0 * * * *");
  hourly.spec.startingDeadlineSeconds = 100;
  CHECK(start(hourly, after(3699)).due == kStart + 3600);
  CHECK_FALSE(start(hourly, after(3800)).due);
  hourly.spec.startingDeadlineSeconds = INT64_MAX;
  CHECK(start(hourly, after(3800)).due == kStart + 3600);
}

TEST_CASE("cron: concurrency") {
  CronJob hourly = cron("0 * * * *");
  hourly.status.active = {active("tick-1")};
  CHECK(start(hourly, after(3600)).due);
  CHECK_FALSE(start(hourly, after(3600)).replace);
  hourly.spec.concurrencyPolicy = "Replace";
  CHECK(start(hourly, after(3600)).due);
  CHECK(start(hourly, after(3600)).replace);
  hourly.spec.concurrencyPolicy = "Forbid";
  const auto plan = start(hourly, after(3600));
  CHECK_FALSE(plan.due);
  REQUIRE(plan.events.size() == 1);
  CHECK(plan.events[0].reason == "JobAlreadyActive");
  CHECK(plan.events[0].message ==
        "Not starting job because prior execution is running and concurrency policy is Forbid");
  // Its own Job of this time is no other.
  hourly.spec.concurrencyPolicy = "Allow";
  hourly.status.active = {active("tick-" + std::to_string((kStart + 3600) / 60))};
  CHECK_FALSE(start(hourly, after(3600)).due);
}

TEST_CASE("cron: the Job of a time is named after it and says its time in the zone") {
  CronJob berlin = cron("0 9 * * *");
  berlin.spec.timeZone = "Europe/Berlin";
  berlin.spec.jobTemplate.metadata.labels = {{"a", "b"}};
  const auto plan = start(berlin, after(8 * 3600 + 1));
  REQUIRE(plan.due);
  const Job made = cron_job_at(berlin, *plan.due);
  CHECK(made.metadata.name == "tick-" + std::to_string((kStart + 8 * 3600) / 60));
  CHECK(made.metadata.annotations.at("batch.kubernetes.io/cronjob-scheduled-timestamp") ==
        "2024-01-01T09:00:00+01:00");
  CHECK(made.metadata.labels.at("a") == "b");
  CHECK(made.metadata.ownerReferences[0].uid == "uid-tick");
}

TEST_CASE("cron: mistakes in schedule and zone are events") {
  const auto refused = cron_schedule(cron("every day"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason == "UnparseableSchedule");
  CHECK(refused.error().message ==
        "unparseable schedule: \"every day\" : expected exactly 5 fields, found 2: [every day]");
  CronJob lost = cron("* * * * *");
  lost.spec.timeZone = "Moon/Crater";
  CHECK(cron_schedule(lost).error().message ==
        "invalid timeZone: \"Moon/Crater\": unknown time zone Moon/Crater");
  // A date that never comes: no start, and no hot loop.
  const auto plan = start(cron("0 0 31 2 *"), after(1'000'000));
  CHECK_FALSE(plan.due);
  CHECK(*plan.look_again >= Micros(Seconds{60}));
}

TEST_CASE("cron: what became of the Jobs") {
  CronJob tick = cron("* * * * *");
  tick.status.active = {active("done"), active("runs"), active("lost")};
  std::vector<JobPtr> jobs = {job("runs"),
                              job("stray"),
                              job("done", "Complete", 500),
                              job("old1", "Complete", 100),
                              job("old2", "Complete", 200),
                              job("old3", "Complete", 300),
                              job("bad1", "Failed", 100),
                              job("bad2", "Failed", 400)};
  const auto review = review_cron_jobs(tick, jobs);
  REQUIRE(review.status.active.size() == 2);
  CHECK(review.status.active[0].name == "runs");
  REQUIRE(review.missing.size() == 1);
  CHECK(review.missing[0].name == "lost");
  REQUIRE(review.unexpected.size() == 1);
  CHECK(review.unexpected[0]->metadata.name == "stray");
  CHECK(review.status.lastSuccessfulTime->wall() == after(500));
  REQUIRE(review.events.size() == 1);
  CHECK(review.events[0].message == "Saw completed job: done, condition: Complete");
  REQUIRE(review.expired.size() == 2);
  CHECK(review.expired[0]->metadata.name == "old1");
  CHECK(review.expired[1]->metadata.name == "bad1");
  tick.spec.successfulJobsHistoryLimit = 0;
  tick.spec.failedJobsHistoryLimit.reset();
  CHECK(review_cron_jobs(tick, jobs).expired.size() == 4);
}

}  // namespace
}  // namespace orch::server
