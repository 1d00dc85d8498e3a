// pods/resize.
#include <catch2/catch.hpp>

#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

constexpr const char* kCollection = "/api/v1/namespaces/default/pods";

Answer resize(ApiFixture& api, const std::string& resources) {
  return api.patch(std::string(kCollection) + "/p/resize", "application/strategic-merge-patch+json",
                   R"({"metadata":{"labels":{"x":"y"}},"spec":{"nodeName":"n","containers":)"
                   R"([{"name":"c","image":"other","resources":)" +
                       resources + "}]}}");
}

void make_pod(ApiFixture& api) {
  REQUIRE(api.post(kCollection, R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c",)"
                          R"("image":"i","resources":{"requests":{"cpu":"1","memory":"1Gi",)"
                          R"("ephemeral-storage":"1Gi"}}}]}})")
              .status == 201);
}

}  // namespace

TEST_CASE("a pod is resized in cpu and memory, and nothing else") {
  ApiFixture api;
  make_pod(api);
  const auto done = resize(api, R"({"requests":{"cpu":"2"},"limits":{"memory":"2Gi"}})");
  CHECK(done.status == 200);
  const auto pod = api.get(std::string(kCollection) + "/p");
  CHECK(pod.body.find(R"("requests":{"cpu":"2","ephemeral-storage":"1Gi","memory":"1Gi"})") !=
        std::string::npos);
  CHECK(pod.body.find(R"("limits":{"memory":"2Gi"})") != std::string::npos);
  CHECK(pod.at("metadata.labels") == "");
  CHECK(pod.at("spec.nodeName") == "");
  CHECK(pod.body.find("other") == std::string::npos);
  CHECK(api.get(std::string(kCollection) + "/p/resize").at("kind") == "Pod");
}

TEST_CASE("resizing refuses other resources, another class and unwilling nodes") {
  ApiFixture api;
  make_pod(api);
  const auto other = resize(api, R"({"requests":{"ephemeral-storage":"2Gi"}})");
  CHECK(other.status == 422);
  CHECK(other.at("message").find("spec: Forbidden: only cpu and memory resources are mutable\n") !=
        std::string::npos);
  const auto guaranteed = resize(
      api, R"({"requests":{"ephemeral-storage":"1Gi"},"limits":{"cpu":"1","memory":"1Gi"}})");
  CHECK(guaranteed.status == 422);
  CHECK(guaranteed.at("message").find("Pod QOS Class may not change as a result of resizing") !=
        std::string::npos);
  const auto negative = resize(api, R"({"requests":{"cpu":"-1"}})");
  CHECK(negative.status == 422);

  REQUIRE(api.patch(std::string(kCollection) + "/p/status", "application/merge-patch+json",
                    R"({"status":{"containerStatuses":[{"name":"c","image":"i","imageID":"",)"
                    R"("ready":true,"restartCount":0,"state":{"running":{}}}]}})")
              .status == 200);
  const auto unwilling = resize(api, R"({"requests":{"cpu":"2"}})");
  CHECK(unwilling.status == 422);
  CHECK(unwilling.at("message") == R"(Pod "p" is invalid: spec: Forbidden: Pod running on node )"
                                   R"(without support for resize)");
}

}  // namespace orch::server::test
