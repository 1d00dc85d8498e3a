// The controllers with the real API server and scheduler in process, in real time, on a pool of
// threads as in production; hollow kubelets say at once that pods run.
//   bench_controllers [--nodes N] [--replicas N] [--endpoints N]
// 1. A Deployment created, until all of its pods are bound.
// 2. A Service with many endpoints: a pod becomes unready, until the slices say so.
// 3. The same cluster at rest: CPU that it takes.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/storage/kv_store.h"
#include "server/api/api_server.h"
#include "server/controllers/controllers.h"
#include "server/scheduler/scheduler.h"

using namespace orch;
namespace corev1 = api::corev1;
namespace appsv1 = api::appsv1;
namespace discoveryv1 = api::discoveryv1;

namespace {

using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point begin) {
  return std::chrono::duration<double>(Steady::now() - begin).count();
}

void require(bool ok, const std::string& what) {
  if (ok) return;
  fmt::print(stderr, "bench_controllers: {}\n", what);
  std::exit(1);
}

template <class Done>
void wait_until(const Done& done, const std::string& what) {
  const auto begin = Steady::now();
  while (!done()) {
    require(seconds_since(begin) < 300, what + " does not happen");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return of(use.ru_utime) + of(use.ru_stime);
}

struct Cluster {
  std::unique_ptr<ThreadPoolExecutor> pool = ThreadPoolExecutor::create(4);
  Env env{system_clock(), *pool, system_random(), no_faults()};
  std::unique_ptr<storage::KvStore> store = storage::make_memory_store(env);
  server::ApiServer api{env, *store, server::ApiServerConfig{}};
  std::unique_ptr<client::Transport> transport;
  std::unique_ptr<client::Client> client;
  std::unique_ptr<client::InformerSet> informers;
  std::unique_ptr<client::EventRecorder> events;
  std::unique_ptr<server::Controllers> controllers;
  std::unique_ptr<server::Scheduler> scheduler;
  std::shared_ptr<Strand> kubelet = pool->make_strand("kubelet");
  std::atomic<size_t> bound{0};
  std::atomic<size_t> endpoints{0};
  bool run_pods = false;  // before any pod is made

  Cluster() {
    require(bool(api.start()), "the API server does not start");
    transport = api.local_transport({.name = "bench", .groups = {"system:masters"}});
    client = std::make_unique<client::Client>(*transport);
    informers = std::make_unique<client::InformerSet>(env, *transport);
    events = client::make_event_recorder(env, *transport, "bench");
    controllers = std::make_unique<server::Controllers>(
        env, *client, *informers, *events,
        // Nobody renews the nodes' leases here.
        server::ControllersConfig{.cluster_cidr = "10.0.0.0/8",
                                  .root_ca_pem = "the CA",
                                  .disabled = {"node-lifecycle-controller"}});
    scheduler = std::make_unique<server::Scheduler>(env, *client, *informers, *events);
    corev1::Namespace ns;
    ns.metadata.name = "default";
    require(bool(client->create(ns)), "no namespace");
    informers->get<corev1::Pod>().add_handler(
        [this](const api::ObjectPtr& old, const api::ObjectPtr& now) { on_pod(old, now); });
    informers->get<discoveryv1::EndpointSlice>().add_handler(
        [this](const api::ObjectPtr& old, const api::ObjectPtr& now) {
          endpoints += ready(now) - ready(old);
        });
  }
  ~Cluster() {
    scheduler->stop();
    controllers->stop();
    informers->stop();
    events.reset();
    api.stop();
    pool->stop();
    store->stop();
  }
  static size_t ready(const api::ObjectPtr& slice) {
    if (!slice) return 0;
    const auto& all = static_cast<const discoveryv1::EndpointSlice&>(*slice).endpoints;
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [](const auto& endpoint) {
      return endpoint.conditions.ready.value_or(false);
    }));
  }
  void on_pod(const api::ObjectPtr& old, const api::ObjectPtr& now) {
    if (!now) return;
    const auto& pod = static_cast<const corev1::Pod&>(*now);
    const bool was = old && !static_cast<const corev1::Pod&>(*old).spec.nodeName.empty();
    if (was || pod.spec.nodeName.empty()) return;
    const size_t number = ++bound;
    if (!run_pods) return;
    kubelet->post([this, name = pod.metadata.name, number] { say_running(name, number); });
  }
  void say_running(const std::string& name, size_t number) {
    const std::string ip =
        fmt::format("10.{}.{}.{}", 1 + number / 40'000, number / 200 % 200, 2 + number % 200);
    tell(name, fmt::format(R"("phase":"Running","podIP":"{}","podIPs":[{{"ip":"{}"}}],)", ip, ip),
         true);
  }
  void say_unready(const std::string& name) { tell(name, "", false); }
  void tell(const std::string& name, const std::string& fields, bool ready) {
    auto told = client->patch<corev1::Pod>(
        "default", name, api::PatchType::kStrategic,
        fmt::format(R"({{"status":{{{}"conditions":[{{"type":"Ready","status":"{}",)"
                    R"("lastTransitionTime":"2024-01-01T00:00:00Z"}}]}}}})",
                    fields, ready ? "True" : "False"),
        "status");
    require(bool(told), told ? "" : told.error().message);
  }
  void start(size_t nodes) {
    for (size_t i = 0; i < nodes; ++i) {
      corev1::Node node;
      node.metadata.name = fmt::format("node-{}", i);
      node.metadata.labels = {{"kubernetes.io/hostname", node.metadata.name}};
      node.status.allocatable = {{"cpu", api::Quantity::of(16)},
                                 {"memory", api::Quantity::of_bytes(64LL << 30)},
                                 {"pods", api::Quantity::of(250)}};
      node.status.capacity = node.status.allocatable;
      auto& ready = node.status.conditions.emplace_back();
      ready.type = "Ready";
      ready.status = "True";
      require(bool(client->create(node)), "no node");
    }
    controllers->start();
    scheduler->start();
    informers->start_all();
    wait_until([&] { return informers->all_synced(); }, "filling the caches");
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  void deploy(const std::string& name, size_t replicas) {
    appsv1::Deployment deployment;
    deployment.metadata.name = name;
    deployment.metadata.namespace_ = "default";
    deployment.spec.replicas = static_cast<int32_t>(replicas);
    deployment.spec.selector.emplace().matchLabels = {{"app", name}};
    deployment.spec.template_.metadata.labels = {{"app", name}};
    auto& container = deployment.spec.template_.spec.containers.emplace_back();
    container.name = "c";
    container.image = "registry.k8s.io/pause:3.10";
    container.resources.requests = {{"cpu", api::Quantity::of_milli(10)}};
    require(bool(client->create(deployment)), "no deployment");
  }
};

void bench_deployment(size_t nodes, size_t replicas) {
  Cluster cluster;
  cluster.start(nodes);
  const auto begin = Steady::now();
  cluster.deploy("web", replicas);
  wait_until([&] { return cluster.bound >= replicas; }, "binding all pods");
  fmt::print("Deployment of {} created to all bound, {} nodes: {:.3f} s (goal 1 s)\n", replicas,
             nodes, seconds_since(begin));
  std::fflush(stdout);
}

void bench_endpoints(size_t nodes, size_t count) {
  Cluster cluster;
  cluster.run_pods = true;
  cluster.start(std::max(nodes, count / 200 + 1));
  corev1::Service service;
  service.metadata.name = "web";
  service.metadata.namespace_ = "default";
  service.spec.selector = {{"app", "web"}};
  service.spec.ports.emplace_back().port = 80;
  require(bool(cluster.client->create(service)), "no service");
  cluster.deploy("web", count);
  wait_until([&] { return cluster.endpoints == count; }, "filling the endpoints");
  const auto pods = cluster.informers->get<corev1::Pod>().list("default");
  std::vector<double> took;
  constexpr size_t kChanges = 20;
  for (size_t i = 0; i < kChanges; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const auto& pod = pods[i * pods.size() / kChanges];
    const auto begin = Steady::now();
    cluster.say_unready(pod->metadata.name);
    wait_until([&] { return cluster.endpoints == count - 1 - i; }, "taking out an endpoint");
    took.push_back(seconds_since(begin) * 1000);
  }
  std::sort(took.begin(), took.end());
  fmt::print(
      "One of {} endpoints changed, until the slices say so: p50 {:.1f} ms, max {:.1f} ms "
      "(goal 100 ms)\n",
      count, took[took.size() / 2], took.back());
  constexpr int kIdleSeconds = 20;
  std::this_thread::sleep_for(std::chrono::seconds(5));
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::seconds(kIdleSeconds));
  fmt::print("The same cluster at rest: {:.2f} % of a CPU\n",
             (cpu_seconds() - before) / kIdleSeconds * 100);
}

}  // namespace

int main(int argc, char** argv) {
  size_t nodes = 100, replicas = 1000, endpoints = 10'000;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const auto value = parse_int(argv[i + 1]);
    require(value && *value > 0, flag + " needs a number above 0");
    if (flag == "--nodes") {
      nodes = static_cast<size_t>(*value);
    } else if (flag == "--replicas") {
      replicas = static_cast<size_t>(*value);
    } else if (flag == "--endpoints") {
      endpoints = static_cast<size_t>(*value);
    } else {
      require(false, "unknown flag " + flag);
    }
  }
  log::set_level(log::Level::kError);
  bench_deployment(nodes, replicas);
  bench_endpoints(nodes, endpoints);
  return 0;
}
