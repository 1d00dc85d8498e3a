#include <string>

#include "api/codec/walk.h"
#include "orch/api/type_info.h"

namespace orch::api {

namespace codec {

namespace {

// A literal of the IDL: a string without escapes, true, false or a whole number.
void set_literal(const FieldInfo& field, void* at, std::string_view json) {
  switch (field.type) {
    case FieldType::kString:
      get<std::string>(at) = json.substr(1, json.size() - 2);
      return;
    case FieldType::kBool:
      get<bool>(at) = json == "true";
      return;
    case FieldType::kInt32:
      get<int32_t>(at) = std::stoi(std::string(json));
      return;
    case FieldType::kInt64:
      get<int64_t>(at) = std::stoll(std::string(json));
      return;
    default:
      return;
  }
}

void set_default(const FieldInfo& field, void* at) {
  if (field.shape == Shape::kOptional && field.container->size(at) == 0)
    set_literal(field, field.container->add(at, {}), field.default_json);
  if (field.shape == Shape::kSingle && field.type == FieldType::kString &&
      get<std::string>(at).empty())
    set_literal(field, at, field.default_json);
}

}  // namespace

}  // namespace codec

void apply_static_defaults(const TypeInfo& type, void* value) {
  for (const FieldInfo& field : type.fields) {
    void* at = codec::member(value, field);
    if (!field.default_json.empty()) codec::set_default(field, at);
    if (field.type != FieldType::kMessage) continue;
    if (field.shape == Shape::kSingle) {
      apply_static_defaults(*field.message, at);
      continue;
    }
    // Elements are ours to change: the container is.
    field.container->for_each(at, const_cast<TypeInfo*>(field.message),
                              [](void* element_type, std::string_view, const void* element) {
                                apply_static_defaults(*static_cast<const TypeInfo*>(element_type),
                                                      const_cast<void*>(element));
                              });
  }
}

}  // namespace orch::api
