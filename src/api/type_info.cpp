#include "orch/api/type_info.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "api/codec/type_ops.h"

namespace orch::api {

const FieldInfo* TypeInfo::find(std::string_view json_name) const {
  for (const FieldInfo& field : fields) {
    if (field.inlined) {
      if (const FieldInfo* found = field.message->find(json_name)) return found;
    } else if (field.json_name == json_name) {
      return &field;
    }
  }
  return nullptr;
}

const FieldInfo* TypeInfo::find_number(int32_t proto_number) const {
  if (proto_number <= 0) return nullptr;  // a type without a protobuf form has only zeros
  // Most tables are dense: the field often stands at its number.
  const auto guess = static_cast<size_t>(proto_number) - 1;
  if (guess < fields.size() && fields[guess].proto_number == proto_number) return &fields[guess];
  auto at = std::lower_bound(
      fields.begin(), fields.end(), proto_number,
      [](const FieldInfo& field, int32_t number) { return field.proto_number < number; });
  return at != fields.end() && at->proto_number == proto_number ? &*at : nullptr;
}

std::span<const TypeInfo* const> all_types() {
  static const std::vector<const TypeInfo*> all = [] {
    std::vector<const TypeInfo*> out;
    for (const auto* package : codec::packages())
      out.insert(out.end(), package->begin(), package->end());
    return out;
  }();
  return all;
}

const TypeInfo* find_kind(std::string_view group, std::string_view version, std::string_view kind) {
  auto key = [](const TypeInfo* type) { return std::tie(type->group, type->version, type->kind); };
  static const std::vector<const TypeInfo*> kinds = [&] {
    std::vector<const TypeInfo*> out;
    for (const TypeInfo* type : all_types())
      if (!type->kind.empty()) out.push_back(type);
    std::sort(out.begin(), out.end(), [&](auto* a, auto* b) { return key(a) < key(b); });
    return out;
  }();
  const auto wanted = std::tie(group, version, kind);
  auto at = std::lower_bound(kinds.begin(), kinds.end(), wanted,
                             [&](const TypeInfo* type, const auto& w) { return key(type) < w; });
  return at != kinds.end() && key(*at) == wanted ? *at : nullptr;
}

}  // namespace orch::api
