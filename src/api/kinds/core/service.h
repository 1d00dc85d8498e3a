// The rules of a Service; its strategy is in service.cpp.
#pragma once

#include "api/kinds/common.h"

namespace orch::api {

void validate_service(const Object& now, const Object* old, FieldErrors& errors);
void validate_service_status(const Object& now, const Object& old, FieldErrors& errors);

}  // namespace orch::api
