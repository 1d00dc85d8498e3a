#include "server/registry/storage_form.h"

#include "orch/api/codec.h"
#include "orch/api/storage_version.h"
#include "server/registry/registry.h"

namespace orch::server {

const api::ResourceInfo& kept_as(const api::ResourceInfo& resource) {
  const api::StorageVersion* other = api::storage_version(resource);
  return other == nullptr ? resource : *other->resource;
}

storage::Bytes for_store(const api::ResourceInfo& resource, const api::Object& object,
                         std::string_view json) {
  const api::StorageVersion* other = api::storage_version(resource);
  if (other == nullptr) return Stored::pack(json);
  return Stored::pack(Registry::encode(*other->to_stored(object)));
}

storage::Bytes for_store(const api::ResourceInfo& resource, const api::Object& object) {
  return for_store(resource, object, Registry::encode(object));
}

Stored from_store(const api::ResourceInfo& resource, Stored kept) {
  const api::StorageVersion* other = api::storage_version(resource);
  if (other == nullptr) return kept;
  auto object = api::decode_object(kept.raw(), *other->resource->type);
  if (!object) return kept;
  return {Stored::pack(Registry::encode(*other->from_stored(**object))), kept.revision()};
}

}  // namespace orch::server
