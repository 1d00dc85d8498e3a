// Priority and fairness in front of the API: headers, refusals, and stored rules.
#include <catch2/catch.hpp>

#include "orch/api/flow_defaults.h"
#include "server/flow_watcher.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

using api::flowcontrolv1::FlowSchema;
using api::flowcontrolv1::PriorityLevelConfiguration;
using State = FlowControl::Ticket::State;

RequestInfo request(std::string_view method, std::string_view path) {
  return parse_request(method, path, {});
}
UserInfo user(std::string name) { return {std::move(name), "", {"system:authenticated"}, {}}; }

TEST_CASE("requests show their flow, and are refused with 429 and Retry-After") {
  ApiFixture api;
  FlowControl flow(api.env, {30, Seconds{15}, 1});
  api.handler = make_http_handler(*api.server, {.flow = &flow});
  auto schemas = api::suggested_flow_schemas();
  auto levels = api::mandatory_priority_levels();  // none but these: all goes to catch-all
  for (auto& level : levels) level.metadata.uid = level.metadata.name + "-uid";
  flow.configure(schemas, levels);
  const auto good = api.get(kConfigMaps);
  CHECK(good.status == 200);
  CHECK(good.header("X-Kubernetes-PF-PriorityLevel-UID") == "catch-all-uid");
  std::vector<FlowControl::TicketPtr> running;
  while (running.empty() || running.back()->state() == State::kRuns) {
    running.push_back(flow.enter(request("GET", kConfigMaps), user("jane"), 1));
    REQUIRE(running.size() < 40);
  }
  const auto refused = api.get(kConfigMaps);
  CHECK(refused.status == 429);
  CHECK(refused.at("reason") == "TooManyRequests");
  CHECK(refused.header("Retry-After") == "1");
  CHECK(api.get("/metrics").status == 429);
  running.clear();
  CHECK(api.post(kConfigMaps, config_map("a")).status == 201);
  CHECK(api.get("/metrics")
            .body.find("apiserver_flowcontrol_rejected_requests_total{"
                       "flow_schema=\"catch-all\",priority_level=\"catch-all\","
                       "reason=\"concurrency-limit\"}") != std::string::npos);
}

TEST_CASE("stored schemas come into force and say whether their level is there") {
  ApiFixture api;
  const auto transport = api.server->local_transport({"root", "", {"system:masters"}, {}});
  const client::Client client(*transport);
  client::InformerSet informers(api.env, *transport);
  FlowControl flow(api.env, {30, Seconds{15}, 1});
  FlowWatcher watcher(api.env, informers, client, flow);
  informers.start_all();
  FlowSchema schema = api::suggested_flow_schemas().back();
  schema.metadata.name = "mine";
  schema.spec.matchingPrecedence = 5;
  schema.spec.priorityLevelConfiguration.name = "own";
  REQUIRE(client.create(schema));
  const auto settle = [&] {
    for (int i = 0; i < 3; ++i) {
      api.executor->run_until_idle();
      api.executor->advance(Millis{200});
    }
  };
  settle();
  const std::string url = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/mine";
  CHECK(api.get(url).at("status.conditions").find("NotFound") != std::string::npos);
  PriorityLevelConfiguration level = api::suggested_priority_levels().back();
  level.metadata.name = "own";
  REQUIRE(client.create(level));
  settle();
  CHECK(api.get(url).at("status.conditions").find("and it exists") != std::string::npos);
  const auto ticket = flow.enter(request("GET", "/api/v1/pods/x"), user("jane"), 1);
  CHECK(ticket->schema_uid() == api.get(url).at("metadata.uid"));
  informers.stop();
}

TEST_CASE("default flow control is brought back every minute, and left alone where it is right") {
  ApiFixture api;
  const auto transport = api.server->local_transport({"root", "", {"system:masters"}, {}});
  const client::Client client(*transport);
  client::InformerSet informers(api.env, *transport);
  FlowControl flow(api.env, {30, Seconds{15}, 1});
  FlowWatcher watcher(api.env, informers, client, flow);
  const std::string url = "/apis/flowcontrol.apiserver.k8s.io/v1/";
  const std::string exempt = url + "prioritylevelconfigurations/exempt",
                    catch_all = url + "flowschemas/catch-all";
  CHECK(api.get(exempt).status == 404);
  api.executor->advance(Seconds{61});
  CHECK(api.get(exempt).status == 200);
  REQUIRE(api.get(catch_all).status == 200);
  const std::string version = api.get(catch_all).at("metadata.resourceVersion");
  api.executor->advance(Seconds{60});
  CHECK(api.get(catch_all).at("metadata.resourceVersion") == version);
  // What is taken away comes back, and what nobody claimed for himself is as it was.
  const std::string suggested = url + "flowschemas/global-default";
  REQUIRE(api.del(exempt).status == 200);
  REQUIRE(
      api.patch(suggested, "application/merge-patch+json", R"({"spec":{"matchingPrecedence":77}})")
          .status == 200);
  api.executor->advance(Seconds{60});
  CHECK(api.get(exempt).status == 200);
  CHECK(api.get(suggested).at("spec.matchingPrecedence") == "9900");
}

}  // namespace
}  // namespace orch::server::test
