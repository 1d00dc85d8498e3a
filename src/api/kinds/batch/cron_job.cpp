// batch/v1 CronJob.
#include "api/kinds/apps/workload.h"
#include "api/kinds/batch/job.h"

namespace orch::api {
namespace {

using batchv1::CronJob;

void cron_job_defaults(Object& object) {
  auto& spec = static_cast<CronJob&>(object).spec;
  default_job_template(spec.jobTemplate.spec);
  if (spec.concurrencyPolicy.empty()) spec.concurrencyPolicy = "Allow";
  if (!spec.suspend) spec.suspend = false;
  if (!spec.successfulJobsHistoryLimit) spec.successfulJobsHistoryLimit = 3;
  if (!spec.failedJobsHistoryLimit) spec.failedJobsHistoryLimit = 1;
}

void prepare_cron_job_status(Object& object, const Object& old) {
  static_cast<CronJob&>(object).spec = static_cast<const CronJob&>(old).spec;
}

std::vector<Cell> cron_job_row(const Object& object, WallTime now) {
  const auto& job = static_cast<const CronJob&>(object);
  const auto& made = job.spec.jobTemplate.spec;
  const auto& last = job.status.lastScheduleTime;
  std::vector<Cell> cells = {name_cell(object),
                             text(job.spec.schedule),
                             text(job.spec.timeZone.value_or("<none>")),
                             text(!job.spec.suspend   ? "<unset>"
                                  : *job.spec.suspend ? "True"
                                                      : "False"),
                             number(static_cast<int64_t>(job.status.active.size())),
                             text(last ? age_of(*last, now) : "<none>"),
                             age_cell(object, now)};
  add_wide_cells(cells, made.template_.spec,
                 made.selector ? selector_text(*made.selector) : "<none>");
  return cells;
}

}  // namespace

ResourceInfo cron_jobs_resource() {
  auto info = stored_resource<CronJob>("cronjobs", "cronjob", true);
  info.short_names = {"cj"};
  info.categories = {"all"};
  info.has_status = true;
  info.set_defaults = cron_job_defaults;
  info.prepare = prepare_spec_and_status<CronJob>;
  info.prepare_status = prepare_cron_job_status;
  info.columns = {name_column(),
                  column("Schedule", "string", "When it starts Jobs, as cron says it."),
                  column("Timezone", "string", "Where that time is meant."),
                  column("Suspend", "boolean", "Whether it starts none for now."),
                  column("Active", "integer", "Jobs that run."),
                  column("Last Schedule", "string", "When it started one last."),
                  age_column()};
  add_wide_columns(info);
  info.row = cron_job_row;
  return info;
}

}  // namespace orch::api
