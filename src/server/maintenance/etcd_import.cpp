#include "server/maintenance/etcd_import.h"

#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/api/scheme.h"
#include "server/registry/registry.h"
#include "server/registry/storage_form.h"

namespace orch::server {
namespace {

constexpr std::string_view kEnvelope("k8s\0", 4);

struct Converted {
  std::string key;
  storage::Bytes value;
};
// Error: the reason to leave it out.
Result<Converted, std::string> convert(std::string_view value) {
  api::GroupVersionKind kind;
  std::string json;
  std::string_view raw;
  if (value.starts_with(kEnvelope)) {
    auto unwrapped = api::unwrap_protobuf(value);
    if (!unwrapped) return Err(std::string("not decodable"));
    const size_t slash = unwrapped->api_version.find('/');
    kind.group = slash == std::string::npos ? "" : unwrapped->api_version.substr(0, slash);
    kind.version = unwrapped->api_version.substr(slash == std::string::npos ? 0 : slash + 1);
    kind.kind = unwrapped->kind;
    raw = unwrapped->raw;
  } else if (value.starts_with('{')) {
    auto peeked = api::peek_kind(value);
    if (!peeked || peeked->kind.empty()) return Err(std::string("no object of the API"));
    kind = *peeked;
    json = value;
  } else {
    return Err(std::string("no object of the API"));
  }
  const api::ResourceInfo* resource =
      api::find_resource_by_kind(kind.group, kind.version, kind.kind);
  if (!resource || !resource->stored) {
    return Err(fmt::format("{} {}, which orch does not keep", kind.api_version(), kind.kind));
  }
  const std::string what = fmt::format("{} {} that does not decode", kind.api_version(), kind.kind);
  if (!raw.empty()) {
    auto text = api::protobuf_to_json(raw, *resource->type);
    if (!text) return Err(what);
    json = std::move(*text);
  }
  auto object = api::decode_object(json, *resource->type);
  if (!object) return Err(what);
  const auto& metadata = (*object)->metadata;
  if (metadata.name.empty()) return Err(what);
  return Converted{Registry::key(*resource, metadata.namespace_, metadata.name),
                   for_store(*resource, **object)};
}

}  // namespace

storage::StoreResult<EtcdImport> import_kubernetes(storage::SnapshotContent foreign,
                                                   const storage::ValueTransformer* encryption) {
  EtcdImport result;
  result.content.revision = foreign.revision;
  result.content.leases = std::move(foreign.leases);
  for (storage::SnapshotEntry& entry : foreign.entries) {
    if (encryption) {
      ORCH_TRY(auto plain, encryption->from_disk(*entry.kv.key, entry.kv.value));
      entry.kv.value = std::move(plain.value);
    }
    auto converted = convert(*entry.kv.value);
    if (!converted) {
      ++result.left_out[converted.error()];
      continue;
    }
    entry.kv.key = std::make_shared<const std::string>(std::move(converted->key));
    entry.kv.value = std::move(converted->value);
    if (encryption) {
      ORCH_TRY(entry.kv.value, encryption->to_disk(*entry.kv.key, entry.kv.value));
    }
    ++result.objects;
    result.content.entries.push_back(std::move(entry));
  }
  return result;
}

}  // namespace orch::server
