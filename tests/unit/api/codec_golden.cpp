// Golden round trips: every GA kind with every field filled, as JSON and as protobuf.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "../../support/reference.h"
#include "orch/api/appsv1.h"
#include "orch/api/codec.h"

using namespace orch;
using namespace orch::api;
using Json = nlohmann::ordered_json;

namespace {

struct Vector {
  std::string name, json, protobuf;
  const TypeInfo* type;
};

// The vectors leave out kind and apiVersion of volumeClaimTemplates; the API server shows them.
void strip_embedded_kinds(Json& document) {
  if (!document.contains("spec") || !document["spec"].contains("volumeClaimTemplates")) return;
  for (Json& claim : document["spec"]["volumeClaimTemplates"]) {
    claim.erase("kind");
    claim.erase("apiVersion");
  }
}

struct Value {
  explicit Value(const TypeInfo& t) : type(t), at(t.make()) {}
  ~Value() { type.destroy(at); }
  const TypeInfo& type;
  void* at;
};

std::string encoded(const Value& value) {
  std::string out;
  encode_json(value.type, value.at, out);
  return out;
}

// A text without the spaces of indentation, as Go's compact form.
std::string normal(const std::string& text) {
  Json document = Json::parse(text);
  strip_embedded_kinds(document);
  return document.dump();
}

std::vector<Vector> load() {
  std::vector<Vector> out;
  const auto reference = test::reference_dir();
  if (!reference) return out;
  for (const auto& entry : std::filesystem::directory_iterator(*reference / "api-vectors")) {
    if (entry.path().extension() != ".json") continue;
    Vector vector;
    vector.name = entry.path().stem();
    vector.json = test::read_whole(entry.path());
    auto binary = entry.path();
    vector.protobuf = test::read_whole(binary.replace_extension(".pb"));
    const auto kind = peek_kind(vector.json);
    REQUIRE(kind);
    vector.type = find_kind(kind->group, kind->version, kind->kind);
    // The one document without kind and apiVersion.
    if (vector.name == "core.v1.WatchEvent") vector.type = &metav1::WatchEvent::type_info();
    out.push_back(std::move(vector));
  }
  return out;
}

}  // namespace

TEST_CASE("golden vectors round-trip through JSON and protobuf", "[api][codec]") {
  const std::vector<Vector> vectors = load();
  if (vectors.empty()) {
    WARN("SKIPPED: no ../shared/reference/api-vectors beside the source tree");
    return;
  }
  REQUIRE(vectors.size() >= 80);
  for (const Vector& vector : vectors) {
    INFO(vector.name);
    CHECK(vector.type != nullptr);
    if (!vector.type) continue;
    Value value(*vector.type);
    std::vector<std::string> findings;
    const auto read = decode_json(vector.json, *vector.type, value.at, {&findings});
    INFO((read ? "" : read.error().message));
    CHECK(read);
    CHECK(findings == std::vector<std::string>{});
    CHECK(normal(encoded(value)) == normal(vector.json));

    const auto envelope = unwrap_protobuf(vector.protobuf);
    REQUIRE(envelope);
    std::string bytes;
    encode_protobuf(*vector.type, value.at, bytes);
    CHECK(bytes == envelope->raw);
    CHECK(wrap_protobuf(envelope->api_version, envelope->kind, bytes) == vector.protobuf);

    Value from_protobuf(*vector.type);
    const auto parsed = decode_protobuf(envelope->raw, *vector.type, from_protobuf.at);
    INFO((parsed ? "" : parsed.error().message));
    CHECK(parsed);
    CHECK(normal(encoded(from_protobuf)) == normal(vector.json));
    CHECK(first_difference(*vector.type, value.at, from_protobuf.at) == "");
  }
}
