// Traits of upstream's strategies that ResourceInfo does not carry, by resource. Constant data.
#pragma once

#include "orch/api/scheme.h"

namespace orch::server {

// PUT to a name that does not exist creates it (AllowCreateOnUpdate).
bool create_on_update(const api::ResourceInfo& resource);
// PUT without resourceVersion overwrites (AllowUnconditionalUpdate).
bool unconditional_update(const api::ResourceInfo& resource);
// DELETE answers with the object instead of a Status (ReturnDeletedObject).
bool returns_deleted(const api::ResourceInfo& resource);
// DELETE that says nothing of dependents leaves them (DefaultGarbageCollectionPolicy): v1's old
// ways with Jobs and ReplicationControllers.
bool orphans_by_default(const api::ResourceInfo& resource);
bool is_resource(const api::ResourceInfo& resource, std::string_view group,
                 std::string_view plural);
// False: the collector does not look at it; policies mean nothing.
bool garbage_collected(const api::ResourceInfo& resource);

}  // namespace orch::server
