// Create, get, update, patch over the real handlers: statuses, texts and side effects as
// upstream's.
#include <catch2/catch.hpp>

#include "unit/server/api_fixture.h"

namespace orch::server::test {

TEST_CASE("create and get a ConfigMap") {
  ApiFixture api;
  const auto made = api.post(kConfigMaps, config_map("a", R"(,"data":{"k":"v"})"));
  REQUIRE(made.status == 201);
  CHECK(made.at("kind") == "ConfigMap");
  CHECK(made.at("apiVersion") == "v1");
  CHECK(made.at("metadata.namespace") == "default");
  CHECK(made.at("metadata.uid").size() == 36);
  CHECK(!made.at("metadata.resourceVersion").empty());
  CHECK(!made.at("metadata.creationTimestamp").empty());
  const auto got = api.get(std::string(kConfigMaps) + "/a");
  CHECK(got.status == 200);
  CHECK(got.body == made.body);
  CHECK(got.at("data.k") == "v");

  const auto again = api.post(kConfigMaps, config_map("a"));
  CHECK(again.status == 409);
  CHECK(again.at("reason") == "AlreadyExists");
  CHECK(again.at("message") == "configmaps \"a\" already exists");
  const auto none = api.get(std::string(kConfigMaps) + "/b");
  CHECK(none.status == 404);
  CHECK(none.at("message") == "configmaps \"b\" not found");
}

TEST_CASE("create in a missing or terminating namespace") {
  ApiFixture api;
  const auto missing = api.post("/api/v1/namespaces/nope/configmaps", config_map("a"));
  CHECK(missing.status == 404);
  CHECK(missing.at("message") == "namespaces \"nope\" not found");

  const auto deleted = api.del("/api/v1/namespaces/other");
  CHECK(deleted.status == 200);
  CHECK(deleted.at("status.phase") == "Terminating");
  const auto refused = api.post("/api/v1/namespaces/other/configmaps", config_map("a"));
  CHECK(refused.status == 403);
  CHECK(refused.at("message") ==
        "configmaps \"a\" is forbidden: unable to create new content in namespace other because it "
        "is being terminated");
  CHECK(refused.body.find("\"reason\":\"NamespaceTerminating\"") != std::string::npos);
  const auto again = api.del("/api/v1/namespaces/other");
  CHECK(again.status == 409);
  const auto immortal = api.del("/api/v1/namespaces/default");
  CHECK(immortal.status == 403);
}

TEST_CASE("body and URL must agree") {
  ApiFixture api;
  const auto ns = api.post("/api/v1/namespaces/other/configmaps",
                           R"({"metadata":{"name":"a","namespace":"default"}})");
  CHECK(ns.status == 400);
  CHECK(ns.at("message") ==
        "the namespace of the provided object does not match the namespace sent on the request");
  REQUIRE(api.post(kConfigMaps, config_map("a")).status == 201);
  const auto name = api.put(std::string(kConfigMaps) + "/a", config_map("b"));
  CHECK(name.status == 400);
  CHECK(name.at("message") == "the name of the object (b) does not match the name on the URL (a)");
  const auto kind = api.post(kConfigMaps, R"({"apiVersion":"v1","kind":"Pod","metadata":{}})");
  CHECK(kind.status == 400);
  const auto version =
      api.post(kConfigMaps, R"({"apiVersion":"apps/v1","kind":"ConfigMap","metadata":{}})");
  CHECK(version.status == 400);
  CHECK(version.at("message") ==
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is "
        "registered for version \"apps/v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"");
}

TEST_CASE("bad bodies") {
  ApiFixture api;
  CHECK(api.post(kConfigMaps, "").status == 400);
  CHECK(api.post(kConfigMaps, "{").status == 400);
  CHECK(api.post(kConfigMaps, "[]").status == 400);
  const auto empty = api.post(kConfigMaps, "");
  CHECK(
      empty.at("message") ==
      "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; "
      "json parse error: unexpected end of JSON input (<empty>)");
  const auto type = api.post(kConfigMaps, config_map("a", R"(,"data":[])"));
  CHECK(type.status == 400);
  CHECK(type.at("message").starts_with(
      "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: "));
  const auto media = api.send("POST", kConfigMaps, "x", {{"Content-Type", "text/html"}});
  CHECK(media.status == 415);
  for (const char* odd : {"application/json;charset", "application/json; =utf-8", ";"}) {
    INFO(odd);
    CHECK(api.send("POST", kConfigMaps, config_map("a"), {{"Content-Type", odd}}).status == 415);
  }
  for (const char* fine : {"application/json;", "Application/JSON ; charset=utf-8"}) {
    INFO(fine);
    CHECK(api.send("POST", kConfigMaps, "x", {{"Content-Type", fine}}).status == 400);
  }
  std::string deep = R"({"metadata":{"name":"a"},"x":)" + std::string(1'000'000, '[');
  CHECK(api.post(kConfigMaps, deep).status == 400);
  const auto gzip = api.send("POST", kConfigMaps, config_map("a"), {{"Content-Encoding", "gzip"}});
  CHECK(gzip.status == 415);
}

TEST_CASE("field validation") {
  ApiFixture api;
  const std::string body = config_map("a", R"(,"foo":1)");
  const auto strict = api.post(std::string(kConfigMaps) + "?fieldValidation=Strict", body);
  CHECK(strict.status == 400);
  CHECK(strict.at("message") ==
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
        "unknown field \"foo\"");
  const auto warn = api.post(kConfigMaps, body);
  CHECK(warn.status == 201);
  CHECK(warn.header("Warning") == R"(299 - "unknown field \"foo\"")");
  const auto ignore = api.post(std::string(kConfigMaps) + "?fieldValidation=Ignore",
                               config_map("b", R"(,"foo":1)"));
  CHECK(ignore.status == 201);
  CHECK(ignore.header("Warning").empty());
  CHECK(api.post(std::string(kConfigMaps) + "?fieldValidation=x", body).status == 422);
}

TEST_CASE("generateName makes names until one is free") {
  ApiFixture api;
  const auto one = api.post(kConfigMaps, R"({"metadata":{"generateName":"web-"}})");
  REQUIRE(one.status == 201);
  CHECK(one.at("metadata.name").size() == 9);
  CHECK(one.at("metadata.name").starts_with("web-"));
  const auto two = api.post(kConfigMaps, R"({"metadata":{"generateName":"web-"}})");
  CHECK(two.at("metadata.name") != one.at("metadata.name"));
  CHECK(api.post(kConfigMaps, R"({"metadata":{}})").status == 422);
}

TEST_CASE("update: optimistic concurrency, no-op, uid") {
  ApiFixture api;
  const std::string url = std::string(kConfigMaps) + "/a";
  const auto made = api.post(kConfigMaps, config_map("a", R"(,"data":{"k":"1"})"));
  const auto same = api.put(url, made.body);
  CHECK(same.status == 200);
  CHECK(same.at("metadata.resourceVersion") == made.at("metadata.resourceVersion"));
  std::string changed = made.body;
  changed.replace(changed.find("\"k\":\"1\""), 7, "\"k\":\"2\"");
  const auto updated = api.put(url, changed);
  CHECK(updated.status == 200);
  CHECK(updated.at("metadata.resourceVersion") != made.at("metadata.resourceVersion"));
  CHECK(updated.at("metadata.uid") == made.at("metadata.uid"));
  const auto stale = api.put(url, made.body);
  CHECK(stale.status == 409);
  CHECK(stale.at("message") ==
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please "
        "apply your changes to the latest version and try again");
  CHECK(api.put(url, config_map("a")).status == 200);  // unconditional
  const auto uid = api.put(url, R"({"metadata":{"name":"a","uid":"x"}})");
  CHECK(uid.status == 409);
  CHECK(
      uid.at("message").find("Precondition failed: UID in precondition: x, UID in object meta: ") !=
      std::string::npos);
  CHECK(api.put(std::string(kConfigMaps) + "/none", config_map("none")).status == 404);
}

TEST_CASE("update: a resourceVersion that is no number") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  const std::string url = std::string(kConfigMaps) + "/a";
  const auto put = [&](const std::string& version) {
    return api.put(url, R"({"metadata":{"name":"a","resourceVersion":")" + version + R"("}})");
  };
  const auto letters = put("abc");
  CHECK(letters.status == 500);
  CHECK(letters.at("message") == R"(strconv.ParseUint: parsing "abc": invalid syntax)");
  const auto huge = put("99999999999999999999");
  CHECK(huge.at("message") ==
        R"(strconv.ParseUint: parsing "99999999999999999999": value out of range)");
  CHECK(put("0").status == 200);
}

TEST_CASE("PUT creates where upstream allows it") {
  ApiFixture api;
  const std::string url = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
  const auto made = api.put(url, R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"me"}})");
  CHECK(made.status == 201);
  const auto blind = api.put(url, R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"you"}})");
  CHECK(blind.status == 422);  // leases are never overwritten blindly
}

TEST_CASE("patches of all four types") {
  ApiFixture api;
  const std::string url = std::string(kConfigMaps) + "/a";
  REQUIRE(api.post(kConfigMaps, config_map("a", R"(,"data":{"k":"1","l":"1"})")).status == 201);
  const auto merge = api.patch(url, "application/merge-patch+json", R"({"data":{"k":null}})");
  CHECK(merge.status == 200);
  CHECK(merge.at("data.k").empty());
  const auto json = api.patch(url, "application/json-patch+json",
                              R"([{"op":"replace","path":"/data/l","value":"2"}])");
  CHECK(json.at("data.l") == "2");
  const auto strategic = api.patch(url, "application/strategic-merge-patch+json",
                                   R"({"metadata":{"labels":{"x":"y"}}})");
  CHECK(strategic.at("metadata.labels.x") == "y");
  const auto nothing = api.patch(url, "application/merge-patch+json", "{}");
  CHECK(nothing.at("metadata.resourceVersion") == strategic.at("metadata.resourceVersion"));
  const std::string applied = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},)"
                              R"("data":{"m":"3"}})";
  const auto anonymous = api.patch(url, "application/apply-patch+yaml", applied);
  CHECK(anonymous.status == 422);
  const auto apply = api.patch(url + "?fieldManager=me", "application/apply-patch+yaml", applied);
  CHECK(apply.status == 200);
  CHECK(apply.at("data.m") == "3");
  CHECK(apply.at("data.l") == "2");
  const auto fresh =
      api.patch(std::string(kConfigMaps) + "/new?fieldManager=me", "application/apply-patch+yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: new\n");
  CHECK(fresh.status == 201);
  CHECK(api.patch(url, "text/plain", "{}").status == 415);
  CHECK(
      api.patch(std::string(kConfigMaps) + "/none", "application/merge-patch+json", "{}").status ==
      404);
  const auto conflict = api.patch(url, "application/merge-patch+json",
                                  R"({"metadata":{"resourceVersion":"1"},"data":{"z":"z"}})");
  CHECK(conflict.status == 409);
}

TEST_CASE("apply conflicts name the other manager") {
  ApiFixture api;
  const std::string url = std::string(kConfigMaps) + "/a";
  const auto body = [](const std::string& value) {
    return R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":")" +
           value + "\"}}";
  };
  const std::string type = "application/apply-patch+yaml";
  REQUIRE(api.patch(url + "?fieldManager=one", type, body("1")).status == 201);
  const auto conflict = api.patch(url + "?fieldManager=two", type, body("2"));
  CHECK(conflict.status == 409);
  CHECK(conflict.body.find("FieldManagerConflict") != std::string::npos);
  const auto forced = api.patch(url + "?fieldManager=two&force=true", type, body("2"));
  CHECK(forced.status == 200);
  CHECK(forced.at("data.k") == "2");
  const auto again = api.patch(url + "?fieldManager=two&force=true", type, body("2"));
  CHECK(again.at("metadata.resourceVersion") == forced.at("metadata.resourceVersion"));
}

TEST_CASE("dry run writes nothing") {
  ApiFixture api;
  const auto before = api.store->revision();
  const auto made = api.post(std::string(kConfigMaps) + "?dryRun=All", config_map("a"));
  CHECK(made.status == 201);
  CHECK(made.at("metadata.uid").size() == 36);
  CHECK(api.store->revision() == before);
  CHECK(api.get(std::string(kConfigMaps) + "/a").status == 404);
  CHECK(api.post(std::string(kConfigMaps) + "?dryRun=x", config_map("a")).status == 422);
  REQUIRE(api.post(kConfigMaps, config_map("a")).status == 201);
  const auto now = api.store->revision();
  CHECK(api.put(std::string(kConfigMaps) + "/a?dryRun=All", config_map("a", R"(,"data":{"x":"y"})"))
            .at("data.x") == "y");
  CHECK(api.del(std::string(kConfigMaps) + "/a?dryRun=All").status == 200);
  CHECK(api.store->revision() == now);
}

TEST_CASE("status is written through its own subresource") {
  ApiFixture api;
  REQUIRE(api.post(kPods, pod("p")).status == 201);
  const std::string url = std::string(kPods) + "/p";
  const auto through_spec =
      api.patch(url, "application/merge-patch+json", R"({"status":{"podIP":"1.2.3.4"}})");
  CHECK(through_spec.at("status.podIP").empty());
  const auto through_status = api.patch(url + "/status", "application/merge-patch+json",
                                        R"({"status":{"podIP":"1.2.3.4","phase":"Running"}})");
  CHECK(through_status.status == 200);
  CHECK(through_status.at("status.podIP") == "1.2.3.4");
  CHECK(api.get(url).at("status.phase") == "Running");
}

TEST_CASE("managedFields name manager and subresource") {
  ApiFixture api;
  api.send("POST", kPods, pod("p"), {{"User-Agent", "kubectl/v1.30.0 (linux/amd64)"}});
  const auto got = api.get(std::string(kPods) + "/p");
  CHECK(got.body.find(R"("manager":"kubectl","operation":"Update")") != std::string::npos);
  const auto status =
      api.patch(std::string(kPods) + "/p/status?fieldManager=kubelet",
                "application/merge-patch+json", R"({"status":{"phase":"Running"}})");
  CHECK(status.body.find(R"("manager":"kubelet")") != std::string::npos);
  CHECK(status.body.find(R"("subresource":"status")") != std::string::npos);
}

}  // namespace orch::server::test
