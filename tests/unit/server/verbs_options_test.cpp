// Lists, watches, deletions and ownership: the rules of their options and the corners clients meet.
#include <catch2/catch.hpp>
#include <set>

#include "orch/base/strings.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";
constexpr const char* kJobs = "/apis/batch/v1/namespaces/default/jobs";
constexpr const char* kApply = "application/apply-patch+yaml";
constexpr const char* kMerge = "application/merge-patch+json";

std::string deployment(const std::string& name, const std::string& more = "") {
  return R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":")" + name +
         R"("},"spec":{)" + more +
         R"("selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},)"
         R"("spec":{"containers":[{"name":"c","image":"i"}]}}}})";
}
std::string items_of(const Answer& list) {
  std::string names;
  json_elements(json_member(list.body, "items").value_or("[]"), [&](std::string_view item) {
    names += json_string_at(item, "metadata.name").value_or("?") + " ";
    return true;
  });
  return names;
}

}  // namespace

TEST_CASE("options of lists are validated as upstream validates them") {
  ApiFixture api;
  const auto list = [&](const std::string& query) {
    return api.get(std::string(kConfigMaps) + "?" + query);
  };
  const std::string invalid = "ListOptions.meta.k8s.io \"\" is invalid: ";
  CHECK(list("limit=soon").at("message") == "strconv.ParseInt: parsing \"soon\": invalid syntax");
  CHECK(list("limit=9223372036854775808").at("message") ==
        "strconv.ParseInt: parsing \"9223372036854775808\": value out of range");
  CHECK(list("limit=-1").status == 200);
  CHECK(list("timeoutSeconds=x").status == 400);
  CHECK(list("limit=").status == 200);
  CHECK(list("resourceVersionMatch=Exact").at("message") ==
        invalid +
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
            "resourceVersion is provided");
  CHECK(list("resourceVersionMatch=Exact&resourceVersion=0").at("message") ==
        invalid +
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for "
            "resourceVersion \"0\"");
  CHECK(list("resourceVersionMatch=Newer&resourceVersion=1").at("message") ==
        invalid +
            "resourceVersionMatch: Unsupported value: \"Newer\": supported values: \"Exact\", "
            "\"NotOlderThan\", \"\"");
  CHECK(list("sendInitialEvents=true").at("message") ==
        invalid + "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list");
  CHECK(list("watch=1&sendInitialEvents=true").at("message") ==
        invalid +
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
            "resourceVersionMatch to NotOlderThan");
  CHECK(list("watch=1&resourceVersionMatch=NotOlderThan").at("message") ==
        invalid +
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
            "sendInitialEvents is provided");
  CHECK(list("resourceVersion=x").status == 400);
  CHECK(list("resourceVersion=99999").status == 504);
  CHECK(list("resourceVersion=99999").at("details.causes") ==
        R"([{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}])");
  CHECK(list("fieldSelector=spec.x=1").at("message") ==
        "\"spec.x\" is not a known field selector: only \"metadata.name\", "
        "\"metadata.namespace\"");
  CHECK(api.get(std::string(kPods) + "?fieldSelector=spec.x=1").at("message") ==
        "field label not supported: spec.x");
  CHECK(list("labelSelector=a%20b").status == 400);
  // Pods by what old clients call their node; a label that is known and never filled.
  api.post(kPods, pod("there", R"(,"nodeName":"n1")"));
  api.post(kPods, pod("nowhere"));
  CHECK(items_of(api.get(std::string(kPods) + "?fieldSelector=spec.host%3Dn1")) == "there ");
  CHECK(items_of(api.get(std::string(kPods) + "?fieldSelector=status.podIPs%3D1.2.3.4")).empty());
}

TEST_CASE("lists are paged at one revision, and go on inconsistently after compaction") {
  ApiFixture api;
  for (const char* name : {"a", "b", "c", "d", "e"}) api.post(kConfigMaps, config_map(name));
  const Answer first = api.get(std::string(kConfigMaps) + "?limit=2");
  CHECK(items_of(first) == "a b ");
  CHECK(first.at("metadata.remainingItemCount") == "3");
  const std::string token = first.at("metadata.continue");
  api.post(kConfigMaps, config_map("bb"));
  api.del(std::string(kConfigMaps) + "/e");
  const Answer second = api.get(std::string(kConfigMaps) + "?limit=2&continue=" + token);
  CHECK(items_of(second) == "c d ");
  CHECK(second.at("metadata.resourceVersion") == first.at("metadata.resourceVersion"));
  CHECK(second.at("metadata.remainingItemCount") == "1");
  CHECK(api.get(std::string(kConfigMaps) + "?continue=" + token + "&resourceVersion=3")
            .at("message") == "specifying resource version is not allowed when using continue");
  // With selectors what remains is not known.
  const Answer selected = api.get(std::string(kConfigMaps) + "?limit=1&labelSelector=!x");
  CHECK(selected.at("metadata.remainingItemCount").empty());
  CHECK_FALSE(selected.at("metadata.continue").empty());
  // Any version will do: all of it, whatever the limit.
  CHECK(items_of(api.get(std::string(kConfigMaps) + "?limit=1&resourceVersion=0")) ==
        "a b bb c d ");

  REQUIRE(api.store->compact(api.store->revision()));
  const Answer gone = api.get(std::string(kConfigMaps) + "?limit=2&continue=" + token);
  CHECK(gone.status == 410);
  CHECK(gone.at("reason") == "Expired");
  const std::string fresh = gone.at("metadata.continue");
  REQUIRE_FALSE(fresh.empty());
  const Answer rest = api.get(std::string(kConfigMaps) + "?limit=2&continue=" + fresh);
  CHECK(items_of(rest) == "bb c ");
  CHECK(items_of(api.get(std::string(kConfigMaps) + "?continue=" + rest.at("metadata.continue"))) ==
        "d ");
  const Answer exact =
      api.get(std::string(kConfigMaps) + "?resourceVersionMatch=Exact&resourceVersion=" +
              first.at("metadata.resourceVersion"));
  CHECK(exact.status == 410);
  CHECK(exact.at("message") == "The resourceVersion for the provided list is too old.");
  // A watch learns of it in its stream.
  const Answer watch = api.get(std::string(kConfigMaps) + "?watch=1&resourceVersion=1");
  CHECK(watch.status == 200);
  const auto frames = watch.stream->take();
  REQUIRE(frames.size() == 1);
  CHECK(json_string_at(frames[0], "type") == "ERROR");
  CHECK(json_path(frames[0], "object.code") == "410");
  CHECK(json_string_at(frames[0], "object.reason") == "Expired");
  CHECK(watch.stream->finished);
}

TEST_CASE("forged continue tokens never leave the list") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("mine"));
  api.post("/api/v1/namespaces/other/configmaps", config_map("theirs"));
  api.post("/api/v1/namespaces/default/secrets", R"({"metadata":{"name":"s"}})");
  const auto list = [&](const std::string& json) {
    return api.get(std::string(kConfigMaps) + "?continue=" + base64url_encode(json));
  };
  const std::string good = R"("v":"meta.k8s.io/v1","rv":-1,)";
  CHECK(items_of(list("{" + good + R"("start":"a"})")) == "mine ");
  for (const char* start : {"../other/", "../../secrets/default/", "/registry/core/secrets/",
                            "a/../../other/x", "", "\\u0000/.."}) {
    const Answer answer = list("{" + good + "\"start\":\"" + start + "\"}");
    CHECK(answer.status == 400);
    CHECK(answer.at("message").find("invalid continue token: continue key is not valid") == 0);
  }
  CHECK(items_of(list("{" + good + R"("start":"\u007f\u007f"})")).empty());
  CHECK(list(R"({"v":"meta.k8s.io/v1","rv":0,"start":"a"})").status == 400);
  CHECK(list(R"({"v":"meta.k8s.io/v1","rv":-2,"start":"a"})").status == 400);
  CHECK(list(R"({"v":"v2","rv":1,"start":"a"})").status == 400);
  CHECK(list(R"({"v":"meta.k8s.io/v1","rv":"1","start":"a"})").status == 400);
  CHECK(list(R"({"v":"meta.k8s.io/v1","rv":99999999999999999999,"start":"a"})").status == 400);
  CHECK(list(R"({"v":"meta.k8s.io/v1","rv":999999,"start":"a"})").status == 504);
  CHECK(list("[]").status == 400);
  CHECK(list("").status == 200);  // none given
  CHECK(api.get(std::string(kConfigMaps) + "?continue=%00%ff!").status == 400);
}

TEST_CASE("initial events end with a bookmark for those who take bookmarks") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  const std::string all = std::string(kConfigMaps) +
                          "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  const auto with = api.get(all + "&allowWatchBookmarks=true").stream->take();
  REQUIRE(with.size() == 2);
  CHECK(json_string_at(with[1], "type") == "BOOKMARK");
  const auto annotations = json_path(with[1], "object.metadata.annotations");
  REQUIRE(annotations);
  CHECK(json_string(*json_member(*annotations, "k8s.io/initial-events-end")) == "true");
  CHECK(api.get(all).stream->take().size() == 1);
  // Said to be unwanted: from now on.
  const Answer none = api.get(std::string(kConfigMaps) +
                              "?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
  CHECK(none.stream->take().empty());
  api.post(kConfigMaps, config_map("b"));
  CHECK(none.stream->take().size() == 1);
  // Bookmarks come by the minute.
  const Answer marked = api.get(all + "&allowWatchBookmarks=true");
  marked.stream->take();
  api.advance(Seconds{65});
  const auto later = marked.stream->take();
  REQUIRE(later.size() == 1);
  CHECK(json_string_at(later[0], "type") == "BOOKMARK");
}

TEST_CASE("one object is watched by selector, or by the old prefix") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  const Answer selected =
      api.get(std::string(kConfigMaps) + "?watch=1&fieldSelector=metadata.name%3Da");
  const Answer prefix = api.get("/api/v1/watch/namespaces/default/configmaps/a");
  const Answer prefix_all = api.get("/api/v1/watch/configmaps");
  api.post(kConfigMaps, config_map("b"));
  CHECK(selected.stream->take().size() == 1);
  CHECK(prefix.stream->take().size() == 1);
  CHECK(prefix_all.stream->take().size() == 2);
  CHECK(api.get("/api/v1/watch/namespaces/default/configmaps/a?fieldSelector=metadata.name%3Db")
            .at("message") == "fieldSelector metadata.name doesn't match requested name");
  const Answer timed = api.get(std::string(kConfigMaps) + "?watch=1&timeoutSeconds=5");
  CHECK_FALSE(timed.stream->finished);
  api.advance(Seconds{6});
  CHECK(timed.stream->finished);
}

TEST_CASE("preconditions of updates and deletions, with upstream's texts") {
  ApiFixture api;
  const Answer made = api.post(kConfigMaps, config_map("a"));
  const std::string one = std::string(kConfigMaps) + "/a";
  const std::string uid = made.at("metadata.uid");
  const Answer other = api.put(one, R"({"metadata":{"name":"a","uid":"x","resourceVersion":"1"}})");
  CHECK(other.status == 409);
  CHECK(other.at("message") ==
        "Operation cannot be fulfilled on configmaps \"a\": StorageError: invalid object, Code: 4, "
        "Key: /registry/core/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: "
        "Precondition failed: UID in precondition: x, UID in object meta: " +
            uid);
  const Answer stale = api.put(one, R"({"metadata":{"name":"a","resourceVersion":"1"}})");
  CHECK(stale.status == 409);
  CHECK(stale.at("message") ==
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please "
        "apply your changes to the latest version and try again");
  const Answer by_uid = api.del(one, R"({"preconditions":{"uid":"x"}})");
  CHECK(by_uid.status == 409);
  CHECK(by_uid.at("message") ==
        "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (x) does "
        "not match the UID in record (" +
            uid + "). The object might have been deleted and then recreated");
  const Answer by_version = api.del(one, R"({"preconditions":{"resourceVersion":"1"}})");
  CHECK(by_version.status == 409);
  CHECK(by_version.at("message").find("the ResourceVersion in the precondition (1)") !=
        std::string::npos);
  // An object that strayed into the body is no wish to delete by default.
  const Answer stray = api.del(one, R"({"kind":"ConfigMap","apiVersion":"v1"})");
  CHECK(stray.status == 400);
  CHECK(stray.at("message").find("cannot be handled as a DeleteOptions") != std::string::npos);
  CHECK(
      api.del(one, R"({"kind":"DeleteOptions","apiVersion":"apps/v1","dryRun":["All"]})").status ==
      200);
  // The server's own times are kept, whatever is sent.
  const Answer put = api.put(
      one,
      R"({"metadata":{"name":"a","creationTimestamp":"2001-01-01T00:00:00Z"},"data":{"k":"v"}})");
  CHECK(put.status == 200);
  CHECK(put.at("metadata.creationTimestamp") == made.at("metadata.creationTimestamp"));
  CHECK(api.put(one, R"({"metadata":{"name":"b"}})").at("message") ==
        "the name of the object (b) does not match the name on the URL (a)");
  CHECK(api.put(one, R"({"metadata":{"name":"a","namespace":"other"}})").at("message") ==
        "the namespace of the provided object does not match the namespace sent on the request");
  CHECK(api.put(one, R"({"metadata":{}})").at("message") ==
        "the name of the object (a based on URL) was undeterminable: name must be provided");
  // A namespace on what lies in none is taken off.
  CHECK(api.post("/api/v1/namespaces", R"({"metadata":{"name":"n","namespace":"x"}})").status ==
        201);
}

TEST_CASE("a deletion that has begun is not changed by another one") {
  ApiFixture api;
  api.post(kConfigMaps, R"({"metadata":{"name":"a","finalizers":["x.io/y"]}})");
  const std::string one = std::string(kConfigMaps) + "/a";
  const Answer first = api.del(one);
  CHECK(first.at("kind") == "ConfigMap");
  const std::string version = first.at("metadata.resourceVersion");
  const Answer second = api.del(one + "?propagationPolicy=Foreground");
  CHECK(second.status == 200);
  CHECK(second.at("kind") == "Status");
  CHECK(api.get(one).at("metadata.resourceVersion") == version);
  CHECK(api.get(one).at("metadata.finalizers") == R"(["x.io/y"])");
}

TEST_CASE("Jobs and ReplicationControllers keep their dependents unless told otherwise") {
  ApiFixture api;
  const std::string job =
      R"({"metadata":{"name":"j"},"spec":{"template":{"spec":{"restartPolicy":"Never",)"
      R"("containers":[{"name":"c","image":"i"}]}}}})";
  REQUIRE(api.post(kJobs, job).status == 201);
  const Answer deleted = api.del(std::string(kJobs) + "/j");
  CHECK(deleted.at("metadata.finalizers") == R"(["orphan"])");
  CHECK(deleted.header("Warning").find("child pods are preserved by default") != std::string::npos);
  REQUIRE(api.post(kDeployments, deployment("d")).status == 201);
  CHECK(api.del(std::string(kDeployments) + "/d").at("status") == "Success");
}

TEST_CASE("dry runs change nothing, whatever the verb") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  const std::string one = std::string(kConfigMaps) + "/a";
  const auto before = api.store->revision();
  const Answer made = api.post(std::string(kConfigMaps) + "?dryRun=All", config_map("new"));
  CHECK(made.status == 201);
  CHECK_FALSE(made.at("metadata.uid").empty());
  CHECK_FALSE(json_path(made.body, "metadata.resourceVersion"));
  CHECK(api.post(std::string(kConfigMaps) + "?dryRun=All", config_map("a")).status == 409);
  CHECK(api.put(one + "?dryRun=All", config_map("a", R"(,"data":{"k":"v"})")).at("data.k") == "v");
  CHECK(api.patch(one + "?dryRun=All", kMerge, R"({"data":{"k":"v"}})").at("data.k") == "v");
  CHECK(api.patch(one + "?dryRun=All&fieldManager=m", kApply, config_map("a")).status == 200);
  CHECK(
      api.patch(std::string(kConfigMaps) + "/n?dryRun=All&fieldManager=m", kApply, config_map("n"))
          .status == 201);
  CHECK(api.del(one, R"({"dryRun":["All"]})").status == 200);
  CHECK(items_of(api.del(std::string(kConfigMaps) + "?dryRun=All")) == "a ");
  CHECK(api.store->revision() == before);
  REQUIRE(api.post(kDeployments, deployment("d", R"("replicas":2,)")).status == 201);
  const auto after = api.store->revision();
  const std::string scale = std::string(kDeployments) + "/d/scale?dryRun=All";
  CHECK(api.patch(scale, kMerge, R"({"spec":{"replicas":5}})").at("spec.replicas") == "5");
  CHECK(api.store->revision() == after);

  REQUIRE(api.post(kPods, pod("p")).status == 201);
  const auto bare = api.store->revision();
  const std::string one_pod = std::string(kPods) + "/p";
  const std::string binding = R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}})";
  CHECK(api.post(one_pod + "/binding?dryRun=All", binding).status == 201);
  CHECK(api.post(one_pod + "/eviction?dryRun=All", R"({"metadata":{"name":"p"}})").status == 201);
  CHECK(api.post(one_pod + "/eviction",
                 R"({"metadata":{"name":"p"},"deleteOptions":{"dryRun":["All"]}})")
            .status == 201);
  CHECK(api.del(one_pod + "?dryRun=All").status == 200);
  CHECK(api.del(std::string(kPods) + "?dryRun=All").status == 200);
  CHECK(api.store->revision() == bare);
}

TEST_CASE("a collection is deleted by selector and limit") {
  ApiFixture api;
  for (const char* name : {"a", "b", "c"}) {
    api.post(kConfigMaps, std::string(R"({"metadata":{"name":")") + name + R"(","labels":{"l":")" +
                              name + "\"}}}");
  }
  CHECK(items_of(api.del(std::string(kConfigMaps) + "?labelSelector=l%20in%20(b,x)")) == "b ");
  CHECK(items_of(api.del(std::string(kConfigMaps) + "?limit=1")) == "a ");
  CHECK(items_of(api.get(kConfigMaps)) == "c ");
}

TEST_CASE("PUT makes what may be made by it, and nothing else") {
  ApiFixture api;
  const std::string lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
  CHECK(api.put(lease, R"({"metadata":{"name":"l"}})").status == 201);
  CHECK(api.put("/api/v1/namespaces/default/endpoints/e", R"({"metadata":{"name":"e"}})").status ==
        201);
  const Answer missing = api.put(std::string(kConfigMaps) + "/a", config_map("a"));
  CHECK(missing.status == 404);
  CHECK(missing.at("message") == "configmaps \"a\" not found");
  // Leases are not overwritten blindly.
  const Answer blind = api.put(lease, R"({"metadata":{"name":"l","labels":{"a":"b"}}})");
  CHECK(blind.status == 422);
  CHECK(blind.at("message").find("metadata.resourceVersion: Invalid value: 0x0: must be specified "
                                 "for an update") != std::string::npos);
}

TEST_CASE("updates that cross a selector are ADDED and DELETED, in every form") {
  ApiFixture api;
  api.post(kConfigMaps, R"({"metadata":{"name":"a","labels":{"x":"1"}}})");
  const std::string one = std::string(kConfigMaps) + "/a";
  for (const char* accept : {"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io",
                             "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}) {
    INFO(accept);
    api.patch(one, kMerge, R"({"metadata":{"labels":{"x":"1"}}})");
    const Answer watch = api.get(std::string(kConfigMaps) + "?watch=1&labelSelector=x%3D1", accept);
    api.patch(one, kMerge, R"({"metadata":{"labels":{"x":"2"}}})");
    api.patch(one, kMerge, R"({"data":{"k":")" + std::string(accept) + "\"}}");
    api.patch(one, kMerge, R"({"metadata":{"labels":{"x":"1"}}})");
    std::string types;
    for (const std::string& frame : watch.stream->take()) {
      types += json_string_at(frame, "type").value_or("?") + " ";
    }
    CHECK(types == "ADDED DELETED ADDED ");
  }
}

TEST_CASE("an apply says what is wrong with it") {
  ApiFixture api;
  const std::string one = std::string(kDeployments) + "/d?fieldManager=m";
  CHECK(api.patch(one, kApply, config_map("d")).at("message") ==
        "invalid object type: /v1, Kind=ConfigMap");
  const Answer unknown = api.patch(one, kApply, deployment("d", R"("nope":1,)"));
  CHECK(unknown.status == 500);
  CHECK(unknown.at("message") ==
        "failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.nope: field not "
        "declared in schema");
  const Answer twice = api.patch(one + "&fieldValidation=Strict", kApply,
                                 deployment("d", R"("replicas":1,"replicas":2,)"));
  CHECK(twice.status == 400);
  CHECK(twice.at("message") == "error strict decoding YAML: duplicate field \"spec.replicas\"");
  CHECK(api.patch(one, kApply, "a: [").status == 400);
  CHECK(api.patch(one, kApply, deployment("other")).at("message") ==
        "the name of the object (other) does not match the name on the URL (d)");
  const std::string uid = R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":)"
                          R"({"name":"d","uid":"1"}})";
  CHECK(api.patch(one, kApply, uid).status == 409);
  CHECK(api.patch(one, kApply, deployment("d")).status == 201);
  CHECK(api.patch(one, kApply, deployment("d")).status == 200);
}

TEST_CASE("the scale can be applied, and its manager owns the replicas") {
  ApiFixture api;
  const std::string one = std::string(kDeployments) + "/d";
  REQUIRE(api.patch(one + "?fieldManager=a", kApply, deployment("d", R"("replicas":2,)")).status ==
          201);
  const std::string scale =
      R"({"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"d"},)"
      R"("spec":{"replicas":4}})";
  const Answer conflict = api.patch(one + "/scale?fieldManager=hpa", kApply, scale);
  CHECK(conflict.status == 409);
  CHECK(conflict.at("details.causes").find("\"field\":\".spec.replicas\"") != std::string::npos);
  const Answer forced = api.patch(one + "/scale?fieldManager=hpa&force=true", kApply, scale);
  CHECK(forced.status == 200);
  CHECK(forced.at("kind") == "Scale");
  CHECK(forced.at("spec.replicas") == "4");
  const std::string fields = api.get(one).at("metadata.managedFields");
  CHECK(fields.find(R"("manager":"hpa","operation":"Apply")") != std::string::npos);
  CHECK(fields.find(R"("subresource":"scale")") != std::string::npos);
  // The first manager gave the field up.
  CHECK(api.patch(one + "?fieldManager=a", kApply, deployment("d")).at("spec.replicas") == "4");
  CHECK(api.patch(one + "/scale?fieldManager=hpa", kApply,
                  R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"}})")
            .status == 400);
}

TEST_CASE("the status is applied under its own name") {
  ApiFixture api;
  const std::string one = std::string(kDeployments) + "/d";
  REQUIRE(api.post(kDeployments, deployment("d")).status == 201);
  const std::string status =
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},)"
      R"("status":{"replicas":3}})";
  const Answer applied = api.patch(one + "/status?fieldManager=s", kApply, status);
  CHECK(applied.status == 200);
  CHECK(applied.at("status.replicas") == "3");
  CHECK(applied.at("metadata.managedFields").find(R"("subresource":"status")") !=
        std::string::npos);
  CHECK(api.patch(std::string(kDeployments) + "/none/status?fieldManager=s", kApply,
                  R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"none"}})")
            .status == 404);
}

TEST_CASE("managedFields can be rewritten and forgotten, as kubectl's migration needs") {
  ApiFixture api;
  const std::string one = std::string(kConfigMaps) + "/a";
  api.send("POST", kConfigMaps, config_map("a", R"(,"data":{"k":"v"})"),
           {{"User-Agent", "kubectl-client-side-apply/1"}});
  const std::string version = api.get(one).at("metadata.resourceVersion");
  const std::string entry =
      R"({"manager":"kubectl","operation":"Apply","apiVersion":"v1","time":"2024-01-01T00:00:00Z",)"
      R"("fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:k":{}}}})";
  const Answer upgraded = api.patch(
      one, "application/json-patch+json",
      R"([{"op":"replace","path":"/metadata/managedFields","value":[)" + entry +
          R"(]},{"op":"replace","path":"/metadata/resourceVersion","value":")" + version + "\"}]");
  REQUIRE(upgraded.status == 200);
  CHECK(upgraded.at("metadata.managedFields") == "[" + entry + "]");
  // Now an apply that leaves the field out removes it.
  const Answer applied = api.patch(
      one + "?fieldManager=kubectl", kApply,
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"n":"1"}})");
  CHECK(applied.at("data") == R"({"n":"1"})");
  // [{}] forgets everything, and nothing is tracked again by mere updates.
  const Answer reset = api.patch(one, kMerge, R"({"metadata":{"managedFields":[{}]}})");
  CHECK(reset.status == 200);
  CHECK_FALSE(json_path(reset.body, "metadata.managedFields"));
  const Answer after = api.patch(one, kMerge, R"({"data":{"z":"1"}})");
  CHECK_FALSE(json_path(after.body, "metadata.managedFields"));
  // A list left out or empty leaves the entries alone.
  api.post(kConfigMaps, config_map("b", R"(,"data":{"k":"v"})"));
  const Answer kept = api.patch(std::string(kConfigMaps) + "/b", kMerge,
                                R"({"metadata":{"managedFields":[]},"data":{"x":"y"}})");
  CHECK(kept.at("metadata.managedFields").find("f:x") != std::string::npos);
}

TEST_CASE("generated names are tried again when taken") {
  ApiFixture api;
  std::set<std::string> names;
  for (int i = 0; i < 50; ++i) {
    const Answer made = api.post(kConfigMaps, R"({"metadata":{"generateName":"g-"}})");
    REQUIRE(made.status == 201);
    names.insert(made.at("metadata.name"));
  }
  CHECK(names.size() == 50);
  CHECK(api.post(kConfigMaps, R"({"metadata":{}})").at("message") ==
        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is "
        "required");
  const Answer missing = api.post("/api/v1/namespaces/nowhere/configmaps", config_map("a"));
  CHECK(missing.status == 404);
  CHECK(missing.at("message") == "namespaces \"nowhere\" not found");
}

}  // namespace orch::server::test
