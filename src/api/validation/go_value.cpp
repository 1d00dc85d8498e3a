#include "api/validation/go_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "api/codec/go_types.h"
#include "orch/api/error.h"

namespace orch::api {
namespace {

using codec::GoTypes;

constexpr int kDepthMax = 12;
constexpr std::string_view kAddress = "(0xc000000000)";

// "podIP" -> "PodIP", "apiVersion" -> "APIVersion".
std::string go_name(std::string_view wire) {
  static constexpr std::string_view kInitials[] = {"api", "csi", "dns", "fc",  "http",
                                                   "id",  "ip",  "nfs", "rbd", "se",
                                                   "tcp", "tls", "tty", "uid", "iscsi"};
  size_t lower = 0;
  while (lower < wire.size() && std::islower(static_cast<unsigned char>(wire[lower]))) ++lower;
  std::string out(wire);
  const auto first = wire.substr(0, lower);
  const bool initials =
      std::find(std::begin(kInitials), std::end(kInitials), first) != std::end(kInitials);
  const size_t raised = initials ? lower : 1;
  for (size_t i = 0; i < raised && i < out.size(); ++i) {
    out[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[i])));
  }
  return out;
}

std::string go_type(const TypeInfo& type) { return codec::go_type(type, GoTypes::kInternal); }
std::string element_type(const FieldInfo& field) {
  return codec::go_element_type(field, GoTypes::kInternal);
}

std::string struct_text(const TypeInfo& type, const void* value, int depth);

std::string scalar_text(const FieldInfo& field, const void* value, int depth) {
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kBytes:
      return go_quoted(*static_cast<const std::string*>(value));
    case FieldType::kBool:
      return *static_cast<const bool*>(value) ? "true" : "false";
    case FieldType::kInt32:
      return std::to_string(*static_cast<const int32_t*>(value));
    case FieldType::kInt64:
      return std::to_string(*static_cast<const int64_t*>(value));
    case FieldType::kMessage:
      return struct_text(*field.message, value, depth + 1);
    case FieldType::kQuantity:
      return fmt::format("resource.MustParse({})",
                         go_quoted(static_cast<const Quantity*>(value)->str()));
    case FieldType::kIntOrString:
      return go_value(*static_cast<const IntOrString*>(value));
    case FieldType::kTime:
      return fmt::format("v1.Time{{{}}}", static_cast<const Time*>(value)->str());
    default:
      return element_type(field) + "{}";
  }
}

struct Listing {
  const FieldInfo* field;
  std::string text;
  int depth;
};

std::string field_text(const FieldInfo& field, const void* value, int depth) {
  if (field.shape == Shape::kSingle) return scalar_text(field, value, depth);
  const std::string element = element_type(field);
  const size_t size = field.container->size(value);
  if (field.shape == Shape::kOptional) {
    return fmt::format("(*{}){}", element, size == 0 ? "(nil)" : kAddress);
  }
  const std::string type = field.shape == Shape::kMap ? "map[string]" + element : "[]" + element;
  if (size == 0) return type + "(nil)";
  Listing listing{&field, "", depth};
  field.container->for_each(value, &listing,
                            [](void* context, std::string_view key, const void* item) {
                              auto& out = *static_cast<Listing*>(context);
                              if (!out.text.empty()) out.text += ", ";
                              if (out.field->shape == Shape::kMap) out.text += go_quoted(key) + ":";
                              out.text += scalar_text(*out.field, item, out.depth);
                            });
  return fmt::format("{}{{{}}}", type, listing.text);
}

std::string struct_text(const TypeInfo& type, const void* value, int depth) {
  if (depth > kDepthMax) return go_type(type) + "{...}";
  std::string fields;
  for (const uint16_t index : type.json_order) {
    const FieldInfo& field = type.fields[index];
    const std::string name = field.inlined || field.json_name == "metadata"
                                 ? std::string(field.message->name)
                                 : go_name(field.json_name);
    fields += fmt::format("{}{}:{}", fields.empty() ? "" : ", ", name,
                          field_text(field, static_cast<const char*>(value) + field.offset, depth));
  }
  return fmt::format("{}{{{}}}", go_type(type), fields);
}

}  // namespace

std::string go_value(const TypeInfo& type, const void* value) {
  return struct_text(type, value, 0);
}
std::string go_value(const IntOrString& value) {
  return fmt::format("intstr.IntOrString{{Type:{}, IntVal:{}, StrVal:{}}}", value.is_string ? 1 : 0,
                     value.int_value, go_quoted(value.string_value));
}
std::string go_value(const std::map<std::string, std::string>& value) {
  if (value.empty()) return "map[string]string(nil)";
  std::string out;
  for (const auto& [key, item] : value) {
    out += fmt::format("{}{}:{}", out.empty() ? "" : ", ", go_quoted(key), go_quoted(item));
  }
  return "map[string]string{" + out + "}";
}
std::string go_value(const std::vector<std::string>& value) {
  if (value.empty()) return "[]string(nil)";
  std::string out;
  for (const auto& item : value) out += (out.empty() ? "" : ", ") + go_quoted(item);
  return "[]string{" + out + "}";
}
std::string go_value(const std::vector<int32_t>& value) {
  return value.empty() ? "[]int32(nil)" : fmt::format("[]int32{{{}}}", fmt::join(value, ", "));
}
std::string go_value(const std::optional<int32_t>& value) {
  return value ? std::to_string(*value) : "null";
}
std::string go_value(const std::optional<std::string>& value) {
  return value ? go_quoted(*value) : "null";
}

}  // namespace orch::api
