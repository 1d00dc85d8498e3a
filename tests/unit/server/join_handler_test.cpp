#include <catch2/catch.hpp>
#include <filesystem>

#include "orch/base/file.h"
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

TEST_CASE("joining: a deleted Node frees its name") {
  JoinFixture f;
  const auto joins = [&](const char* password) {
    return f.ask(JoinFixture::request("n1", password).encode(), "Bearer secret").status;
  };
  REQUIRE(joins("one") == 200);
  f.post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})");
  f.clock.advance(Seconds{600});
  CHECK(joins("two") == 403);
  f.del("/api/v1/nodes/n1");
  CHECK(joins("two") == 200);
  CHECK(joins("one") == 403);  // the new one has not registered yet, and is not put out
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

void bootstrap_token(JoinFixture& f, const std::string& id, const std::string& more) {
  const auto made =
      f.post("/api/v1/namespaces/kube-system/secrets",
             R"({"metadata":{"name":"bootstrap-token-)" + id +
                 R"("},"type":"bootstrap.kubernetes.io/token","stringData":{"token-id":")" + id +
                 R"(","token-secret":"0123456789abcdef")" + more + "}}");
  INFO(made.body);
  REQUIRE(made.status == 201);
}

TEST_CASE("joining: bootstrap tokens, and what is wrong with one is said") {
  JoinFixture f;
  const std::string body = JoinFixture::request("n1").encode();
  const std::string usage = R"(,"usage-bootstrap-authentication":"true")";
  bootstrap_token(f, "aaaaaa", usage);
  bootstrap_token(f, "bbbbbb", usage + R"(,"expiration":"2001-01-01T00:00:00Z")");
  bootstrap_token(f, "cccccc", usage + R"(,"expiration":"2100-01-01T00:00:00Z")");
  bootstrap_token(f, "dddddd", "");
  bootstrap_token(f, "eeeeee", usage + R"(,"expiration":"tomorrow")");
  const auto try_token = [&](const std::string& token) {
    const auto response = f.ask(body, "Bearer " + token);
    CHECK((response.status == 200 || response.status == 401));
    return response.status == 200 ? "joined" : response.body;
  };
  CHECK(try_token("aaaaaa.0123456789abcdef") == "joined");
  CHECK(try_token("cccccc.0123456789abcdef") == "joined");
  CHECK(try_token("bbbbbb.0123456789abcdef").find("token expired on 2001-01-01T00:00:00Z") !=
        std::string::npos);
  CHECK(try_token("eeeeee.0123456789abcdef").find("token expired") != std::string::npos);
  CHECK(try_token("dddddd.0123456789abcdef").find("is not for joining") != std::string::npos);
  CHECK(try_token("ffffff.0123456789abcdef").find("expired or was deleted") != std::string::npos);
  const std::string wrong = try_token("aaaaaa.0123456789abcdee");
  CHECK(wrong.find("the token is wrong") != std::string::npos);
  CHECK(wrong.find("0123456789abcde") == std::string::npos);
}

TEST_CASE("joining: static tokens are read anew; who joined before shows its certificate") {
  JoinFixture f;
  char name[] = "/tmp/orch-join-XXXXXX";
  const std::string directory = mkdtemp(name);
  JoinOptions options{client::JoinToken{"", "server", "secret"},
                      {directory + "/token", directory + "/agent-token"}};
  f.join = std::make_unique<JoinHandler>(
      f.env, f.pki, options, ClusterFacts{"10.43.0.10", "cluster.local", "10.42.0.0/16", "x"},
      f.client);
  const std::string hash(64, 'a');
  const auto joins = [&](const std::string& secret) {
    return f.ask(JoinFixture::request("n1").encode(), "Bearer " + secret).status == 200;
  };
  CHECK(joins("secret"));
  REQUIRE(write_file_atomic(directory + "/token", "K10" + hash + "::server:second\n", 0600));
  CHECK_FALSE(joins("secret"));
  CHECK(joins("second"));
  REQUIRE(write_file_atomic(directory + "/agent-token", "K10" + hash + "::node:agents\n", 0600));
  CHECK(joins("agents"));
  CHECK(joins("second"));
  CHECK_FALSE(joins(""));

  net::HttpRequest request;
  request.method = "POST";
  request.path = request.target = std::string(client::kJoinPath);
  request.body = JoinFixture::request("n1").encode();
  request.headers.emplace("Authorization", "Bearer secret");  // of before
  const auto status = [&] {
    net::HttpResponse response;
    f.join->handle(request, response);
    return response.status;
  };
  CHECK(status() == 401);
  request.peer.common_name = "system:node:n1";
  CHECK(status() == 401);  // not of the nodes' group
  request.peer.organizations = {"system:nodes"};
  CHECK(status() == 200);
  request.peer.error = "x509: certificate has expired";
  CHECK(status() == 401);
  request.peer.error.clear();
  request.peer.common_name = "system:node:n2";  // another's name
  CHECK(status() == 401);
  request.peer.common_name = "system:node:n1";
  request.body = JoinFixture::request("n1", "another password").encode();
  CHECK(status() == 403);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace orch::server
