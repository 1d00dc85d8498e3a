// What the schemas of custom resources must be: structural. Pure; texts as upstream.
#pragma once

#include <string>

#include "orch/api/apiextensionsv1.h"
#include "orch/api/error.h"

namespace orch::api {

void validate_schema(const apiextensionsv1::JSONSchemaProps& schema, const std::string& path,
                     FieldErrors& errors);

}  // namespace orch::api
