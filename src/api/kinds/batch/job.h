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

}  // namespace orch::api
