#include <catch2/catch.hpp>

#include "server/join/join_handler.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using namespace test;

struct JoinFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  Pki pki;
  std::unique_ptr<JoinHandler> join;

  JoinFixture() {
    pki.server_ca = *net::make_ca("server", clock.now(), Seconds{3600});
    pki.client_ca = *net::make_ca("client", clock.now(), Seconds{3600});
    join = std::make_unique<JoinHandler>(
        env, pki, client::JoinToken{"", "server", "secret"},
        ClusterFacts{"10.43.0.10", "cluster.local", "10.42.0.0/16", "10.43.0.0/16"}, client);
    post("/api/v1/namespaces", R"({"metadata":{"name":"kube-system"}})");
  }
  static client::JoinRequest request(const std::string& node, const std::string& password = "pw") {
    client::JoinRequest out;
    out.node_name = node;
    out.node_ips = {"192.0.2.1"};
    out.node_password = password;
    // What the request asks for is not what it gets.
    out.client_csr_pem =
        net::make_csr({.common_name = "admin", .organizations = {"system:masters"}})->csr_pem;
    out.serving_csr_pem = net::make_csr({.common_name = "x"})->csr_pem;
    return out;
  }
  net::HttpResponse ask(const std::string& body, const std::string& authorization,
                        const std::string& method = "POST",
                        std::string_view path = client::kJoinPath) const {
    net::HttpRequest request;
    request.method = method;
    request.path = request.target = std::string(path);
    request.body = body;
    if (!authorization.empty()) request.headers.emplace("Authorization", authorization);
    net::HttpResponse response;
    response.status = 0;
    if (join->handle(request, response) && response.status == 0) response.status = 200;
    return response;
  }
};

TEST_CASE("joining: certificates of the node's own name, signed by the right CAs") {
  JoinFixture f;
  CHECK(f.ask("", "", "GET", client::kCaPath).body == f.pki.server_ca.certificate_pem);
  CHECK(f.ask("", "", "GET", "/api").status == 0);  // not ours
  const auto response = f.ask(JoinFixture::request("n1").encode(), "Bearer secret");
  INFO(response.body);
  REQUIRE(response.status == 200);
  auto answer = client::JoinAnswer::decode(response.body);
  REQUIRE(answer);
  const auto now = f.clock.now();
  CHECK(net::verify_chain(f.pki.client_ca.certificate_pem, answer->client_certificate_pem, now));
  CHECK(net::verify_chain(f.pki.server_ca.certificate_pem, answer->serving_certificate_pem, now));
  auto client_certificate = net::parse_certificate(answer->client_certificate_pem);
  CHECK(client_certificate->common_name == "system:node:n1");
  CHECK(client_certificate->organizations == std::vector<std::string>{"system:nodes"});
  CHECK(client_certificate->client_auth);
  CHECK_FALSE(client_certificate->server_auth);
  auto serving = net::parse_certificate(answer->serving_certificate_pem);
  CHECK(serving->dns_names == std::vector<std::string>{"n1"});
  CHECK(serving->ip_addresses == std::vector<std::string>{"192.0.2.1"});
  CHECK(answer->client_ca_pem == f.pki.client_ca.certificate_pem);
  CHECK(answer->cluster_dns == "10.43.0.10");
}

TEST_CASE("joining: without the right token nothing happens") {
  JoinFixture f;
  const std::string body = JoinFixture::request("n1").encode();
  for (const char* authorization : {"", "Bearer wrong", "Bearer ", "Basic secret", "secret"}) {
    INFO(authorization);
    const auto response = f.ask(body, authorization);
    CHECK(response.status == 401);
    CHECK(response.body.find("secret") == std::string::npos);
  }
  CHECK(f.get("/api/v1/namespaces/kube-system/secrets/n1.node-password.orch").status == 404);
  CHECK(f.ask(body, "Bearer secret", "GET").status == 405);
}

TEST_CASE("joining: a name belongs to whoever came first") {
  JoinFixture f;
  REQUIRE(f.ask(JoinFixture::request("n1", "one").encode(), "Bearer secret").status == 200);
  CHECK(f.ask(JoinFixture::request("n1", "one").encode(), "Bearer secret").status == 200);
  const auto taken = f.ask(JoinFixture::request("n1", "two").encode(), "Bearer secret");
  CHECK(taken.status == 403);
  CHECK(taken.body.find("n1.node-password.orch") != std::string::npos);
  CHECK(f.ask(JoinFixture::request("n2", "two").encode(), "Bearer secret").status == 200);
  f.del("/api/v1/namespaces/kube-system/secrets/n1.node-password.orch");
  CHECK(f.ask(JoinFixture::request("n1", "two").encode(), "Bearer secret").status == 200);
}

TEST_CASE("joining: requests that make no sense name what is wrong") {
  JoinFixture f;
  const auto message = [&](const std::string& body) {
    const auto response = f.ask(body, "Bearer secret");
    CHECK(response.status == 400);
    return response.body;
  };
  message("");
  message("[]");
  CHECK(message(JoinFixture::request("Bad_Name").encode()).find("nodeName") != std::string::npos);
  auto csr = JoinFixture::request("n1");
  csr.serving_csr_pem = "garbage";
  CHECK(message(csr.encode()).find("servingCSR") != std::string::npos);
  csr = JoinFixture::request("n1");
  csr.client_csr_pem.clear();
  CHECK_FALSE(message(csr.encode()).empty());
}

}  // namespace
}  // namespace orch::server
