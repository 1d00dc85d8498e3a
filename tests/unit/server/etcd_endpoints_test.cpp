// The Endpoints of the Service kubernetes with several servers: who lives is named, who goes is
// taken off, at the fixpoint nothing is written.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "orch/client/client.h"
#include "server/kubernetes_endpoints.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

std::string addresses(const client::Client& client) {
  auto endpoints = client.get<api::corev1::Endpoints>("default", "kubernetes");
  if (!endpoints) return endpoints.error().message;
  std::string text;
  for (const auto& subset : endpoints->subsets) {
    for (const auto& address : subset.addresses) {
      text += fmt::format("{}:{} ", address.ip, subset.ports.at(0).port);
    }
  }
  return text;
}
std::string slices(const client::Client& client) {
  std::string text;
  const auto found = client.list<api::discoveryv1::EndpointSlice>("default");
  if (!found) return found.error().message;
  for (const auto& slice : found->items) {
    text += slice->metadata.name + " ";
  }
  return text;
}

}  // namespace

TEST_CASE("servers over one store are all named by the Service kubernetes") {
  ApiFixture api;
  UserInfo admin;
  admin.name = "admin";
  auto transport = api.server->local_transport(admin);
  client::Client client(*transport);
  const auto server = [&](const std::string& ip, uint16_t port) {
    return KubernetesEndpoints::create(api.env, *api.store, client, {ip, port});
  };
  auto a = server("10.1.0.1", 6443), b = server("10.1.0.2", 6443), c = server("10.1.0.2", 7443);
  REQUIRE(a->run());
  CHECK(addresses(client) == "10.1.0.1:6443 ");
  REQUIRE(b->run());
  REQUIRE(c->run());
  CHECK(addresses(client) == "10.1.0.1:6443 10.1.0.2:6443 10.1.0.2:7443 ");
  CHECK(slices(client) == "kubernetes kubernetes-7443 ");
  // Nobody overwrites another; nothing changes any more.
  REQUIRE(a->run());
  const auto settled = api.store->revision();
  for (const auto& one : {a, b, c}) REQUIRE(one->run());
  CHECK(api.store->revision() == settled);
  c->stop();
  CHECK(addresses(client) == "10.1.0.1:6443 10.1.0.2:6443 ");
  CHECK(slices(client) == "kubernetes ");
  a->stop();
  CHECK(addresses(client) == "10.1.0.2:6443 ");
  b->stop();  // the last leaves it as it is
  CHECK(addresses(client) == "10.1.0.2:6443 ");
}

TEST_CASE("a server that died is taken off by those that live") {
  ApiFixture api;
  UserInfo admin;
  admin.name = "admin";
  auto transport = api.server->local_transport(admin);
  client::Client client(*transport);
  auto dead = KubernetesEndpoints::create(api.env, *api.store, client, {"10.1.0.1", 6443});
  auto alive = KubernetesEndpoints::create(api.env, *api.store, client, {"10.1.0.2", 6443});
  REQUIRE(dead->run());
  REQUIRE(alive->run());
  alive->start();
  CHECK(addresses(client) == "10.1.0.1:6443 10.1.0.2:6443 ");
  api.advance(Seconds(35));
  CHECK(addresses(client) == "10.1.0.2:6443 ");
  REQUIRE(dead->run());  // it was only slow
  CHECK(addresses(client) == "10.1.0.1:6443 10.1.0.2:6443 ");
  alive->stop();
}

TEST_CASE("addresses that pods cannot reach are not written") {
  ApiFixture api;
  UserInfo admin;
  admin.name = "admin";
  auto transport = api.server->local_transport(admin);
  client::Client client(*transport);
  REQUIRE(write_kubernetes_endpoints(client, {{"127.0.0.1", 6443}}));
  CHECK(addresses(client).find("not found") != std::string::npos);
  CHECK(ServerAddress::parse("10.0.0.1:6443") == ServerAddress{"10.0.0.1", 6443});
  CHECK_FALSE(ServerAddress::parse("10.0.0.1"));
  CHECK_FALSE(ServerAddress::parse("10.0.0.1:70000"));
}

}  // namespace orch::server::test
