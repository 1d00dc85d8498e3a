// Discovery, health, version, unknown paths, content negotiation.
#include <catch2/catch.hpp>

#include "server/api/call.h"
#include "server/api/negotiate.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {

TEST_CASE("plain discovery") {
  ApiFixture api;
  CHECK(api.get("/api").at("versions") == "[\"v1\"]");
  CHECK(api.get("/apis").body.find(R"("name":"apps")") != std::string::npos);
  CHECK(api.get("/apis/apps").at("preferredVersion.groupVersion") == "apps/v1");
  const auto core = api.get("/api/v1");
  CHECK(core.at("kind") == "APIResourceList");
  CHECK(core.at("groupVersion") == "v1");
  CHECK(
      core.body.find(R"({"name":"pods/eviction","singularName":"","namespaced":true,)"
                     R"("group":"policy","version":"v1","kind":"Eviction","verbs":["create"]})") !=
      std::string::npos);
  CHECK(core.body.find(R"("shortNames":["po"])") != std::string::npos);
  CHECK(api.get("/apis/apps/v1").body.find("deployments/scale") != std::string::npos);
  CHECK(core.body.find(R"({"name":"bindings","singularName":"binding","namespaced":true,)"
                       R"("kind":"Binding","verbs":["create"]})") != std::string::npos);
  const auto hash = [](const Answer& list) {
    const std::string after = list.body.substr(list.body.find(R"("kind":"Event")"));
    return after.substr(after.find("storageVersionHash"), 38);
  };
  CHECK(hash(core) == hash(api.get("/apis/events.k8s.io/v1")));
  CHECK(api.get("/apis/nope").status == 404);
  CHECK(api.get("/apis/apps/v9").status == 404);
  const auto bytes = api.get("/api/v1", "application/vnd.kubernetes.protobuf");
  CHECK(bytes.body.starts_with(std::string("k8s\0", 4)));
}

TEST_CASE("aggregated discovery with ETag") {
  ApiFixture api;
  const std::string accept =
      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
      "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
  const auto got = api.get("/apis", accept);
  CHECK(got.at("kind") == "APIGroupDiscoveryList");
  CHECK(got.at("apiVersion") == "apidiscovery.k8s.io/v2");
  CHECK(got.header("Content-Type") ==
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  const auto etag = got.header("ETag");
  REQUIRE(!etag.empty());
  const auto same = api.send("GET", "/apis", "", {{"Accept", accept}, {"If-None-Match", etag}});
  CHECK(same.status == 304);
  CHECK(same.body.empty());
  const auto among =
      api.send("GET", "/apis", "", {{"Accept", accept}, {"If-None-Match", "\"x\", W/" + etag}});
  CHECK(among.status == 304);
  CHECK(api.send("GET", "/apis", "", {{"Accept", accept}, {"If-None-Match", "\"x\""}}).status ==
        200);
  const auto beta =
      api.get("/api", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList");
  CHECK(beta.at("apiVersion") == "apidiscovery.k8s.io/v2beta1");
  CHECK(beta.body.find(R"("resource":"pods")") != std::string::npos);
}

TEST_CASE("health, version, unknown paths") {
  ApiFixture api;
  CHECK(api.get("/healthz").body == "ok");
  const auto verbose = api.get("/readyz?verbose");
  CHECK(verbose.body.find("[+]ping ok\n") != std::string::npos);
  CHECK(verbose.body.ends_with("readyz check passed\n"));
  CHECK(api.get("/livez/ping").body == "ok");
  CHECK(api.get("/livez/nope").status == 404);
  std::string trouble = "no";
  api.server->add_check(ApiServer::Probe::kReady, "mine", [&] { return trouble; });
  const auto failed = api.get("/readyz");
  CHECK(failed.status == 500);
  CHECK(failed.body.find("[-]mine failed: reason withheld\n") != std::string::npos);
  CHECK(api.get("/readyz?exclude=mine").status == 200);
  CHECK(api.get("/livez").status == 200);
  const auto version = api.get("/version");
  CHECK(version.at("gitVersion") == "v1.32.0+orch1");
  CHECK(version.at("minor") == "32");
  const auto unknown = api.get("/nope");
  CHECK(unknown.status == 404);
  CHECK(unknown.body == "404 page not found\n");
  CHECK(api.get("/api/v1/nopes").status == 404);
  CHECK(api.get("/metrics").body.find("apiserver_request_total") != std::string::npos);
  CHECK(api.get("/").body.find("\"/apis/apps/v1\"") != std::string::npos);
}

TEST_CASE("discovery is read, and nothing else") {
  ApiFixture api;
  for (const char* path : {"/version", "/version/", "/api", "/apis", "/apis/apps", "/api/v1"}) {
    INFO(path);
    const auto post = api.post(path, "{}");
    CHECK(post.status == 405);
    CHECK(post.at("reason") == "MethodNotAllowed");
    CHECK(post.header("Allow") == "GET");
  }
  CHECK(api.post("/apis/nope", "{}").status == 404);
}

TEST_CASE("OpenAPI documents by Accept, ETag and hash") {
  ApiFixture api;
  const auto index = api.get("/openapi/v3");
  const auto url = json_string(
      *json_path(json_member(*json_path(index.body, "paths"), "apis/apps/v1").value_or("{}"),
                 "serverRelativeURL"));
  REQUIRE(url);
  const auto apps = api.get(*url);
  CHECK(apps.status == 200);
  CHECK(apps.header("Cache-Control") == "public, immutable");
  CHECK(apps.at("openapi").starts_with("3."));
  const auto stale = api.get("/openapi/v3/apis/apps/v1?hash=0");
  CHECK(stale.status == 301);
  CHECK(stale.header("Location") == *url);
  CHECK(api.get("/openapi/v3/apis/nope/v1").status == 404);
  const auto same = api.send("GET", *url, "", {{"If-None-Match", apps.header("ETag")}});
  CHECK(same.status == 304);
  const auto two = api.get("/openapi/v2");
  CHECK(two.at("swagger") == "2.0");
  const auto proto =
      api.get("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf");
  CHECK(proto.header("Content-Type") ==
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
  CHECK(!proto.body.empty());
  CHECK(proto.body != two.body);
  CHECK(api.get("/openapi/v2", "text/html").status == 406);
}

TEST_CASE("added paths") {
  ApiFixture api;
  api.server->add_path("/mine/", true, [](Call& call, net::HttpResponse& response) {
    response.body = "at " + call.info.path;
  });
  CHECK(api.get("/mine/x").body == "at /mine/x");
  CHECK(api.server->is_open_path("/mine/x"));
  CHECK(!api.server->is_open_path("/minex"));
}

TEST_CASE("scope of resources and their paths") {
  ApiFixture api;
  CHECK(api.get("/api/v1/namespaces/default/nodes").status == 404);
  CHECK(api.post("/api/v1/pods", pod("p")).status == 405);
  CHECK(api.del("/api/v1/pods").status == 405);
  CHECK(api.del("/api/v1/namespaces").status == 405);
  CHECK(api.get("/api/v1/pods/p").status == 404);
  CHECK(api.put(kPods, pod("p")).status == 405);
  CHECK(api.post(std::string(kPods) + "/p", pod("p")).status == 405);
  CHECK(api.get("/api/v1/namespaces/default").at("metadata.name") == "default");
}

TEST_CASE("forms of answers") {
  ApiFixture api;
  api.post(kPods, pod("p"));
  const std::string url = std::string(kPods) + "/p";
  const auto yaml = api.get(url, "application/yaml");
  CHECK(yaml.header("Content-Type") == "application/yaml");
  CHECK(yaml.body.find("kind: Pod\n") != std::string::npos);
  const auto proto = api.get(url, "application/vnd.kubernetes.protobuf,application/json");
  CHECK(proto.header("Content-Type") == "application/vnd.kubernetes.protobuf");
  const auto unwrapped = api::unwrap_protobuf(proto.body);
  REQUIRE(unwrapped);
  CHECK(unwrapped->kind == "Pod");
  const auto list = api.get(kPods, "application/vnd.kubernetes.protobuf");
  CHECK(api::unwrap_protobuf(list.body)->kind == "PodList");
  const auto status = api.get(url + "x", "application/vnd.kubernetes.protobuf");
  CHECK(api::unwrap_protobuf(status.body)->kind == "Status");
  const auto table =
      api.get(kPods, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
  CHECK(table.at("kind") == "Table");
  CHECK(table.body.find(R"("cells":["p",)") != std::string::npos);
  CHECK(table.body.find(R"("object":{"kind":"PartialObjectMetadata")") != std::string::npos);
  const auto meta =
      api.get(kPods, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
  CHECK(meta.at("kind") == "PartialObjectMetadataList");
  CHECK(meta.body.find("\"spec\"") == std::string::npos);
  CHECK(api.get(url, "text/html").status == 406);
  CHECK(api.get(url, "text/html,*/*;q=0.8").status == 200);
  CHECK(api.get(url + "?pretty=true").body.starts_with("{\n  \"kind\": \"Pod\""));
  // Protobuf in, JSON out.
  const auto made =
      api.send("POST", kConfigMaps, api::wrap_protobuf("v1", "ConfigMap", "\x0a\x03\x0a\x01z"),
               {{"Content-Type", "application/vnd.kubernetes.protobuf"}});
  CHECK(made.status == 201);
  CHECK(made.at("metadata.name") == "z");
}

TEST_CASE("what a path says") {
  const auto info = [](const char* method, const char* path, const char* query = "") {
    return parse_request(method, path, net::parse_query(query));
  };
  auto one = info("GET", "/api/v1/namespaces/ns/pods/p/log");
  CHECK(one.verb == "get");
  CHECK(one.namespace_ == "ns");
  CHECK(one.resource == "pods");
  CHECK(one.name == "p");
  CHECK(one.subresource == "log");
  CHECK(info("GET", "/apis/apps/v1/deployments").verb == "list");
  CHECK(info("GET", "/apis/apps/v1/deployments", "watch=1").verb == "watch");
  CHECK(info("GET", "/apis/apps/v1/deployments", "watch=false").verb == "list");
  CHECK(info("GET", "/api/v1/watch/pods").verb == "watch");
  CHECK(info("DELETE", "/api/v1/namespaces/ns/pods").verb == "deletecollection");
  one = info("PUT", "/api/v1/namespaces/ns/finalize");
  CHECK(one.resource == "namespaces");
  CHECK(one.name == "ns");
  CHECK(one.subresource == "finalize");
  one = info("GET", "/api/v1/namespaces/ns/services/http:s:80/proxy/a/b/");
  CHECK(one.subresource == "proxy");
  CHECK(one.subresource_path == "/a/b/");
  CHECK(!info("GET", "/api/v1").is_resource);
  CHECK(!info("GET", "/apis/apps/v1").is_resource);
  CHECK(info("GET", "/healthz").verb == "get");
}

}  // namespace orch::server::test
