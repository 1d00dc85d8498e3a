// Cluster IPs and node ports: chosen, asked for, refused, freed, repaired.
#include <catch2/catch.hpp>

#include "server/registry/service_allocator.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

std::string service(const std::string& name, const std::string& more = "") {
  return R"({"metadata":{"name":")" + name + R"("},"spec":{"ports":[{"port":80}])" + more + "}}";
}

}  // namespace

TEST_CASE("a Service gets an address of the range") {
  ApiFixture api;
  const auto made = api.post(kServices, service("a"));
  REQUIRE(made.status == 201);
  CHECK(made.at("spec.clusterIP").starts_with("10.43."));
  CHECK(made.at("spec.clusterIPs") == "[\"" + made.at("spec.clusterIP") + "\"]");
  CHECK(made.at("spec.ipFamilies") == "[\"IPv4\"]");
  CHECK(made.at("spec.ipFamilyPolicy") == "SingleStack");
  const auto headless = api.post(kServices, service("h", R"(,"clusterIP":"None")"));
  CHECK(headless.at("spec.clusterIP") == "None");
  const auto external =
      api.post(kServices,
               R"({"metadata":{"name":"e"},"spec":{"type":"ExternalName","externalName":"x.y"}})");
  CHECK(external.status == 201);
  CHECK(external.at("spec.clusterIP").empty());
  CHECK(api.server->services().ips_used() == 1);
}

TEST_CASE("addresses asked for") {
  ApiFixture api;
  CHECK(api.post(kServices, service("a", R"(,"clusterIP":"10.43.0.10")")).status == 201);
  const auto taken = api.post(kServices, service("b", R"(,"clusterIP":"10.43.0.10")"));
  CHECK(taken.status == 422);
  CHECK(taken.at("message") ==
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.43.0.10\"]: failed to "
        "allocate IP 10.43.0.10: provided IP is already allocated");
  const auto outside = api.post(kServices, service("b", R"(,"clusterIP":"10.99.0.1")"));
  CHECK(outside.status == 422);
  CHECK(outside.at("message").find("is not in the valid range. The range of valid IPs is "
                                   "10.43.0.0/16") != std::string::npos);
  CHECK(api.post(kServices, service("b", R"(,"clusterIP":"10.43.0.1")")).status == 422);
  CHECK(api.post(kServices, service("kubernetes", R"(,"clusterIP":"10.43.0.1")")).status == 201);
  CHECK(api.server->services().ips_used() == 2);
}

TEST_CASE("node ports") {
  ApiFixture api;
  const auto chosen = api.post(kServices, service("a", R"(,"type":"NodePort")"));
  REQUIRE(chosen.status == 201);
  CHECK(api.server->services().ports_used() == 1);
  const auto asked = [](const std::string& name, const std::string& port) {
    return R"({"metadata":{"name":")" + name +
           R"("},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":)" + port + "}]}}";
  };
  CHECK(api.post(kServices, asked("b", "30080")).status == 201);
  const auto ips = api.server->services().ips_used();
  const auto taken = api.post(kServices, asked("c", "30080"));
  CHECK(taken.status == 422);
  CHECK(taken.at("message") ==
        "Service \"c\" is invalid: spec.ports[0].nodePort: Invalid value: "
        "30080: provided port is already allocated");
  const auto outside = api.post(kServices, asked("c", "80"));
  CHECK(outside.at("message").find("provided port is not in the valid range. The range of valid "
                                   "ports is 30000-32767") != std::string::npos);
  CHECK(api.server->services().ips_used() == ips);  // nothing leaked
  CHECK(api.server->services().ports_used() == 2);
}

TEST_CASE("values follow the type and are freed with the Service") {
  ApiFixture api;
  const std::string url = std::string(kServices) + "/a";
  const auto made = api.post(kServices, service("a"));
  const std::string type = "application/merge-patch+json";
  const auto node_port = api.patch(url, type, R"({"spec":{"type":"NodePort"}})");
  CHECK(node_port.at("spec.clusterIP") == made.at("spec.clusterIP"));
  CHECK(api.server->services().ports_used() == 1);
  // A client that does not know the values keeps them.
  const auto replaced = api.put(url, service("a", R"(,"type":"NodePort")"));
  CHECK(replaced.status == 200);
  CHECK(replaced.at("spec.clusterIP") == made.at("spec.clusterIP"));
  CHECK(replaced.at("spec.ports") == node_port.at("spec.ports"));
  const auto back = api.patch(url, type, R"({"spec":{"type":"ClusterIP"}})");
  CHECK(back.body.find("nodePort") == back.body.find("nodePort\\"));
  CHECK(api.server->services().ports_used() == 0);
  CHECK(api.post(std::string(kServices) + "?dryRun=All", service("d")).status == 201);
  CHECK(api.server->services().ips_used() == 1);
  api.del(url);
  CHECK(api.server->services().ips_used() == 0);
}

TEST_CASE("a restart takes over what is stored") {
  ApiFixture api;
  api.post(kServices, service("a", R"(,"clusterIP":"10.43.0.10","type":"NodePort")"));
  ApiServer second(api.env, *api.store, ApiServerConfig{});
  REQUIRE(second.start());
  CHECK(second.services().ips_used() == 1);
  CHECK(second.services().ports_used() == 1);
}

TEST_CASE("a small range runs full and says so") {
  auto random = seeded_random(1);
  auto pool = ServiceAllocator::create(*random, "10.0.0.0/29", "30000-30001");
  REQUIRE(pool);
  std::vector<ServiceAllocator::Ticket> tickets;
  for (int i = 0; i < 5; ++i) {  // 8 addresses less network, broadcast and the first
    api::corev1::Service one;
    auto ticket = (*pool)->allocate(one, nullptr);
    REQUIRE(ticket);
    tickets.push_back(std::move(*ticket));
  }
  api::corev1::Service more;
  CHECK(!(*pool)->allocate(more, nullptr));
  tickets.clear();
  CHECK((*pool)->ips_used() == 0);
  CHECK(!ServiceAllocator::create(*random, "10.0.0.0", "30000-30001"));
  CHECK(!ServiceAllocator::create(*random, "10.0.0.0/16", "9-1"));
}

}  // namespace orch::server::test
