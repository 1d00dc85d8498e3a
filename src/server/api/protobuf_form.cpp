// Kubernetes' protobuf answers: objects are decoded from the stored JSON and encoded anew; lists
// and watch frames are framed by hand, since there is no struct for every list kind.
#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/api/metav1.h"
#include "server/api/encode.h"

namespace orch::server {
namespace {

// A value of any generated type, freed again.
class AnyValue {
 public:
  explicit AnyValue(const api::TypeInfo& type) : type_(type), value_(type.make()) {}
  ~AnyValue() { type_.destroy(value_); }
  AnyValue(const AnyValue&) = delete;
  void* get() { return value_; }

 private:
  const api::TypeInfo& type_;
  void* value_;
};

api::ApiResult<std::string> message_of(std::string_view json, const api::TypeInfo& type) {
  AnyValue value(type);
  if (auto decoded = api::decode_json(json, type, value.get()); !decoded) {
    return Err(api::internal_error("stored object does not decode: " + decoded.error().message));
  }
  std::string out;
  api::encode_protobuf(type, value.get(), out);
  return out;
}

}  // namespace

api::ApiResult<std::string> json_protobuf(std::string_view json, const api::TypeInfo& type) {
  ORCH_TRY(const std::string raw, message_of(json, type));
  auto kind = api::peek_kind(json);
  if (kind && !kind->kind.empty()) {
    return api::wrap_protobuf(kind->api_version(), kind->kind, raw);
  }
  const api::GroupVersionKind own{std::string(type.group), std::string(type.version),
                                  std::string(type.kind)};
  return api::wrap_protobuf(own.api_version(), own.kind, raw);
}

api::ApiResult<std::string> object_protobuf(const api::ResourceInfo& resource,
                                            const Stored& stored) {
  ORCH_TRY(const std::string raw, message_of(stored.json(), *resource.type));
  return api::wrap_protobuf(resource.api_version(), resource.kind, raw);
}

api::ApiResult<std::string> list_protobuf(const Encoding& encoding,
                                          const api::ResourceInfo& resource, const Page& page) {
  const bool metadata_only = encoding.metadata_only();
  api::metav1::ListMeta meta;
  if (page.revision != 0) meta.resourceVersion = std::to_string(page.revision);
  meta.continue_ = page.continue_;
  if (page.remaining) meta.remainingItemCount = *page.remaining;
  std::string meta_bytes;
  api::encode_protobuf(api::metav1::ListMeta::type_info(), &meta, meta_bytes);
  std::string raw;
  api::append_protobuf_field(raw, 1, meta_bytes);
  for (const Stored& item : page.items) {
    ORCH_TRY(const std::string bytes,
             metadata_only ? message_of(partial_metadata_json(item, encoding.form),
                                        api::metav1::PartialObjectMetadata::type_info())
                           : message_of(item.json(), *resource.type));
    api::append_protobuf_field(raw, 2, bytes);
  }
  if (metadata_only) {
    return api::wrap_protobuf(encoding.form.meta_version(), "PartialObjectMetadataList", raw);
  }
  return api::wrap_protobuf(resource.api_version(), std::string(resource.kind) + "List", raw);
}

std::string protobuf_watch_frame(std::string_view type, std::string_view enveloped_object) {
  std::string extension;  // RawExtension{raw}
  api::append_protobuf_field(extension, 1, enveloped_object);
  std::string event;  // WatchEvent{type, object}
  api::append_protobuf_field(event, 1, type);
  api::append_protobuf_field(event, 2, extension);
  std::string out;
  const auto size = static_cast<uint32_t>(event.size());
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xFF);
  return out + event;
}

}  // namespace orch::server
