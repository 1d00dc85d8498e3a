// Paths and operations of registered resources in the two OpenAPI dialects. Pure; any thread.
#pragma once

#include <functional>
#include <string>

#include "api/openapi/schemas.h"
#include "orch/api/scheme.h"

namespace orch::api::openapi {

// "api/v1", "apis/apps/v1".
std::string group_path(const ResourceInfo& resource);

// Calls `emit` for each path of the resource; adds the types it speaks to `closure`.
void for_each_path(
    Dialect dialect, const ResourceInfo& resource, Closure& closure,
    const std::function<void(const std::string& path, const doc::Value& item)>& emit);

}  // namespace orch::api::openapi
