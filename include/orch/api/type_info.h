// What the code generator (protoc-gen-orch) writes about every API struct, and every walker reads:
// JSON, YAML, protobuf, defaulting, equality, OpenAPI, strategic merge, server-side apply, field
// selectors. Constant data; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace orch::api {

enum class FieldType : uint8_t {
  kString,       // std::string (also every Go string type)
  kBool,         // bool
  kInt32,        // int32_t
  kInt64,        // int64_t
  kDouble,       // double
  kBytes,        // std::string, base64 in JSON
  kMessage,      // a struct with its own TypeInfo
  kQuantity,     // Quantity
  kIntOrString,  // IntOrString
  kTime,         // Time
  kMicroTime,    // MicroTime
  kDuration,     // Duration
  kRawJson,      // RawJson
  kStringList,   // std::vector<std::string>: Go's named []string types (Verbs, ExtraValue)
};

enum class Shape : uint8_t {
  kSingle,    // T
  kOptional,  // Go pointer: std::optional<T> for scalars and the value types, Ptr<T> for messages
  kList,      // std::vector<T>
  kMap,       // std::map<std::string, T>
};

// The JSON form of a message. All but kObject are the "or" types of a JSON schema.
enum class JsonForm : uint8_t { kObject, kSchemaOrArray, kSchemaOrBool, kSchemaOrStringArray };

enum class ListType : uint8_t { kNone, kAtomic, kSet, kMap };

// Type-erased access to one container field (vector, map, optional, Ptr).
struct ContainerOps {
  size_t (*size)(const void* container);  // optional: 0 or 1
  void (*clear)(void* container);
  // kOptional: makes (or returns) the held value. kList: appends an empty element.
  // kMap: makes (or returns) the element of `key`. The reference holds until the next change.
  void* (*add)(void* container, std::string_view key);
  // Calls `visit` for each element in order; key is "" but for maps.
  void (*for_each)(const void* container, void* context,
                   void (*visit)(void* context, std::string_view key, const void* element));
};

struct TypeInfo;

struct FieldInfo {
  std::string_view json_name;  // wire spelling
  int32_t proto_number;        // 0: the type has no protobuf form
  FieldType type;
  Shape shape;
  uint32_t offset;                // of the member in its struct
  const TypeInfo* message;        // for kMessage (and lists and maps of them)
  const ContainerOps* container;  // for every shape but kSingle
  // JSON: absent when empty (Go omitempty). Structs of shape kSingle are always written, as Go
  // does.
  bool omit_empty;
  // Its fields stand in the parent's JSON object (Go ",inline"); the C++ struct derives from it,
  // so the offsets of its fields hold for the parent too.
  bool inlined;
  bool required;  // validation: must be given
  bool typed;     // embedded objects show their kind and apiVersion in JSON
  ListType list_type;
  std::span<const std::string_view> list_map_keys;
  bool map_atomic;                                // x-kubernetes-map-type: atomic (of the field)
  bool patch_merge;                               // strategic merge: patchStrategy has "merge"
  bool patch_retain_keys;                         // ... has "retainKeys"
  bool patch_replace;                             // ... has "replace"
  std::string_view patch_merge_key;               // strategic merge key
  std::string_view default_json;                  // static default as JSON text, "" = none
  std::span<const std::string_view> enum_values;  // for documentation; validation is separate
  std::string_view description;                   // our own words, for explain and OpenAPI
};

class Object;

struct TypeInfo {
  std::string_view package;       // Go-like package: "core/v1", "meta/v1", "apps/v1"
  std::string_view name;          // Go-like type name: "PodSpec"
  std::string_view openapi_name;  // "io.k8s.api.core.v1.PodSpec"
  std::string_view description;
  std::span<const FieldInfo> fields;     // in proto number order
  std::span<const uint16_t> json_order;  // indices of fields in JSON's order (Go's)
  size_t size;
  bool map_atomic;  // x-kubernetes-map-type: atomic on the type
  JsonForm json_form;
  // Top-level kinds only ("" / nullptr otherwise):
  std::string_view group, version, kind;  // group "" = core
  bool is_object;                         // derives from Object (has ObjectMeta metadata)
  Object* (*make_object)();               // new T for is_object kinds
  void* (*make)();                        // new T, freed by destroy
  void (*destroy)(void*);
  void (*copy)(void* to, const void* from);

  const FieldInfo* find(std::string_view json_name) const;  // direct and inlined fields
  const FieldInfo* find_number(int32_t proto_number) const;
};

// Gives every empty field below `value` its FieldInfo::default_json. Structs not there stay
// so.
void apply_static_defaults(const TypeInfo& type, void* value);

// Every generated type. Sorted by package, then name.
std::span<const TypeInfo* const> all_types();
// nullptr if there is no such kind.
const TypeInfo* find_kind(std::string_view group, std::string_view version, std::string_view kind);

}  // namespace orch::api
