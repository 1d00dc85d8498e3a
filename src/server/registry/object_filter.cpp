#include <fmt/format.h>

#include <algorithm>

#include "orch/api/type_info.h"
#include "server/registry/registry.h"

namespace orch::server {
namespace {

// True if the path leads through structs to a string: absent in JSON then means empty. (Stored
// objects have all their defaults.)
bool names_string(const api::TypeInfo* type, std::string_view path) {
  while (type != nullptr) {
    const size_t dot = path.find('.');
    const api::FieldInfo* field = type->find(path.substr(0, dot));
    if (field == nullptr || field->shape == api::Shape::kList || field->shape == api::Shape::kMap) {
      return false;
    }
    if (dot == std::string_view::npos) return field->type == api::FieldType::kString;
    type = field->message;
    path.remove_prefix(dot + 1);
  }
  return false;
}

}  // namespace

api::ApiResult<ObjectFilter> ObjectFilter::make(const api::ResourceInfo& resource,
                                                std::string_view label_selector,
                                                std::string_view field_selector) {
  ObjectFilter out;
  out.resource_ = &resource;
  if (!label_selector.empty()) {
    auto labels = api::LabelSelector::parse(label_selector);
    if (!labels) return Err(api::bad_request(labels.error()));
    out.labels_ = std::move(*labels);
  }
  if (field_selector.empty()) return out;
  auto fields = api::FieldSelector::parse(field_selector);
  if (!fields) return Err(api::bad_request(fields.error()));
  for (const auto& requirement : fields->requirements()) {
    const std::string& field = requirement.field;
    const auto& own = resource.selectable_fields;
    const bool known = field == "metadata.name" ||
                       (field == "metadata.namespace" && (resource.namespaced || own.empty())) ||
                       std::find(own.begin(), own.end(), field) != own.end();
    if (known) continue;
    return Err(api::bad_request(
        own.empty() ? fmt::format("{} is not a known field selector: only \"metadata.name\", "
                                  "\"metadata.namespace\"",
                                  api::go_quoted(field))
                    : fmt::format("field label not supported: {}", field)));
  }
  out.fields_ = std::move(*fields);
  return out;
}

bool ObjectFilter::matches(const Stored& object) const {
  if (!labels_.empty() && !labels_.matches(object.labels())) return false;
  if (fields_.empty()) return true;
  std::unique_ptr<api::Object> decoded;
  return fields_.matches([&](std::string_view field) { return field_of(object, field, decoded); });
}

std::string ObjectFilter::field_of(const Stored& object, std::string_view field,
                                   std::unique_ptr<api::Object>& decoded) const {
  // A string at the field's own path is its value; defaults and derived values need the object.
  if (auto text = object.string_at(field)) return std::move(*text);
  if (names_string(resource_->type, field) || resource_->field_value == nullptr) return "";
  if (!decoded) {
    auto result = Registry::decode(*resource_, object);
    if (!result) return "";
    decoded = std::move(*result);
  }
  return resource_->field_value(*decoded, field);
}

std::string_view to_string(WatchEventType type) {
  switch (type) {
    case WatchEventType::kAdded:
      return "ADDED";
    case WatchEventType::kModified:
      return "MODIFIED";
    case WatchEventType::kDeleted:
      return "DELETED";
  }
  return "";
}

}  // namespace orch::server
