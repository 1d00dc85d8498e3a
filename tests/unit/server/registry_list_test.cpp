// LIST: pages, snapshots, selectors, resourceVersion rules, speed.
#include <catch2/catch.hpp>
#include <chrono>
#include <set>

#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

std::vector<std::string> names(const Answer& answer) {
  std::vector<std::string> out;
  const std::string needle = "\"metadata\":{\"name\":\"";
  for (size_t at = answer.body.find(needle); at != std::string::npos;
       at = answer.body.find(needle, at)) {
    at += needle.size();
    out.push_back(answer.body.substr(at, answer.body.find('"', at) - at));
  }
  return out;
}

void fill(ApiFixture& api, int count) {
  for (int i = 0; i < count; ++i) {
    api.post(kConfigMaps, R"({"metadata":{"name":"c)" + std::to_string(100 + i) +
                              R"(","labels":{"even":")" + (i % 2 == 0 ? "yes" : "no") + "\"}}}");
  }
}

}  // namespace

TEST_CASE("list in pages of one snapshot") {
  ApiFixture api;
  fill(api, 25);
  const auto first = api.get(std::string(kConfigMaps) + "?limit=10");
  CHECK(first.at("kind") == "ConfigMapList");
  CHECK(first.at("metadata.remainingItemCount") == "15");
  std::set<std::string> seen;
  for (const auto& name : names(first)) seen.insert(name);
  api.post(kConfigMaps, config_map("zzz"));  // not in the snapshot
  api.del(std::string(kConfigMaps) + "/c120");
  auto page = first;
  while (!page.at("metadata.continue").empty()) {
    page = api.get(std::string(kConfigMaps) + "?limit=10&continue=" + page.at("metadata.continue"));
    REQUIRE(page.status == 200);
    CHECK(page.at("metadata.resourceVersion") == first.at("metadata.resourceVersion"));
    for (const auto& name : names(page)) CHECK(seen.insert(name).second);
  }
  CHECK(seen.size() == 25);
  CHECK(seen.count("c120") == 1);
}

TEST_CASE("a continued list whose snapshot is compacted gets a token to go on") {
  ApiFixture api;
  fill(api, 5);
  const auto first = api.get(std::string(kConfigMaps) + "?limit=2");
  api.post(kConfigMaps, config_map("x"));
  REQUIRE(api.store->compact(api.store->revision()));
  const auto gone =
      api.get(std::string(kConfigMaps) + "?limit=2&continue=" + first.at("metadata.continue"));
  CHECK(gone.status == 410);
  CHECK(gone.at("reason") == "Expired");
  const auto token = gone.at("metadata.continue");
  REQUIRE(!token.empty());
  const auto rest = api.get(std::string(kConfigMaps) + "?continue=" + token);
  CHECK(rest.status == 200);
  CHECK(names(rest) == std::vector<std::string>{"c102", "c103", "c104", "x"});
}

TEST_CASE("forged continue tokens") {
  ApiFixture api;
  fill(api, 3);
  for (const char* token :
       {"x", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIuLi8uLi9zZWNyZXRzIn0"}) {
    const auto answer = api.get(std::string(kConfigMaps) + "?continue=" + token);
    CHECK(answer.status == 400);
  }
  CHECK(api.get(std::string(kConfigMaps) + "?limit=-1").status == 200);
  CHECK(api.get(std::string(kConfigMaps) + "?limit=9223372036854775808").status == 400);
}

TEST_CASE("selectors") {
  ApiFixture api;
  fill(api, 6);
  CHECK(names(api.get(std::string(kConfigMaps) + "?labelSelector=even%3Dno")).size() == 3);
  CHECK(names(api.get(std::string(kConfigMaps) + "?labelSelector=even%20in%20(yes,maybe)&limit=2"))
            .size() == 2);
  CHECK(names(api.get(std::string(kConfigMaps) + "?fieldSelector=metadata.name%3Dc103")) ==
        std::vector<std::string>{"c103"});
  CHECK(api.get(std::string(kConfigMaps) + "?fieldSelector=data.x%3D1").status == 400);
  CHECK(api.get(std::string(kConfigMaps) + "?labelSelector=a%20b").status == 400);
  api.post(kPods, pod("p1", R"(,"nodeName":"n1")"));
  api.post(kPods, pod("p2"));
  CHECK(names(api.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")) ==
        std::vector<std::string>{"p1"});
  CHECK(names(api.get("/api/v1/pods?fieldSelector=spec.nodeName%3D")) ==
        std::vector<std::string>{"p2"});
  CHECK(names(api.get("/api/v1/pods?fieldSelector=status.phase!%3DPending")).empty());
}

TEST_CASE("resourceVersion and resourceVersionMatch") {
  ApiFixture api;
  fill(api, 2);
  const std::string then = api.get(kConfigMaps).at("metadata.resourceVersion");
  fill(api, 4);
  const std::string base = kConfigMaps;
  CHECK(names(api.get(base + "?resourceVersion=0")).size() == 4);
  CHECK(names(api.get(base + "?resourceVersion=" + then)).size() == 4);
  CHECK(names(api.get(base + "?resourceVersionMatch=Exact&resourceVersion=" + then)).size() == 2);
  CHECK(names(api.get(base + "?limit=9&resourceVersion=" + then)).size() == 2);
  const auto future = api.get(base + "?resourceVersion=999999");
  CHECK(future.status == 504);
  CHECK(future.at("reason") == "Timeout");
  CHECK(future.at("message").find("Too large resource version: 999999, current: ") !=
        std::string::npos);
  CHECK(future.header("Retry-After") == "1");
  CHECK(api.get(base + "?resourceVersion=abc").status == 400);
  CHECK(api.get(base + "?resourceVersionMatch=Exact").status == 422);
  CHECK(api.get(base + "?resourceVersionMatch=Exact&resourceVersion=0").status == 422);
  CHECK(api.get(base + "?resourceVersionMatch=x&resourceVersion=5").status == 422);
  CHECK(api.get(base + "/c100?resourceVersion=999999").status == 504);
}

TEST_CASE("a namespaced list sees its namespace only") {
  ApiFixture api;
  fill(api, 1);
  api.post("/api/v1/namespaces/other/configmaps", config_map("o"));
  CHECK(names(api.get(kConfigMaps)) == std::vector<std::string>{"c100"});
  CHECK(names(api.get("/api/v1/configmaps")).size() == 2);
  CHECK(api.get("/api/v1/namespaces/nope/configmaps").at("items") == "[]");
}

TEST_CASE("a damaged value hides itself and nothing else") {
  ApiFixture api;
  fill(api, 2);
  storage::TxnRequest txn;
  txn.success.push_back(storage::Op::put("/registry/core/configmaps/default/bad",
                                         std::make_shared<const std::string>("garbage")));
  REQUIRE(api.store->txn(txn));
  CHECK(names(api.get(kConfigMaps)).size() == 2);
  CHECK(api.get(std::string(kConfigMaps) + "/bad").status == 500);
}

TEST_CASE("10,000 Pods list fast") {
  ApiFixture api;
  const auto made = api.post(kPods, pod("p"));
  REQUIRE(made.status == 201);
  const Stored stored =
      *api.server->registry().get(*api::find_resource("", "v1", "pods"), "default", "p");
  std::string padded(stored.raw());
  padded.insert(padded.size() - 1, ",\"pad\":\"" + std::string(2500, 'x') + "\"");
  const auto value = Stored::pack(padded);
  for (int i = 0; i < 10'000; ++i) {
    storage::TxnRequest txn;
    txn.success.push_back(
        storage::Op::put("/registry/core/pods/default/p" + std::to_string(i), value));
    REQUIRE(api.store->txn(txn));
  }
  // The limit is a copy of as many bytes into fresh memory, which is all a splice should cost.
  const auto timed = [](auto&& work) {
    auto best = std::chrono::microseconds::max();
    for (int round = 0; round < 3; ++round) {
      const auto start = std::chrono::steady_clock::now();
      work();
      best = std::min(best, std::chrono::duration_cast<std::chrono::microseconds>(
                                std::chrono::steady_clock::now() - start));
    }
    return best;
  };
  std::string body;
  const auto list = timed([&] { body = api.get("/api/v1/pods").body; });
  CHECK(body.size() > 25'000'000);
  size_t copied = 0;
  const auto copy = timed([&] {
    const std::string fresh(body);
    copied += fresh.size();
  });
  WARN("LIST of 10,000 Pods: " << list.count() << " us, a copy " << copy.count() << " us of "
                               << copied / 3 << " bytes");
  CHECK(list < 5 * copy + Millis{20});
}

}  // namespace orch::server::test
