// Addresses and node ports of Services over a store that several servers share: nothing is given
// twice, whoever asks where; what is asked for and taken is told as upstream tells it; claims and
// Services are brought into agreement.
#include <catch2/catch.hpp>

#include <set>
#include <thread>

#include "orch/api/corev1.h"
#include "orch/client/client.h"
#include "server/registry/claim_repair.h"
#include "server/registry/service_allocator.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

using api::corev1::Service;

// Two API servers in one process, as far apart as two processes: they share the store only.
class Pair {
 public:
  explicit Pair(const std::string& cidr = "10.43.0.0/16") {
    ApiServerConfig config;
    config.service_cidr = cidr;
    config.shared_store = true;
    for (auto& server : servers) {
      server = std::make_unique<ApiServer>(env, *store, config);
      auto started = server->start();
      if (!started) throw std::runtime_error(started.error());
      UserInfo admin;
      admin.name = "admin";
      transports.push_back(server->local_transport(admin));
      clients.push_back(std::make_unique<client::Client>(*transports.back()));
    }
    api::corev1::Namespace ns;
    ns.metadata.name = "default";
    REQUIRE(clients[0]->create(ns));
  }
  ~Pair() {
    for (auto& server : servers) server->stop();
    clients.clear();
    transports.clear();
    for (auto& server : servers) server.reset();
    store->stop();
    executor->stop();
  }
  api::ApiResult<Service> create(size_t at, const std::string& name, const std::string& ip = "",
                                 int32_t port = 0) {
    Service service;
    service.metadata.namespace_ = "default";
    service.metadata.name = name;
    service.spec.clusterIP = ip;
    service.spec.type = "NodePort";
    service.spec.ports.emplace_back();
    service.spec.ports[0].port = 80;
    service.spec.ports[0].nodePort = port;
    return clients[at]->create(service);
  }
  std::string claim(const std::string& key) {
    storage::RangeRequest request;
    request.key = std::string(kClaimPrefix) + key;
    auto answer = store->range(request).value();
    return answer.kvs.empty() ? "" : *answer.kvs[0].value;
  }

  std::unique_ptr<ThreadPoolExecutor> executor = ThreadPoolExecutor::create(2);
  Env env{system_clock(), *executor, system_random(), no_faults()};
  std::unique_ptr<storage::KvStore> store = storage::make_memory_store(env);
  std::unique_ptr<ApiServer> servers[2];
  std::vector<std::unique_ptr<client::Transport>> transports;
  std::vector<std::unique_ptr<client::Client>> clients;
};

constexpr const char* kServiceKey = "/registry/core/services/default/";

}  // namespace

TEST_CASE("servers over one store race for addresses: none is given twice") {
  // 61 addresses for 60 Services: most first choices collide.
  Pair both("10.0.0.0/26");
  std::mutex mutex;
  std::set<std::string> ips;
  std::set<int32_t> ports;
  std::vector<std::string> errors;
  const auto work = [&](size_t at) {
    for (int i = 0; i < 30; ++i) {
      auto made = both.create(at, "s" + std::to_string(at) + "-" + std::to_string(i));
      std::lock_guard lock(mutex);
      if (!made) {
        errors.push_back(made.error().message);
        continue;
      }
      CHECK(ips.insert(made->spec.clusterIP).second);
      CHECK(ports.insert(made->spec.ports[0].nodePort).second);
    }
  };
  std::thread other([&] { work(1); });
  work(0);
  other.join();
  CHECK(errors.empty());
  CHECK(ips.size() == 60);
  CHECK(both.servers[0]->services().ips_used() == 60);
  CHECK(both.servers[1]->services().ports_used() == 60);
}

TEST_CASE("of servers asked for one address at once, one gives it") {
  Pair both;
  for (int round = 0; round < 30; ++round) {
    const std::string ip = "10.43.1." + std::to_string(round + 1);
    const std::string name = "r" + std::to_string(round);
    std::optional<api::ApiResult<Service>> answers[2];
    std::thread other([&] { answers[1] = both.create(1, name + "b", ip, 30100 + round); });
    answers[0] = both.create(0, name + "a", ip, 30100 + round);
    other.join();
    REQUIRE(answers[0]->has_value() != answers[1]->has_value());
    const size_t loser = answers[0]->has_value() ? 1 : 0;
    const api::Error& error = answers[loser]->error();
    CHECK(error.code == 422);
    CHECK(error.message.find("spec.clusterIPs: Invalid value: [\"" + ip +
                             "\"]: failed to allocate IP " + ip +
                             ": provided IP is already allocated") != std::string::npos);
    CHECK(error.message.find(
              "spec.ports[0].nodePort: Invalid value: " + std::to_string(30100 + round) +
              ": provided port is already allocated") != std::string::npos);
  }
  // The same name: that is what is told.
  both.create(0, "same", "10.43.2.1").value();
  auto again = both.create(1, "same", "10.43.2.1", 30001);
  REQUIRE_FALSE(again);
  CHECK((again.error().code == 409 || again.error().code == 422));
}

TEST_CASE("what a Service has goes with it, for all servers") {
  Pair both;
  auto made = both.create(0, "a", "10.43.0.10", 30500).value();
  CHECK(both.claim("ips/10.43.0.10") == std::string(kServiceKey) + "a");
  CHECK(both.claim("nodeports/30500") == std::string(kServiceKey) + "a");
  CHECK_FALSE(both.create(1, "b", "10.43.0.10"));
  // A change through the other server.
  made.spec.ports[0].nodePort = 30501;
  REQUIRE(both.clients[1]->update(made));
  CHECK(both.claim("nodeports/30500").empty());
  CHECK(both.claim("nodeports/30501") == std::string(kServiceKey) + "a");
  CHECK(both.create(0, "c", "", 30500));
  REQUIRE(both.clients[1]->remove<Service>("default", "a"));
  CHECK(both.claim("ips/10.43.0.10").empty());
  CHECK(both.create(0, "b", "10.43.0.10", 30501));
}

TEST_CASE("claims are repaired: missing ones come, leaked ones go") {
  Pair both;
  both.create(0, "a", "10.43.0.10", 30500).value();
  storage::TxnRequest harm;
  const std::string prefix(kClaimPrefix);
  harm.success.push_back(storage::Op::erase(prefix + "ips/10.43.0.10"));
  const auto leaked = std::make_shared<const std::string>(std::string(kServiceKey) + "gone");
  harm.success.push_back(storage::Op::put(prefix + "ips/10.43.0.11", leaked));
  REQUIRE(both.store->txn(harm));
  CHECK_FALSE(both.create(1, "b", "10.43.0.11"));
  auto repair = ClaimRepair::create(both.env, both.servers[0]->registry());
  REQUIRE(repair->run());
  CHECK(both.claim("ips/10.43.0.10") == std::string(kServiceKey) + "a");
  CHECK(both.create(1, "b", "10.43.0.11"));
  const auto before = both.store->revision();
  REQUIRE(repair->run());
  CHECK(both.store->revision() == before);
}

TEST_CASE("a Service may give back more claims than a transaction holds") {
  Pair both;
  const auto held = [&] {
    storage::RangeRequest request;
    request.key = std::string(kClaimPrefix) + "nodeports/";
    request.range_end = request.key;
    ++request.range_end.back();
    return both.store->range(request).value().kvs.size();
  };
  auto service = both.create(0, "a").value();
  for (int step = 0; step < 2; ++step) {
    for (int i = 0; i < 100; ++i) {
      auto& port = service.spec.ports.emplace_back();
      port.port = 1000 + static_cast<int32_t>(service.spec.ports.size());
      port.name = "p" + std::to_string(port.port);
    }
    service.spec.ports[0].name = "first";
    auto updated = both.clients[0]->update(service);
    REQUIRE(updated);
    service = *updated;
  }
  CHECK(held() == 201);
  auto more = service;
  for (int i = 0; i < 130; ++i) {
    auto& port = more.spec.ports.emplace_back();
    port.port = 3000 + i;
    port.name = "q" + std::to_string(i);
  }
  const auto refused = both.clients[0]->update(more);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == 422);
  CHECK(refused.error().message.find("spec.ports: Too many") != std::string::npos);
  auto repair = ClaimRepair::create(both.env, both.servers[0]->registry());
  SECTION("deleted") {
    REQUIRE(both.clients[1]->remove<Service>("default", "a"));
    CHECK(held() == 201 - 119);  // and its address
  }
  SECTION("its node ports given back") {
    service.spec.type = "ClusterIP";
    for (auto& port : service.spec.ports) port.nodePort = 0;
    REQUIRE(both.clients[1]->update(service));
    CHECK(held() == 201 - 120);
  }
  REQUIRE(repair->run());
  CHECK(held() == 0);
}

TEST_CASE("the plan of a repair") {
  const std::vector<ClaimingService> services = {
      {"/s/a", 5, {"ip1", "port1"}}, {"/s/b", 6, {"ip1"}}, {"/s/c", 7, {"ip2"}}};
  const std::vector<HeldClaim> held = {
      {"ip1", "/s/b", 10}, {"ip2", "/s/gone", 11}, {"ip3", "/s/c", 12}, {"ip4", "/s/gone", 13}};
  const ClaimPlan plan = plan_claims(services, held);
  REQUIRE(plan.fixes.size() == 4);
  CHECK(plan.fixes[0].claim == "ip2");  // handed to who has it
  CHECK(plan.fixes[0].owner == "/s/c");
  CHECK(plan.fixes[0].revision == 11);
  CHECK(plan.fixes[1].claim == "ip3");  // leaked by a Service that is there
  CHECK(plan.fixes[1].erase);
  CHECK(plan.fixes[1].owner_revision == 7);
  CHECK(plan.fixes[2].claim == "ip4");  // and by one that is not
  CHECK(plan.fixes[2].owner_revision == 0);
  CHECK(plan.fixes[3].claim == "port1");
  CHECK(plan.fixes[3].owner == "/s/a");
  CHECK_FALSE(plan.fixes[3].erase);
  // Two have one address: said, and left to people.
  REQUIRE(plan.doubles.size() == 1);
  CHECK(plan.doubles[0].find("/s/a has what belongs to /s/b") == 0);
}

}  // namespace orch::server::test
