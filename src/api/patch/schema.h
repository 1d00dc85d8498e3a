// What patches need to know of a JSON value's type: a step-by-step view of TypeInfo that also
// stands for values without a declared type. Cheap values; the TypeInfo is constant data.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "orch/api/type_info.h"

namespace orch::api {

struct Schema {
  // kUntyped: raw JSON; its objects are granular, its lists atomic.
  enum class Kind : uint8_t { kUntyped, kScalar, kStruct, kMap, kList };

  Kind kind = Kind::kUntyped;
  const TypeInfo* message = nullptr;  // of the struct, or of a list's or map's elements
  const FieldInfo* field = nullptr;   // the field that declares it; nullptr for a whole object
  bool atomic = false;                // owned and replaced as a whole

  static Schema of(const TypeInfo& type);
  static Schema of(const FieldInfo& field);
  Schema element() const;  // of kList and kMap
  // nullopt: a struct has no such field.
  std::optional<Schema> member(std::string_view key) const;

  // Associative lists: items are matched by these keys; none for a set.
  bool is_set() const;
  std::span<const std::string_view> list_keys() const;
  std::string_view type_name() const { return message != nullptr ? message->name : "object"; }
};

}  // namespace orch::api
