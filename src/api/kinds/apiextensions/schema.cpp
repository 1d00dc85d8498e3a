#include "api/kinds/apiextensions/schema.h"

#include <fmt/format.h>

#include "api/kinds/checks.h"

namespace orch::api {
namespace {

using apiextensionsv1::JSONSchemaProps;

enum class Place { kRoot, kField, kItem };

bool keeps_unknown(const JSONSchemaProps& s) {
  return s.x_kubernetes_preserve_unknown_fields.value_or(false);
}

void validate_type(const JSONSchemaProps& s, Place place, const std::string& path,
                   FieldErrors& errors) {
  const std::string at = path + ".type";
  if (place == Place::kRoot && !s.type.empty() && s.type != "object") {
    errors.invalid(at, quoted(s.type), "must be object at the root");
  }
  if (!s.type.empty()) {
    check_one_of(s.type, at, {"array", "boolean", "integer", "number", "object", "string"}, errors);
  } else if (place == Place::kRoot) {
    errors.required(at, "must not be empty at the root");
  } else if (!s.x_kubernetes_int_or_string && !keeps_unknown(s)) {
    errors.required(at, place == Place::kField ? "must not be empty for specified object fields"
                                               : "must not be empty for specified array items");
  }
  if (s.x_kubernetes_int_or_string && !s.type.empty()) {
    errors.invalid(at, quoted(s.type), "must be empty if x-kubernetes-int-or-string is specified");
  }
  if (s.x_kubernetes_embedded_resource) {
    if (s.type != "object") {
      errors.invalid(at, quoted(s.type),
                     "must be object if x-kubernetes-embedded-resource is true");
    }
    if (s.properties.empty() && !keeps_unknown(s)) {
      errors.required(path + ".properties",
                      "must not be empty if x-kubernetes-embedded-resource is true without "
                      "x-kubernetes-preserve-unknown-fields");
    }
  }
}

// What makes a schema unusable, wherever it stands.
void validate_forbidden(const JSONSchemaProps& s, const std::string& path, FieldErrors& errors) {
  if (s.uniqueItems) {
    errors.forbidden(path + ".uniqueItems",
                     "uniqueItems cannot be set to true since the runtime complexity becomes "
                     "quadratic");
  }
  if (s.additionalProperties) {
    if (!s.properties.empty()) {
      errors.forbidden(path + ".additionalProperties",
                       "additionalProperties and properties are mutual exclusive");
    } else if (!s.additionalProperties->schema && !s.additionalProperties->allows) {
      errors.forbidden(path + ".additionalProperties",
                       "additionalProperties cannot be set to false");
    }
  }
  const auto unsupported = [&](bool given, const char* field, const char* why) {
    if (given) errors.forbidden(path + field, why);
  };
  unsupported(!s.id.empty(), ".id", "id is not supported");
  unsupported(s.ref.has_value(), ".$ref", "$ref is not supported");
  unsupported(!s.patternProperties.empty(), ".patternProperties",
              "patternProperties is not supported");
  unsupported(!s.definitions.empty(), ".definitions", "definitions is not supported");
  unsupported(!s.dependencies.empty(), ".dependencies", "dependencies is not supported");
  unsupported(s.additionalItems.has_value(), ".additionalItems",
              "additionalItems is not supported");
  if (s.x_kubernetes_preserve_unknown_fields && !*s.x_kubernetes_preserve_unknown_fields) {
    errors.invalid(path + ".x-kubernetes-preserve-unknown-fields", "false",
                   "must be true or undefined");
  }
}

void validate_list_type(const JSONSchemaProps& s, const std::string& path, FieldErrors& errors) {
  if (s.x_kubernetes_map_type) {
    if (s.type != "object") {
      errors.invalid(path + ".type", quoted(s.type),
                     "must be object if x-kubernetes-map-type is specified");
    }
    check_one_of(*s.x_kubernetes_map_type, path + ".x-kubernetes-map-type", {"atomic", "granular"},
                 errors);
  }
  if (s.x_kubernetes_list_type) {
    if (s.type != "array") {
      errors.invalid(path + ".type", quoted(s.type),
                     "must be array if x-kubernetes-list-type is specified");
    }
    check_one_of(*s.x_kubernetes_list_type, path + ".x-kubernetes-list-type",
                 {"atomic", "map", "set"}, errors);
  }
  const bool map = s.x_kubernetes_list_type == "map";
  if (!map && !s.x_kubernetes_list_map_keys.empty()) {
    errors.required(path + ".x-kubernetes-list-type",
                    "must be map if x-kubernetes-list-map-keys is non-empty");
  }
  if (map && s.x_kubernetes_list_map_keys.empty()) {
    errors.required(path + ".x-kubernetes-list-map-keys",
                    "must not be empty if x-kubernetes-list-type is map");
  }
}

void walk(const JSONSchemaProps& s, Place place, const std::string& path, FieldErrors& errors) {
  validate_type(s, place, path, errors);
  validate_forbidden(s, path, errors);
  validate_list_type(s, path, errors);
  if (s.type == "array" && (!s.items || !s.items->schema)) {
    if (s.items && !s.items->json_schemas.empty()) {
      errors.forbidden(path + ".items", "items must be a schema object and not an array");
    } else {
      errors.required(path + ".items", "must be specified");
    }
  }
  if (s.items && s.items->schema) walk(*s.items->schema, Place::kItem, path + ".items", errors);
  for (const auto& [name, property] : s.properties) {
    walk(property, Place::kField, fmt::format("{}.properties[{}]", path, name), errors);
  }
  if (s.additionalProperties && s.additionalProperties->schema) {
    walk(*s.additionalProperties->schema, Place::kField, path + ".additionalProperties", errors);
  }
}

}  // namespace

void validate_schema(const JSONSchemaProps& schema, const std::string& path, FieldErrors& errors) {
  walk(schema, Place::kRoot, path, errors);
}

}  // namespace orch::api
