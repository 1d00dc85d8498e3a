// Resources that are another form of a resource under whose keys their objects are kept: what is
// written through one is seen through both. Pure; any thread.
#pragma once

#include <memory>

#include "orch/api/scheme.h"

namespace orch::api {

struct StorageVersion {
  const ResourceInfo* resource = nullptr;  // the one the objects are kept as
  // Between the two; nothing is lost, whichever way.
  std::unique_ptr<Object> (*to_stored)(const Object&) = nullptr;
  std::unique_ptr<Object> (*from_stored)(const Object&) = nullptr;
};

// nullptr: objects of the resource are kept as they are.
const StorageVersion* storage_version(const ResourceInfo& resource);

}  // namespace orch::api
