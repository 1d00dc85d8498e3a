#include "orch/client/informer.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "orch/api/corev1.h"
#include "unit/client/scripted_transport.h"

namespace orch::client {
namespace {

using namespace testing;
using Lines = std::vector<std::string>;

struct Fixture : World {
  ScriptedTransport transport;
  InformerBase informer{env, transport, api::resource_of<api::corev1::ConfigMap>()};
  Lines seen;

  Fixture() {
    informer.add_handler([this](const api::ObjectPtr& old, const api::ObjectPtr& now) {
      const auto& o = now ? *now : *old;
      seen.push_back((!old  ? "+"
                      : now ? "~"
                            : "-") +
                     o.metadata.name + "@" + o.metadata.resourceVersion);
    });
  }
  ~Fixture() { informer.stop(); }
  void begin() {
    transport.answers.push_back(
        Response{200, list_of(5, {config_map("a", 3), config_map("b", 4)})});
    informer.start();
    settle();
    seen.clear();
  }
  Lines take() { return std::exchange(seen, {}); }
  std::string watched_from() {
    return ScriptedTransport::query(transport.last_watch()->request, "resourceVersion");
  }
};

TEST_CASE("lists, then watches from the list's version") {
  Fixture f;
  CHECK_FALSE(f.informer.synced());
  f.transport.answers.push_back(
      Response{200, list_of(5, {config_map("b", 4), config_map("a", 3)})});
  bool synced = false;
  f.informer.on_synced([&] { synced = true; });
  f.informer.start();
  CHECK(f.transport.calls.empty());  // nothing runs on the caller's thread
  f.settle();
  CHECK(f.informer.synced());
  CHECK(synced);
  CHECK(f.take() == Lines{"+a@3", "+b@4"});
  REQUIRE(f.transport.watches.size() == 1);
  CHECK(f.watched_from() == "5");
  CHECK(ScriptedTransport::query(f.transport.last_watch()->request, "allowWatchBookmarks") ==
        "true");

  auto watch = f.transport.last_watch();
  watch->event("ADDED", config_map("c", 6));
  watch->event("MODIFIED", config_map("a", 7));
  watch->event("DELETED", config_map("b", 8));
  CHECK(f.seen.empty());  // handlers run on the informer's strand, not on the transport's thread
  f.settle();
  CHECK(f.take() == Lines{"+c@6", "~a@7", "-b@8"});
  CHECK(f.informer.get("default", "b") == nullptr);
  CHECK(f.informer.get("default", "a")->metadata.resourceVersion == "7");
  CHECK(f.informer.size() == 2);
  CHECK(f.informer.get("default", "a")->metadata.managedFields.empty());
}

TEST_CASE("a cut watch resumes at the last version seen, bookmarks count") {
  Fixture f;
  f.begin();
  f.transport.last_watch()->event("BOOKMARK", config_map("", 42));
  f.settle();
  f.transport.last_watch()->end();
  f.settle();
  CHECK(f.transport.watches.size() == 2);
  CHECK(f.watched_from() == "42");
  CHECK(f.transport.calls.size() == 1);  // no second list
  // Late callbacks of the old watch mean nothing.
  f.transport.watches[0]->closed = false;
  f.transport.watches[0]->event("ADDED", config_map("ghost", 50));
  f.settle();
  CHECK(f.take().empty());
}

TEST_CASE("410 lists again and reports what changed meanwhile") {
  Fixture f;
  f.begin();
  f.transport.answers.push_back(
      Response{200, list_of(90, {config_map("a", 3), config_map("b", 80), config_map("d", 81)})});
  f.transport.last_watch()->fail(api::expired("too old resource version: 5 (70)"));
  f.settle();
  CHECK(f.take() == Lines{"~b@80", "+d@81"});
  CHECK(f.watched_from() == "90");

  // A refusal at once works the same; deleted and made anew under one name is two events.
  f.transport.answers.push_back(Response{200, list_of(99, {config_map("b", 95, "other-uid")})});
  f.transport.watch_refusals.push_back(api::expired("too old"));
  f.transport.last_watch()->event("BOOKMARK", config_map("", 91));
  f.settle();
  f.transport.last_watch()->end();
  f.settle();
  CHECK(f.take() == Lines{"-a@3", "-b@80", "-d@81", "+b@95"});
}

TEST_CASE("errors are retried with growing delays, for ever") {
  Fixture f;
  f.informer.start();
  f.settle();
  CHECK(f.transport.calls.size() == 1);
  f.executor->advance(Millis{799});
  CHECK(f.transport.calls.size() == 1);
  f.executor->advance(Millis{801});  // 0.8 s to 1.6 s
  CHECK(f.transport.calls.size() == 2);
  f.executor->advance(std::chrono::minutes{10});
  const size_t calls = f.transport.calls.size();
  CHECK(calls > 20);  // at most 30 s between two
  CHECK(calls < 50);  // and at least 15 s
  f.transport.answers.push_back(Response{200, list_of(5, {config_map("a", 3)})});
  f.executor->advance(Seconds{31});
  CHECK(f.informer.synced());
}

TEST_CASE("an unreachable server does not cost the version") {
  Fixture f;
  f.begin();
  f.transport.watch_refusals.push_back(api::service_unavailable("connection refused"));
  f.transport.last_watch()->fail(api::service_unavailable("reset"));
  f.settle();
  f.executor->advance(Seconds{10});
  CHECK(f.transport.watches.size() >= 3);
  CHECK(f.watched_from() == "5");
  CHECK(f.transport.calls.size() == 1);
}

TEST_CASE("watches that end at once do not spin") {
  Fixture f;
  f.begin();
  for (int i = 0; i < 5; ++i) {
    f.transport.last_watch()->end();
    f.settle();
  }
  CHECK(f.transport.watches.size() == 1);
  f.executor->advance(Seconds{2});
  CHECK(f.transport.watches.size() == 2);
}

TEST_CASE("long lists come in pages; an expired page starts over whole") {
  Fixture f;
  f.transport.answers.push_back(Response{200, list_of(5, {config_map("a", 1)}, "token")});
  f.transport.answers.push_back(Response{200, list_of(5, {config_map("b", 2)})});
  f.informer.start();
  f.settle();
  CHECK(f.take() == Lines{"+a@1", "+b@2"});
  REQUIRE(f.transport.calls.size() == 2);
  CHECK(ScriptedTransport::query(f.transport.calls[1], "continue") == "token");

  Fixture g;
  g.transport.answers.push_back(Response{200, list_of(5, {config_map("a", 1)}, "token")});
  g.transport.answers.push_back(Err(api::expired("continue token expired")));
  g.transport.answers.push_back(Response{200, list_of(9, {config_map("c", 8)})});
  g.informer.start();
  g.settle();
  CHECK(g.take() == Lines{"+c@8"});
  CHECK(ScriptedTransport::query(g.transport.calls[2], "limit").empty());
}

TEST_CASE("late handlers first see what is there") {
  Fixture f;
  f.begin();
  Lines late;
  f.informer.add_handler([&](const api::ObjectPtr& old, const api::ObjectPtr& now) {
    late.push_back((old ? "~" : "+") + now->metadata.name);
  });
  f.settle();
  CHECK(late == Lines{"+a", "+b"});
  f.transport.last_watch()->event("MODIFIED", config_map("a", 9));
  f.settle();
  CHECK(late == Lines{"+a", "+b", "~a"});
}

TEST_CASE("indexes follow changes") {
  Fixture f;
  f.informer.add_index("version", [](const api::Object& o) -> std::vector<std::string> {
    return {o.metadata.resourceVersion};
  });
  f.begin();
  REQUIRE(f.informer.by_index("version", "3").size() == 1);
  f.transport.last_watch()->event("MODIFIED", config_map("a", 4));
  f.settle();
  CHECK(f.informer.by_index("version", "3").empty());
  CHECK(f.informer.by_index("version", "4").size() == 2);
  f.transport.last_watch()->event("DELETED", config_map("a", 5));
  f.settle();
  CHECK(f.informer.by_index("version", "4").size() == 1);
  CHECK(f.informer.by_index("none", "4").empty());
}

TEST_CASE("an unreadable object is skipped, not fatal") {
  Fixture f;
  f.begin();
  f.transport.last_watch()->event(
      "ADDED", R"({"metadata":{"name":"x","resourceVersion":"6"},"data":"no map"})");
  f.transport.last_watch()->event("ADDED", config_map("c", 7));
  f.settle();
  CHECK(f.take() == Lines{"+c@7"});
}

TEST_CASE("stop from a handler ends the calls at once") {
  Fixture f;
  f.begin();
  int calls = 0;
  f.informer.add_handler([&](const api::ObjectPtr&, const api::ObjectPtr&) {
    if (++calls == 1) f.informer.stop();
  });
  f.settle();
  CHECK(calls == 1);
  CHECK(f.transport.last_watch()->closed);
}

TEST_CASE("stop while events pour in: no handler runs afterwards") {
  for (int round = 0; round < 30; ++round) {
    auto pool = ThreadPoolExecutor::create(3);
    Env env{system_clock(), *pool, system_random(), no_faults()};
    ScriptedTransport transport;
    transport.otherwise = [](const Request&) -> api::ApiResult<Response> {
      return Response{200, list_of(1, {})};
    };
    std::atomic<bool> stopped{false}, late{false}, feed{true};
    std::atomic<int> handled{0};
    InformerBase informer(env, transport, api::resource_of<api::corev1::ConfigMap>());
    informer.add_handler([&](const api::ObjectPtr&, const api::ObjectPtr&) {
      if (stopped) late = true;
      ++handled;
    });
    informer.start();
    std::thread feeder([&] {
      for (int i = 2; feed; ++i) {
        auto watch = transport.last_watch();
        if (!watch) {
          std::this_thread::yield();
        } else if (i % 50 == 0) {
          watch->end();
        } else {
          watch->event(i % 3 ? "ADDED" : "DELETED", config_map("c" + std::to_string(i % 7), i));
        }
      }
    });
    while (handled < 20) std::this_thread::yield();
    informer.stop();
    stopped = true;
    std::this_thread::sleep_for(Millis{2});
    feed = false;
    feeder.join();
    pool->stop();
    REQUIRE_FALSE(late);
  }
}

}  // namespace
}  // namespace orch::client
