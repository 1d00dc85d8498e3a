// What both versions of HorizontalPodAutoscaler share. Objects are kept as autoscaling/v2; the
// resource of autoscaling/v1 works on their v1 form.
#pragma once

#include <memory>

#include "api/kinds/common.h"
#include "orch/api/autoscalingv1.h"
#include "orch/api/autoscalingv2.h"

namespace orch::api {

// What v1 has no fields for goes through annotations autoscaling.alpha.kubernetes.io/...; an
// annotation that cannot be read is dropped.
std::unique_ptr<Object> autoscaler_to_v1(const Object& v2);
std::unique_ptr<Object> autoscaler_to_v2(const Object& v1);

void default_autoscaler(autoscalingv2::HorizontalPodAutoscaler& autoscaler);
void validate_autoscaler(const Object& v2, FieldErrors& errors);
void validate_autoscaler_status(const Object& v2, FieldErrors& errors);

}  // namespace orch::api
