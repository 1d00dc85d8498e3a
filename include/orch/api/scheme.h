// What the server knows about every resource: names, scope, strategy. One entry a resource, in
// src/api/kinds/<group>/<kind>.cpp, listed in src/api/kinds/kinds.def. Constant data; any thread.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/error.h"
#include "orch/api/object.h"

namespace orch::api {

// What the request filters know and a strategy may use.
struct StrategyContext {
  WallTime now;
};

// A column of `kubectl get` (metav1.TableColumnDefinition).
struct Column {
  std::string_view name;
  std::string_view type;         // "string", "integer", "date", ...
  std::string_view format;       // "name" or ""
  std::string_view description;
  int priority = 0;              // 1 = -o wide only
};
// A table cell: text, or a number when `is_number`.
struct Cell {
  std::string text;
  bool is_number = false;
};

struct ResourceInfo {
  std::string_view group, version;      // group "" = core
  std::string_view plural, singular, kind;
  bool namespaced = true;
  std::vector<std::string_view> short_names;
  std::vector<std::string_view> categories;
  // get list watch create update patch delete deletecollection; a subset for review kinds.
  std::vector<std::string_view> verbs;
  const TypeInfo* type = nullptr;
  bool has_status = false;   // status subresource
  bool has_scale = false;    // autoscaling/v1 Scale subresource
  bool stored = true;        // false: reviews and the like, create only, answered by a handler

  // Dynamic defaults beyond FieldInfo::default_json. Called after decoding, always.
  void (*set_defaults)(Object&) = nullptr;
  // Before validation: clears what the caller may not set, keeps what it must not change, bumps
  // metadata.generation on spec changes. old == nullptr on create.
  void (*prepare)(Object& now, const Object* old, const StrategyContext&) = nullptr;
  void (*prepare_status)(Object& now, const Object& old) = nullptr;
  // Spec validation beyond ObjectMeta's. old == nullptr on create. Paths and texts as upstream.
  void (*validate)(const Object& now, const Object* old, FieldErrors&) = nullptr;
  void (*validate_status)(const Object& now, const Object& old, FieldErrors&) = nullptr;
  // Values of selectable fields beyond metadata.name and metadata.namespace.
  std::vector<std::string_view> selectable_fields;
  std::string (*field_value)(const Object&, std::string_view field) = nullptr;
  // `Warning` headers for odd but accepted input.
  void (*warnings)(const Object& now, const Object* old, std::vector<std::string>&) = nullptr;

  std::vector<Column> columns;  // Name and Age included; {} = Name, Age
  std::vector<Cell> (*row)(const Object&, WallTime now) = nullptr;

  GroupResource group_resource() const { return {std::string(group), std::string(plural)}; }
  std::string api_version() const {
    return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
  }
};

// All resources, in discovery order. Built once, constant afterwards.
std::span<const ResourceInfo* const> all_resources();
const ResourceInfo* find_resource(std::string_view group, std::string_view version,
                                  std::string_view plural);
const ResourceInfo* find_resource_by_kind(std::string_view group, std::string_view version,
                                          std::string_view kind);
template <class T>
const ResourceInfo& resource_of() {
  static const ResourceInfo* const info = find_resource_by_kind(
      T::type_info().group, T::type_info().version, T::type_info().kind);
  return *info;
}

// Applies FieldInfo::default_json recursively, then the resource's set_defaults.
void set_defaults(const ResourceInfo& resource, Object& object);
// ObjectMeta (names, labels, annotations, owner references, finalizers ...) and the resource's own.
// Empty = valid.
std::vector<Cause> validate(const ResourceInfo& resource, const Object& now, const Object* old);

// Name rules, shared by validators. "" = valid, else upstream's message.
std::string check_dns1123_label(std::string_view name);
std::string check_dns1123_subdomain(std::string_view name);
std::string check_dns1035_label(std::string_view name);
std::string check_label_key(std::string_view key);
std::string check_label_value(std::string_view value);

}  // namespace orch::api
