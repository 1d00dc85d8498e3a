// Logs, exec and proxies through a real backend over sockets: streams, raw upgrades, refusals,
// redirects (CVE-2018-1002105, CVE-2020-8559).
#include <catch2/catch.hpp>
#include <thread>

#include "server/api/node_connector.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

// A kubelet of our own on loopback, plain HTTP.
class Backend {
 public:
  Backend() {
    net::HttpServerOptions options;
    options.address = "127.0.0.1";
    options.waits = [](std::string_view, std::string_view) {
      return net::HttpServerOptions::Waits::kPeer;
    };
    auto started = net::HttpServer::start(
        options, [this](const net::HttpRequest& request, net::HttpResponse& response) {
          targets.push_back(request.method + " " + request.target);
          headers = request.headers;
          answer(request, response);
        });
    if (!started) throw std::runtime_error(started.error());
    server = std::move(*started);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server->port()); }

  std::function<void(const net::HttpRequest&, net::HttpResponse&)> answer;
  std::vector<std::string> targets;
  net::Headers headers;
  std::unique_ptr<net::HttpServer> server;
};

class Connector final : public NodeConnector {
 public:
  explicit Connector(std::string url) : url_(std::move(url)) {}
  api::ApiResult<std::shared_ptr<net::HttpClient>> kubelet(std::string_view) override {
    return peer(url_);
  }
  api::ApiResult<std::shared_ptr<net::HttpClient>> peer(const std::string&) override {
    net::HttpClientOptions options;
    options.base_url = url_;
    return std::shared_ptr<net::HttpClient>(net::HttpClient::create(options));
  }

 private:
  std::string url_;
};

// The whole chain over sockets: client -> API server -> backend.
struct Chain {
  Chain() {
    api.server->set_node_connector(std::make_shared<Connector>(backend.url()));
    api.post(kPods, pod("p", R"(,"nodeName":"n1")"));
    api.post(kPods, R"({"metadata":{"name":"two"},"spec":{"nodeName":"n1","containers":[)"
                    R"({"name":"a","image":"i"},{"name":"b","image":"i"}]}})");
    api.post(kPods, pod("nowhere"));
    auto options = http_options();
    options.address = "127.0.0.1";
    auto started = net::HttpServer::start(options, make_http_handler(*api.server));
    if (!started) throw std::runtime_error(started.error());
    front = std::move(*started);
    net::HttpClientOptions to;
    to.base_url = "http://127.0.0.1:" + std::to_string(front->port());
    client = net::HttpClient::create(to);
  }
  ~Chain() {
    api.server->stop();
    front->stop();
    backend.server->stop();
  }
  net::HttpResult get(const std::string& target) {
    auto result = client->request("GET", target, {}, "");
    REQUIRE(result);
    return *result;
  }
  auto upgrade(const std::string& target) {
    return client->upgrade("POST", target,
                           {{"Connection", "Upgrade"},
                            {"Upgrade", "SPDY/3.1"},
                            {"Authorization", "Bearer secret"},
                            {"X-Stream-Protocol-Version", "v4.channel.k8s.io"}});
  }

  Backend backend;
  ApiFixture api;
  std::unique_ptr<net::HttpServer> front;
  std::unique_ptr<net::HttpClient> client;
};

}  // namespace

TEST_CASE("logs are streamed from the kubelet") {
  Chain chain;
  chain.backend.answer = [](const net::HttpRequest&, net::HttpResponse& response) {
    response.body = "one\ntwo\n";
  };
  const auto got =
      chain.get(std::string(kPods) + "/p/log?tailLines=5&timestamps=true&sinceSeconds=3");
  CHECK(got.status == 200);
  CHECK(got.body == "one\ntwo\n");
  CHECK(net::header(got.headers, "Content-Type") == "text/plain");
  CHECK(chain.backend.targets.back() ==
        "GET /containerLogs/default/p/c?timestamps=true&tailLines=5&sinceSeconds=3");
  const auto several = chain.get(std::string(kPods) + "/two/log");
  CHECK(several.status == 400);
  CHECK(several.body.find("a container name must be specified for pod two, choose one of: [a b]") !=
        std::string::npos);
  CHECK(chain.get(std::string(kPods) + "/two/log?container=x")
            .body.find("container x is not valid for pod two") != std::string::npos);
  CHECK(chain.get(std::string(kPods) + "/p/log?tailLines=-1").status == 422);
  CHECK(chain.get(std::string(kPods) + "/p/log?limitBytes=0").status == 422);
  CHECK(chain.get(std::string(kPods) + "/p/log?sinceSeconds=1&sinceTime=2025-01-01T00:00:00Z")
            .status == 422);
  const auto text = chain.get(std::string(kPods) + "/p/log?tailLines=ten");
  CHECK(text.status == 400);
  CHECK(json_string(*json_path(text.body, "message")) ==
        "strconv.ParseInt: parsing \"ten\": invalid syntax");
  CHECK(chain.get(std::string(kPods) + "/nowhere/log").body.empty());
}

TEST_CASE("a followed log flows as it is written and ends when the client leaves") {
  Chain chain;
  std::shared_ptr<net::Stream> source;
  std::atomic<bool> closed{false};
  std::mutex mutex;
  chain.backend.answer = [&](const net::HttpRequest&, net::HttpResponse& response) {
    response.stream([&](std::shared_ptr<net::Stream> stream) {
      std::lock_guard lock(mutex);
      source = stream;
      stream->write(std::string("first\n"));
      stream->on_close([&] { closed = true; });
    });
  };
  auto cancel = net::HttpClient::make_cancel();
  std::string seen;
  auto result = chain.client->stream(
      "GET", std::string(kPods) + "/p/log?follow=true", {}, "",
      [](const net::HttpResult& head) { return head.status == 200; },
      [&](std::string_view bytes) {
        seen += bytes;
        if (seen == "first\n") {
          std::lock_guard lock(mutex);
          source->write(std::string("second\n"));
        }
        return seen != "first\nsecond\n";
      },
      cancel);
  CHECK(seen == "first\nsecond\n");
  for (int i = 0; i < 3000 && !closed; ++i) {
    {
      std::lock_guard lock(mutex);
      source->write(std::string("x"));
    }
    std::this_thread::sleep_for(Millis{10});
  }
  CHECK(closed);
}

TEST_CASE("the kubelet's refusal of a log is passed on") {
  Chain chain;
  chain.backend.answer = [](const net::HttpRequest&, net::HttpResponse& response) {
    response.status = 400;
    response.body = "container \"c\" in pod \"p\" is waiting to start: ContainerCreating";
  };
  const auto got = chain.get(std::string(kPods) + "/p/log");
  CHECK(got.status == 400);
  CHECK(json_path(got.body, "reason") == "\"BadRequest\"");
  CHECK(json_string(*json_path(got.body, "message")) ==
        "container \"c\" in pod \"p\" is waiting to start: ContainerCreating");
  chain.backend.server->stop();
  CHECK(chain.get(std::string(kPods) + "/p/log").status == 500);
}

TEST_CASE("exec passes raw bytes both ways, without credentials") {
  Chain chain;
  chain.backend.answer = [](const net::HttpRequest& request, net::HttpResponse& response) {
    response.status = 101;
    response.set("Connection", "Upgrade");
    response.set("Upgrade", std::string(net::header(request.headers, "Upgrade")));
    response.set("X-Stream-Protocol-Version", "v4.channel.k8s.io");
    response.upgrade([](std::unique_ptr<net::RawConnection> connection) {
      char buffer[64];
      while (true) {
        auto n = connection->read(buffer, sizeof buffer);
        if (!n || *n == 0) break;
        if (!connection->write_all("<" + std::string(buffer, *n) + ">")) break;
      }
    });
  };
  auto upgraded = chain.upgrade(std::string(kPods) +
                                "/p/exec?command=sh&command=-c&stdin=true&stdout=true&tty=true");
  REQUIRE(upgraded);
  REQUIRE(upgraded->connection);
  CHECK(net::header(upgraded->answer.headers, "X-Stream-Protocol-Version") == "v4.channel.k8s.io");
  CHECK(chain.backend.targets.back() ==
        "POST /exec/default/p/c?input=1&output=1&tty=1&command=sh&command=-c");
  CHECK(net::header(chain.backend.headers, "Authorization").empty());
  CHECK(net::header(chain.backend.headers, "X-Stream-Protocol-Version") == "v4.channel.k8s.io");
  REQUIRE(upgraded->connection->write_all("hi"));
  char buffer[16];
  auto n = upgraded->connection->read(buffer, sizeof buffer);
  REQUIRE(n);
  CHECK(std::string(buffer, *n) == "<hi>");
  upgraded->connection->close();
  CHECK(chain.upgrade(std::string(kPods) + "/nowhere/exec?command=sh&stdout=1")->answer.status ==
        400);
  CHECK(chain.upgrade(std::string(kPods) + "/p/exec?command=sh")->answer.status == 400);
}

TEST_CASE("an upgrade that the backend refuses is an ordinary answer and closes") {
  Chain chain;
  chain.backend.answer = [](const net::HttpRequest&, net::HttpResponse& response) {
    response.status = 403;
    response.body = "no";
  };
  const std::string url = std::string(kPods) + "/p/attach?stdout=true";
  auto refused = chain.upgrade(url);
  REQUIRE(refused);
  CHECK(!refused->connection);
  CHECK(refused->answer.status == 403);
  CHECK(refused->answer.body == "no");
  CHECK(net::header_has_token(refused->answer.headers, "Connection", "close"));
  chain.backend.answer = [](const net::HttpRequest&, net::HttpResponse& response) {
    response.status = 200;
  };
  CHECK(chain.upgrade(url)->answer.status == 500);
  chain.backend.answer = [](const net::HttpRequest&, net::HttpResponse& response) {
    response.status = 302;
    response.set("Location", "/elsewhere");
  };
  CHECK(chain.upgrade(url)->answer.status == 502);
  CHECK(chain.backend.targets.size() == 3);
}

TEST_CASE("proxies pass requests on and never follow redirects") {
  Chain chain;
  chain.api.patch(std::string(kPods) + "/p/status", "application/merge-patch+json",
                  R"({"status":{"podIP":"10.42.0.7"}})");
  chain.backend.answer = [](const net::HttpRequest& request, net::HttpResponse& response) {
    response.status = 404;
    response.set("X-Mine", "yes");
    response.body = request.method + " " + request.body;
  };
  auto put =
      chain.client->request("PUT", std::string(kPods) + "/p:8080/proxy/a%20b?x=1",
                            {{"Authorization", "Bearer t"}, {"X-Remote-User", "root"}}, "body");
  REQUIRE(put);
  CHECK(put->status == 404);
  CHECK(put->body == "PUT body");
  CHECK(net::header(put->headers, "X-Mine") == "yes");
  CHECK(chain.backend.targets.back() == "PUT /a%20b?x=1");
  CHECK(net::header(chain.backend.headers, "Authorization").empty());
  CHECK(net::header(chain.backend.headers, "X-Remote-User").empty());
  chain.backend.answer = [](const net::HttpRequest&, net::HttpResponse& response) {
    response.status = 307;
    response.set("Location", "http://169.254.169.254/");
  };
  const size_t asked = chain.backend.targets.size();
  const auto redirected = chain.get(std::string(kPods) + "/p/proxy/");
  CHECK(redirected.status == 307);
  CHECK(net::header(redirected.headers, "Location") == "http://169.254.169.254/");
  CHECK(chain.backend.targets.size() == asked + 1);
  chain.backend.answer = [](const net::HttpRequest&, net::HttpResponse& response) {
    response.status = 302;
    response.set("Location", "/login");
  };
  CHECK(net::header(chain.get(std::string(kPods) + "/p/proxy/").headers, "Location") ==
        std::string(kPods) + "/p/proxy/login");
  CHECK(chain.get(std::string(kPods) + "/p/log").status == 502);  // the kubelet may not redirect
  const auto bare = chain.get(std::string(kPods) + "/p/proxy?x=1");
  CHECK(bare.status == 301);
  CHECK(net::header(bare.headers, "Location") == std::string(kPods) + "/p/proxy/?x=1");
  chain.api.patch(std::string(kPods) + "/p/status", "application/merge-patch+json",
                  R"({"status":{"podIP":"127.0.0.1"}})");
  CHECK(chain.get(std::string(kPods) + "/p/proxy/").status == 400);
  CHECK(chain.get(std::string(kServices) + "/none/proxy/").status == 404);
}

TEST_CASE("an upgrade goes through a proxy, without what is not the client's to say") {
  Chain chain;
  chain.api.patch(std::string(kPods) + "/p/status", "application/merge-patch+json",
                  R"({"status":{"podIP":"10.42.0.7"}})");
  chain.backend.answer = [](const net::HttpRequest& request, net::HttpResponse& response) {
    response.status = 101;
    response.set("Connection", "Upgrade");
    response.set("Upgrade", std::string(net::header(request.headers, "Upgrade")));
    response.upgrade([](std::unique_ptr<net::RawConnection> connection) {
      (void)connection->write_all("hello");
      connection->shutdown_write();
    });
  };
  auto upgraded = chain.client->upgrade("GET", std::string(kPods) + "/p:80/proxy/ws?x=1",
                                        {{"Connection", "Upgrade"},
                                         {"Upgrade", "websocket"},
                                         {"Sec-WebSocket-Key", "k"},
                                         {"X-Forwarded-For", "6.6.6.6"},
                                         {"X-Remote-User", "root"}});
  REQUIRE(upgraded);
  REQUIRE(upgraded->connection);
  CHECK(chain.backend.targets.back() == "GET /ws?x=1");
  CHECK(net::header(chain.backend.headers, "Sec-WebSocket-Key") == "k");
  CHECK(net::header(chain.backend.headers, "X-Forwarded-For") == "127.0.0.1");
  CHECK(net::header(chain.backend.headers, "X-Remote-User").empty());
  char buffer[16];
  auto n = upgraded->connection->read(buffer, sizeof buffer);
  REQUIRE(n);
  CHECK(std::string(buffer, *n) == "hello");
}

TEST_CASE("a Service's proxy takes ready Pods only, by port name or number") {
  Chain chain;
  chain.backend.answer = [](const net::HttpRequest&, net::HttpResponse& response) {
    response.body = "served";
  };
  chain.api.patch(std::string(kPods) + "/p/status", "application/merge-patch+json",
                  R"({"status":{"podIP":"10.42.0.7","podIPs":[{"ip":"10.42.0.7"}]}})");
  chain.api.post(kServices, R"({"metadata":{"name":"web"},"spec":{"ports":[)"
                            R"({"name":"http","port":80,"targetPort":8080}]}})");
  const std::string endpoints = "/api/v1/namespaces/default/endpoints";
  const auto publish = [&](const std::string& ip, const std::string& target) {
    chain.api.del(endpoints + "/web");
    chain.api.post(endpoints, R"({"metadata":{"name":"web"},"subsets":[{"addresses":[{"ip":")" +
                                  ip + "\"" + target +
                                  R"(}],"ports":[{"name":"http","port":8080}]}]})");
  };
  const std::string pod = R"(,"targetRef":{"kind":"Pod","namespace":"default","name":"p"})";
  const std::string proxy = std::string(kServices) + "/";
  publish("10.42.0.7", pod);
  CHECK(chain.get(proxy + "web:80/proxy/").body == "served");
  CHECK(chain.get(proxy + "web:http/proxy/").body == "served");
  CHECK(chain.get(proxy + "http:web:80/proxy/").body == "served");
  CHECK(chain.get(proxy + "web/proxy/").status == 503);  // the port has a name
  const auto no_port = chain.get(proxy + "web:81/proxy/");
  CHECK(no_port.status == 503);
  CHECK(json_string(*json_path(no_port.body, "message")) ==
        "no service port 81 found for service \"web\"");
  CHECK(chain.get(proxy + "ftp:web:80/proxy/").status == 400);
  // Anyone may write Endpoints: what they name is not believed.
  for (const auto& [ip, target] :
       std::vector<std::pair<std::string, std::string>>{{"10.42.0.7", ""}, {"10.0.0.1", pod}}) {
    publish(ip, target);
    const auto refused = chain.get(proxy + "web:80/proxy/");
    CHECK(refused.status == 503);
    CHECK(json_string(*json_path(refused.body, "message")) ==
          "no endpoints available for service \"web\"");
  }
}

}  // namespace orch::server::test
