#include "api/openapi/schemas.h"

#include <fmt/format.h>

namespace orch::api::openapi {
namespace {

using doc::Arena;
using doc::Member;
using doc::Value;

constexpr std::string_view kQuantity = "io.k8s.apimachinery.pkg.api.resource.Quantity";
constexpr std::string_view kIntOrString = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
constexpr std::string_view kTime = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
constexpr std::string_view kMicroTime = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
constexpr std::string_view kDuration = "io.k8s.apimachinery.pkg.apis.meta.v1.Duration";
constexpr std::string_view kFieldsV1 = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";
constexpr std::string_view kRawExtension = "io.k8s.apimachinery.pkg.runtime.RawExtension";
constexpr std::string_view kPatch = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
constexpr std::string_view kJson = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON";

constexpr std::string_view kApiVersionText =
    "Version of the schema this object follows, as group/version.";
constexpr std::string_view kKindText = "Name of the REST resource this object stands for.";

struct ValueType {
  std::string_view name, description, type, format;
};
constexpr ValueType kValueTypes[] = {
    {kQuantity,
     "A number with a unit: an integer or decimal with an SI suffix (m, k, M, G, T, P, E), a "
     "binary "
     "one (Ki, Mi, Gi, Ti, Pi, Ei) or a decimal exponent.",
     "string", ""},
    {kIntOrString, "An integer or a string, such as a percentage or a name.", "string",
     "int-or-string"},
    {kTime, "A point in time, RFC 3339 with seconds.", "string", "date-time"},
    {kMicroTime, "A point in time, RFC 3339 with microseconds.", "string", "date-time"},
    {kDuration, "A span of time in Go's notation, such as 1h30m0s.", "string", ""},
    {kFieldsV1, "A set of fields, as server-side apply stores it.", "object", ""},
    {kRawExtension, "Any object; its own kind and apiVersion say what it is.", "object", ""},
    {kPatch, "A change to an object, in the form that the request's media type names.", "object",
     ""},
    {kJson, "Any JSON value.", "", ""},
};

// The definition of a value type; "" for scalars that stand for themselves.
std::string_view value_name(const FieldInfo& field, const TypeInfo& owner) {
  switch (field.type) {
    case FieldType::kQuantity:
      return kQuantity;
    case FieldType::kIntOrString:
      return kIntOrString;
    case FieldType::kTime:
      return kTime;
    case FieldType::kMicroTime:
      return kMicroTime;
    case FieldType::kDuration:
      return kDuration;
    case FieldType::kRawJson:
      if (field.json_name == "fieldsV1") return kFieldsV1;
      return owner.package.starts_with("apiextensions/") ? kJson : kRawExtension;
    default:
      return "";
  }
}

// Type and format of the scalars.
void put_scalar(Value& schema, FieldType type) {
  auto set = [&](std::string_view name, std::string_view format) {
    put(schema, "type", name);
    if (!format.empty()) put(schema, "format", format);
  };
  switch (type) {
    case FieldType::kBool:
      return set("boolean", "");
    case FieldType::kInt32:
      return set("integer", "int32");
    case FieldType::kInt64:
      return set("integer", "int64");
    case FieldType::kDouble:
      return set("number", "double");
    case FieldType::kBytes:
      return set("string", "byte");
    default:
      return set("string", "");
  }
}

std::string_view referred_name(const FieldInfo& field, const TypeInfo& owner) {
  return field.type == FieldType::kMessage ? field.message->openapi_name : value_name(field, owner);
}

Value element_schema(Dialect dialect, const FieldInfo& field, const TypeInfo& owner, Arena& arena) {
  std::string_view name = referred_name(field, owner);
  if (!name.empty()) return reference(dialect, name, arena);
  Value schema = doc::object_value();
  put_scalar(schema, field.type);
  return schema;
}

// v3 has no siblings of $ref: what is said beside it needs allOf.
void put_reference(Value& schema, Dialect dialect, std::string_view name, Arena& arena) {
  Value ref = reference(dialect, name, arena);
  if (dialect == Dialect::kV2) {
    schema.at("$ref") = std::move(*ref.find("$ref"));
    return;
  }
  schema.at("allOf") = doc::array_value();
  schema.at("allOf").items.push_back({{}, std::move(ref)});
}

void put_patch_rules(Value& schema, const FieldInfo& field) {
  std::string_view strategy = field.patch_merge && field.patch_retain_keys ? "merge,retainKeys"
                              : field.patch_merge                          ? "merge"
                              : field.patch_retain_keys                    ? "retainKeys"
                              : field.patch_replace                        ? "replace"
                                                                           : "";
  if (!strategy.empty()) put(schema, "x-kubernetes-patch-strategy", strategy);
  if (!field.patch_merge_key.empty()) {
    put(schema, "x-kubernetes-patch-merge-key", field.patch_merge_key);
  }
  constexpr std::string_view kNames[] = {"", "atomic", "set", "map"};
  if (field.list_type != ListType::kNone) {
    put(schema, "x-kubernetes-list-type", kNames[static_cast<size_t>(field.list_type)]);
  }
  if (!field.list_map_keys.empty()) {
    Value& keys = schema.at("x-kubernetes-list-map-keys") = doc::array_value();
    for (std::string_view key : field.list_map_keys) keys.items.push_back({{}, text(key)});
  }
  if (field.map_atomic) put(schema, "x-kubernetes-map-type", "atomic");
}

Value field_schema(Dialect dialect, const FieldInfo& field, const TypeInfo& owner, Arena& arena) {
  Value schema = doc::object_value();
  bool one = field.shape == Shape::kSingle || field.shape == Shape::kOptional;
  if (!one) {
    bool list = field.shape == Shape::kList;
    put(schema, "type", list ? "array" : "object");
    schema.at(list ? "items" : "additionalProperties") =
        element_schema(dialect, field, owner, arena);
  } else if (std::string_view name = referred_name(field, owner); !name.empty()) {
    put_reference(schema, dialect, name, arena);
  } else {
    put_scalar(schema, field.type);
    if (!field.default_json.empty()) {
      if (auto value = doc::parse(field.default_json, arena)) {
        schema.at("default") = std::move(value).value();
      }
    }
  }
  if (one && !field.enum_values.empty()) {
    Value& values = schema.at("enum") = doc::array_value();
    for (std::string_view value : field.enum_values) values.items.push_back({{}, text(value)});
  }
  if (!field.description.empty()) put(schema, "description", field.description);
  put_patch_rules(schema, field);
  return schema;
}

void put_fields(Dialect dialect, const TypeInfo& type, Value& properties, Value& required,
                Arena& arena) {
  for (const FieldInfo& field : type.fields) {
    if (field.inlined) {
      put_fields(dialect, *field.message, properties, required, arena);
      continue;
    }
    properties.at(field.json_name) = field_schema(dialect, field, type, arena);
    if (field.required) required.items.push_back({{}, text(field.json_name)});
  }
}

void put_type_meta(Value& properties) {
  for (auto [name, description] :
       {std::pair{"apiVersion", kApiVersionText}, std::pair{"kind", kKindText}}) {
    Value& property = properties.at(name) = doc::object_value();
    put(property, "description", description);
    put(property, "type", "string");
  }
}

}  // namespace

Value text(std::string_view text) { return doc::string_value(text); }

Value literal(std::string_view json_scalar) {
  Value value;
  value.kind =
      json_scalar == "true" || json_scalar == "false" ? Value::Kind::kBool : Value::Kind::kNumber;
  value.flag = json_scalar == "true";
  value.text = json_scalar;
  return value;
}

void put(Value& object, std::string_view key, std::string_view value) {
  object.at(key) = text(value);
}

Value gvk(const TypeInfo& type, std::string_view kind) {
  Value value = doc::object_value();
  put(value, "group", type.group);
  put(value, "version", type.version);
  put(value, "kind", kind);
  return value;
}

std::string list_name(const TypeInfo& type) { return std::string(type.openapi_name) + "List"; }

Value reference(Dialect dialect, std::string_view name, Arena& arena) {
  Value value = doc::object_value();
  put(value, "$ref",
      arena.keep(fmt::format(
          "{}{}", dialect == Dialect::kV2 ? "#/definitions/" : "#/components/schemas/", name)));
  return value;
}

void Closure::add(const TypeInfo& type) {
  if (!types_.insert(&type).second || type.json_form != JsonForm::kObject) return;
  auto visit = [&](const TypeInfo& of, auto& self) -> void {
    for (const FieldInfo& field : of.fields) {
      if (field.inlined) {
        self(*field.message, self);
      } else if (field.type == FieldType::kMessage) {
        add(*field.message);
      } else if (std::string_view name = value_name(field, of); !name.empty()) {
        values_.insert(name);
      }
    }
  };
  visit(type, visit);
}

void Closure::add_list(const TypeInfo& type) {
  add(type);
  lists_.insert(&type);
}

Value type_schema(Dialect dialect, const TypeInfo& type, Arena& arena) {
  Value schema = doc::object_value();
  if (!type.description.empty()) put(schema, "description", type.description);
  if (type.json_form != JsonForm::kObject) return schema;
  put(schema, "type", "object");
  Value properties = doc::object_value(), required = doc::array_value();
  if (!type.kind.empty()) put_type_meta(properties);
  put_fields(dialect, type, properties, required, arena);
  if (!properties.empty()) schema.at("properties") = std::move(properties);
  if (!required.empty()) schema.at("required") = std::move(required);
  if (type.map_atomic) put(schema, "x-kubernetes-map-type", "atomic");
  if (!type.kind.empty()) {
    Value& kinds = schema.at("x-kubernetes-group-version-kind") = doc::array_value();
    kinds.items.push_back({{}, gvk(type, type.kind)});
  }
  return schema;
}

Value list_schema(Dialect dialect, const TypeInfo& type, Arena& arena) {
  Value schema = doc::object_value();
  put(schema, "description", arena.keep(fmt::format("A list of {} objects.", type.kind)));
  put(schema, "type", "object");
  Value& properties = schema.at("properties") = doc::object_value();
  put_type_meta(properties);
  Value items = doc::object_value();
  put(items, "description", "The objects.");
  put(items, "type", "array");
  items.at("items") = reference(dialect, type.openapi_name, arena);
  properties.at("items") = std::move(items);
  Value metadata = doc::object_value();
  put(metadata, "description", "What is said of the list itself.");
  put_reference(metadata, dialect, "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", arena);
  properties.at("metadata") = std::move(metadata);
  Value& required = schema.at("required") = doc::array_value();
  required.items.push_back({{}, text("items")});
  Value& kinds = schema.at("x-kubernetes-group-version-kind") = doc::array_value();
  kinds.items.push_back({{}, gvk(type, arena.keep(std::string(type.kind) + "List"))});
  return schema;
}

Value value_schema(Dialect dialect, std::string_view name) {
  Value schema = doc::object_value();
  for (const ValueType& type : kValueTypes) {
    if (type.name != name) continue;
    put(schema, "description", type.description);
    bool union_type = name == kQuantity || name == kIntOrString;
    if (dialect == Dialect::kV3 && union_type) {
      Value& choices = schema.at("oneOf") = doc::array_value();
      for (std::string_view choice : {name == kQuantity ? "number" : "integer", "string"}) {
        Value option = doc::object_value();
        put(option, "type", choice);
        choices.items.push_back({{}, std::move(option)});
      }
    } else if (!type.type.empty()) {
      put(schema, "type", type.type);
    }
    if (!type.format.empty()) put(schema, "format", type.format);
  }
  return schema;
}

}  // namespace orch::api::openapi
