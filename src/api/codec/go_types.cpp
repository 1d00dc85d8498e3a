#include "api/codec/go_types.h"

namespace orch::api::codec {

std::string go_type(const TypeInfo& type, GoTypes which) {
  const size_t slash = type.package.find('/');
  const auto group = type.package.substr(0, slash);
  const bool versioned = which == GoTypes::kVersioned || group == "meta";
  std::string out(versioned ? type.package.substr(slash + 1) : group);
  out += '.';
  return out.append(type.name);
}

std::string go_element_type(const FieldInfo& field, GoTypes which) {
  switch (field.type) {
    case FieldType::kString:
      return "string";
    case FieldType::kBool:
      return "bool";
    case FieldType::kInt32:
      return "int32";
    case FieldType::kInt64:
      return "int64";
    case FieldType::kDouble:
      return "float64";
    case FieldType::kBytes:
      return "[]uint8";
    case FieldType::kStringList:
      return "[]string";
    case FieldType::kMessage:
      return go_type(*field.message, which);
    case FieldType::kQuantity:
      return "resource.Quantity";
    case FieldType::kIntOrString:
      return "intstr.IntOrString";
    case FieldType::kTime:
      return "v1.Time";
    case FieldType::kMicroTime:
      return "v1.MicroTime";
    case FieldType::kDuration:
      return "v1.Duration";
    case FieldType::kRawJson:
      return "runtime.RawExtension";
  }
  return "";
}

}  // namespace orch::api::codec
