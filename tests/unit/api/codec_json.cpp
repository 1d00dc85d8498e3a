// JSON in and out of structs: findings, mismatches, limits, Go's spelling.
#include <catch2/catch.hpp>

#include "orch/api/apiextensionsv1.h"
#include "orch/api/appsv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"

using namespace orch;
using namespace orch::api;

namespace {

template <class T>
std::string error_of(std::string_view json) {
  const auto result = from_json<T>(json);
  return result ? "" : result.error().message;
}

std::vector<std::string> findings_of(std::string_view json) {
  std::vector<std::string> findings;
  appsv1::Deployment deployment;
  const auto result = decode_json(json, deployment.type(), &deployment, {&findings});
  REQUIRE(result);
  return findings;
}

std::string nested(const std::string& open, const std::string& close, int depth) {
  std::string out;
  for (int i = 0; i < depth; i++) out += open;
  out += "1";
  for (int i = 0; i < depth; i++) out += close;
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("an empty kind shows what Go shows", "[api][codec]") {
  CHECK(to_json(corev1::Pod()) ==
        R"({"kind":"Pod","apiVersion":"v1","metadata":{"creationTimestamp":null},)"
        R"("spec":{"containers":null},"status":{}})");
  CHECK(to_json(corev1::ConfigMap()) ==
        R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"creationTimestamp":null}})");
}

TEST_CASE("strings are escaped as Go escapes them", "[api][codec]") {
  corev1::ConfigMap map;
  map.data["k"] = "<a> & \"b\" \\ \n\t\r\b\f\x01 \u2028 \xc3\xa9 \xff \x7f";
  const std::string json = to_json(map);
  CHECK(json.find(R"({"k":"\u003ca\u003e \u0026 \"b\" \\ \n\t\r\b\f\u0001 \u2028 )"
                  "\xc3\xa9"
                  R"( \ufffd )"
                  "\x7f\"}") != std::string::npos);
}

TEST_CASE("floats have Go's form", "[api][codec]") {
  apiextensionsv1::JSONSchemaProps schema;
  const std::pair<double, const char*> cases[] = {
      {1, "1"},        {0.1, "0.1"},          {1e20, "100000000000000000000"},
      {1e21, "1e+21"}, {1e-7, "1e-7"},        {1.5e-10, "1.5e-10"},
      {-2.5, "-2.5"},  {0.000001, "0.000001"}};
  for (const auto& [value, text] : cases) {
    schema.maximum = value;
    CHECK(to_json(schema) == std::string("{\"maximum\":") + text + "}");
  }
}

TEST_CASE("unknown and duplicate fields are found with their paths", "[api][codec]") {
  CHECK(findings_of(R"({"kind":"Deployment","apiVersion":"apps/v1","spec":{"replicas":1}})") ==
        Texts{});
  CHECK(findings_of(R"({"spec":{"foo":{"a":{"b":1}},"replicas":1}})") ==
        Texts{"unknown field \"spec.foo\""});
  CHECK(findings_of(R"({"spec":{"replicas":1,"replicas":2}})") ==
        Texts{"duplicate field \"spec.replicas\""});
  CHECK(findings_of(R"({"bar":1,"spec":{"template":{"spec":{"containers":[{"name":"a"},)"
                    R"({"name":"b","foo":1,"ports":[{"x":1}]}]}}}})") ==
        Texts{"unknown field \"bar\"", "unknown field \"spec.template.spec.containers[1].foo\"",
              "unknown field \"spec.template.spec.containers[1].ports[0].x\""});
  CHECK(findings_of(R"({"metadata":{"labels":{"a":"1","a":"2"}}})") ==
        Texts{"duplicate field \"metadata.labels.a\""});
  // Names are case-sensitive; fields of inlined structs are fields.
  CHECK(findings_of(R"({"Spec":{}})") == Texts{"unknown field \"Spec\""});
  CHECK(findings_of(R"({"spec":{"template":{"spec":{"volumes":[{"name":"v","emptyDir":{},)"
                    R"("emptyDir":{"medium":""}}]}}}})") ==
        Texts{"duplicate field \"spec.template.spec.volumes[0].emptyDir\""});
  // A hundred at most, each once.
  std::string many = "{";
  for (int i = 0; i < 200; i++) many += "\"f" + std::to_string(i) + "\":1,\"f0\":1,";
  many.back() = '}';
  CHECK(findings_of(many).size() == 100);
}

TEST_CASE("of a field given twice the last counts", "[api][codec]") {
  const auto read = from_json<corev1::PodSpec>(
      R"({"containers":[{"name":"a"},{"name":"b"}],"containers":[{"name":"c"}],"nodeName":"x",)"
      R"("nodeName":"y"})");
  REQUIRE(read);
  REQUIRE(read->containers.size() == 1);
  CHECK(read->containers[0].name == "c");
  CHECK(read->nodeName == "y");
}

TEST_CASE("mismatches are told in Go's words", "[api][codec]") {
  CHECK(error_of<appsv1::Deployment>(R"({"spec":{"replicas":"3"}})") ==
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type "
        "int32");
  CHECK(error_of<appsv1::Deployment>(R"({"spec":{"replicas":1.5}})") ==
        "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of "
        "type int32");
  CHECK(error_of<appsv1::Deployment>(R"({"spec":{"replicas":3000000000}})") ==
        "json: cannot unmarshal number 3000000000 into Go struct field "
        "DeploymentSpec.spec.replicas of type int32");
  CHECK(error_of<corev1::Pod>(R"({"spec":{"containers":{}}})") ==
        "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type "
        "[]v1.Container");
  CHECK(error_of<corev1::Pod>(R"({"spec":[]})") ==
        "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec");
  CHECK(error_of<corev1::Pod>(R"({"metadata":{"labels":{"a":1}}})") ==
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type "
        "string");
  CHECK(error_of<corev1::Pod>(R"({"spec":{"containers":[{"args":[true]}]}})") ==
        "json: cannot unmarshal bool into Go struct field Container.spec.containers.args of type "
        "string");
  CHECK(error_of<corev1::Pod>(R"({"metadata":{"creationTimestamp":5}})") ==
        "json: cannot unmarshal number into Go value of type string");
  CHECK(error_of<corev1::Secret>(R"({"data":{"a":"***"}})") ==
        "illegal base64 data at input byte 0");
  CHECK(error_of<corev1::Pod>("[]") == "json: cannot unmarshal array into Go value of type v1.Pod");
  CHECK(
      error_of<corev1::Pod>(R"({"spec":{"containers":[{"resources":{"limits":{"cpu":"1x"}}}]}})") ==
      "quantities must match the regular expression "
      "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

TEST_CASE("syntax errors are told in Go's words", "[api][codec]") {
  CHECK(error_of<corev1::Pod>("") == "unexpected end of JSON input");
  CHECK(error_of<corev1::Pod>("{\"a\":") == "unexpected end of JSON input");
  CHECK(error_of<corev1::Pod>("{a:1}") ==
        "invalid character 'a' looking for beginning of object key string");
  CHECK(error_of<corev1::Pod>("{\"a\" 1}") == "invalid character '1' after object key");
  CHECK(error_of<corev1::Pod>("{\"a\":1 2}") ==
        "invalid character '2' after object key:value pair");
  CHECK(error_of<corev1::Pod>("{} x") == "invalid character 'x' after top-level value");
}

TEST_CASE("null is absent", "[api][codec]") {
  const auto pod = from_json<corev1::Pod>(
      R"({"metadata":{"name":null,"labels":null,"creationTimestamp":null},)"
      R"("spec":{"containers":null,"securityContext":null,"hostPID":null,"priority":null}})");
  REQUIRE(pod);
  CHECK(equal(*pod, corev1::Pod()));
}

TEST_CASE("any JSON keeps its text", "[api][codec]") {
  const auto revision = from_json<appsv1::ControllerRevision>(
      R"({"data": {"b": [1, 2.50, -3e5, {"x": null}], "a": "<\u0041>", "e": {}, "f": []}, "revision": 1})");
  REQUIRE(revision);
  CHECK(revision->data.text ==
        R"({"b":[1,2.50,-3e5,{"x":null}],"a":"\u003cA\u003e","e":{},"f":[]})");
  CHECK(to_json(*revision).find(revision->data.text) != std::string::npos);
}

TEST_CASE("schemas that are objects, lists or booleans", "[api][codec]") {
  const std::string texts[] = {
      R"({"items":{"type":"string"},"additionalProperties":false})",
      R"({"items":[{"type":"string"},{"type":"integer"}],"additionalProperties":true})",
      R"({"default":{"a":1},"enum":["a",1,null],"additionalProperties":{"not":{"type":"x"}}})",
      R"({"$ref":"r","dependencies":{"a":["b","c"],"d":{"type":"object"}},)"
      R"("x-kubernetes-preserve-unknown-fields":true})"};
  for (const std::string& text : texts) {
    const auto schema = from_json<apiextensionsv1::JSONSchemaProps>(text);
    REQUIRE(schema);
    const auto again = from_json<apiextensionsv1::JSONSchemaProps>(to_json(*schema));
    REQUIRE(again);
    CHECK(to_json(*again) == to_json(*schema));
    CHECK(equal(*schema, *again));
    CHECK(to_json(*schema).size() == text.size());
  }
}

TEST_CASE("depth is limited and deep input harms nothing", "[api][codec]") {
  const std::string deep = "{\"spec\":{\"foo\":" + nested("[", "]", 200'000) + "}}";
  CHECK(error_of<corev1::Pod>(deep) == "exceeded max depth");
  CHECK(error_of<corev1::Pod>("{\"spec\":{\"foo\":" + nested("[", "]", 5'000) + "}}") == "");
  CHECK(error_of<apiextensionsv1::JSONSchemaProps>(nested("{\"not\":", "}", 100'000)) ==
        "exceeded max depth");
  CHECK(error_of<appsv1::ControllerRevision>("{\"data\":" + nested("[", "]", 100'000) + "}") ==
        "exceeded max depth");
  const auto schema = from_json<apiextensionsv1::JSONSchemaProps>(
      nested("{\"not\":", "}", 900).replace(900 * 7, 1, "{}"));
  REQUIRE(schema);
  CHECK(equal(*schema, *schema));
  CHECK(error_of<apiextensionsv1::JSONSchemaProps>(
            nested("{\"not\":", "}", 1'000).replace(1'000 * 7, 1, "{}")) == "exceeded max depth");
  CHECK_FALSE(peek_kind(nested("[", "]", 100'000)));
  CHECK_FALSE(peek_kind("{\"a\":" + nested("[", "]", 100'000) + "}"));
}

TEST_CASE("kind and apiVersion are read alone", "[api][codec]") {
  const auto kind =
      peek_kind(R"({"spec":{"kind":"no"},"kind":"Deployment","apiVersion":"apps/v1"})");
  REQUIRE(kind);
  CHECK(*kind == GroupVersionKind{"apps", "v1", "Deployment"});
  CHECK(peek_kind(R"({"apiVersion":"v1"})")->version == "v1");
  CHECK(peek_kind("{\"kind\":5}").error().message ==
        "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct "
        "field .kind of type string");
  CHECK(peek_kind("{").error().message ==
        "couldn't get version/kind; json parse error: unexpected end of JSON input");
}

TEST_CASE("objects clone, compare and show where they differ", "[api][codec]") {
  corev1::Pod pod;
  pod.metadata.name = "web";
  pod.spec.containers.resize(2);
  pod.spec.securityContext.ensure().runAsUser = 5;
  pod.metadata.labels["a"] = "b";
  const auto copy = pod.clone();
  auto& other = static_cast<corev1::Pod&>(*copy);
  CHECK(equal(pod, other));
  CHECK(first_difference(pod.type(), &pod, &other) == "");
  other.spec.containers[1].image = "x";
  CHECK_FALSE(equal(pod, other));
  CHECK(first_difference(pod.type(), &pod, &other) == "spec.containers[1].image: \"\" != \"x\"");
  other = pod;
  other.metadata.labels["a"] = "c";
  CHECK(first_difference(pod.type(), &pod, &other) == "metadata.labels[a]: \"b\" != \"c\"");
  other = pod;
  other.spec.securityContext.reset();
  CHECK(first_difference(pod.type(), &pod, &other) == "spec.securityContext: set != unset");
}

TEST_CASE("a StatefulSet's claims show their kind", "[api][codec]") {
  appsv1::StatefulSet set;
  set.spec.volumeClaimTemplates.emplace_back().metadata.name = "data";
  CHECK(to_json(set).find(R"("volumeClaimTemplates":[{"kind":"PersistentVolumeClaim",)"
                          R"("apiVersion":"v1","metadata":{"name":"data")") != std::string::npos);
}

TEST_CASE("static defaults fill what is empty", "[api][codec]") {
  corev1::Pod pod;
  pod.spec.containers.emplace_back().ports.resize(2);
  pod.spec.containers[0].ports[1].protocol = "UDP";
  pod.spec.volumes.emplace_back().rbd.ensure().pool = "mine";
  apply_static_defaults(pod.type(), &pod);
  CHECK(pod.spec.containers[0].ports[0].protocol == "TCP");
  CHECK(pod.spec.containers[0].ports[1].protocol == "UDP");
  CHECK(pod.spec.volumes[0].rbd->pool == "mine");
  CHECK(pod.spec.volumes[0].rbd->user == "admin");
}
