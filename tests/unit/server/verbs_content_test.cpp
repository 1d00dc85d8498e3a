// Content negotiation, strict decoding and options, as client-go, kubectl and curl meet them.
#include <catch2/catch.hpp>

#include "orch/api/corev1.h"
#include "orch/api/metav1.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kProtobuf = "application/vnd.kubernetes.protobuf";

std::string warnings_of(const Answer& answer) {
  std::string out;
  for (auto [it, end] = answer.headers.equal_range("Warning"); it != end; ++it) {
    out += it->second + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("answers take the form asked for, or 406 with upstream's texts") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a", R"(,"data":{"k":"v"})"));
  const std::string one = std::string(kConfigMaps) + "/a";

  CHECK(api.get(one).body.back() == '\n');
  CHECK(api.get(one, "application/yaml").body.find("\nkind: ConfigMap\n") != std::string::npos);
  const Answer pretty = api.get(one + "?pretty=true");
  CHECK(pretty.body.substr(0, 25) == "{\n  \"kind\": \"ConfigMap\",\n");
  CHECK(pretty.body.back() == '}');
  CHECK(api.send("GET", one, "", {{"User-Agent", "curl/8"}}).body == pretty.body);
  CHECK(api.send("GET", one + "?pretty=false", "", {{"User-Agent", "curl/8"}}).body != pretty.body);

  const Answer text = api.get(one, "text/plain");
  CHECK(text.status == 406);
  CHECK(text.at("reason") == "NotAcceptable");
  CHECK(text.at("message") ==
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf");
  CHECK(api.get(one, "application/json;as=Foo;v=v1;g=meta.k8s.io").at("message") ==
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf");
  // Exact types go before wildcards of the same weight; weight goes before both.
  CHECK(api.get(one, "*/*, application/yaml").header("Content-Type") == "application/yaml");
  CHECK(api.get(one, "application/yaml;q=0.5, */*").header("Content-Type") == "application/json");
  CHECK(api.get(one, "text/html, */*;q=0.1").header("Content-Type") == "application/json");

  const Answer put = api.send("PUT", one, "<a/>", {{"Content-Type", "text/xml"}});
  CHECK(put.status == 415);
  CHECK(put.at("message") ==
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf");
  const Answer patch = api.patch(one, "application/json", "{}");
  CHECK(patch.status == 415);
  CHECK(patch.at("reason") == "UnsupportedMediaType");
  CHECK(patch.at("message") == "415: Unsupported Media Type");
}

TEST_CASE("protobuf goes in and out, lists, Status and watches included") {
  ApiFixture api;
  api::corev1::ConfigMap map;
  map.metadata.name = "p";
  map.data["k"] = "v";
  std::string raw;
  api::encode_protobuf(api::corev1::ConfigMap::type_info(), &map, raw);
  const Headers both{{"Content-Type", kProtobuf}, {"Accept", kProtobuf}};
  const Answer made =
      api.send("POST", kConfigMaps, api::wrap_protobuf("v1", "ConfigMap", raw), both);
  REQUIRE(made.status == 201);
  CHECK(made.header("Content-Type") == kProtobuf);
  auto unwrapped = api::unwrap_protobuf(made.body);
  REQUIRE(unwrapped);
  CHECK(unwrapped->kind == "ConfigMap");
  api::corev1::ConfigMap back;
  REQUIRE(api::decode_protobuf(unwrapped->raw, api::corev1::ConfigMap::type_info(), &back));
  CHECK(back.data["k"] == "v");
  CHECK_FALSE(back.metadata.resourceVersion.empty());

  auto list = api::unwrap_protobuf(api.get(kConfigMaps, kProtobuf).body);
  REQUIRE(list);
  CHECK(list->kind == "ConfigMapList");
  auto missing = api::unwrap_protobuf(api.get(std::string(kConfigMaps) + "/no", kProtobuf).body);
  REQUIRE(missing);
  CHECK(missing->kind == "Status");
  api::metav1::Status status;
  REQUIRE(api::decode_protobuf(missing->raw, api::metav1::Status::type_info(), &status));
  CHECK(status.reason == "NotFound");
  CHECK(status.code == 404);

  // Frames of a watch: four bytes of length, then WatchEvent{type, object{raw}}.
  const Answer watch = api.get(std::string(kConfigMaps) + "?watch=1&fieldSelector=metadata.name=p",
                               "application/vnd.kubernetes.protobuf;stream=watch");
  REQUIRE(watch.stream != nullptr);
  CHECK(watch.header("Content-Type") == "application/vnd.kubernetes.protobuf;stream=watch");
  const std::string& frames = watch.stream->data;
  REQUIRE(frames.size() > 4);
  size_t length = 0;
  for (int i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(frames[i]);
  CHECK(length == frames.size() - 4);
  CHECK(frames.substr(4, 7) ==
        "\x0a\x05"
        "ADDED");
  CHECK(frames.find(std::string("k8s\0", 4)) != std::string::npos);

  const Answer junk = api.send("POST", kConfigMaps, "{}", {{"Content-Type", kProtobuf}});
  CHECK(junk.status == 400);
  CHECK(junk.at("message") ==
        "the object provided is unrecognized (must be of type ConfigMap): provided data does not "
        "appear to be a protobuf message, expected prefix [107 56 115 0] ({})");
  const Answer metadata = api.get(
      kConfigMaps,
      "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
  auto partial = api::unwrap_protobuf(metadata.body);
  REQUIRE(partial);
  CHECK(partial->kind == "PartialObjectMetadataList");
  CHECK(partial->api_version == "meta.k8s.io/v1");
}

TEST_CASE("tables come in both versions, with the objects asked for") {
  ApiFixture api;
  api.post(kPods, pod("a"));
  const std::string table = "application/json;as=Table;v=v1;g=meta.k8s.io";
  const Answer v1 = api.get(kPods, table);
  CHECK(v1.at("kind") == "Table");
  CHECK(v1.at("apiVersion") == "meta.k8s.io/v1");
  CHECK(v1.header("Content-Type") == "application/json");
  CHECK(v1.body.find(R"("object":{"kind":"PartialObjectMetadata")") != std::string::npos);
  const Answer beta = api.get(kPods, "application/json;as=Table;v=v1beta1;g=meta.k8s.io");
  CHECK(beta.at("apiVersion") == "meta.k8s.io/v1beta1");
  CHECK(beta.body.find(R"("kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1")") !=
        std::string::npos);
  CHECK(api.get(std::string(kPods) + "?includeObject=None", table).body.find("\"object\":null") !=
        std::string::npos);
  CHECK(api.get(std::string(kPods) + "?includeObject=Object", table)
            .body.find(R"("object":{"kind":"Pod")") != std::string::npos);
  const Answer wrong = api.get(std::string(kPods) + "?includeObject=All", table);
  CHECK(wrong.status == 400);
  CHECK(wrong.at("message") ==
        "Unable to convert to Table as requested: includeObject: Invalid value: \"All\": must be "
        "'Metadata', 'Object', 'None', or empty");
  // No table fits: the next in line serves.
  CHECK(api.get(kPods, "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io," + table)
            .at("kind") == "Table");

  const Answer watch = api.get(std::string(kPods) + "?watch=true", table);
  api.post(kPods, pod("b"));
  const auto frames = watch.stream->take();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].find(R"("columnDefinitions":[{"name":"Name")") != std::string::npos);
  CHECK(frames[1].find(R"("columnDefinitions":null)") != std::string::npos);
}

TEST_CASE("metadata only: of lists as lists, of objects as objects") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a", R"(,"data":{"k":"v"})"));
  const std::string one = std::string(kConfigMaps) + "/a";
  const std::string object = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
  const std::string list = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
  CHECK(api.get(one, object).at("kind") == "PartialObjectMetadata");
  CHECK(api.get(one, object).body.find(R"("data":)") == std::string::npos);
  CHECK(api.get(kConfigMaps, list).at("kind") == "PartialObjectMetadataList");
  const Answer not_list = api.get(one, list);
  CHECK(not_list.status == 406);
  CHECK(not_list.at("message") ==
        "you requested PartialObjectMetadataList, but the requested object is not a list "
        "(*core.ConfigMap)");
  const Answer not_one = api.get(kConfigMaps, object);
  CHECK(not_one.status == 406);
  CHECK(not_one.at("message") ==
        "you requested PartialObjectMetadata, but the requested object is a list "
        "(*core.ConfigMapList)");
  const Answer watch = api.get(std::string(kConfigMaps) + "?watch=true", object);
  const auto frames = watch.stream->take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].find(R"({"type":"ADDED","object":{"kind":"PartialObjectMetadata")") == 0);
}

TEST_CASE("a body of another kind is refused as upstream's decoder does") {
  ApiFixture api;
  const auto message = [&](const std::string& body) {
    const Answer answer = api.post(kConfigMaps, body);
    CHECK(answer.status == 400);
    CHECK(answer.at("reason") == "BadRequest");
    return answer.at("message");
  };
  CHECK(message(R"({"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"a"}})") ==
        "Deployment in version \"v1\" cannot be handled as a ConfigMap: converting "
        "(v1.Deployment) to (core.ConfigMap): unknown conversion");
  CHECK(message(R"({"kind":"Nothing","apiVersion":"v1","metadata":{"name":"a"}})") ==
        "Nothing in version \"v1\" cannot be handled as a ConfigMap: no kind \"Nothing\" is "
        "registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"");
  CHECK(message(R"({"kind":"ConfigMap","apiVersion":"v7","metadata":{"name":"a"}})") ==
        "ConfigMap in version \"v7\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is "
        "registered for version \"v7\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"");
  CHECK(message(R"({"metadata":{"name":"a"},"data":[]})") ==
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal "
        "array into Go struct field ConfigMap.data of type map[string]string");
  CHECK(message("") ==
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get "
        "version/kind; json parse error: unexpected end of JSON input (<empty>)");
  CHECK(message("{\"metadata\":").find("unexpected end of JSON input ({\"metadata\":)") !=
        std::string::npos);
  CHECK(message(R"({"kind":"ConfigMap","apiVersion":"v1","data":{"a":1,}})") ==
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get "
        "version/kind; json parse error: invalid character '}' looking for beginning of object "
        "key string ({\"kind\":\"ConfigMap\",\"apiVersio ...)");
  // Nothing said at all means what the URL says.
  CHECK(api.post(kConfigMaps, R"({"metadata":{"name":"bare"}})").status == 201);
}

TEST_CASE("unknown and duplicate fields: error, warning or nothing, for JSON and YAML") {
  ApiFixture api;
  const std::string json = config_map("a", R"(,"data":{"k":"1","k":"2"},"oops":1)");
  const Answer strict = api.post(std::string(kConfigMaps) + "?fieldValidation=Strict", json);
  CHECK(strict.status == 400);
  CHECK(strict.at("message") ==
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
        "duplicate field \"data.k\", unknown field \"oops\"");
  const Answer warn = api.post(kConfigMaps, json);
  CHECK(warn.status == 201);
  CHECK(warnings_of(warn) ==
        "299 - \"duplicate field \\\"data.k\\\"\"\n299 - \"unknown field \\\"oops\\\"\"\n");
  const Answer ignore = api.put(std::string(kConfigMaps) + "/a?fieldValidation=Ignore", json);
  CHECK(ignore.status == 200);
  CHECK(warnings_of(ignore).empty());

  const std::string yaml =
      "kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: yam\ndata:\n  k: \"1\"\n  k: \"2\"\n"
      "oops: 1\n";
  const Headers as_yaml{{"Content-Type", "application/yaml"}};
  const Answer refused =
      api.send("POST", std::string(kConfigMaps) + "?fieldValidation=Strict", yaml, as_yaml);
  CHECK(refused.at("message") ==
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
        "yaml: unmarshal errors:\n  line 7: key \"k\" already set in map, unknown field \"oops\"");
  CHECK(warnings_of(api.send("POST", kConfigMaps, yaml, as_yaml)) ==
        "299 - \"line 7: key \\\"k\\\" already set in map\"\n299 - \"unknown field "
        "\\\"oops\\\"\"\n");
}

TEST_CASE("patches are decoded strictly too, and shown as upstream shows them") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a", R"(,"data":{"k":"v"})"));
  const std::string one = std::string(kConfigMaps) + "/a";
  const std::string strict = one + "?fieldValidation=Strict";
  const Answer merge =
      api.patch(strict, "application/merge-patch+json", R"({"data":{"x":"1","x":"2"}})");
  CHECK(merge.status == 422);
  CHECK(merge.at("message").find("strict decoding error: duplicate field \"data.x\"") !=
        std::string::npos);
  const Answer smp =
      api.patch(strict, "application/strategic-merge-patch+json", R"({"foo":{"bar":1}})");
  CHECK(smp.status == 422);
  CHECK(smp.at("message") ==
        " \"\" is invalid: patch: Invalid value: \"map[foo:map[bar:1]]\": strict decoding error: "
        "unknown field \"foo\"");
  const Answer json = api.patch(strict, "application/json-patch+json",
                                R"([{"op":"test","path":"/data/k","value":"v","why":1}])");
  CHECK(json.status == 422);
  CHECK(json.at("message").find("json patch unknown field \"[0].why\"") != std::string::npos);
  const Answer warned = api.patch(one, "application/json-patch+json",
                                  R"([{"op":"add","op":"test","path":"/data/k","value":"v"}])");
  CHECK(warned.status == 200);
  CHECK(warnings_of(warned) == "299 - \"json patch duplicate field \\\"[0].op\\\"\"\n");
  CHECK(api.patch(one, "application/json-patch+json", "{}").at("message") ==
        "error decoding patch: json: cannot unmarshal object into Go value of type "
        "[]handlers.jsonPatchOp");
  CHECK(api.patch(one, "application/json-patch+json", R"([{"op":1}])").at("message") ==
        "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op "
        "of type string");
  CHECK(api.patch(one, "application/json-patch+json", R"([{"op":"remove","path":"/no"}])")
            .at("message") == "the server rejected our request due to an error in our request");
  CHECK(api.patch(one, "application/merge-patch+json", "{").at("message") ==
        "error decoding patch: unexpected end of JSON input");
  CHECK(api.patch(one, "application/merge-patch+json", R"({"data":{"k":1}})").status == 422);
}

TEST_CASE("warnings are said once, and cut when there are too many") {
  ApiFixture api;
  std::string body = R"({"metadata":{"name":"a"})";
  const std::string name(300, 'x');
  for (int i = 0; i < 30; ++i) body += ",\"f" + std::to_string(i) + name + "\":1";
  const Answer many = api.post(kConfigMaps, body + "}");
  size_t total = 0, count = 0;
  for (auto [it, end] = many.headers.equal_range("Warning"); it != end; ++it) {
    total += it->second.size();
    CHECK(it->second.size() < 280);
    ++count;
  }
  CHECK(count == 16);
  CHECK(total < 5000);
}

TEST_CASE("options of writes are validated with upstream's texts") {
  ApiFixture api;
  const std::string body = config_map("a");
  const auto create = [&](const std::string& query) {
    return api.post(std::string(kConfigMaps) + "?" + query, body);
  };
  CHECK(create("dryRun=Some").at("message") ==
        "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: "
        "[]string{\"Some\"}: supported values: \"All\"");
  CHECK(create("dryRun=Some").status == 422);
  CHECK(create("fieldValidation=Maybe").at("message") ==
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: "
        "\"Maybe\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
  CHECK(create("fieldManager=a%0Ab").at("message") ==
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\nb\": "
        "should only contain printable characters (invalid character at position 1)");
  CHECK(create("fieldManager=" + std::string(129, 'm')).at("message") ==
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than "
        "128 bytes");
  CHECK(create("").status == 201);
  const std::string one = std::string(kConfigMaps) + "/a";
  CHECK(api.patch(one + "?force=true", "application/merge-patch+json", "{}").at("message") ==
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for "
        "non-apply patch");
  CHECK(api.patch(one, "application/apply-patch+yaml", body).at("message") ==
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for "
        "apply patch");
  CHECK(api.del(one + "?propagationPolicy=Never").at("message") ==
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: "
        "\"Never\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"");
  CHECK(api.del(one + "?propagationPolicy=Orphan&orphanDependents=false").status == 422);
  CHECK(api.del(one + "?gracePeriodSeconds=soon").at("message") ==
        "strconv.ParseInt: parsing \"soon\": invalid syntax");
  CHECK(api.del(one, R"({"dryRun":["All","No"]})").at("message") ==
        "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: []string{\"All\", "
        "\"No\"}: supported values: \"All\"");
  CHECK(api.get(one).status == 200);
}

}  // namespace orch::server::test
