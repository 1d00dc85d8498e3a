#include "orch/api/openapi.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

using namespace orch::api;
using nlohmann::json;

namespace {

json v2() { return json::parse(*openapi_v2(OpenApiFormat::kJson).body); }
json v3(const char* path) { return json::parse(*openapi_v3(path, OpenApiFormat::kJson)->body); }

void collect_refs(const json& value, std::set<std::string>& refs) {
  if (value.is_object() && value.contains("$ref") && value["$ref"].is_string()) {
    refs.insert(value["$ref"]);
  }
  if (value.is_structured()) {
    for (const json& item : value) collect_refs(item, refs);
  }
}

// Length-delimited fields of a protobuf message; nullopt = malformed.
using Fields = std::vector<std::pair<int, std::string>>;
std::optional<Fields> proto_fields(const std::string& bytes) {
  Fields out;
  size_t at = 0;
  auto varint = [&]() -> std::optional<uint64_t> {
    uint64_t value = 0;
    for (int shift = 0; at < bytes.size() && shift < 64; shift += 7) {
      unsigned char c = static_cast<unsigned char>(bytes[at++]);
      value |= static_cast<uint64_t>(c & 0x7f) << shift;
      if (c < 0x80) return value;
    }
    return std::nullopt;
  };
  while (at < bytes.size()) {
    auto tag = varint();
    if (!tag) return std::nullopt;
    if ((*tag & 7) == 2) {
      auto size = varint();
      if (!size || at + *size > bytes.size()) return std::nullopt;
      out.push_back({static_cast<int>(*tag >> 3), bytes.substr(at, *size)});
      at += *size;
    } else if ((*tag & 7) == 0) {
      auto value = varint();
      if (!value) return std::nullopt;
      out.push_back({static_cast<int>(*tag >> 3), std::to_string(*value)});
    } else {
      return std::nullopt;
    }
  }
  return out;
}
// The bytes of the first field of that number.
std::string proto_first(const std::string& bytes, int number) {
  auto fields = proto_fields(bytes);
  REQUIRE(fields);
  for (auto& [n, value] : *fields) {
    if (n == number) return value;
  }
  return "";
}
// Entry of a repeated Named...{name=1, value=2}.
std::string proto_named(const std::string& bytes, int number, const std::string& name) {
  auto fields = proto_fields(bytes);
  REQUIRE(fields);
  for (auto& [n, value] : *fields) {
    if (n == number && proto_first(value, 1) == name) return proto_first(value, 2);
  }
  return "";
}

constexpr const char* kDeploymentPath = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";

std::set<std::string> parameter_names(const json& operation) {
  std::set<std::string> names;
  for (const json& p : operation["parameters"]) names.insert(p["name"]);
  return names;
}

}  // namespace

TEST_CASE("OpenAPI v2: every reference resolves, every operation has its own id") {
  json document = v2();
  CHECK(document["swagger"] == "2.0");
  std::set<std::string> refs, ids;
  collect_refs(document, refs);
  CHECK(refs.size() > 100);
  for (const std::string& ref : refs) {
    CAPTURE(ref);
    REQUIRE(ref.starts_with("#/definitions/"));
    CHECK(document["definitions"].contains(ref.substr(14)));
  }
  for (const auto& [path, item] : document["paths"].items()) {
    for (const char* method : {"get", "put", "post", "patch", "delete"}) {
      if (!item.contains(method)) continue;
      CAPTURE(path, method);
      CHECK(ids.insert(item[method]["operationId"]).second);
      CHECK(item[method].contains("x-kubernetes-action"));
      CHECK(item[method]["x-kubernetes-group-version-kind"].contains("kind"));
    }
  }
}

TEST_CASE("OpenAPI v2: what kubectl looks for") {
  json document = v2();
  json patch = document["paths"][kDeploymentPath]["patch"];
  CHECK(patch["x-kubernetes-group-version-kind"] ==
        json({{"group", "apps"}, {"version", "v1"}, {"kind", "Deployment"}}));
  CHECK(parameter_names(patch) ==
        std::set<std::string>{"body", "dryRun", "fieldManager", "fieldValidation", "force"});
  json& definitions = document["definitions"];
  json& deployment = definitions["io.k8s.api.apps.v1.Deployment"];
  CHECK(deployment["x-kubernetes-group-version-kind"][0]["kind"] == "Deployment");
  CHECK(deployment["properties"].contains("apiVersion"));
  CHECK(deployment["properties"]["spec"]["$ref"] ==
        "#/definitions/io.k8s.api.apps.v1.DeploymentSpec");
  CHECK(definitions["io.k8s.api.apps.v1.DeploymentSpec"]["required"] ==
        json({"selector", "template"}));
  CHECK(definitions["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"]
                   ["x-kubernetes-patch-strategy"] == "retainKeys");
  json containers = definitions["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
  CHECK(containers["type"] == "array");
  CHECK(containers["items"]["$ref"] == "#/definitions/io.k8s.api.core.v1.Container");
  CHECK(containers["x-kubernetes-patch-strategy"] == "merge");
  CHECK(containers["x-kubernetes-patch-merge-key"] == "name");
  CHECK(containers["x-kubernetes-list-type"] == "map");
  CHECK(containers["x-kubernetes-list-map-keys"] == json({"name"}));
  CHECK(definitions["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]["default"] ==
        "TCP");
  CHECK(definitions["io.k8s.api.core.v1.PodSpec"]["properties"]["nodeSelector"]
                   ["x-kubernetes-map-type"] == "atomic");
  CHECK(definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["format"] ==
        "int-or-string");
  CHECK(definitions["io.k8s.apimachinery.pkg.apis.meta.v1.Time"]["format"] == "date-time");
  CHECK(definitions.contains("io.k8s.api.core.v1.PodList"));
  // Fields of inlined structs stand in their parent.
  CHECK(definitions["io.k8s.api.core.v1.Volume"]["properties"].contains("hostPath"));
}

TEST_CASE("OpenAPI v3: one self-contained document a group version") {
  json document = v3("apis/apps/v1");
  CHECK(document["openapi"] == "3.0.0");
  std::set<std::string> refs;
  collect_refs(document, refs);
  for (const std::string& ref : refs) {
    CAPTURE(ref);
    REQUIRE(ref.starts_with("#/components/schemas/"));
    CHECK(document["components"]["schemas"].contains(ref.substr(21)));
  }
  for (const auto& [path, item] : document["paths"].items()) {
    CHECK(path.starts_with("/apis/apps/v1/"));
  }
  json patch = document["paths"][kDeploymentPath]["patch"];
  CHECK(parameter_names(patch).contains("fieldValidation"));
  CHECK(patch["requestBody"]["content"].contains("application/apply-patch+yaml"));
  CHECK(document["paths"].contains(std::string(kDeploymentPath) + "/status"));
  json& schemas = document["components"]["schemas"];
  CHECK(schemas["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"]["allOf"][0]["$ref"] ==
        "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec");
  CHECK(schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["oneOf"].size() == 2);
  CHECK_FALSE(openapi_v3("apis/none/v1", OpenApiFormat::kJson));
  CHECK_FALSE(openapi_v3("", OpenApiFormat::kJson));
}

TEST_CASE("OpenAPI v3: the index names each document with its hash") {
  json index = json::parse(*openapi_v3_index().body);
  REQUIRE(index["paths"].contains("api/v1"));
  for (const auto& [path, entry] : index["paths"].items()) {
    CAPTURE(path);
    auto document = openapi_v3(path, OpenApiFormat::kProtobuf);
    REQUIRE(document);
    CHECK(entry["serverRelativeURL"] == "/openapi/v3/" + path + "?hash=" + document->hash);
  }
}

TEST_CASE("OpenAPI protobuf says what the JSON says") {
  SECTION("v2") {
    std::string document = *openapi_v2(OpenApiFormat::kProtobuf).body;
    CHECK(proto_first(document, 1) == "2.0");
    std::string paths = proto_first(document, 8), definitions = proto_first(document, 9);
    json text = v2();
    CHECK(proto_fields(paths)->size() == text["paths"].size());
    CHECK(proto_fields(definitions)->size() == text["definitions"].size());
    std::string schema = proto_named(definitions, 1, "io.k8s.api.core.v1.PodSpec");
    std::string containers = proto_named(proto_first(schema, 25), 1, "containers");
    CHECK(proto_first(proto_first(containers, 22), 1) == "array");
    CHECK(proto_first(proto_first(proto_first(containers, 23), 1), 1) ==
          "#/definitions/io.k8s.api.core.v1.Container");
    CHECK(proto_first(proto_named(containers, 31, "x-kubernetes-patch-merge-key"), 2) ==
          "\"name\"");
    std::string patch = proto_first(proto_named(paths, 2, kDeploymentPath), 8);
    CHECK(proto_first(patch, 5) == "patchAppsV1NamespacedDeployment");
    CHECK(proto_first(proto_named(patch, 13, "x-kubernetes-action"), 2) == "\"patch\"");
  }
  SECTION("v3") {
    std::string document = *openapi_v3("api/v1", OpenApiFormat::kProtobuf)->body;
    json text = v3("api/v1");
    std::string schemas = proto_first(proto_first(document, 5), 1);
    CHECK(proto_fields(proto_first(document, 4))->size() == text["paths"].size());
    CHECK(proto_fields(schemas)->size() == text["components"]["schemas"].size());
    std::string pod = proto_first(proto_named(schemas, 1, "io.k8s.api.core.v1.Pod"), 1);
    CHECK(proto_first(pod, 25) == "object");
    std::string spec = proto_first(proto_named(proto_first(pod, 31), 1, "spec"), 1);
    CHECK(proto_first(proto_first(proto_first(spec, 26), 2), 1) ==
          "#/components/schemas/io.k8s.api.core.v1.PodSpec");
  }
}

TEST_CASE("OpenAPI documents are shared while held and rebuilt alike") {
  auto first = openapi_v3("api/v1", OpenApiFormat::kJson);
  CHECK(openapi_v3("api/v1", OpenApiFormat::kJson)->body == first->body);
  std::weak_ptr<const std::string> gone = first->body;
  std::string text = *first->body;
  first.reset();
  CHECK(gone.expired());
  CHECK(*openapi_v3("api/v1", OpenApiFormat::kJson)->body == text);
}
