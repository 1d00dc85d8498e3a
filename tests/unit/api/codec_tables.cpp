// The field tables against the reference: every field of every GA package.
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "../../support/reference.h"
#include "orch/api/type_info.h"
#include "orch/base/strings.h"

using namespace orch;
using namespace orch::api;

namespace {

std::map<std::pair<std::string_view, std::string_view>, const TypeInfo*> types_by_name() {
  std::map<std::pair<std::string_view, std::string_view>, const TypeInfo*> out;
  for (const TypeInfo* type : all_types()) out[{type->package, type->name}] = type;
  return out;
}

bool is_stable(const std::string& package) {
  return package.find("alpha") == std::string::npos && package.find("beta") == std::string::npos;
}

}  // namespace

TEST_CASE("types are sorted and found by kind", "[api][tables]") {
  const auto types = all_types();
  REQUIRE(types.size() > 500);
  for (size_t i = 1; i < types.size(); i++)
    CHECK(std::pair(types[i - 1]->package, types[i - 1]->name) <
          std::pair(types[i]->package, types[i]->name));
  const TypeInfo* deployment = find_kind("apps", "v1", "Deployment");
  REQUIRE(deployment);
  CHECK(deployment->openapi_name == "io.k8s.api.apps.v1.Deployment");
  CHECK(deployment->is_object);
  CHECK(find_kind("", "v1", "Status") != nullptr);
  CHECK(find_kind("metrics.k8s.io", "v1beta1", "PodMetrics") != nullptr);
  CHECK(find_kind("apps", "v1", "Nope") == nullptr);
}

TEST_CASE("tables are sound", "[api][tables]") {
  for (const TypeInfo* type : all_types()) {
    INFO(type->openapi_name);
    CHECK(type->json_order.size() == type->fields.size());
    CHECK(std::set<uint16_t>(type->json_order.begin(), type->json_order.end()).size() ==
          type->fields.size());
    int32_t last = 0;
    for (const FieldInfo& field : type->fields) {
      INFO(field.json_name);
      CHECK(field.offset < type->size);
      CHECK((field.message != nullptr) == (field.type == FieldType::kMessage));
      CHECK((field.container != nullptr) == (field.shape != Shape::kSingle));
      if (field.proto_number != 0) {
        CHECK(field.proto_number > last);
        CHECK(type->find_number(field.proto_number) == &field);
        last = field.proto_number;
      }
      if (!field.inlined) CHECK(type->find(field.json_name) == &field);
      if (field.inlined) CHECK(field.offset == 0);
    }
    CHECK(type->find_number(last + 1) == nullptr);
    CHECK(type->find_number(0) == nullptr);
    CHECK(type->find_number(-1) == nullptr);
  }
}

TEST_CASE("every stable field of the reference is in the tables", "[api][tables]") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("SKIPPED: no ../shared/reference beside the source tree");
    return;
  }
  // Written by other means: values with a C++ type of their own, and what every kind has.
  const std::set<std::string> elsewhere = {"TypeMeta", "FieldsV1",  "JSON",     "Verbs",
                                           "Time",     "MicroTime", "Timestamp"};
  const auto types = types_by_name();
  int checked = 0;
  std::set<std::string> missing;
  for (const auto& row : test::read_table(*reference / "api-fields.tsv", 13)) {
    const std::string &package = row[0], &name = row[1], &json = row[2], &number = row[4];
    if (!is_stable(package) || elsewhere.contains(name) || json == "-") continue;
    const auto type = types.find({package, name});
    if (type == types.end()) {
      missing.insert(package + "." + name);
      continue;
    }
    INFO(package << "." << name << "." << json);
    const TypeInfo& info = *type->second;
    if (json == "(inline)") {
      if (number.empty()) continue;  // TypeMeta
      const FieldInfo* field = info.find_number(static_cast<int32_t>(*parse_int(number)));
      CHECK((field && field->inlined));
    } else {
      const FieldInfo* field = info.find(json);
      REQUIRE(field != nullptr);
      CHECK(std::to_string(field->proto_number) == (number.empty() ? "0" : number));
      CHECK(field->omit_empty == (row[5] == "omitempty"));
      CHECK(field->patch_merge_key == row[12]);
      const bool pointer = row[3].starts_with("*");
      CHECK((field->shape == Shape::kOptional) == pointer);
    }
    checked++;
  }
  CHECK(checked > 2000);
  // List kinds have no struct.
  for (const std::string& type : missing) {
    INFO(type);
    CHECK(type.ends_with("List"));
  }
}
