// Whom the server connects to by itself: kubelets, and webhooks of authentication and
// authorization. They are who they must be, and do not send it elsewhere.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "orch/base/strings.h"
#include "orch/net/tls.h"
#include "server/api/node_connector.h"
#include "server/auth/webhook.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using namespace test;

const net::KeyPair& authority() {
  static const net::KeyPair pair =
      net::make_ca("server-ca", system_clock().now(), Seconds{86400}).value();
  return pair;
}

// HTTPS on loopback, under a certificate for these names.
struct Peer {
  Peer(std::vector<std::string> names, std::vector<std::string> addresses) {
    const WallTime now = system_clock().now();
    net::CertificateRequest request{.common_name = "peer",
                                    .organizations = {},
                                    .dns_names = std::move(names),
                                    .ip_addresses = std::move(addresses),
                                    .server_auth = true,
                                    .not_before = now - Seconds{60},
                                    .not_after = now + Seconds{3600}};
    net::HttpServerOptions options;
    options.address = "127.0.0.1";
    options.tls = net::TlsServerContext::create(
                      {.key_pair = net::issue(authority(), request).value(), .client_ca_pem = ""})
                      .value();
    server = net::HttpServer::start(options, [this](const net::HttpRequest& request,
                                                    net::HttpResponse& response) {
               targets.push_back(request.target);
               response.status = redirect.empty() ? 200 : 307;
               if (!redirect.empty()) response.set("Location", redirect);
             }).value();
  }
  std::string redirect;
  std::vector<std::string> targets;
  std::unique_ptr<net::HttpServer> server;
};

TEST_CASE("a kubelet is believed under a certificate of its own node only") {
  ApiFixture f;
  const auto tls = net::TlsClientContext::create({.ca_pem = authority().certificate_pem}).value();
  const auto connector = make_node_connector(f.server->registry(), tls, nullptr);
  const auto reach = [&](const Peer& peer) {
    f.del("/api/v1/nodes/n1");
    f.post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})");
    const auto status =
        f.patch("/api/v1/nodes/n1/status", "application/merge-patch+json",
                R"({"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}],)"
                R"("daemonEndpoints":{"kubeletEndpoint":{"Port":)" +
                    std::to_string(peer.server->port()) + "}}}}");
    REQUIRE(status.status == 200);
    auto client = connector->kubelet("n1");
    REQUIRE(client);
    return (*client)->request("GET", "/healthz", {}, "").has_value();
  };
  Peer right({"n1"}, {"127.0.0.1"}), other({"n2"}, {"127.0.0.1"}), nobody({}, {"127.0.0.1"});
  CHECK(reach(right));
  // Another node at this one's address: the address alone proves nothing.
  CHECK_FALSE(reach(other));
  CHECK(other.targets.empty());
  CHECK_FALSE(reach(nobody));
  CHECK(nobody.targets.empty());
}

TEST_CASE("a webhook that answers with a redirect is not followed") {
  namespace fs = std::filesystem;
  char name[] = "/tmp/orch-webhook-XXXXXX";
  const std::string folder = ::mkdtemp(name);
  Peer elsewhere({}, {"127.0.0.1"}), hook({}, {"127.0.0.1"});
  hook.redirect = fmt::format("https://127.0.0.1:{}/latest/meta-data", elsewhere.server->port());
  std::ofstream(folder + "/config")
      << "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:" << hook.server->port()
      << "/hook', certificate-authority-data: " << base64_encode(authority().certificate_pem)
      << "}}]\ncontexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n";
  auto call = make_webhook(folder + "/config", Millis{20000});
  fs::remove_all(folder);
  INFO((call ? "" : call.error()));
  REQUIRE(call);
  const auto answer = (*call)("{}");
  REQUIRE_FALSE(answer);
  CHECK(answer.error() == "HTTP 307");
  CHECK(hook.targets == std::vector<std::string>{"/hook"});
  CHECK(elsewhere.targets.empty());
}

}  // namespace
}  // namespace orch::server
