// The scheduler with real threads: many pods at once, and an end in the middle of it.
#include <catch2/catch.hpp>
#include <thread>

#include "orch/api/corev1.h"
#include "orch/storage/kv_store.h"
#include "server/api/api_server.h"
#include "server/scheduler/scheduler.h"

namespace orch::server::scheduler {
namespace {

namespace corev1 = api::corev1;

struct Threads {
  std::unique_ptr<ThreadPoolExecutor> pool = ThreadPoolExecutor::create(4);
  Env env{system_clock(), *pool, system_random(), no_faults()};
  std::unique_ptr<storage::KvStore> store = storage::make_memory_store(env);
  ApiServer api{env, *store, ApiServerConfig{}};
  std::unique_ptr<client::Transport> transport;
  std::unique_ptr<client::Client> client;
  std::unique_ptr<client::InformerSet> informers;
  std::unique_ptr<client::EventRecorder> events;
  std::unique_ptr<Scheduler> scheduler;

  Threads() {
    REQUIRE(api.start());
    transport = api.local_transport({.name = "test", .groups = {"system:masters"}});
    client = std::make_unique<client::Client>(*transport);
    informers = std::make_unique<client::InformerSet>(env, *transport);
    events = client::make_event_recorder(env, *transport, "default-scheduler");
    scheduler = std::make_unique<Scheduler>(env, *client, *informers, *events);
    corev1::Namespace ns;
    ns.metadata.name = "default";
    REQUIRE(client->create(ns));
    scheduler->start();
    informers->start_all();
  }
  ~Threads() {
    scheduler->stop();
    informers->stop();
    events.reset();
    api.stop();
    pool->stop();
    store->stop();
  }
  void add_node(const std::string& name) {
    corev1::Node node;
    node.metadata.name = name;
    node.status.allocatable = {{"cpu", api::Quantity::of(10)},
                               {"memory", api::Quantity::of_bytes(1LL << 33)},
                               {"pods", api::Quantity::of(50)}};
    REQUIRE(client->create(node));
  }
  bool add_pod(int i) {
    corev1::Pod pod;
    pod.metadata.name = "p" + std::to_string(i);
    pod.metadata.namespace_ = "default";
    auto& container = pod.spec.containers.emplace_back();
    container.name = "c";
    container.image = "i";
    container.resources.requests["cpu"] = api::Quantity::of_milli(200);
    return bool(client->create(pod));
  }
  std::map<std::string, int> per_node() {
    std::map<std::string, int> out;
    auto list = client->list<corev1::Pod>("default");
    REQUIRE(list);
    for (const auto& pod : list->items) ++out[pod->spec.nodeName];
    return out;
  }
};

TEST_CASE("two hundred pods fill four nodes exactly, more wait") {
  Threads t;
  for (int i = 0; i < 4; ++i) t.add_node("n" + std::to_string(i));
  std::vector<std::thread> writers;
  std::atomic<int> created{0};
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (int i = w; i < 210; i += 3) created += t.add_pod(i) ? 1 : 0;
    });
  }
  for (auto& writer : writers) writer.join();
  REQUIRE(created == 210);
  for (int i = 0; i < 1000 && t.per_node()[""] > 10; ++i) std::this_thread::sleep_for(Millis{20});
  const auto end = t.per_node();
  CHECK(end ==
        std::map<std::string, int>{{"", 10}, {"n0", 50}, {"n1", 50}, {"n2", 50}, {"n3", 50}});
}

TEST_CASE("stop in the middle: nothing is bound afterwards") {
  for (int round = 0; round < 5; ++round) {
    Threads t;
    t.add_node("n0");
    for (int i = 0; i < 30 + round * 5; ++i) REQUIRE(t.add_pod(i));
    t.scheduler->stop();
    const auto before = t.per_node();
    std::this_thread::sleep_for(Millis{20});
    CHECK(t.per_node() == before);
  }
}

}  // namespace
}  // namespace orch::server::scheduler
