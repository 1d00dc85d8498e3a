// pods/resize: the generic verbs write it, with rules of its own: nothing but cpu and memory of
// containers changes.
#pragma once

#include "orch/api/error.h"
#include "orch/api/object.h"
#include "orch/api/scheme.h"

namespace orch::server {

bool resizes_pod(const api::ResourceInfo& resource, std::string_view subresource);
// Keeps everything of the old Pod but its containers' resources, and checks those. 422.
api::ApiResult<Unit> admit_pod_resize(const api::ResourceInfo& resource, const api::Object& old,
                                      api::Object& now);

}  // namespace orch::server
