#include "ctl/write.h"

#include <catch2/catch.hpp>

#include "ctl/labelling.h"

using namespace orch::ctl;
using orch::api::JsonValue;

namespace {

const Resource kDeployment{.group = "apps", .version = "v1", .kind = "Deployment"};

JsonValue parsed(std::string_view text) {
  auto value = JsonValue::parse(text);
  REQUIRE(value);
  return *value;
}

}  // namespace

TEST_CASE("the patch between two objects is strategic for known kinds") {
  const JsonValue before = parsed(
      R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"1"},{"name":"b"}]}}}})");
  JsonValue after = before;
  for_each_at(after, "spec.template.spec.containers", [](JsonValue& container) {
    if (container.get("name").text() == "a") container.set("image", "2");
  });
  std::string type;
  const JsonValue patch = difference(kDeployment, before, after, type);
  CHECK(type == "application/strategic-merge-patch+json");
  const auto containers = patch.at("spec.template.spec.containers").items();
  REQUIRE(containers.size() == 1);
  CHECK(containers[0].get("image").text() == "2");
  CHECK(difference(kDeployment, before, before, type).size() == 0);
  difference({.group = "example.org", .version = "v1", .kind = "Widget"}, before, after, type);
  CHECK(type == "application/merge-patch+json");
}

TEST_CASE("objects made here are printed as Go's structs are") {
  const JsonValue typed = as_typed(kDeployment, new_object("apps/v1", "Deployment", "web"));
  CHECK(typed.has("status"));
  CHECK(typed.get("spec").has("strategy"));
  CHECK(typed.at("metadata").has("creationTimestamp"));
}

TEST_CASE("where the pod template is") {
  CHECK(pod_spec_path(parsed(R"({"kind":"Pod"})")) == "spec");
  CHECK(pod_spec_path(parsed(R"({"kind":"CronJob"})")) == "spec.jobTemplate.spec.template.spec");
  CHECK(template_path(parsed(R"({"kind":"ConfigMap"})")) == nullptr);
}

TEST_CASE("pairs need a key") {
  CHECK(map_of({"a=b", "c="}, "label")->get("a").text() == "b");
  CHECK(map_of({"=b"}, "label").error().message == "error: invalid label: =b");
  CHECK(!map_of({"a"}, "label"));
}

TEST_CASE("label changes: a key is set or removed, not both") {
  std::vector<std::string> args{"cm", "a", "x=1", "y-"};
  auto change = take_changes(args, "label");
  REQUIRE(change);
  CHECK(args == std::vector<std::string>{"cm", "a"});
  CHECK(change->set.at("x") == "1");
  CHECK(change->removed.contains("y"));
  args = {"cm", "a", "x=1", "x-"};
  CHECK(!take_changes(args, "label"));
  args = {"cm", "x=1", "a"};
  CHECK(take_changes(args, "label").error().message ==
        "error: all resources must be specified before label changes: a");
}
