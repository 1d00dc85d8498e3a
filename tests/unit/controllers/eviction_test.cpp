// The eviction subresource and the budgets the disruption controller keeps for it.
#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;

constexpr const char* kBudgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
constexpr const char* kMerge = "application/merge-patch+json";
constexpr const char* kViolates =
    "Cannot evict pod as it would violate the pod's disruption budget.";

std::string budget(const std::string& name, const std::string& spec) {
  return R"({"metadata":{"name":")" + name + R"("},"spec":{"selector":{"matchLabels":{"a":"b"}},)" +
         spec + "}}";
}
std::string pod_path(const std::string& name) { return std::string(kPods) + "/" + name; }

template <class Fixture>
void add_pod(Fixture& api, const std::string& name, bool ready = true,
             const std::string& spec = R"(,"nodeName":"n1")") {
  api.post(kPods, pod(name, spec, R"(,"labels":{"a":"b"})"));
  const auto answer =
      api.patch(pod_path(name) + "/status", kMerge,
                std::string(R"({"status":{"phase":"Running","conditions":[{"type":"Ready",)") +
                    R"("status":")" + (ready ? "True" : "False") + R"("}]}})");
  REQUIRE(answer.status == 200);
}
template <class Fixture>
Answer evict(Fixture& api, const std::string& name, const std::string& more = "",
             const std::string& query = "") {
  return api.post(pod_path(name) + "/eviction" + query,
                  R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":")" + name +
                      "\"}" + more + "}");
}
template <class Fixture>
bool is_going(Fixture& api, const std::string& name) {
  return !api.get(pod_path(name)).at("metadata.deletionTimestamp").empty();
}

TEST_CASE("a budget nobody computed yet holds up evictions, for ten seconds at a time") {
  ApiFixture api;
  add_pod(api, "p");
  REQUIRE(api.post(kBudgets, budget("b", R"("minAvailable":0)")).status == 201);
  const auto refused = evict(api, "p");
  CHECK(refused.status == 429);
  CHECK(refused.header("Retry-After") == "10");
  CHECK(refused.at("message") == kViolates);
  CHECK(refused.at("reason") == "TooManyRequests");
  CHECK(refused.body.find("The disruption budget b is still being processed by the server.") !=
        std::string::npos);
  CHECK(refused.body.find(R"("reason":"DisruptionBudget")") != std::string::npos);
}

TEST_CASE("two budgets for one pod are one too many") {
  Cluster c;
  add_pod(c, "p");
  c.must_post(kBudgets, budget("b1", R"("minAvailable":0)"));
  c.must_post(kBudgets, budget("b2", R"("minAvailable":0)"));
  c.settle();
  const auto refused = evict(c, "p");
  CHECK(refused.status == 500);
  CHECK(refused.at("message") ==
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
        "support.");
  CHECK(!is_going(c, "p"));
}

TEST_CASE("a dry run asks the budget and spends nothing") {
  Cluster c;
  add_pod(c, "p");
  add_pod(c, "q");
  c.must_post(kBudgets, budget("b", R"("minAvailable":1)"));
  c.settle();
  const std::string b = std::string(kBudgets) + "/b";
  REQUIRE(c.get(b).at("status.disruptionsAllowed") == "1");
  CHECK(evict(c, "p", "", "?dryRun=All").status == 201);
  CHECK(evict(c, "p", R"(,"deleteOptions":{"dryRun":["All"]})").status == 201);
  CHECK(c.get(b).at("status.disruptionsAllowed") == "1");
  CHECK(!is_going(c, "p"));
  CHECK(c.get(pod_path("p")).body.find("DisruptionTarget") == std::string::npos);
  CHECK(evict(c, "p").status == 201);
  CHECK(is_going(c, "p"));
  CHECK(evict(c, "q", "", "?dryRun=All").status == 429);
}

TEST_CASE("unhealthy pods go while enough are healthy, or always") {
  Cluster c;
  add_pod(c, "good");
  add_pod(c, "bad", false);
  add_pod(c, "worse", false);
  c.must_post(kBudgets, budget("b", R"("minAvailable":2)"));
  c.settle();
  const std::string b = std::string(kBudgets) + "/b";
  CHECK(evict(c, "bad").status == 429);
  c.patch(b, kMerge, R"({"spec":{"minAvailable":1}})");
  c.settle();
  REQUIRE(c.get(b).at("status.disruptionsAllowed") == "0");
  CHECK(evict(c, "good").status == 429);
  CHECK(evict(c, "bad").status == 201);
  c.patch(b, kMerge, R"({"spec":{"minAvailable":2,"unhealthyPodEvictionPolicy":"AlwaysAllow"}})");
  c.settle();
  CHECK(evict(c, "good").status == 429);
  CHECK(evict(c, "worse").status == 201);
  CHECK(is_going(c, "worse"));
}

TEST_CASE("an evicted pod that stays counts again, and its mark is taken back") {
  Cluster c;
  add_pod(c, "p", true, "");
  c.must_post(kBudgets, budget("b", R"("minAvailable":0)"));
  c.settle();
  const std::string b = std::string(kBudgets) + "/b";
  REQUIRE(c.get(b).at("status.disruptionsAllowed") == "1");
  // Somebody says that the pod is about to go; nobody deletes it.
  c.patch(b + "/status", kMerge,
          R"({"status":{"disruptedPods":{"p":")" + api::Time(c.clock.now()).str() + "\"}}}");
  c.patch(pod_path("p") + "/status", "application/strategic-merge-patch+json",
          R"({"status":{"conditions":[{"type":"DisruptionTarget","status":"True","reason":"x",)"
          R"("lastTransitionTime":")" +
              api::Time(c.clock.now()).str() + "\"}]}}");
  c.settle();
  CHECK(c.get(b).at("status.currentHealthy") == "0");
  c.advance(Seconds{20});
  CHECK(c.get(b).at("status.currentHealthy") == "0");
  c.advance(Seconds{105});
  CHECK(c.get(b).at("status.currentHealthy") == "1");
  CHECK(c.get(b).at("status.disruptedPods").empty());
  CHECK(c.get(pod_path("p")).body.find(R"("type":"DisruptionTarget","status":"False")") !=
        std::string::npos);
  c.advance(Seconds{2});
  const auto events = c.events_of("p");
  CHECK(std::count(events.begin(), events.end(),
                   "NotDeleted: Pod was expected by PDB default/b to be deleted but it wasn't") ==
        1);
}

TEST_CASE("evictions of pods that end anyway ask nobody; preconditions hold") {
  Cluster c;
  add_pod(c, "p");
  c.must_post(kBudgets, budget("b", R"("minAvailable":1)"));
  c.settle();
  CHECK(evict(c, "p").status == 429);
  CHECK(evict(c, "p", R"(,"deleteOptions":{"preconditions":{"uid":"x"}})").status == 409);
  CHECK(evict(c, "p", R"(,"deleteOptions":{"preconditions":{"resourceVersion":"1"}})").status ==
        409);
  c.patch(pod_path("p") + "/status", kMerge, R"({"status":{"phase":"Succeeded"}})");
  CHECK(evict(c, "p").status == 201);
  CHECK(evict(c, "nobody").status == 404);
}

}  // namespace
}  // namespace orch::server
