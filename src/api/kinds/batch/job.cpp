// batch/v1 Job.
#include "api/kinds/batch/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "api/kinds/apps/workload.h"

namespace orch::api {

void default_job_template(batchv1::JobSpec& spec) {
  default_pod_spec(spec.template_.spec);
  if (!spec.podFailurePolicy) return;
  for (auto& rule : spec.podFailurePolicy->rules) {
    for (auto& pattern : rule.onPodConditions) {
      if (pattern.status.empty()) pattern.status = "True";
    }
  }
}

bool job_has_condition(const batchv1::Job& job, std::string_view type) {
  return std::any_of(job.status.conditions.begin(), job.status.conditions.end(),
                     [&](const auto& c) { return c.type == type && c.status == "True"; });
}

namespace {

using batchv1::Job;

void job_defaults(Object& object) {
  auto& job = static_cast<Job&>(object);
  auto& spec = job.spec;
  default_job_template(spec);
  if (!spec.completions && !spec.parallelism) spec.completions = spec.parallelism = 1;
  if (!spec.parallelism) spec.parallelism = 1;
  if (!spec.backoffLimit) {
    spec.backoffLimit = spec.backoffLimitPerIndex ? std::numeric_limits<int32_t>::max() : 6;
  }
  if (job.metadata.labels.empty()) job.metadata.labels = spec.template_.metadata.labels;
  if (!spec.completionMode) spec.completionMode = "NonIndexed";
  if (!spec.suspend) spec.suspend = false;
  if (!spec.podReplacementPolicy) {
    spec.podReplacementPolicy = spec.podFailurePolicy ? "Failed" : "TerminatingOrFailed";
  }
}

// Labels that only this Job's pods have, and the selector for them; what the user gave stays, and
// is refused by validation where it does not fit.
void generate_selector(Job& job) {
  auto& labels = job.spec.template_.metadata.labels;
  labels.emplace(kLegacyJobNameLabel, job.metadata.name);
  labels.emplace(kJobNameLabel, job.metadata.name);
  labels.emplace(kLegacyControllerUidLabel, job.metadata.uid);
  labels.emplace(kControllerUidLabel, job.metadata.uid);
  job.spec.selector.ensure().matchLabels.emplace(kControllerUidLabel, job.metadata.uid);
}

void prepare_job(Object& object, const Object* old, const StrategyContext& context) {
  prepare_spec_and_status<Job>(object, old, context);
  auto& job = static_cast<Job&>(object);
  if (old == nullptr && !job.spec.manualSelector.value_or(false)) generate_selector(job);
}

void prepare_job_status(Object& object, const Object& old) {
  static_cast<Job&>(object).spec = static_cast<const Job&>(old).spec;
}

std::string job_status_text(const Job& job) {
  if (job_has_condition(job, "Complete")) return "Complete";
  if (job_has_condition(job, "Failed")) return "Failed";
  if (job.metadata.deletionTimestamp) return "Terminating";
  for (const char* type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
    if (job_has_condition(job, type)) return type;
  }
  return "Running";
}

std::string completions_text(const Job& job) {
  const int succeeded = job.status.succeeded;
  if (job.spec.completions) return fmt::format("{}/{}", succeeded, *job.spec.completions);
  const int parallelism = job.spec.parallelism.value_or(0);
  return parallelism > 1 ? fmt::format("{}/1 of {}", succeeded, parallelism)
                         : fmt::format("{}/1", succeeded);
}

std::string duration_text(const Job& job, WallTime now) {
  if (!job.status.startTime) return "";
  if (!job.status.completionTime) return age_of(*job.status.startTime, now);
  return human_duration(
      Seconds(job.status.completionTime->unix_seconds - job.status.startTime->unix_seconds));
}

std::vector<Cell> job_row(const Object& object, WallTime now) {
  const auto& job = static_cast<const Job&>(object);
  std::vector<Cell> cells = {name_cell(object), text(job_status_text(job)),
                             text(completions_text(job)), text(duration_text(job, now)),
                             age_cell(object, now)};
  add_wide_cells(cells, job.spec.template_.spec,
                 job.spec.selector ? selector_text(*job.spec.selector) : "<none>");
  return cells;
}

}  // namespace

ResourceInfo jobs_resource() {
  auto info = stored_resource<Job>("jobs", "job", true);
  info.categories = {"all"};
  info.has_status = true;
  info.set_defaults = job_defaults;
  info.prepare = prepare_job;
  info.prepare_status = prepare_job_status;
  info.validate = validate_job;
  info.validate_status = validate_job_status;
  info.selectable_fields = {"status.successful"};
  info.field_value = [](const Object& object, std::string_view) {
    return std::to_string(static_cast<const Job&>(object).status.succeeded);
  };
  info.columns = {name_column(), column("Status", "string", "How far it is."),
                  column("Completions", "string", "Pods that succeeded of those needed."),
                  column("Duration", "string", "How long it ran, or runs."), age_column()};
  add_wide_columns(info);
  info.row = job_row;
  return info;
}

}  // namespace orch::api
