#include "ctl/manifests.h"

#include <catch2/catch.hpp>

#include "ctl/discovery.h"
#include "ctl/rollout_status.h"

using namespace orch;
using namespace orch::ctl;
using api::JsonValue;

TEST_CASE("documents and lists are taken apart, empty ones skipped") {
  auto manifests = parse_manifests(R"(
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
- {apiVersion: v1, kind: Secret, metadata: {name: b, namespace: team}}
---
# nothing
---
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "c"}}
)",
                                   "f.yaml");
  REQUIRE(manifests);
  REQUIRE(manifests->size() == 3);
  CHECK((*manifests)[0].name() == "a");
  CHECK((*manifests)[1].namespace_() == "team");
  CHECK((*manifests)[2].api_version() == "apps/v1");
}

TEST_CASE("what is no object is refused by the file's name") {
  for (const char* text : {"- a\n", "just text", "kind: Pod\n", "apiVersion: v1\n", "a: [\n"}) {
    INFO(text);
    auto manifests = parse_manifests(text, "f.yaml");
    REQUIRE_FALSE(manifests);
    CHECK(manifests.error().message.find("f.yaml") != std::string::npos);
  }
}

namespace {

Discovery served() {
  return Discovery::of({*JsonValue::parse(R"({"items":[{"metadata":{},"versions":[
      {"version":"v1","resources":[
        {"resource":"pods","singularResource":"pod","responseKind":{"kind":"Pod"},
         "scope":"Namespaced","shortNames":["po"],"categories":["all"],"verbs":["list","get"]},
        {"resource":"events","singularResource":"event","responseKind":{"kind":"Event"},
         "scope":"Namespaced","verbs":["list"]}]}]}]})"),
                        *JsonValue::parse(R"({"items":[
      {"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[
        {"resource":"deployments","singularResource":"deployment",
         "responseKind":{"kind":"Deployment"},"scope":"Namespaced","shortNames":["deploy"],
         "categories":["all"],"verbs":["list"],"subresources":[{"subresource":"scale"}]}]}]},
      {"metadata":{"name":"events.k8s.io"},"versions":[{"version":"v1","resources":[
        {"resource":"events","singularResource":"event","responseKind":{"kind":"Event"},
         "scope":"Namespaced","verbs":["list"]}]}]}]})")});
}

}  // namespace

TEST_CASE("a resource goes by all its names") {
  const Discovery known = served();
  for (const char* name : {"deployments", "deployment", "deploy", "Deployment", "deployments.apps",
                           "deploy.apps", "deployments.v1.apps"}) {
    INFO(name);
    auto resource = known.resolve(name);
    REQUIRE(resource);
    CHECK((*resource)->path("n", "x") == "/apis/apps/v1/namespaces/n/deployments/x");
  }
  CHECK((*known.resolve("events"))->group.empty());
  CHECK((*known.resolve("events.events.k8s.io"))->group == "events.k8s.io");
  CHECK((*known.resolve("po"))->kind_group() == "pod");
  CHECK((*known.resolve("deploy"))->kind_group() == "deployment.apps");
  CHECK((*known.resolve("deploy"))->has_scale);
  CHECK(known.resolve("nosuch").error().message ==
        "error: the server doesn't have a resource type \"nosuch\"");
  CHECK_FALSE(known.resolve("pods.apps"));
  CHECK_FALSE(known.resolve_kind("v2", "Pod"));
  CHECK(known.category("all").size() == 2);
}

TEST_CASE("a Deployment's rollout in its stages") {
  auto message = [](std::string_view status) {
    auto object = JsonValue::parse(
        std::string(R"({"kind":"Deployment","metadata":{"name":"w","generation":2},)") +
        R"("spec":{"replicas":3},"status":)" + std::string(status) + "}");
    REQUIRE(object);
    auto result = rollout_status(*object, 0);
    return result ? result->message + (result->done ? "!" : "") : result.error().message;
  };
  const std::string waiting = "Waiting for deployment \"w\" rollout to finish: ";
  CHECK(message(R"({"observedGeneration":1})") ==
        "Waiting for deployment spec update to be observed...");
  CHECK(message(R"({"observedGeneration":2,"updatedReplicas":1})") ==
        waiting + "1 out of 3 new replicas have been updated...");
  CHECK(message(R"({"observedGeneration":2,"updatedReplicas":3,"replicas":4})") ==
        waiting + "1 old replicas are pending termination...");
  CHECK(message(R"({"observedGeneration":2,"updatedReplicas":3,"replicas":3,
                    "availableReplicas":2})") ==
        waiting + "2 of 3 updated replicas are available...");
  CHECK(message(R"({"observedGeneration":2,"updatedReplicas":3,"replicas":3,
                    "availableReplicas":3})") == "deployment \"w\" successfully rolled out!");
  CHECK(message(R"({"observedGeneration":2,"conditions":[{"type":"Progressing",
                    "reason":"ProgressDeadlineExceeded"}]})") ==
        "error: deployment \"w\" exceeded its progress deadline");
}
