// Deletion: grace, finalizers, propagation, preconditions, collections.
#include <catch2/catch.hpp>

#include "unit/server/api_fixture.h"

namespace orch::server::test {

TEST_CASE("delete answers a Status, or the object where upstream does") {
  ApiFixture api;
  const auto made = api.post(kConfigMaps, config_map("a"));
  const auto gone = api.del(std::string(kConfigMaps) + "/a");
  CHECK(gone.status == 200);
  CHECK(gone.at("status") == "Success");
  CHECK(gone.at("details.kind") == "configmaps");
  CHECK(gone.at("details.uid") == made.at("metadata.uid"));
  CHECK(api.del(std::string(kConfigMaps) + "/a").status == 404);
  api.post(kServices, R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}})");
  CHECK(api.del(std::string(kServices) + "/s").at("kind") == "Service");
}

TEST_CASE("delete preconditions") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  const std::string url = std::string(kConfigMaps) + "/a";
  const auto uid = api.del(url, R"({"preconditions":{"uid":"x"}})");
  CHECK(uid.status == 409);
  CHECK(
      uid.at("message").find("the UID in the precondition (x) does not match the UID in record") !=
      std::string::npos);
  CHECK(api.del(url, R"({"preconditions":{"resourceVersion":"1"}})").status == 409);
  CHECK(api.get(url).status == 200);
}

TEST_CASE("an unscheduled Pod goes at once, a scheduled one gracefully") {
  ApiFixture api;
  api.post(kPods, pod("free"));
  CHECK(api.del(std::string(kPods) + "/free").status == 200);
  CHECK(api.get(std::string(kPods) + "/free").status == 404);

  api.post(kPods, pod("bound", R"(,"nodeName":"n1")"));
  const std::string url = std::string(kPods) + "/bound";
  const auto marked = api.del(url);
  CHECK(marked.status == 200);
  CHECK(marked.at("metadata.deletionGracePeriodSeconds") == "30");
  const auto at_30 = marked.at("metadata.deletionTimestamp");
  CHECK(!at_30.empty());
  const auto again = api.del(url);  // changes nothing
  CHECK(again.at("metadata.resourceVersion") == marked.at("metadata.resourceVersion"));
  const auto longer = api.del(url, R"({"gracePeriodSeconds":60})");
  CHECK(longer.at("metadata.deletionGracePeriodSeconds") == "30");
  const auto shorter = api.del(url + "?gracePeriodSeconds=5");
  CHECK(shorter.at("metadata.deletionGracePeriodSeconds") == "5");
  CHECK(shorter.at("metadata.deletionTimestamp") < at_30);
  const auto confirmed = api.del(url, R"({"gracePeriodSeconds":0})");
  CHECK(confirmed.status == 200);
  CHECK(api.get(url).status == 404);
}

TEST_CASE("finalizers hold an object until they are gone") {
  ApiFixture api;
  api.post(kConfigMaps, R"({"metadata":{"name":"a","finalizers":["example.com/f"]}})");
  const std::string url = std::string(kConfigMaps) + "/a";
  const auto marked = api.del(url);
  CHECK(marked.status == 200);
  CHECK(marked.at("kind") == "ConfigMap");
  CHECK(!marked.at("metadata.deletionTimestamp").empty());
  CHECK(api.get(url).status == 200);
  const auto last =
      api.patch(url, "application/merge-patch+json", R"({"metadata":{"finalizers":null}})");
  CHECK(last.status == 200);
  CHECK(api.get(url).status == 404);
}

TEST_CASE("propagation policies become finalizers") {
  ApiFixture api;
  for (const auto& [policy, finalizer] :
       {std::pair{"Foreground", "foregroundDeletion"}, std::pair{"Orphan", "orphan"}}) {
    api.post(kConfigMaps, config_map(policy == std::string("Orphan") ? "o" : "f"));
    const std::string url =
        std::string(kConfigMaps) + (policy == std::string("Orphan") ? "/o" : "/f");
    const auto marked = api.del(url, std::string(R"({"propagationPolicy":")") + policy + "\"}");
    CHECK(marked.at("metadata.finalizers") == "[\"" + std::string(finalizer) + "\"]");
  }
  api.post(kConfigMaps, config_map("b"));
  CHECK(api.del(std::string(kConfigMaps) + "/b?propagationPolicy=Background").status == 200);
  CHECK(api.get(std::string(kConfigMaps) + "/b").status == 404);
  api.post(kConfigMaps, config_map("c"));
  CHECK(api.del(std::string(kConfigMaps) + "/c?propagationPolicy=x").status == 422);
}

TEST_CASE("deletecollection with a selector") {
  ApiFixture api;
  for (int i = 0; i < 6; ++i) {
    api.post(kConfigMaps, R"({"metadata":{"name":"c)" + std::to_string(i) + R"(","labels":{"p":")" +
                              std::to_string(i % 2) + "\"}}}");
  }
  const auto gone = api.del(std::string(kConfigMaps) + "?labelSelector=p%3D1");
  CHECK(gone.status == 200);
  CHECK(gone.at("kind") == "ConfigMapList");
  CHECK(api.get(std::string(kConfigMaps) + "/c1").status == 404);
  CHECK(api.get(std::string(kConfigMaps) + "/c2").status == 200);
}

TEST_CASE("a Namespace goes when its finalizer does") {
  ApiFixture api;
  api.del("/api/v1/namespaces/other");
  const auto ns = api.get("/api/v1/namespaces/other");
  CHECK(ns.at("spec.finalizers") == "[\"kubernetes\"]");
  const auto done = api.put("/api/v1/namespaces/other/finalize",
                            R"({"metadata":{"name":"other"},"spec":{"finalizers":[]}})");
  CHECK(done.status == 200);
  CHECK(api.get("/api/v1/namespaces/other").status == 404);
}

}  // namespace orch::server::test
