#include "api/patch/schema.h"

namespace orch::api {
namespace {

using Kind = Schema::Kind;

Schema of_element(const FieldInfo& field) {
  Schema schema;
  schema.field = &field;
  if (field.type == FieldType::kMessage) {
    schema = Schema::of(*field.message);
    schema.field = &field;
  } else if (field.type != FieldType::kRawJson) {
    schema.kind = Kind::kScalar;
  }
  return schema;
}

// Without a declared list type the patch strategy says how items are matched.
bool list_is_atomic(const FieldInfo& field) {
  switch (field.list_type) {
    case ListType::kAtomic:
      return true;
    case ListType::kSet:
      return false;
    case ListType::kMap:
      return field.list_map_keys.empty();
    case ListType::kNone:
      break;
  }
  if (!field.patch_merge) return true;
  return field.type == FieldType::kMessage && field.patch_merge_key.empty();
}

}  // namespace

Schema Schema::of(const TypeInfo& type) {
  Schema schema;
  // Alternative JSON forms (an object or a list of them) have no fixed shape.
  if (type.json_form != JsonForm::kObject) return schema;
  schema.kind = Kind::kStruct;
  schema.message = &type;
  schema.atomic = type.map_atomic;
  return schema;
}

Schema Schema::of(const FieldInfo& field) {
  if (field.shape == Shape::kSingle || field.shape == Shape::kOptional) {
    Schema schema = of_element(field);
    schema.atomic = schema.atomic || field.map_atomic;
    return schema;
  }
  Schema schema;
  schema.field = &field;
  schema.message = field.type == FieldType::kMessage ? field.message : nullptr;
  schema.kind = field.shape == Shape::kMap ? Kind::kMap : Kind::kList;
  schema.atomic = field.shape == Shape::kMap ? field.map_atomic : list_is_atomic(field);
  return schema;
}

Schema Schema::element() const {
  return field != nullptr && (kind == Kind::kList || kind == Kind::kMap) ? of_element(*field)
                                                                         : Schema{};
}

std::optional<Schema> Schema::member(std::string_view key) const {
  if (kind == Kind::kMap) return element();
  if (kind != Kind::kStruct) return Schema{};
  if (const FieldInfo* found = message->find(key)) return Schema::of(*found);
  bool typed = !message->kind.empty() || (field != nullptr && field->typed);
  if (typed && (key == "kind" || key == "apiVersion")) {
    Schema scalar;
    scalar.kind = Kind::kScalar;
    return scalar;
  }
  return std::nullopt;
}

bool Schema::is_set() const { return kind == Kind::kList && !atomic && list_keys().empty(); }

std::span<const std::string_view> Schema::list_keys() const {
  if (kind != Kind::kList || atomic || field->list_type == ListType::kSet) return {};
  if (!field->list_map_keys.empty()) return field->list_map_keys;
  if (field->patch_merge_key.empty()) return {};
  return {&field->patch_merge_key, 1};
}

}  // namespace orch::api
