#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"
#include "orch/client/reconciler.h"
#include "unit/client/scripted_transport.h"

namespace orch::client {
namespace {

using namespace testing;
using api::ObjectKey;

TEST_CASE("the work queue keeps one entry a key, and runs a key added meanwhile again") {
  WorkQueue queue("test");
  queue.add({"d", "a"});
  queue.add({"d", "b"});
  queue.add({"d", "a"});
  CHECK(queue.size() == 2);
  const auto a = queue.take();
  CHECK(a->name == "a");
  queue.add({"d", "a"});  // while it runs
  CHECK(queue.size() == 1);
  CHECK(queue.take()->name == "b");
  CHECK_FALSE(queue.take());
  queue.done(*a);
  CHECK(queue.take()->name == "a");
  queue.done(*a);
  CHECK_FALSE(queue.take());
}

TEST_CASE("expectations hold until seen or old") {
  ManualClock clock;
  Expectations expectations(clock);
  CHECK(expectations.satisfied("k"));
  expectations.expect_creations("k", 2);
  CHECK_FALSE(expectations.satisfied("k"));
  expectations.creation_observed("k");
  CHECK_FALSE(expectations.satisfied("k"));
  expectations.creation_observed("k");
  CHECK(expectations.satisfied("k"));
  expectations.creation_observed("k");  // one more than expected

  expectations.expect_deletions("k", {"u1", "u2"});
  expectations.deletion_observed("k", "other");
  expectations.deletion_observed("k", "u1");
  CHECK_FALSE(expectations.satisfied("k"));
  expectations.deletion_observed("k", "u2");
  CHECK(expectations.satisfied("k"));

  expectations.expect_creations("k", 1);
  clock.advance(std::chrono::minutes{5} + Seconds{1});
  CHECK(expectations.satisfied("k"));
  expectations.expect_creations("k", 1);
  expectations.forget("k");
  CHECK(expectations.satisfied("k"));
}

TEST_CASE("owned_by maps a child to its controller of the kind and group") {
  const Watch watch = owned_by(api::resource_of<api::corev1::ConfigMap>(), "apps", "ReplicaSet");
  auto child = std::make_shared<api::corev1::ConfigMap>();
  child->metadata.namespace_ = "ns";
  auto& owner = child->metadata.ownerReferences.emplace_back();
  owner.apiVersion = "apps/v1";
  owner.kind = "ReplicaSet";
  owner.name = "rs";
  CHECK(watch.keys(nullptr, child).empty());  // an owner, but not the controller
  owner.controller = true;
  CHECK(watch.keys(nullptr, child) == std::vector<ObjectKey>{{"ns", "rs"}});
  CHECK(watch.keys(child, child) == std::vector<ObjectKey>{{"ns", "rs"}});
  auto moved = std::make_shared<api::corev1::ConfigMap>(*child);
  moved->metadata.ownerReferences[0].name = "rs2";
  CHECK(watch.keys(child, moved) == std::vector<ObjectKey>{{"ns", "rs"}, {"ns", "rs2"}});
  moved->metadata.ownerReferences[0].apiVersion = "example.com/v1";
  CHECK(watch.keys(nullptr, moved).empty());
}

struct NullRecorder final : EventRecorder {
  void record(const EventSubject&, std::string_view, std::string_view, std::string_view) override {}
};

using Step = std::function<ReconcileResult(const ObjectKey&)>;
struct StepReconciler final : Reconciler {
  explicit StepReconciler(Step s) : step(std::move(s)) {}
  ReconcileResult reconcile(const ObjectKey& key) override { return step(key); }
  Step step;
};

struct Fixture : World {
  ScriptedTransport transport;
  Client client{transport};
  InformerSet informers{env, transport};
  NullRecorder events;
  std::vector<std::string> ran;
  Step step = [](const ObjectKey&) { return done(); };
  std::unique_ptr<Controller> controller;

  void begin(std::vector<ObjectKey> initial = {}) {
    transport.otherwise = [](const Request&) -> api::ApiResult<Response> {
      return Response{200, list_of(5, {config_map("a", 3), config_map("b", 4)})};
    };
    ControllerSpec spec;
    spec.name = "test-controller";
    spec.watches = {primary<api::corev1::ConfigMap>()};
    spec.initial_keys = std::move(initial);
    spec.make = [this](ControllerContext&) {
      return std::make_unique<StepReconciler>([this](const ObjectKey& key) {
        ran.push_back(key.name);
        return step(key);
      });
    };
    controller =
        std::make_unique<Controller>(ControllerContext{env, client, informers, events}, spec);
    controller->start();
  }
};

TEST_CASE("a controller starts when its caches are in, with all keys once") {
  Fixture f;
  f.begin({{"", "singleton"}});
  f.settle();
  CHECK(f.ran.empty());
  f.informers.start_all();
  f.settle();
  CHECK(f.ran == std::vector<std::string>{"singleton", "a", "b"});
  f.ran.clear();
  f.transport.last_watch()->event("MODIFIED", config_map("b", 9));
  f.settle();
  CHECK(f.ran == std::vector<std::string>{"b"});
  f.controller->stop();
  f.ran.clear();
  f.transport.last_watch()->event("MODIFIED", config_map("b", 10));
  f.settle();
  CHECK(f.ran.empty());
}

TEST_CASE("failures are retried after 5 ms, doubling, until they succeed") {
  Fixture f;
  int failures = 0;
  f.step = [&](const ObjectKey& key) -> ReconcileResult {
    if (key.name == "a" && ++failures <= 4) return Err(ReconcileError("no"));
    return done();
  };
  f.begin();
  f.informers.start_all();
  f.settle();
  CHECK(failures == 1);
  f.executor->advance(Millis{4});
  CHECK(failures == 1);
  f.executor->advance(Millis{1});
  CHECK(failures == 2);
  f.executor->advance(Millis{9});
  CHECK(failures == 2);
  f.executor->advance(Millis{1});
  CHECK(failures == 3);
  f.executor->advance(Millis{20});
  f.executor->advance(Millis{40});
  CHECK(failures == 5);
  f.executor->advance(Seconds{100});
  CHECK(failures == 5);
  CHECK(std::count(f.ran.begin(), f.ran.end(), "b") == 1);
}

TEST_CASE("terminal errors are not retried, exceptions are") {
  Fixture f;
  f.step = [&](const ObjectKey& key) -> ReconcileResult {
    if (key.name == "a") return Err(ReconcileError("broken for good", true));
    throw std::runtime_error("bug");
  };
  f.begin();
  f.informers.start_all();
  f.settle();
  f.executor->advance(Millis{6});
  CHECK(f.ran == std::vector<std::string>{"a", "b", "b"});
}

TEST_CASE("requeue_after looks again; the earliest wish counts") {
  Fixture f;
  f.step = [&](const ObjectKey& key) -> ReconcileResult {
    if (key.name == "a" && f.ran.size() < 4) return requeue_after(Seconds{10});
    return done();
  };
  f.begin();
  f.informers.start_all();
  f.settle();
  f.executor->advance(Seconds{5});
  f.controller->enqueue({"default", "a"});  // runs now, and wishes for 5 s later than before
  f.settle();
  CHECK(f.ran == std::vector<std::string>{"a", "b", "a"});
  f.executor->advance(Seconds{5});
  CHECK(f.ran.size() == 4);
  f.executor->advance(Seconds{60});
  CHECK(f.ran.size() == 4);
}

TEST_CASE("strands share the keys but never run one key twice at once; stop waits") {
  auto pool = ThreadPoolExecutor::create(4);
  Env env{system_clock(), *pool, system_random(), no_faults()};
  ScriptedTransport transport;
  transport.otherwise = [](const Request&) -> api::ApiResult<Response> {
    return Response{200, list_of(5, {})};
  };
  Client client(transport);
  InformerSet informers(env, transport);
  NullRecorder events;
  std::atomic<int> total{0}, inside[5] = {};
  std::atomic<bool> twice{false}, stopped{false}, late{false};
  ControllerSpec spec;
  spec.name = "parallel-controller";
  spec.watches = {primary<api::corev1::ConfigMap>()};
  spec.strands = 4;
  spec.make = [&](ControllerContext&) {
    return std::make_unique<StepReconciler>([&](const ObjectKey& key) -> ReconcileResult {
      auto& here = inside[key.name[0] - '0'];
      if (++here > 1) twice = true;
      if (stopped) late = true;
      std::this_thread::sleep_for(Micros{50});
      ++total;
      --here;
      return total % 5 == 0 ? ReconcileResult(Err(ReconcileError("again"))) : done();
    });
  };
  Controller controller({env, client, informers, events}, spec);
  controller.start();
  informers.start_all();
  std::thread feeder([&] {
    for (int i = 0; i < 3000; ++i) controller.enqueue({"d", std::to_string(i % 5)});
  });
  while (total < 200) {
    std::this_thread::yield();
    controller.enqueue({"d", std::to_string(total % 5)});
  }
  controller.stop();
  stopped = true;
  feeder.join();
  informers.stop();
  pool->stop();
  CHECK_FALSE(twice);
  CHECK_FALSE(late);
}

}  // namespace
}  // namespace orch::client
