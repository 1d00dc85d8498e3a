// The client library against the real API server over the memory store, in virtual time.
#include <catch2/catch.hpp>

#include "orch/api/corev1.h"
#include "orch/client/reconciler.h"
#include "unit/server/api_fixture.h"

namespace orch::client {
namespace {

namespace corev1 = api::corev1;

struct Fixture : server::test::ApiFixture {
  std::unique_ptr<Transport> transport =
      server->local_transport({.name = "tester", .groups = {"system:masters"}});
  Client client{*transport};
  InformerSet informers{env, *transport};
  ~Fixture() {
    informers.stop();
    executor->run_until_idle();
  }
};

corev1::ConfigMap map_of(const std::string& name, const std::string& value) {
  corev1::ConfigMap out;
  out.metadata.name = name;
  out.metadata.namespace_ = "default";
  out.data["k"] = value;
  return out;
}

TEST_CASE("the typed client's calls, end to end") {
  Fixture f;
  auto created = f.client.create(map_of("a", "1"));
  REQUIRE(created);
  CHECK_FALSE(created->metadata.uid.empty());
  auto again = f.client.create(map_of("a", "1"));
  REQUIRE_FALSE(again);
  CHECK(again.error().is("AlreadyExists"));

  created->data["k"] = "2";
  auto updated = f.client.update(*created);
  REQUIRE(updated);
  auto stale = f.client.update(*created);
  REQUIRE_FALSE(stale);
  CHECK(stale.error().is("Conflict"));

  for (const auto type : {api::PatchType::kMerge, api::PatchType::kStrategic}) {
    REQUIRE(f.client.patch<corev1::ConfigMap>("default", "a", type, R"({"data":{"k":"3"}})"));
  }
  auto jsonpatch = f.client.patch<corev1::ConfigMap>(
      "default", "a", api::PatchType::kJson, R"([{"op":"add","path":"/data/x","value":"y"}])");
  REQUIRE(jsonpatch);
  CHECK(jsonpatch->data.size() == 2);
  auto applied = f.client.patch<corev1::ConfigMap>(
      "default", "a", api::PatchType::kApply,
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"4"}})", "",
      "tester");
  REQUIRE(applied);
  CHECK(applied->data.at("k") == "4");

  REQUIRE(f.client.create(map_of("b", "1")));
  auto list = f.client.list<corev1::ConfigMap>("default");
  REQUIRE(list);
  CHECK(list->items.size() == 2);
  ListOptions one;
  one.limit = 1;
  auto page = f.client.list<corev1::ConfigMap>("default", one);
  REQUIRE(page);
  CHECK(page->items.size() == 1);
  CHECK_FALSE(page->continue_.empty());

  DeleteOptions wrong;
  wrong.uid = "not-this";
  CHECK_FALSE(f.client.remove<corev1::ConfigMap>("default", "a", wrong));
  CHECK(f.client.remove<corev1::ConfigMap>("default", "a"));
  auto gone = f.client.get<corev1::ConfigMap>("default", "a");
  REQUIRE_FALSE(gone);
  CHECK(gone.error().is("NotFound"));
}

TEST_CASE("an informer follows the server; its indexes too") {
  Fixture f;
  REQUIRE(f.client.create(map_of("a", "1")));
  auto lister = f.informers.lister<corev1::ConfigMap>();
  auto pods = f.informers.lister<corev1::Pod>();
  std::vector<std::string> seen;
  f.informers.get<corev1::ConfigMap>().add_handler(
      [&](const api::ObjectPtr& old, const api::ObjectPtr& now) {
        seen.push_back((!old ? "+" : now ? "~" : "-") + (now ? now : old)->metadata.name);
      });
  f.informers.start_all();
  f.executor->run_until_idle();
  CHECK(f.informers.all_synced());
  REQUIRE(lister.get("default", "a"));
  CHECK(lister.get("default", "a")->metadata.managedFields.empty());

  auto b = f.client.create(map_of("b", "1"));
  f.executor->run_until_idle();
  b->data["k"] = "2";
  REQUIRE(f.client.update(*b));
  f.executor->run_until_idle();
  REQUIRE(f.client.remove<corev1::ConfigMap>("default", "b"));
  f.executor->run_until_idle();
  CHECK(seen == std::vector<std::string>{"+a", "+b", "~b", "-b"});
  CHECK(lister.list("default").size() == 1);

  // Watches time out after some minutes and resume without a loss.
  f.advance(std::chrono::minutes{30});
  REQUIRE(f.client.create(map_of("late", "1")));
  f.executor->run_until_idle();
  CHECK(seen.back() == "+late");
  CHECK(seen.size() == 5);

  f.post(server::test::kPods, server::test::pod("p", R"(,"nodeName":"n1")"));
  CHECK(pods.by_index("node", "n1").size() == 1);
  CHECK(pods.by_index("orphan", "default").size() == 1);
}

TEST_CASE("events are stored and counted up") {
  Fixture f;
  auto recorder = make_event_recorder(f.env, *f.transport, "tester");
  auto created = f.client.create(map_of("a", "1"));
  REQUIRE(created);
  for (int i = 0; i < 3; ++i) recorder->record(subject_of(*created), "Normal", "Seen", "hello");
  f.executor->run_until_idle();
  auto list = f.client.list<corev1::Event>("default");
  REQUIRE(list);
  REQUIRE(list->items.size() == 1);
  CHECK(list->items[0]->count == 3);
  CHECK(list->items[0]->involvedObject.uid == created->metadata.uid);
}

}  // namespace
}  // namespace orch::client
