#include "ctl/merge.h"

#include <catch2/catch.hpp>

#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"
#include "orch/api/patch.h"

using namespace orch;
using api::JsonValue;

namespace {

JsonValue json(std::string_view text) {
  auto value = JsonValue::parse(text);
  REQUIRE(value);
  return *value;
}

std::string patch(std::string_view last, std::string_view now, std::string_view live,
                  const api::TypeInfo* type) {
  return ctl::three_way_patch(json(last), json(now), json(live), type).dump_go();
}

const api::TypeInfo* deployment() { return &api::appsv1::Deployment::type_info(); }
const api::TypeInfo* pod() { return &api::corev1::Pod::type_info(); }

}  // namespace

TEST_CASE("no change, no patch; what others added stays") {
  CHECK(patch(R"({"spec":{"replicas":2}})", R"({"spec":{"replicas":2}})",
              R"({"spec":{"replicas":2,"paused":true},"status":{}})", deployment()) == "{}");
}

TEST_CASE("what was applied and is no longer is taken away") {
  CHECK(patch(R"({"spec":{"replicas":2,"paused":true}})", R"({"spec":{"replicas":3}})",
              R"({"spec":{"replicas":2,"paused":true,"minReadySeconds":1}})",
              deployment()) == R"({"spec":{"paused":null,"replicas":3}})");
  // Gone already: nothing to ask for.
  CHECK(patch(R"({"spec":{"paused":true}})", R"({"spec":{}})", R"({"spec":{}})", deployment()) ==
        "{}");
}

TEST_CASE("drift is put right") {
  CHECK(patch(R"({"spec":{"replicas":2}})", R"({"spec":{"replicas":2}})",
              R"({"spec":{"replicas":9}})", deployment()) == R"({"spec":{"replicas":2}})");
}

TEST_CASE("lists with a merge key are merged by it") {
  const char* last =
      R"({"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}})";
  const char* now = R"({"spec":{"containers":[{"name":"a","image":"2"}]}})";
  const char* live = R"({"spec":{"containers":[{"name":"a","image":"1","tty":true},
      {"name":"b","image":"1"},{"name":"sidecar","image":"s"}]}})";
  const std::string changes = patch(last, now, live, pod());
  CHECK(changes == R"({"spec":{"$setElementOrder/containers":[{"name":"a"}],)"
                   R"("containers":[{"image":"2","name":"a"},{"$patch":"delete","name":"b"}]}})");
  auto result = api::strategic_merge_patch(live, changes, *pod());
  REQUIRE(result);
  const JsonValue merged = json(*result);
  REQUIRE(merged.at("spec.containers").size() == 2);
  CHECK(merged.at("spec.containers").items()[0].get("tty").boolean());
  CHECK(merged.at("spec.containers").items()[1].get("name").text() == "sidecar");
}

TEST_CASE("another volume source replaces the one that was") {
  const char* last = R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}]}})";
  const char* now = R"({"spec":{"volumes":[{"name":"v","configMap":{"name":"c"}}]}})";
  auto result = api::strategic_merge_patch(last, patch(last, now, last, pod()), *pod());
  REQUIRE(result);
  const JsonValue volume = json(*result).at("spec.volumes").items().at(0);
  CHECK_FALSE(volume.has("emptyDir"));
  CHECK(volume.at("configMap.name").text() == "c");
}

TEST_CASE("lists of scalars that merge as sets") {
  CHECK(patch(R"({"metadata":{"finalizers":["a/x","b/x"]}})",
              R"({"metadata":{"finalizers":["a/x"]}})",
              R"({"metadata":{"finalizers":["a/x","b/x","c/x"]}})",
              pod()) == R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["b/x"]}})");
}

TEST_CASE("kinds without a schema get a plain merge patch") {
  CHECK(patch(R"({"spec":{"l":[{"name":"a"}],"x":1}})", R"({"spec":{"l":[{"name":"b"}]}})",
              R"({"spec":{"l":[{"name":"a"}],"x":1,"y":2}})",
              nullptr) == R"({"spec":{"l":[{"name":"b"}],"x":null}})");
}

TEST_CASE("without a last configuration nothing is taken away") {
  CHECK(patch("null", R"({"data":{"a":"1"}})", R"({"data":{"a":"0","b":"2"}})", nullptr) ==
        R"({"data":{"a":"1"}})");
}

TEST_CASE("the annotation holds the configuration without itself") {
  const JsonValue object = json(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"},
      "data":{"a":"<&>"}})");
  const JsonValue annotated = ctl::with_last_applied(object);
  const std::string text = annotated.at("metadata.annotations").get(ctl::kLastApplied).text();
  CHECK(text == R"({"apiVersion":"v1","data":{"a":"\u003c\u0026\u003e"},"kind":"ConfigMap",)"
                R"("metadata":{"annotations":{},"name":"c"}})"
                "\n");
  CHECK(ctl::last_applied_text(annotated) == text);
}
