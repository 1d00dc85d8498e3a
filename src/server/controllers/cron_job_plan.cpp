#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "orch/api/error.h"
#include "server/controllers/cron_job.h"
#include "server/controllers/job.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using batchv1::CronJob;
using batchv1::Job;

namespace {

constexpr Micros kAfterSchedule = Millis{100};  // so that the clock is past it
constexpr int64_t kManyMissed = 100;

// The oldest of `jobs` beyond the limit; those that never started are the youngest.
void add_oldest(std::vector<JobPtr> jobs, const std::optional<int32_t>& limit,
                std::vector<JobPtr>& out) {
  if (!limit || static_cast<int64_t>(jobs.size()) <= *limit) return;
  const auto rank = [](const JobPtr& job) {
    const auto& start = job->status.startTime;
    return std::make_tuple(!start.has_value(), start ? start->unix_seconds : 0, job->metadata.name);
  };
  std::sort(jobs.begin(), jobs.end(),
            [&](const JobPtr& a, const JobPtr& b) { return rank(a) < rank(b); });
  out.insert(out.end(), jobs.begin(), jobs.end() - std::max(0, *limit));
}

struct Missed {
  int64_t since;                // what the schedule was followed from
  std::optional<int64_t> last;  // the latest time that has passed
  int64_t count = 0;            // an estimate, as upstream's
  bool impossible = false;
};

Missed missed_times(const CronJob& cron, const CronSchedule& schedule, int64_t now,
                    bool with_deadline) {
  Missed out{cron.status.lastScheduleTime ? cron.status.lastScheduleTime->unix_seconds
                                          : cron.metadata.creationTimestamp.unix_seconds,
             std::nullopt};
  if (with_deadline && cron.spec.startingDeadlineSeconds) {
    const int64_t window = std::min<int64_t>(*cron.spec.startingDeadlineSeconds, now);
    out.since = std::max(out.since, now - window);
  }
  const auto first = schedule.next(out.since);
  const auto second = first ? schedule.next(*first) : std::nullopt;
  if (!first || !second) {
    out.impossible = !first;
    if (first && *first <= now) out.last = *first;
    return out;
  }
  if (now < *first) return out;
  if (now < *second) {
    out.last = *first;
    return out;
  }
  // The distance of the first two only estimates how many there were: it says where to look on.
  const int64_t distance = *second - *first;
  out.count = (now - *first) / distance + 1;
  auto at = schedule.next(*first + (out.count - 2) * distance);
  for (; at && *at <= now; at = schedule.next(*at)) out.last = at;
  return out;
}

Micros until_next(const CronJob& cron, const CronSchedule& schedule, WallTime now) {
  const int64_t seconds = Time(now).unix_seconds;
  const Missed missed = missed_times(cron, schedule, seconds, false);
  const int64_t from = missed.impossible   ? seconds
                       : missed.last       ? *missed.last
                       : missed.count == 0 ? missed.since
                                           : seconds;
  const auto next = schedule.next(from);
  // None in five years: then it is asked again tomorrow.
  if (!next) return std::chrono::hours{24};
  return std::max(Micros{0}, WallTime{Seconds{*next}} - now) + kAfterSchedule;
}

}  // namespace

CronReview review_cron_jobs(const CronJob& cron, const std::vector<JobPtr>& jobs) {
  CronReview out;
  out.status = cron.status;
  auto& active = out.status.active;
  const auto is_active = [&](const std::string& uid) {
    return std::any_of(active.begin(), active.end(), [&](const auto& r) { return r.uid == uid; });
  };
  std::vector<JobPtr> succeeded, failed;
  for (const auto& job : jobs) {
    const auto* end = job_end(*job);
    if (end == nullptr) {
      if (!is_active(job->metadata.uid)) out.unexpected.push_back(job);
      continue;
    }
    (end->type == "Complete" ? succeeded : failed).push_back(job);
    if (is_active(job->metadata.uid)) {
      std::erase_if(active, [&](const auto& r) { return r.uid == job->metadata.uid; });
      out.events.push_back(
          {"Normal", "SawCompletedJob",
           fmt::format("Saw completed job: {}, condition: {}", job->metadata.name, end->type)});
    }
    const auto& completed = job->status.completionTime;
    auto& last = out.status.lastSuccessfulTime;
    if (end->type == "Complete" && completed &&
        (!last || completed->unix_seconds > last->unix_seconds)) {
      last = completed;
    }
  }
  add_oldest(std::move(succeeded), cron.spec.successfulJobsHistoryLimit, out.expired);
  add_oldest(std::move(failed), cron.spec.failedJobsHistoryLimit, out.expired);
  for (const auto& reference : active) {
    const bool there = std::any_of(jobs.begin(), jobs.end(), [&](const auto& job) {
      return job->metadata.uid == reference.uid;
    });
    if (!there) out.missing.push_back(reference);
  }
  return out;
}

Result<CronSchedule, CronEvent> cron_schedule(const CronJob& cron) {
  const auto& spec = cron.spec;
  TimeZone zone;
  if (spec.timeZone) {
    auto named = TimeZone::load(*spec.timeZone);
    if (!named) {
      return Err(CronEvent{
          "Warning", "UnknownTimeZone",
          fmt::format("invalid timeZone: {}: {}", go_quoted(*spec.timeZone), named.error())});
    }
    zone = std::move(*named);
  } else {
    zone = TimeZone::local();
  }
  auto schedule = CronSchedule::parse(spec.schedule, zone);
  if (!schedule) {
    return Err(CronEvent{
        "Warning", "UnparseableSchedule",
        fmt::format("unparseable schedule: {} : {}", go_quoted(spec.schedule), schedule.error())});
  }
  return std::move(*schedule);
}

CronStart plan_cron_start(const CronJob& cron, const CronSchedule& schedule, WallTime now) {
  CronStart out;
  const int64_t seconds = Time(now).unix_seconds;
  const Missed missed = missed_times(cron, schedule, seconds, true);
  out.look_again = until_next(cron, schedule, now);
  if (!missed.last) return out;
  if (missed.count > kManyMissed) {
    out.events.push_back({"Warning", "TooManyMissedTimes",
                          "too many missed start times. Set or decrease "
                          ".spec.startingDeadlineSeconds or check clock skew"});
  }
  const int64_t due = *missed.last;
  // Not too late for its deadline: missed_times() looks no further back.
  const std::string name = cron_job_at(cron, due).metadata.name;
  const auto& active = cron.status.active;
  const bool running = std::any_of(active.begin(), active.end(),
                                   [&](const auto& reference) { return reference.name == name; });
  if (running ||
      (cron.status.lastScheduleTime && cron.status.lastScheduleTime->unix_seconds == due)) {
    return out;
  }
  if (cron.spec.concurrencyPolicy == "Forbid" && !active.empty()) {
    out.events.push_back({"Normal", "JobAlreadyActive",
                          "Not starting job because prior execution is running and concurrency "
                          "policy is Forbid"});
    return out;
  }
  out.replace = cron.spec.concurrencyPolicy == "Replace" && !active.empty();
  out.due = due;
  return out;
}

Job cron_job_at(const CronJob& cron, int64_t scheduled) {
  const auto& made = cron.spec.jobTemplate;
  Job job;
  job.metadata.name = fmt::format("{}-{}", cron.metadata.name, scheduled / 60);
  job.metadata.namespace_ = cron.metadata.namespace_;
  job.metadata.labels = made.metadata.labels;
  job.metadata.annotations = made.metadata.annotations;
  const TimeZone zone = TimeZone::load(cron.spec.timeZone.value_or("")).value_or(TimeZone{});
  job.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] =
      zone.rfc3339(scheduled);
  job.metadata.ownerReferences = {make_controller_ref(cron)};
  job.spec = made.spec;
  return job;
}

}  // namespace orch::server
