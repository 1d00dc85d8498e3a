// batch/v1 CronJob.
#include "api/kinds/apps/workload.h"
#include "api/kinds/batch/job.h"
#include "api/kinds/checks.h"
#include "api/validation/go_value.h"
#include "orch/base/cron.h"
#include "orch/base/strings.h"

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

void validate_time_zone(const std::string& zone, FieldErrors& errors) {
  const std::string path = "spec.timeZone";
  if (zone.empty()) {
    errors.invalid(path, quoted(zone), "timeZone must be nil or non-empty string");
    return;
  }
  if (iequals(zone, "Local")) {
    errors.invalid(path, quoted(zone),
                   "timeZone must be an explicit time zone as defined in "
                   "https://www.iana.org/time-zones");
  }
  if (const auto known = TimeZone::load(zone); !known) {
    errors.invalid(path, quoted(zone), known.error());
  }
}

// Zones within the schedule are from before there was a field: an object that has one keeps it.
void validate_schedule(const CronJob& now, const CronJob* old, FieldErrors& errors) {
  const auto& schedule = now.spec.schedule;
  if (schedule.empty()) return errors.required("spec.schedule");
  if (const auto read = CronSchedule::parse(schedule); !read) {
    errors.invalid("spec.schedule", quoted(schedule), read.error());
  }
  if (schedule.find("TZ") == std::string::npos) return;
  if (old == nullptr || old->spec.schedule.find("TZ") == std::string::npos) {
    errors.invalid("spec.schedule", quoted(schedule),
                   "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  } else if (now.spec.timeZone) {
    errors.invalid("spec.schedule", quoted(schedule),
                   "cannot use both timeZone field and TZ or CRON_TZ in schedule");
  }
}

void validate_cron_job(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const CronJob&>(object);
  const auto* old = static_cast<const CronJob*>(old_object);
  const auto& spec = now.spec;
  // Names of its Jobs are eleven characters longer.
  constexpr size_t kNameMax = 52;
  if (now.metadata.name.size() > kNameMax &&
      (old == nullptr || old->metadata.name.size() <= kNameMax)) {
    errors.invalid("metadata.name", quoted(now.metadata.name),
                   "must be no more than 52 characters");
  }
  validate_schedule(now, old, errors);
  if (spec.startingDeadlineSeconds) {
    validate_non_negative(*spec.startingDeadlineSeconds, "spec.startingDeadlineSeconds", errors);
  }
  if (spec.timeZone && (old == nullptr || old->spec.timeZone != spec.timeZone)) {
    validate_time_zone(*spec.timeZone, errors);
  }
  if (spec.concurrencyPolicy.empty()) {
    errors.required("spec.concurrencyPolicy");
  } else {
    check_one_of(spec.concurrencyPolicy, "spec.concurrencyPolicy", {"Allow", "Forbid", "Replace"},
                 errors);
  }
  const auto& made = spec.jobTemplate.spec;
  validate_job_template(made, "spec.jobTemplate.spec", errors);
  if (made.selector) {
    errors.invalid("spec.jobTemplate.spec.selector", go_value(made.selector),
                   "`selector` will be auto-generated");
  }
  if (made.manualSelector.value_or(false)) {
    errors.not_supported("spec.jobTemplate.spec.manualSelector", "true", {"nil", "false"});
  }
  if (spec.successfulJobsHistoryLimit) {
    validate_non_negative(*spec.successfulJobsHistoryLimit, "spec.successfulJobsHistoryLimit",
                          errors);
  }
  if (spec.failedJobsHistoryLimit) {
    validate_non_negative(*spec.failedJobsHistoryLimit, "spec.failedJobsHistoryLimit", errors);
  }
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
  info.validate = validate_cron_job;
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
