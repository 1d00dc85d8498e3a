// What Job and CronJob share: a CronJob holds the template of its Jobs.
#pragma once

#include <string>

#include "api/kinds/common.h"
#include "orch/api/batchv1.h"

namespace orch::api {

inline constexpr const char* kJobNameLabel = "batch.kubernetes.io/job-name";
inline constexpr const char* kControllerUidLabel = "batch.kubernetes.io/controller-uid";
// The same without a prefix, from before there were rules for that.
inline constexpr const char* kLegacyJobNameLabel = "job-name";
inline constexpr const char* kLegacyControllerUidLabel = "controller-uid";

// Defaults that a Job's spec has inside a CronJob too.
void default_job_template(batchv1::JobSpec& spec);
// And its rules; a Job's selector is not part of it.
void validate_job_template(const batchv1::JobSpec& spec, const std::string& path,
                           FieldErrors& errors);
// Whether a condition of this type is True.
bool job_has_condition(const batchv1::Job& job, std::string_view type);
void validate_job(const Object& now, const Object* old, FieldErrors& errors);
void validate_job_status(const Object& now, const Object& old, FieldErrors& errors);

}  // namespace orch::api
