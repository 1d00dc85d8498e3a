// The CronJob controller's pure core.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/batchv1.h"
#include "orch/base/clock.h"
#include "orch/base/cron.h"

namespace orch::server {

using JobPtr = std::shared_ptr<const api::batchv1::Job>;

struct CronEvent {
  std::string type, reason, message;
};

// What the Jobs that are there make of the status.
struct CronReview {
  api::batchv1::CronJobStatus status;
  std::vector<JobPtr> expired;  // beyond the history limits, oldest first
  // In the active list, but not in the cache: either gone or not seen yet.
  std::vector<api::corev1::ObjectReference> missing;
  // Running and not in the active list; by name.
  std::vector<JobPtr> unexpected;
  std::vector<CronEvent> events;
};
CronReview review_cron_jobs(const api::batchv1::CronJob& cron, const std::vector<JobPtr>& jobs);

// Error: what is wrong with the schedule or its zone, as an event.
Result<CronSchedule, CronEvent> cron_schedule(const api::batchv1::CronJob& cron);

// Whether a Job is due. `cron.status` is the reviewed one.
struct CronStart {
  std::optional<int64_t> due;  // unix seconds of the scheduled time of the Job to create
  bool replace = false;        // the active Jobs are deleted first
  std::vector<CronEvent> events;
  std::optional<Micros> look_again;
};
CronStart plan_cron_start(const api::batchv1::CronJob& cron, const CronSchedule& schedule,
                          WallTime now);

// The Job of a scheduled time: named after it, so that it is never made twice.
api::batchv1::Job cron_job_at(const api::batchv1::CronJob& cron, int64_t scheduled);

}  // namespace orch::server
