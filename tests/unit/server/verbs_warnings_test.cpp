// Warning headers about Pods and pod templates, on creation and update.
#include <catch2/catch.hpp>

#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";

// The texts, each with a line feed, in the order sent.
std::string warnings_of(const Answer& answer) {
  std::string out;
  for (auto [it, end] = answer.headers.equal_range("Warning"); it != end; ++it) {
    std::string text = it->second;
    CHECK(text.substr(0, 7) == "299 - \"");
    text = text.substr(7, text.size() - 8);
    for (size_t at = 0; (at = text.find('\\', at)) != std::string::npos; ++at) text.erase(at, 1);
    out += text + "\n";
  }
  return out;
}

std::string deployment(const std::string& pod_spec, const std::string& annotations = "{}") {
  return R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":)"
         R"({"metadata":{"labels":{"a":"b"},"annotations":)" +
         annotations + R"(},"spec":{"containers":[{"name":"c","image":"i"}])" + pod_spec + "}}}}";
}

}  // namespace

TEST_CASE("deprecated labels and annotations are warned about where they stand") {
  ApiFixture api;
  const std::string odd =
      R"(,"nodeSelector":{"beta.kubernetes.io/os":"linux"},"imagePullSecrets":[{}],)"
      R"("topologySpreadConstraints":[{"maxSkew":1,"whenUnsatisfiable":"DoNotSchedule",)"
      R"("topologyKey":"failure-domain.beta.kubernetes.io/zone"}])";
  const std::string notes = R"({"scheduler.alpha.kubernetes.io/critical-pod":""})";
  const Answer made = api.post(kDeployments, deployment(odd, notes));
  REQUIRE(made.status == 201);
  CHECK(warnings_of(made) ==
        "spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "
        "\"kubernetes.io/os\" instead\n"
        "spec.template.spec.topologySpreadConstraints[0].topologyKey: "
        "failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "
        "\"topology.kubernetes.io/zone\" instead\n"
        "spec.template.spec.topologySpreadConstraints[0].labelSelector: a null labelSelector "
        "results in matching no pod\n"
        "spec.template.metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: "
        "non-functional in v1.16+; use the \"priorityClassName\" field instead\n"
        "spec.template.spec.imagePullSecrets[0].name: invalid empty name \"\"\n");
  // An update that leaves the spec alone is quiet; one that changes it is not.
  const std::string one = std::string(kDeployments) + "/d";
  const char* merge = "application/merge-patch+json";
  CHECK(warnings_of(api.patch(one, merge, R"({"metadata":{"labels":{"x":"y"}}})")).empty());
  CHECK(warnings_of(api.patch(one, merge, R"({"spec":{"replicas":2}})"))
            .find("nodeSelector[beta.kubernetes.io/os]") != std::string::npos);
}

TEST_CASE("a Pod is warned about when it is made") {
  ApiFixture api;
  const std::string body =
      R"({"metadata":{"name":"p"},"spec":{"containers":[)"
      R"({"name":"c","image":"i","env":[{"name":"A","value":"1"},{"name":"A","value":"2"},)"
      R"({"name":"A","value":"$(A)3"}],"ports":[{"containerPort":80,"name":"x"},)"
      R"({"containerPort":80,"name":"y"}],"resources":{"limits":{"memory":"100m"}}}]}})";
  const Answer made = api.post(kPods, body);
  INFO(made.body);
  REQUIRE(made.status == 201);
  CHECK(
      warnings_of(made) ==
      "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, "
      "must be an integer\n"
      "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is "
      "invalid, must be an integer\n"
      "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when "
      "using apply\n"
      "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]\n");
  CHECK(warnings_of(api.patch(std::string(kPods) + "/p", "application/merge-patch+json",
                              R"({"metadata":{"labels":{"x":"y"}}})"))
            .empty());
}

TEST_CASE("whoever asks for a deprecated kind is told") {
  ApiFixture api;
  CHECK(warnings_of(api.get("/api/v1/componentstatuses")) ==
        "v1 ComponentStatus is deprecated in v1.19+\n");
  CHECK(warnings_of(api.get("/api/v1/nodes")).empty());
}

}  // namespace orch::server::test
