// Events through core/v1 and events.k8s.io/v1: one set of objects, two forms.
#include <catch2/catch.hpp>

#include "orch/storage/kv_store.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

constexpr const char* kCore = "/api/v1/namespaces/default/events";
constexpr const char* kMergePatch = "application/merge-patch+json";
constexpr const char* kNew = "/apis/events.k8s.io/v1/namespaces/default/events";

constexpr const char* kOldEvent =
    R"({"apiVersion":"v1","kind":"Event","metadata":{"name":"old"},)"
    R"("involvedObject":{"kind":"Pod","namespace":"default","name":"p","uid":"u"},)"
    R"("reason":"Started","message":"text","source":{"component":"kubelet","host":"n1"},)"
    R"("firstTimestamp":"2024-01-02T03:04:05Z","lastTimestamp":"2024-01-02T03:04:06Z",)"
    R"("count":3,"type":"Normal"})";

std::string new_event(const std::string& name, const std::string& more = "") {
  return R"({"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":")" + name +
         R"("},"eventTime":"2024-01-02T03:04:05.000006Z","reportingController":"x.io/c",)"
         R"("reportingInstance":"i","action":"Act","reason":"Why",)"
         R"("regarding":{"kind":"Pod","namespace":"default","name":"q"},)"
         R"("related":{"kind":"Node","name":"n"},"note":"said","type":"Warning",)"
         R"("series":{"count":2,"lastObservedTime":"2024-01-02T03:04:07.000000Z"})" +
         more + "}";
}

}  // namespace

TEST_CASE("an event of one version is seen through the other") {
  ApiFixture api;
  const auto old = api.post(kCore, kOldEvent);
  REQUIRE(old.status == 201);
  const auto as_new = api.get(std::string(kNew) + "/old");
  REQUIRE(as_new.status == 200);
  CHECK(as_new.at("apiVersion") == "events.k8s.io/v1");
  CHECK(as_new.at("metadata.resourceVersion") == old.at("metadata.resourceVersion"));
  CHECK(as_new.at("regarding.name") == "p");
  CHECK(as_new.at("note") == "text");
  CHECK(as_new.at("deprecatedSource.host") == "n1");
  CHECK(as_new.at("deprecatedFirstTimestamp") == "2024-01-02T03:04:05Z");
  CHECK(as_new.at("deprecatedLastTimestamp") == "2024-01-02T03:04:06Z");
  CHECK(as_new.at("deprecatedCount") == "3");
  CHECK(as_new.at("eventTime") == "null");
  CHECK(as_new.at("involvedObject").empty());

  const auto made = api.post(kNew, new_event("new"));
  REQUIRE(made.status == 201);
  CHECK(made.at("apiVersion") == "events.k8s.io/v1");
  const auto as_core = api.get(std::string(kCore) + "/new");
  REQUIRE(as_core.status == 200);
  CHECK(as_core.at("apiVersion") == "v1");
  CHECK(as_core.at("involvedObject.name") == "q");
  CHECK(as_core.at("message") == "said");
  CHECK(as_core.at("eventTime") == "2024-01-02T03:04:05.000006Z");
  CHECK(as_core.at("reportingComponent") == "x.io/c");
  CHECK(as_core.at("reportingInstance") == "i");
  CHECK(as_core.at("action") == "Act");
  CHECK(as_core.at("related.name") == "n");
  CHECK(as_core.at("series.count") == "2");
  CHECK(as_core.at("metadata.uid") == made.at("metadata.uid"));

  for (const char* url : {kCore, kNew}) {
    INFO(url);
    const auto list = api.get(url);
    CHECK(list.at("kind") == "EventList");
    CHECK(list.body.find("\"name\":\"old\"") != std::string::npos);
    CHECK(list.body.find("\"name\":\"new\"") != std::string::npos);
    CHECK(api.post(url, url == kCore ? std::string(kOldEvent) : new_event("new")).status == 409);
  }
  const auto named = api.get(std::string(kNew) + "?fieldSelector=regarding.name%3Dq");
  CHECK(named.body.find("\"name\":\"old\"") == std::string::npos);
  CHECK(named.body.find("\"name\":\"new\"") != std::string::npos);
  CHECK(api.get(std::string(kNew) + "?fieldSelector=involvedObject.name%3Dq").status == 400);
}

TEST_CASE("changes of an event reach watchers of both versions in their form") {
  ApiFixture api;
  const auto core = api.get(std::string(kCore) + "?watch=true");
  const auto other = api.get(std::string(kNew) + "?watch=true");
  REQUIRE(core.stream);
  REQUIRE(other.stream);
  REQUIRE(api.post(kNew, new_event("a")).status == 201);
  REQUIRE(api.patch(std::string(kCore) + "/a", kMergePatch, R"({"count":7})").status == 200);
  const auto patched =
      api.patch(std::string(kNew) + "/a", kMergePatch,
                R"({"series":{"count":5,"lastObservedTime":"2024-01-02T03:05:00.000000Z"}})");
  REQUIRE(patched.status == 200);
  CHECK(patched.at("deprecatedCount") == "7");
  // A patch that changes nothing writes nothing.
  const auto same = api.patch(std::string(kNew) + "/a", kMergePatch, "{}");
  CHECK(same.at("metadata.resourceVersion") == patched.at("metadata.resourceVersion"));
  CHECK(api.del(std::string(kNew) + "/a").status == 200);
  CHECK(api.get(std::string(kCore) + "/a").status == 404);
  CHECK(api.get(std::string(kNew) + "/a").at("message") == "events.events.k8s.io \"a\" not found");
  for (const Answer* watch : {&core, &other}) {
    const auto frames = watch->stream->take();
    REQUIRE(frames.size() == 4);
    const bool is_core = watch == &core;
    for (const std::string& frame : frames) {
      CHECK(json_string(*json_path(frame, "object.apiVersion")) ==
            (is_core ? "v1" : "events.k8s.io/v1"));
      CHECK(json_path(frame, is_core ? "object.message" : "object.note").has_value());
    }
    CHECK(frames[3].find("DELETED") != std::string::npos);
  }
}

TEST_CASE("what events.k8s.io asks of an event") {
  ApiFixture api;
  const auto bare = api.post(
      kNew, R"({"metadata":{"name":"a"},"regarding":{"kind":"Pod","namespace":"default"}})");
  CHECK(bare.status == 422);
  for (const char* field :
       {"eventTime", "reportingController", "reportingInstance", "action", "reason"}) {
    INFO(field);
    CHECK(bare.at("message").find(std::string(field) + ": Required value") != std::string::npos);
  }
  CHECK(bare.at("message").find("type: Invalid value: \"\": has invalid value: ") !=
        std::string::npos);
  REQUIRE(api.post(kNew, new_event("b")).status == 201);
  const auto changed = api.patch(std::string(kNew) + "/b", kMergePatch, R"({"note":"other"})");
  CHECK(changed.status == 422);
  CHECK(changed.at("message").find("message: Invalid value: \"other\": field is immutable") !=
        std::string::npos);
  const auto series = api.patch(std::string(kNew) + "/b", kMergePatch, R"({"series":{"count":1}})");
  CHECK(series.at("message").find("series.count: Invalid value: \"\": should be at least 2") !=
        std::string::npos);
  const auto elsewhere = api.post(
      kCore, R"({"metadata":{"name":"c"},"involvedObject":{"kind":"Pod","namespace":"other"}})");
  CHECK(elsewhere.at("message").find("does not match event.namespace") != std::string::npos);
}

}  // namespace orch::server::test
