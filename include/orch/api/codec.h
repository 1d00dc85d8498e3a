// Objects to bytes and back. Stateless; any thread. The only way in and out of API structs; the
// DOM libraries behind it stay in src/api/codec.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/object.h"
#include "orch/base/result.h"

namespace orch::api {

struct DecodeError {
  std::string message;  // e.g. `json: cannot unmarshal string into Go struct field ...`
  // Strict findings when decoding was not strict: texts as kubectl prints them
  // (`unknown field "spec.foo"`, `duplicate field "spec.replicas"`).
};

enum class MediaType : uint8_t { kJson, kYaml, kProtobuf };

struct DecodeOptions {
  // Collects `unknown field "..."` and `duplicate field "..."` texts; nullptr = do not look.
  std::vector<std::string>* strict_findings = nullptr;
  int depth_max = 10'000;
};

// Struct <-> JSON text. `out` is appended to. For top-level kinds "kind" and "apiVersion" come
// first (written from the TypeInfo; ignored on input: see peek_kind). Field order is Go's.
void encode_json(const TypeInfo& type, const void* value, std::string& out);
Result<Unit, DecodeError> decode_json(std::string_view json, const TypeInfo& type, void* value,
                                      const DecodeOptions& options = {});
// Struct <-> protobuf message, without the "k8s\0" envelope.
void encode_protobuf(const TypeInfo& type, const void* value, std::string& out);
Result<Unit, DecodeError> decode_protobuf(std::string_view bytes, const TypeInfo& type,
                                          void* value);
// "k8s\0" + runtime.Unknown{typeMeta, raw}.
std::string wrap_protobuf(std::string_view api_version, std::string_view kind,
                          std::string_view raw);
struct Unwrapped {
  std::string api_version, kind;
  std::string_view raw;  // into the input
};
Result<Unwrapped, DecodeError> unwrap_protobuf(std::string_view bytes);
// Between the two forms of one object (protobuf without the envelope).
Result<std::string, DecodeError> json_to_protobuf(std::string_view json, const TypeInfo& type);
Result<std::string, DecodeError> protobuf_to_json(std::string_view message, const TypeInfo& type);
// Appends a length-delimited field: parts of messages that have no struct. Every list kind is
// ListMeta metadata = 1 and repeated items = 2; metav1.WatchEvent is type = 1 and
// object{raw = 1} = 2.
void append_protobuf_field(std::string& out, int32_t number, std::string_view bytes);

// YAML (one document) -> JSON text, with alias-bomb and depth limits; duplicate keys are findings.
Result<std::string, DecodeError> yaml_to_json(std::string_view yaml,
                                              std::vector<std::string>* strict_findings = nullptr);
// Splits a stream at "---" lines, each converted; empty documents are skipped.
Result<std::vector<std::string>, DecodeError> yaml_documents_to_json(std::string_view yaml);
std::string json_to_yaml(std::string_view json);

struct GroupVersionKind {
  std::string group, version, kind;
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  auto operator<=>(const GroupVersionKind&) const = default;
};
// Reads only top-level apiVersion and kind (missing = ""), and no further than to both of them.
Result<GroupVersionKind, DecodeError> peek_kind(std::string_view json);

template <class T>
std::string to_json(const T& value) {
  std::string out;
  encode_json(T::type_info(), &value, out);
  return out;
}
template <class T>
Result<T, DecodeError> from_json(std::string_view json) {
  T value;
  ORCH_CHECK(decode_json(json, T::type_info(), &value));
  return value;
}
std::string to_json(const Object& object);  // by its dynamic type

// Decodes a JSON object of the given kind into a fresh Object of it.
Result<std::unique_ptr<Object>, DecodeError> decode_object(std::string_view json,
                                                           const TypeInfo& type,
                                                           const DecodeOptions& options = {});

}  // namespace orch::api
