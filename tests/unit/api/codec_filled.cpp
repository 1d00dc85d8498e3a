// Every kind filled by its own table: JSON, protobuf and YAML agree. Covers the kinds that the
// golden vectors leave out (CustomResourceDefinition, APIService, discovery ...).
#include <catch2/catch.hpp>
#include <memory>

#include "orch/api/codec.h"
#include "orch/api/object.h"

using namespace orch;
using namespace orch::api;

namespace {

// Deep enough for every field of every kind; schemas of custom resources nest without end.
constexpr int kDepth = 9;
constexpr int kSchemaDepth = 2;

class Filler {
 public:
  void fill(const TypeInfo& type, void* value, int depth, int schema_depth) {
    if (depth > kDepth) return;
    if (type.name == "JSONSchemaProps" && schema_depth++ >= kSchemaDepth) return;
    for (const FieldInfo& field : type.fields) {
      void* at = static_cast<char*>(value) + field.offset;
      if (field.inlined) {
        fill(*field.message, at, depth, schema_depth);
        continue;
      }
      if (field.shape == Shape::kSingle) {
        fill_one(field, at, depth, schema_depth);
      } else {
        fill_one(field, field.container->add(at, "key"), depth, schema_depth);
      }
      if (type.json_form != JsonForm::kObject) return;  // one of several forms
    }
  }

 private:
  void fill_one(const FieldInfo& field, void* at, int depth, int schema_depth) {
    const int64_t n = ++count_;
    switch (field.type) {
      case FieldType::kString:
        *static_cast<std::string*>(at) = "s" + std::to_string(n);
        break;
      case FieldType::kBytes:
        *static_cast<std::string*>(at) = std::string("\0\xff", 2) + std::to_string(n);
        break;
      case FieldType::kBool:
        *static_cast<bool*>(at) = true;
        break;
      case FieldType::kInt32:
        *static_cast<int32_t*>(at) = static_cast<int32_t>(-n);
        break;
      case FieldType::kInt64:
        *static_cast<int64_t*>(at) = (int64_t{1} << 40) + n;
        break;
      case FieldType::kDouble:
        *static_cast<double*>(at) = static_cast<double>(n) + 0.5;
        break;
      case FieldType::kMessage:
        fill(*field.message, at, depth + 1, schema_depth);
        break;
      case FieldType::kQuantity:
        *static_cast<Quantity*>(at) = Quantity::of_milli(1000 * n + 500);
        break;
      case FieldType::kIntOrString:
        *static_cast<IntOrString*>(at) =
            n % 2 ? IntOrString(static_cast<int32_t>(n)) : IntOrString(std::to_string(n) + "%");
        break;
      case FieldType::kTime:
        *static_cast<Time*>(at) = Time(WallTime{Seconds{1'600'000'000 + n}});
        break;
      case FieldType::kMicroTime:
        *static_cast<MicroTime*>(at) = MicroTime(WallTime{Micros{1'600'000'000'000'000 + n}});
        break;
      case FieldType::kDuration:
        static_cast<Duration*>(at)->nanos = n * 1'000'000'000;
        break;
      case FieldType::kRawJson:
        static_cast<RawJson*>(at)->text = R"({"n":)" + std::to_string(n) + "}";
        break;
      case FieldType::kStringList:
        *static_cast<std::vector<std::string>*>(at) = {"l" + std::to_string(n)};
        break;
    }
  }

  int64_t count_ = 0;
};

using Holder = std::unique_ptr<void, void (*)(void*)>;
Holder make(const TypeInfo& type) { return {type.make(), type.destroy}; }

std::string json_of(const TypeInfo& type, const void* value) {
  std::string out;
  encode_json(type, value, out);
  return out;
}

bool has_protobuf(const TypeInfo& type) {
  for (const FieldInfo& field : type.fields) {
    if (field.proto_number == 0) return false;
  }
  return !type.fields.empty();
}

}  // namespace

TEST_CASE("every kind, filled, round-trips through JSON, protobuf and YAML", "[api][codec]") {
  int kinds = 0, binary = 0;
  for (const TypeInfo* type : all_types()) {
    if (type->kind.empty()) continue;
    INFO(type->openapi_name);
    const Holder filled = make(*type);
    Filler().fill(*type, filled.get(), 0, 0);
    const std::string json = json_of(*type, filled.get());

    const Holder from_json = make(*type);
    std::vector<std::string> findings;
    const auto read = decode_json(json, *type, from_json.get(), {&findings});
    INFO((read ? "" : read.error().message));
    CHECK(read);
    CHECK(findings == std::vector<std::string>{});
    CHECK(first_difference(*type, filled.get(), from_json.get()) == "");
    CHECK(json_of(*type, from_json.get()) == json);

    const auto yaml = yaml_to_json(json_to_yaml(json));
    REQUIRE(yaml);
    const Holder from_yaml = make(*type);
    CHECK(decode_json(*yaml, *type, from_yaml.get()));
    CHECK(first_difference(*type, filled.get(), from_yaml.get()) == "");
    ++kinds;

    if (!has_protobuf(*type)) continue;
    std::string bytes;
    encode_protobuf(*type, filled.get(), bytes);
    const Holder from_bytes = make(*type);
    CHECK(decode_protobuf(bytes, *type, from_bytes.get()));
    CHECK(first_difference(*type, filled.get(), from_bytes.get()) == "");
    std::string again;
    encode_protobuf(*type, from_bytes.get(), again);
    CHECK(again == bytes);
    ++binary;
  }
  CHECK(kinds > 70);
  CHECK(binary > 60);
}
