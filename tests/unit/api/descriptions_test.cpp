#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "orch/api/scheme.h"
#include "orch/api/type_info.h"

using namespace orch::api;

namespace {

// Adds the names of the types and fields below `type` that have no description.
void collect_undescribed(const TypeInfo& type, std::set<const TypeInfo*>& seen,
                         std::vector<std::string>& out) {
  if (!seen.insert(&type).second) return;
  const std::string name = std::string(type.package) + "." + std::string(type.name);
  if (type.description.empty()) out.push_back(name);
  for (const FieldInfo& field : type.fields) {
    if (field.description.empty()) out.push_back(name + "." + std::string(field.json_name));
    if (field.message) collect_undescribed(*field.message, seen, out);
  }
}

}  // namespace

TEST_CASE("every type and field of a registered resource is described") {
  std::set<const TypeInfo*> seen;
  std::vector<std::string> undescribed;
  for (const ResourceInfo* resource : all_resources()) {
    collect_undescribed(*resource->type, seen, undescribed);
  }
  CHECK(seen.size() > 200);
  CHECK(undescribed == std::vector<std::string>{});
}

TEST_CASE("descriptions are single sentences of one line") {
  for (const TypeInfo* type : all_types()) {
    for (const FieldInfo& field : type->fields) {
      if (field.description.empty()) continue;
      INFO(type->package << "." << type->name << "." << field.json_name);
      CHECK(field.description.find('\n') == std::string_view::npos);
      CHECK(field.description.ends_with('.'));
      CHECK(field.description.size() <= 140);
    }
  }
}
