#include "server/controllers/legacy_token_cleaner.h"

#include "orch/api/token_claims.h"
#include "unit/controllers/cluster.h"

namespace orch::server::test {
namespace {

using Move = LegacyTokenMove;

WallTime at(const char* time) { return api::Time::parse(time)->wall(); }

struct Facts {
  corev1::Secret secret;
  corev1::ServiceAccount account;
  bool mounted = false;

  Facts() {
    secret.metadata.name = "old-token-abcde";
    secret.metadata.creationTimestamp = at("2020-01-01T00:00:00Z");
    account.secrets.emplace_back().name = "old-token-abcde";
  }
  Move plan() const {
    return plan_legacy_token({secret, account, mounted, at("2024-06-15T12:00:00Z")});
  }
};

TEST_CASE("legacy tokens: a year without use, then another") {
  Facts facts;
  CHECK(facts.plan() == Move::kInvalidate);
  facts.secret.metadata.labels[api::kTokenLastUsed] = "2023-06-16";  // 365 days ago
  CHECK(facts.plan() == Move::kKeep);
  facts.secret.metadata.labels[api::kTokenLastUsed] = "2023-06-15";
  CHECK(facts.plan() == Move::kInvalidate);
  facts.secret.metadata.labels[api::kTokenInvalidSince] = "2023-06-16";
  CHECK(facts.plan() == Move::kKeep);
  facts.secret.metadata.labels[api::kTokenInvalidSince] = "2023-06-15";
  CHECK(facts.plan() == Move::kDelete);
  facts.secret.metadata.labels[api::kTokenInvalidSince] = "soon";
  CHECK(facts.plan() == Move::kInvalidate);
}

TEST_CASE("legacy tokens: young, mounted, hand-made and odd ones stay") {
  Facts facts;
  SECTION("young") { facts.secret.metadata.creationTimestamp = at("2023-06-17T00:00:00Z"); }
  SECTION("mounted by a Pod") { facts.mounted = true; }
  SECTION("made by hand: no ServiceAccount lists it") { facts.account.secrets.clear(); }
  SECTION("last used on a day that is none") {
    facts.secret.metadata.labels[api::kTokenLastUsed] = "often";
  }
  CHECK(facts.plan() == Move::kKeep);
}

TEST_CASE("legacy tokens: nothing is judged before a year was tracked") {
  CHECK_FALSE(tracked_long_enough("2023-06-16", at("2024-06-15T12:00:00Z")));
  CHECK(tracked_long_enough("2023-06-14", at("2024-06-15T12:00:00Z")));
  CHECK_FALSE(tracked_long_enough("", at("2024-06-15T12:00:00Z")));
  CHECK_FALSE(tracked_long_enough("long ago", at("2024-06-15T12:00:00Z")));
}

TEST_CASE("legacy tokens: the controller marks, and deletes what stays unused") {
  Cluster cluster;
  const std::string base = "/api/v1/namespaces/default/";
  cluster.must_post("/api/v1/namespaces", R"({"metadata":{"name":"kube-system"}})");
  cluster.must_post("/api/v1/namespaces/kube-system/configmaps",
                    R"({"metadata":{"name":")" + std::string(api::kTokenTracking) +
                        R"("},"data":{"since":"2001-01-01"}})");
  const std::string uid =
      cluster
          .must_post(base + "serviceaccounts",
                     R"({"metadata":{"name":"robot"},"secrets":[{"name":"generated"}]})")
          .at("metadata.uid");
  const auto secret = [&](const std::string& name) {
    cluster.must_post(base + "secrets",
                      R"({"metadata":{"name":")" + name +
                          R"(","annotations":{"kubernetes.io/service-account.name":"robot",)"
                          R"("kubernetes.io/service-account.uid":")" +
                          uid + R"("}},"type":"kubernetes.io/service-account-token"})");
  };
  secret("generated");
  secret("by-hand");
  cluster.settle();
  const auto label = [&](const std::string& name) {
    auto found = cluster.client.get<corev1::Secret>("default", name);
    if (!found) return std::string("gone");
    return found->metadata.labels[api::kTokenInvalidSince];
  };
  // The clock leaps: two years of every timer would take minutes.
  const auto a_year_later = [&] {
    cluster.clock.advance(std::chrono::hours(24 * 366));
    cluster.advance(std::chrono::hours(25));
  };
  CHECK(label("generated") == "");
  a_year_later();
  CHECK(label("generated").size() == 10);
  CHECK(label("by-hand") == "");
  a_year_later();
  CHECK(label("generated") == "gone");
  CHECK(label("by-hand") == "");
}

}  // namespace
}  // namespace orch::server::test
