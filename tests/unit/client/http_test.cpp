#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <thread>

#include "client/http/watch_thread.h"
#include "orch/api/corev1.h"
#include "orch/base/json_scan.h"
#include "orch/client/client.h"
#include "orch/client/http_transport.h"
#include "orch/client/informer.h"
#include "unit/client/scripted_transport.h"

namespace orch::client {
namespace {

using namespace testing;

TEST_CASE("targets of requests") {
  auto target = [](const std::string& verb, const std::string& group, const std::string& resource,
                   const std::string& ns, const std::string& name, const std::string& sub) {
    Request request;
    request.verb = verb;
    request.group = group;
    request.version = "v1";
    request.resource = resource;
    request.namespace_ = ns;
    request.name = name;
    request.subresource = sub;
    return request_target(request);
  };
  CHECK(target("list", "", "nodes", "", "", "") == "/api/v1/nodes");
  CHECK(target("get", "", "pods", "ns", "p", "") == "/api/v1/namespaces/ns/pods/p");
  CHECK(target("create", "", "pods", "ns", "p", "binding") ==
        "/api/v1/namespaces/ns/pods/p/binding");
  CHECK(target("list", "apps", "deployments", "", "", "") == "/apis/apps/v1/deployments");
  CHECK(target("watch", "", "pods", "", "", "") == "/api/v1/pods?watch=true");
  CHECK(target("get", "rbac.authorization.k8s.io", "clusterroles", "", "system:node", "") ==
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/" + net::url_encode("system:node"));
  Request query;
  query.verb = "list";
  query.version = "v1";
  query.resource = "pods";
  query.query = {{"fieldSelector", "spec.nodeName=a"}, {"limit", "5"}};
  CHECK(request_target(query) ==
        "/api/v1/pods?fieldSelector=" + net::url_encode("spec.nodeName=a") + "&limit=5");
}

TEST_CASE("JSON is cut at its members, whatever is in the strings") {
  const std::string text = R"( { "a" : "x\"}{,", "b":[1,{"c":"]"},"\\"], "d":{"e":null} } )";
  CHECK(json_member(text, "a") == R"("x\"}{,")");
  CHECK(json_member(text, "d") == R"({"e":null})");
  CHECK_FALSE(json_member(text, "c"));
  std::vector<std::string> items;
  CHECK(json_elements(*json_member(text, "b"), [&](std::string_view item) {
    items.emplace_back(item);
    return true;
  }));
  CHECK(items == std::vector<std::string>{"1", R"({"c":"]"})", R"("\\")"});
  CHECK(json_string(R"("a\n\u00e9\ud83d\ude00\"")") == "a\n\xc3\xa9\xf0\x9f\x98\x80\"");
  CHECK(json_quote("a\"\\\n\x01") == R"("a\"\\\n\u0001")");
  // Broken texts are refused, at every length.
  for (size_t i = 0; i < text.size() - 2; ++i) {
    CHECK_FALSE(json_member(text.substr(0, i), "zzz"));
    (void)json_elements(text.substr(i), [](std::string_view) { return true; });
  }
}

TEST_CASE("watch events are cut at newlines, however the bytes come") {
  const std::string stream = R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})"
                             "\n\n"
                             R"({"type":"BOOKMARK","object":{"x":"\n"}})"
                             "\n";
  for (size_t step = 1; step < stream.size(); ++step) {
    std::vector<std::string> seen;
    WatchDecoder decoder([&](WatchEvent e) { seen.push_back(e.type + e.object_json); });
    for (size_t at = 0; at < stream.size(); at += step) {
      REQUIRE(decoder.feed(std::string_view(stream).substr(at, step)));
    }
    REQUIRE(seen ==
            std::vector<std::string>{R"(ADDED{"metadata":{"name":"a"}})", R"(BOOKMARK{"x":"\n"})"});
  }
  WatchDecoder failing([](WatchEvent) {});
  CHECK_FALSE(failing.feed(R"({"type":"ERROR","object":{"kind":"Status","status":"Failure",)"
                           R"("reason":"Expired","message":"too old","code":410}})"
                           "\n"));
  REQUIRE(failing.error());
  CHECK(failing.error()->code == 410);
  CHECK(failing.error()->reason == "Expired");
  WatchDecoder broken([](WatchEvent) {});
  CHECK_FALSE(broken.feed("what?\n"));
  CHECK(broken.error()->code == 500);
}

// A small HTTP server that answers one list and one watch.
struct Server {
  std::mutex mutex;
  std::shared_ptr<net::Stream> stream;
  std::vector<std::string> seen;
  std::atomic<int> watches{0};
  std::unique_ptr<net::HttpServer> http;

  Server() {
    net::HttpServerOptions options;
    options.address = "127.0.0.1";
    auto started = net::HttpServer::start(
        options, [this](const net::HttpRequest& in, net::HttpResponse& out) { handle(in, out); });
    REQUIRE(started);
    http = std::move(*started);
  }
  ~Server() { http->stop(); }
  void handle(const net::HttpRequest& in, net::HttpResponse& out) {
    std::lock_guard lock(mutex);
    seen.push_back(in.method + " " + in.path + " " +
                   std::string(net::header(in.headers, "Authorization")));
    out.set("Content-Type", "application/json");
    if (in.query.contains("watch")) {
      ++watches;
      out.stream([this](std::shared_ptr<net::Stream> s) {
        std::lock_guard lock(mutex);
        stream = std::move(s);
      });
    } else if (in.method == "GET" && in.path.ends_with("/configmaps")) {
      out.body = list_of(5, {config_map("a", 3)});
    } else if (in.method == "POST") {
      out.status = 201;
      out.body = in.body;
    } else {
      out.status = 404;
      out.body = api::status_json(api::not_found({"", "configmaps"}, "nope"));
    }
  }
  void send(const std::string& line) {
    std::shared_ptr<net::Stream> s;
    {
      std::lock_guard lock(mutex);
      s = stream;
    }
    s->write(line + "\n");
  }
};

template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(Millis{5});
  }
  return false;
}

TEST_CASE("an informer over HTTP: list, watch, resume, stop") {
  Server server;
  HttpTransportOptions options;
  options.base_url = "http://127.0.0.1:" + std::to_string(server.http->port()) + "/";
  options.bearer_token = [] { return std::string("secret"); };
  auto transport = make_http_transport(options);
  auto pool = ThreadPoolExecutor::create(2);
  Env env{system_clock(), *pool, system_random(), no_faults()};

  Client client(*transport);
  auto missing = client.get<api::corev1::ConfigMap>("default", "nope");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().reason == "NotFound");
  api::corev1::ConfigMap map;
  map.metadata.name = "m";
  map.metadata.namespace_ = "default";
  map.data["k"] = "v";
  auto created = client.create(map);
  REQUIRE(created);
  CHECK(created->data.at("k") == "v");
  {
    std::lock_guard lock(server.mutex);
    CHECK(server.seen.back() == "POST /api/v1/namespaces/default/configmaps Bearer secret");
  }

  InformerBase informer(env, *transport, api::resource_of<api::corev1::ConfigMap>());
  informer.start();
  REQUIRE(eventually([&] { return informer.synced() && server.watches == 1; }));
  REQUIRE(eventually([&] {
    std::lock_guard lock(server.mutex);
    return server.stream != nullptr;
  }));
  server.send(R"({"type":"ADDED","object":)" + config_map("b", 6) + "}");
  REQUIRE(eventually([&] { return informer.get("default", "b") != nullptr; }));
  server.stream->finish();
  REQUIRE(eventually([&] { return server.watches == 2; }));
  informer.stop();  // the watch thread is joined although its peer says nothing
  pool->stop();
}

TEST_CASE("nobody listens") {
  HttpTransportOptions options;
  options.base_url = "http://127.0.0.1:1";
  auto transport = make_http_transport(options);
  Client client(*transport);
  auto answer = client.get<api::corev1::ConfigMap>("default", "x");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == 503);
  CHECK(answer.error().message.find("connection refused") != std::string::npos);
}

}  // namespace
}  // namespace orch::client
