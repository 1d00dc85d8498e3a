// Objects on their way to and from the store, in which some resources keep another's form
// (api::StorageVersion). Any thread.
#pragma once

#include "orch/api/scheme.h"
#include "server/registry/stored.h"

namespace orch::server {

// The resource under whose keys objects of `resource` are.
const api::ResourceInfo& kept_as(const api::ResourceInfo& resource);
// The store's value of an object; `json` is its Registry::encode().
storage::Bytes for_store(const api::ResourceInfo& resource, const api::Object& object,
                         std::string_view json);
storage::Bytes for_store(const api::ResourceInfo& resource, const api::Object& object);
// A value of the store as `resource` shows it. What does not decode stays as it is: whoever decodes
// it tells.
Stored from_store(const api::ResourceInfo& resource, Stored kept);

}  // namespace orch::server
