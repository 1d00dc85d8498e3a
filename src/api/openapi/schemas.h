// Schemas of API types in the two OpenAPI dialects, as JSON documents. Pure; any thread.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "api/patch/json.h"
#include "orch/api/type_info.h"

namespace orch::api::openapi {

enum class Dialect : uint8_t { kV2, kV3 };

// {"$ref": "#/definitions/<name>"} or "#/components/schemas/<name>".
doc::Value reference(Dialect dialect, std::string_view name, doc::Arena& arena);

// Collects what schemas refer to, so that a document holds no more than it needs.
class Closure {
 public:
  void add(const TypeInfo& type);
  void add_list(const TypeInfo& type);  // the kind's list
  void add_value(std::string_view name) { values_.insert(name); }

  const std::set<const TypeInfo*>& types() const { return types_; }
  const std::set<const TypeInfo*>& lists() const { return lists_; }
  // Names of value types: Quantity, Time, ...
  const std::set<std::string_view>& values() const { return values_; }

 private:
  std::set<const TypeInfo*> types_, lists_;
  std::set<std::string_view> values_;
};

doc::Value type_schema(Dialect dialect, const TypeInfo& type, doc::Arena& arena);
doc::Value list_schema(Dialect dialect, const TypeInfo& type, doc::Arena& arena);
// One of Closure::values().
doc::Value value_schema(Dialect dialect, std::string_view name);
std::string list_name(const TypeInfo& type);

// Small helpers for building documents.
doc::Value text(std::string_view text);            // a static or kept text
doc::Value literal(std::string_view json_scalar);  // number, true, false
void put(doc::Value& object, std::string_view key, std::string_view value);
doc::Value gvk(const TypeInfo& type, std::string_view kind);

}  // namespace orch::api::openapi
