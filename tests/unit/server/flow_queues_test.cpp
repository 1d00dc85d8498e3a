// Priority and fairness: which flow a request belongs to, whose turn it is, how seats are lent.
#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "orch/api/flow_defaults.h"
#include "orch/base/env.h"
#include "orch/base/random.h"
#include "server/http/flow_control.h"

namespace orch::server::test {
namespace {

using api::flowcontrolv1::FlowSchema;
using api::flowcontrolv1::PriorityLevelConfiguration;
using State = FlowControl::Ticket::State;

RequestInfo request(std::string_view method, std::string_view target) {
  const size_t mark = target.find('?');
  return parse_request(
      method, target.substr(0, mark),
      net::parse_query(mark == std::string_view::npos ? "" : target.substr(mark + 1)));
}
UserInfo user(std::string name, std::vector<std::string> groups = {}) {
  groups.emplace_back("system:authenticated");
  return {std::move(name), "", std::move(groups), {}};
}

FlowRules upstream_rules() {
  return {api::suggested_flow_schemas(), api::suggested_priority_levels()};
}

TEST_CASE("flows: upstream's schemas take the requests they are for") {
  const FlowRules rules = upstream_rules();
  const struct {
    const char *method, *target;
    UserInfo who;
    const char *schema, *flow;
  } cases[] = {
      {"GET", "/api/v1/pods", user("admin", {"system:masters"}), "exempt", ""},
      {"GET", "/readyz", user("jane"), "probes", ""},
      {"GET", "/version", user("jane"), "global-default", "jane"},
      {"GET", "/api/v1/pods", user("jane"), "global-default", "jane"},
      {"GET", "/api/v1/nodes/n", user("system:node:n", {"system:nodes"}), "system-node-high",
       "system:node:n"},
      {"PATCH", "/api/v1/nodes/n/status", user("system:node:n", {"system:nodes"}),
       "system-node-high", "system:node:n"},
      {"GET", "/api/v1/pods", user("system:node:n", {"system:nodes"}), "system-nodes",
       "system:node:n"},
      {"PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x",
       user("system:kube-scheduler"), "system-leader-election", "system:kube-scheduler"},
      {"DELETE", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x",
       user("system:kube-scheduler"), "kube-scheduler", "kube-system"},
      {"GET", "/api/v1/namespaces/a/endpoints/x",
       user("system:serviceaccount:kube-system:endpoint-controller"), "endpoint-controller",
       "system:serviceaccount:kube-system:endpoint-controller"},
      {"GET", "/api/v1/namespaces/a/configmaps/x", user("system:serviceaccount:kube-system:x"),
       "workload-leader-election", "system:serviceaccount:kube-system:x"},
      {"GET", "/api/v1/namespaces/a/pods", user("system:serviceaccount:kube-system:x"),
       "kube-system-service-accounts", "a"},
      {"GET", "/api/v1/namespaces/a/pods",
       user("system:serviceaccount:a:x", {"system:serviceaccounts"}), "service-accounts",
       "system:serviceaccount:a:x"},
      {"GET", "/api/v1/pods", UserInfo{"odd", "", {}, {}}, "catch-all", "odd"},
  };
  for (const auto& c : cases) {
    INFO(c.method << " " << c.target << " as " << c.who.name);
    const auto found = rules.classify(request(c.method, c.target), c.who);
    CHECK(*found.schema == c.schema);
    CHECK(found.flow == c.flow);
    CHECK(rules.levels()[found.level].name ==
          rules.schemas()[found.rule].object.spec.priorityLevelConfiguration.name);
  }
}

TEST_CASE("flows: a schema without its level does not count; precedence before name") {
  auto schemas = api::suggested_flow_schemas();
  const auto add = [&](const char* name, int32_t precedence, const char* level) {
    FlowSchema schema = schemas[0];
    schema.metadata.name = name;
    schema.spec.matchingPrecedence = precedence;
    schema.spec.priorityLevelConfiguration.name = level;
    schema.spec.rules[0].subjects[0].group->name = "*";
    schemas.push_back(schema);
  };
  add("b", 50, "system");
  add("a", 50, "system");
  add("first", 10, "nowhere");
  const FlowRules rules(schemas, api::suggested_priority_levels());
  CHECK(*rules.classify(request("GET", "/api/v1/pods"), user("jane")).schema == "a");
  // Even with no object at all requests have a place.
  const FlowRules bare({}, {});
  CHECK(*bare.classify(request("GET", "/api/v1/pods"), user("jane")).schema == "catch-all");
}

TEST_CASE("hands: different cards, evenly dealt, the same for a flow each time") {
  std::vector<int> dealt(64);
  for (int i = 0; i < 6400; ++i) {
    const auto hash = flow_hash("schema", std::to_string(i));
    const auto hand = deal(hash, 64, 6);
    CHECK(std::set<uint32_t>(hand.begin(), hand.end()).size() == 6);
    CHECK(*std::max_element(hand.begin(), hand.end()) < 64);
    CHECK(deal(hash, 64, 6) == hand);
    for (const auto card : hand) ++dealt[card];
  }
  for (const int count : dealt) {
    CHECK(count > 450);
    CHECK(count < 750);
  }
  CHECK(deal(7, 1, 1) == std::vector<uint32_t>{0});
  CHECK(deal(7, 3, 3).size() == 3);
}

FlowLevel level_of(int queues, int hand, int length) {
  FlowLevel level;
  level.queues = queues;
  level.hand_size = hand;
  level.queue_length = length;
  return level;
}

TEST_CASE("queues: a flood does not hold up another flow") {
  FlowQueues queues;
  queues.configure(level_of(128, 6, 50));
  queues.set_limit(1);
  uint64_t id = 0, flood = flow_hash("s", "flood"), other = flow_hash("s", "other");
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    if (queues.arrive(++id, flood, 1) == FlowVerdict::kFull) ++refused;
  }
  CHECK(refused == 1000 - 6 * 50);  // its own queues are full, nobody else's
  const uint64_t mine = ++id;
  CHECK(queues.arrive(mine, other, 1) == FlowVerdict::kWait);
  int seats = 0, before = 0;
  uint32_t queue = 0;
  while (true) {
    const uint64_t next = queues.next(seats, queue);
    REQUIRE(next != 0);
    CHECK(queues.next(seats, queue) == 0);  // one seat only
    queues.finish(1, 0.1, queue);
    if (next == mine) break;
    ++before;
  }
  CHECK(before <= 7);  // at most once around the flood's hand
}

TEST_CASE("queues: who used much waits longer, by time and by width") {
  FlowQueues queues;
  queues.configure(level_of(64, 1, 100));
  queues.set_limit(1);
  const uint64_t slow = 1, fast = 2;  // two queues
  for (uint64_t i = 0; i < 50; ++i) {
    REQUIRE(queues.arrive(100 + i, slow, 1) == FlowVerdict::kWait);
    REQUIRE(queues.arrive(200 + i, fast, 1) == FlowVerdict::kWait);
  }
  int slow_ran = 0, fast_ran = 0, seats = 0;
  uint32_t queue = 0;
  for (int i = 0; i < 44; ++i) {
    const uint64_t id = queues.next(seats, queue);
    REQUIRE(id != 0);
    (id < 200 ? slow_ran : fast_ran) += 1;
    queues.finish(1, id < 200 ? 1.0 : 0.1, queue);
  }
  CHECK(fast_ran >= 8 * slow_ran);
}

TEST_CASE("queues: wide requests, refusals, requests that are given up, changed levels") {
  FlowQueues queues;
  queues.configure(level_of(1, 1, 3));
  queues.set_limit(5);
  int seats = 0;
  uint32_t queue = 0;
  CHECK(queues.arrive(1, 0, 10) == FlowVerdict::kWait);  // wider than the level: alone
  CHECK(queues.next(seats, queue) == 1);
  CHECK(queues.seats_used() == 10);
  CHECK(queues.arrive(2, 0, 1) == FlowVerdict::kWait);
  CHECK(queues.arrive(3, 0, 1) == FlowVerdict::kWait);
  CHECK(queues.arrive(4, 0, 1) == FlowVerdict::kWait);
  CHECK(queues.arrive(5, 0, 1) == FlowVerdict::kFull);
  CHECK(queues.next(seats, queue) == 0);
  CHECK(queues.leave(3));
  CHECK_FALSE(queues.leave(3));
  CHECK(queues.waiting() == 2);
  queues.finish(10, 1, 0);
  CHECK(queues.next(seats, queue) == 2);
  CHECK(queues.next(seats, queue) == 4);
  CHECK(queues.waiting() == 0);
  // Fewer queues: what runs is still accounted for.
  queues.configure(level_of(0, 0, 0));
  CHECK(queues.queues().size() == 1);
  queues.finish(1, 1, 0);
  queues.finish(1, 1, 0);
  queues.configure(level_of(0, 0, 0));
  CHECK(queues.queues().empty());
  CHECK(queues.arrive(6, 0, 5) == FlowVerdict::kRun);
  CHECK(queues.arrive(7, 0, 1) == FlowVerdict::kFull);  // Reject
  FlowLevel exempt;
  exempt.exempt = true;
  FlowQueues free;
  free.configure(exempt);
  for (uint64_t i = 1; i < 2000; ++i) CHECK(free.arrive(i, 0, 10) == FlowVerdict::kRun);
}

TEST_CASE("seats: by shares, lent and borrowed within bounds, never more than there are") {
  const FlowRules rules = upstream_rules();
  const auto& levels = rules.levels();
  const auto at = [&](const char* name) {
    for (size_t i = 0; i < levels.size(); ++i) {
      if (levels[i].name == name) return i;
    }
    return levels.size();
  };
  const auto shares = seat_shares(levels, 600);
  CHECK(shares[at("workload-low")].nominal == 245);  // 600 x 100 / 245, rounded up
  CHECK(shares[at("workload-low")].minimum == 24);
  CHECK(shares[at("global-default")].nominal == 49);
  CHECK(shares[at("global-default")].minimum == 24);
  CHECK(shares[at("leader-election")].minimum == shares[at("leader-election")].nominal);
  const auto sum = [&](const std::vector<int>& limits) {
    int out = 0;
    for (size_t i = 0; i < limits.size(); ++i) out += levels[i].exempt ? 0 : limits[i];
    return out;
  };
  std::vector<double> demand(levels.size(), 0);
  CHECK(sum(lend_seats(levels, shares, demand, 600)) <= 605);
  demand[at("global-default")] = 500;
  const auto lent = lend_seats(levels, shares, demand, 600);
  CHECK(lent[at("global-default")] > 300);
  CHECK(lent[at("leader-election")] >= shares[at("leader-election")].minimum);
  CHECK(sum(lent) <= 605);
  // All want everything: each has what it was promised, or nearly.
  std::fill(demand.begin(), demand.end(), 600);
  const auto fair = lend_seats(levels, shares, demand, 600);
  for (size_t i = 0; i < levels.size(); ++i) {
    if (!levels[i].exempt) CHECK(fair[i] >= shares[i].minimum);
  }
  auto bounded = levels;
  bounded[at("global-default")].borrowing_percent = 10;
  std::fill(demand.begin(), demand.end(), 0);
  demand[at("global-default")] = 500;
  CHECK(lend_seats(bounded, seat_shares(bounded, 600), demand, 600)[at("global-default")] == 54);
}

struct Flow {
  ManualClock clock;
  std::unique_ptr<ManualExecutor> executor = ManualExecutor::create(clock);
  std::unique_ptr<Random> random = seeded_random(1);
  Env env{clock, *executor, *random, no_faults()};
  FlowOptions options{30, Seconds{15}, 1};
  FlowControl flow{env, options};

  FlowControl::TicketPtr enter(const char* who, int seats = 1,
                               const char* target = "/api/v1/namespaces/a/pods/x") {
    return flow.enter(request("GET", target), user(who), seats);
  }
};

TEST_CASE("tickets: wait, are woken in turn, refused in time, and give their seats back") {
  Flow f;  // global-default has 3 of 30 seats, more by borrowing
  std::vector<FlowControl::TicketPtr> running;
  FlowControl::TicketPtr waits;
  while (!waits) {
    auto ticket = f.enter("flood");
    (ticket->state() == State::kWaits ? waits : running.emplace_back()) = ticket;
    REQUIRE(running.size() < 31);
  }
  auto other = f.enter("other");
  CHECK(other->state() == State::kWaits);
  int woken = 0;
  waits->on_decided([&] { ++woken; });
  other->on_decided([&] { ++woken; });
  running.pop_back();
  CHECK(woken == 1);
  if (other->state() == State::kRuns) std::swap(waits, other);
  CHECK(waits->state() == State::kRuns);
  CHECK(other->state() == State::kWaits);
  waits.reset();
  CHECK(other->state() == State::kRuns);
  CHECK(woken == 2);

  // Another level and exempt requests are untouched.
  CHECK(f.flow.enter(request("GET", "/api/v1/nodes/n"), user("system:node:n", {"system:nodes"}), 1)
            ->state() == State::kRuns);
  CHECK(
      f.flow.enter(request("GET", "/api/v1/pods"), user("root", {"system:masters"}), 1)->state() ==
      State::kRuns);

  auto late = f.enter("late");
  CHECK(late->state() == State::kWaits);
  late->on_decided([&] { ++woken; });
  CHECK(f.flow.dump("requests").find("late") != std::string::npos);
  CHECK(f.flow.dump("priority_levels").find("global-default") != std::string::npos);
  f.executor->advance(Seconds{16});
  // Seats were borrowed meanwhile, or its time is over: it does not wait any more.
  CHECK(late->state() != State::kWaits);
  CHECK(woken == 3);

  auto given_up = f.enter("gone");
  given_up.reset();
  running.clear();
  other.reset();
  late.reset();
  const std::string dump = f.flow.dump("priority_levels");
  CHECK(dump.find("global-default, 0, true, false, 0, 0,") != std::string::npos);
  f.flow.stop();
  CHECK(f.enter("late")->state() == State::kRefused);
}

TEST_CASE("lanes: wide requests of all users go one after the other, flow by flow") {
  Flow f;
  const char* pods = "/api/v1/pods";
  auto first = f.enter("flood", 10, pods);
  CHECK(first->state() == State::kRuns);
  std::vector<FlowControl::TicketPtr> rest;
  for (int i = 0; i < 3; ++i) rest.push_back(f.enter("flood", 2, pods));
  auto admin = f.flow.enter(request("GET", pods), user("root", {"system:masters"}), 10);
  CHECK(admin->state() == State::kWaits);
  CHECK(admin->wide());
  // What is short passes them.
  CHECK(
      f.flow.enter(request("GET", "/api/v1/pods"), user("root", {"system:masters"}), 1)->state() ==
      State::kRuns);
  int turns = 0;
  first.reset();
  while (admin->state() == State::kWaits && !rest.empty()) {
    const auto runs = std::find_if(rest.begin(), rest.end(),
                                   [](const auto& t) { return t->state() == State::kRuns; });
    REQUIRE(runs != rest.end());
    rest.erase(runs);
    ++turns;
  }
  CHECK(admin->state() == State::kRuns);
  CHECK(turns <= 2);
}

TEST_CASE("flow control: levels as configured; new rules let waiting requests go") {
  Flow f;
  auto levels = api::suggested_priority_levels();
  for (auto& level : levels) {
    if (level.metadata.name != "global-default") continue;
    level.metadata.uid = "level-uid";
    level.spec.limited->limitResponse.type = "Reject";
    level.spec.limited->limitResponse.queuing.reset();
  }
  auto schemas = api::suggested_flow_schemas();
  for (auto& schema : schemas) {
    if (schema.metadata.name == "global-default") schema.metadata.uid = "schema-uid";
  }
  f.flow.configure(schemas, levels);
  std::vector<FlowControl::TicketPtr> running;
  while (running.empty() || running.back()->state() == State::kRuns) {
    running.push_back(f.enter("jane"));
    REQUIRE(running.size() < 40);
  }
  CHECK(running.back()->state() == State::kRefused);
  CHECK(running[0]->schema_uid() == "schema-uid");
  CHECK(running[0]->level_uid() == "level-uid");
  f.flow.configure(api::suggested_flow_schemas(), api::suggested_priority_levels());
  auto waits = f.enter("jane");
  CHECK(waits->state() == State::kWaits);
  for (auto& level : levels) {
    if (level.metadata.name == "global-default") {
      level.spec.limited->nominalConcurrencyShares = 5000;
    }
  }
  f.flow.configure(schemas, levels);
  CHECK(waits->state() == State::kRuns);
}

}  // namespace
}  // namespace orch::server::test
