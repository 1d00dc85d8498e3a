// Pods a second of the real scheduler with the real API server in process and hollow Nodes:
// workloads after Kubernetes' scheduler_perf. The clock runs from the first create until the last
// measured Pod is seen bound, so making the Pods counts too; latency is from a create to the watch
// event of its binding. "CPU us" is all CPU time of the process a measured Pod, its preparations
// included: unlike the rate it means something on a busy machine too.
//   bench_scheduler [--nodes N] [--pods N] [--only NAME] [--repeat N] [--sqlite DIR] [--counts yes]
// --counts: what the scheduler counted from the first measured Pod on: attempts, moves in its
// queue.
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "orch/api/corev1.h"
#include "orch/base/metrics.h"
#include "orch/storage/kv_store.h"
#include "server/api/api_server.h"
#include "server/scheduler/scheduler.h"

using namespace orch;
using namespace orch::server;
namespace corev1 = api::corev1;
namespace metav1 = api::metav1;

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{120};  // without a new binding: the workload failed

struct Workload {
  const char* name;
  const char* before;    // kind of the Pods there at the beginning, "" = none
  double before_a_node;  // how many of them a node
  const char* measured;  // kind of the Pods measured
  size_t pods;
  const char* churn;  // kind of what comes meanwhile every churn_every: a Pod, or "mixed"
  std::chrono::milliseconds churn_every;
  int floor;  // of upstream's CI at 5,000 nodes, pods/s
  int goal;
};
constexpr std::chrono::milliseconds kNever{0};
constexpr Workload kWorkloads[] = {
    {"SchedulingBasic", "basic", 0.2, "basic", 10'000, "", kNever, 680, 10'000},
    {"SchedulingPodAffinity", "affinity", 0.2, "affinity", 5'000, "", kNever, 35, 3'000},
    {"SchedulingPodAntiAffinity", "anti", 0.2, "anti", 2'000, "", kNever, 60, 3'000},
    {"TopologySpreading", "basic", 1, "spread", 5'000, "", kNever, 460, 3'000},
    {"PreemptionBasic", "low", 4, "high", 5'000, "", kNever, 0, 2'000},
    {"PreemptionGraceful", "slow", 4, "high", 5'000, "", kNever, 0, 0},
    {"PreemptionAsync", "low", 4, "basic", 5'000, "high", Millis{200}, 570, 2'000},
    {"Unschedulable", "", 0, "basic", 10'000, "huge", Millis{200}, 590, 5'000},
    {"MixedSchedulingBasePod", "mixed", 1, "basic", 5'000, "mixed", Millis{1000}, 710, 5'000},
    // 30 Pods a Node of 5,000, for the memory of everything in one process (column "RSS now").
    {"Memory", "", 0, "basic", 150'000, "", kNever, 0, 0},
};

void require(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "bench_scheduler: %s\n", what.c_str());
  std::exit(1);
}

corev1::Node make_node(size_t i) {
  corev1::Node node;
  node.metadata.name = "node-" + std::to_string(i);
  node.metadata.labels = {{"kubernetes.io/hostname", node.metadata.name},
                          {"topology.kubernetes.io/zone", "zone-" + std::to_string(i % 3)},
                          {"region", "one"}};
  node.status.allocatable = {{"cpu", api::Quantity::of(4)},
                             {"memory", api::Quantity::of_bytes(32LL << 30)},
                             {"pods", api::Quantity::of(110)}};
  node.status.capacity = node.status.allocatable;
  return node;
}

corev1::PodAffinityTerm near_color(const char* color, const char* key) {
  corev1::PodAffinityTerm term;
  term.labelSelector.emplace();
  term.labelSelector->matchLabels["color"] = color;
  term.topologyKey = key;
  return term;
}

corev1::Pod make_pod(const std::string& kind, const std::string& name) {
  corev1::Pod pod;
  pod.metadata.name = name;
  pod.metadata.namespace_ = "default";
  auto& container = pod.spec.containers.emplace_back();
  container.name = "pause";
  container.image = "registry.k8s.io/pause:3.10";
  int64_t cpu = 100;
  int64_t memory = 500LL << 20;
  if (kind == "affinity") {
    pod.metadata.labels["color"] = "blue";
    pod.spec.affinity.emplace().podAffinity.emplace();
    pod.spec.affinity->podAffinity->requiredDuringSchedulingIgnoredDuringExecution = {
        near_color("blue", "region")};
  } else if (kind == "anti") {
    pod.metadata.labels["color"] = "green";
    pod.spec.affinity.emplace().podAntiAffinity.emplace();
    pod.spec.affinity->podAntiAffinity->requiredDuringSchedulingIgnoredDuringExecution = {
        near_color("green", "kubernetes.io/hostname")};
  } else if (kind == "spread") {
    pod.metadata.labels["color"] = "blue";
    auto& constraint = pod.spec.topologySpreadConstraints.emplace_back();
    constraint.maxSkew = 5;
    constraint.topologyKey = "topology.kubernetes.io/zone";
    constraint.whenUnsatisfiable = "DoNotSchedule";
    constraint.labelSelector.emplace();
    constraint.labelSelector->matchLabels["color"] = "blue";
  } else if (kind == "low") {
    cpu = 900;
    pod.spec.terminationGracePeriodSeconds = 0;
  } else if (kind == "slow") {
    cpu = 900;  // and a node's agent has to end it
  } else if (kind == "high") {
    cpu = 3000;
    pod.spec.priority = 10;
  } else if (kind == "huge") {
    cpu = 9000;
  }
  container.resources.requests = {{"cpu", api::Quantity::of_milli(cpu)},
                                  {"memory", api::Quantity::of_bytes(memory)}};
  return pod;
}

// The first Pods of a mixed cluster take turns.
std::string kind_of(const std::string& kind, size_t i) {
  if (kind != "mixed") return kind;
  constexpr const char* kTurns[] = {"basic", "affinity", "basic", "anti", "spread"};
  return kTurns[i % std::size(kTurns)];
}

class Cluster {
 public:
  explicit Cluster(const std::string& sqlite_dir) {
    if (sqlite_dir.empty()) {
      store = storage::make_memory_store(env);
    } else {
      dir = sqlite_dir + "/scheduler-bench-" + std::to_string(::getpid());
      std::filesystem::remove_all(dir);
      std::filesystem::create_directories(dir);
      storage::StoreOptions options;
      options.path = dir;
      auto opened = storage::open_sqlite_store(env, options);
      require(bool(opened), "the store does not open");
      store = std::move(opened).value();
    }
    server = std::make_unique<ApiServer>(env, *store, ApiServerConfig{});
    require(bool(server->start()), "the API server does not start");
    transport = server->local_transport({.name = "bench", .groups = {"system:masters"}});
    client = std::make_unique<client::Client>(*transport);
    informers = std::make_unique<client::InformerSet>(env, *transport);
    events = client::make_event_recorder(env, *transport, "default-scheduler");
    scheduler = std::make_unique<scheduler::Scheduler>(env, *client, *informers, *events);
    corev1::Namespace ns;
    ns.metadata.name = "default";
    require(bool(client->create(ns)), "no namespace");
    informers->get<corev1::Pod>().add_handler(
        [this](const api::ObjectPtr& old, const api::ObjectPtr& now) { on_pod(old, now); });
  }
  ~Cluster() {
    scheduler->stop();
    informers->stop();
    events.reset();
    server->stop();
    pool->stop();
    store->stop();
    if (!dir.empty()) std::filesystem::remove_all(dir);
  }
  void start() {
    scheduler->start();
    informers->start_all();
  }
  // Creates `count` Pods and waits for all to be bound; seconds, < 0 = they do not get there.
  double run(const std::string& kind, size_t count, const std::string& prefix) {
    {
      std::lock_guard lock(mutex);
      wanted = prefix;
      bound_at.assign(count, {});
      bound = 0;
    }
    created_at.assign(count, {});
    const auto begin = Clock::now();
    for (size_t i = 0; i < count; ++i) {
      created_at[i] = Clock::now();
      auto made = client->create(make_pod(kind_of(kind, i), prefix + std::to_string(i)));
      require(bool(made), made ? "" : made.error().message);
    }
    std::unique_lock lock(mutex);
    for (size_t seen = bound; bound < count; seen = bound) {
      const bool moved = changed.wait_for(lock, kPatience, [&] { return bound != seen; });
      if (!moved) return -1;
    }
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
  std::vector<double> latencies() const {
    std::vector<double> out;
    for (size_t i = 0; i < bound_at.size(); ++i) {
      out.push_back(std::chrono::duration<double, std::milli>(bound_at[i] - created_at[i]).count());
    }
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  void on_pod(const api::ObjectPtr& old, const api::ObjectPtr& now) {
    if (!now) return;
    const auto& pod = static_cast<const corev1::Pod&>(*now);
    if (pod.metadata.deletionTimestamp) {
      // The node's agent would end it at once.
      if (old && !old->metadata.deletionTimestamp) remove(pod.metadata.name);
      return;
    }
    if (pod.spec.nodeName.empty()) return;
    std::lock_guard lock(mutex);
    if (wanted.empty() || !pod.metadata.name.starts_with(wanted)) return;
    const size_t i = std::strtoul(pod.metadata.name.c_str() + wanted.size(), nullptr, 10);
    if (i >= bound_at.size() || bound_at[i] != Clock::time_point{}) return;
    bound_at[i] = Clock::now();
    ++bound;
    changed.notify_all();
  }
  void remove(const std::string& name) {
    reaper->post([this, name] {
      client::DeleteOptions now;
      now.grace_period_seconds = 0;
      (void)client->remove<corev1::Pod>("default", name, now);
    });
  }

 public:
  std::string dir;
  std::unique_ptr<ThreadPoolExecutor> pool = ThreadPoolExecutor::create(4);
  Env env{system_clock(), *pool, system_random(), no_faults()};
  std::unique_ptr<storage::KvStore> store;
  std::unique_ptr<ApiServer> server;
  std::unique_ptr<client::Transport> transport;
  std::unique_ptr<client::Client> client;
  std::shared_ptr<Strand> reaper = pool->make_strand("bench/agent");
  std::unique_ptr<client::InformerSet> informers;
  std::unique_ptr<client::EventRecorder> events;
  std::unique_ptr<scheduler::Scheduler> scheduler;

  std::mutex mutex;
  std::condition_variable changed;
  std::string wanted;
  std::vector<Clock::time_point> created_at, bound_at;
  size_t bound = 0;
};

// Something new every now and then, beside what is measured.
class Churn {
 public:
  Churn(Cluster& cluster, const Workload& load) {
    if (!*load.churn) return;
    thread_ = std::thread([&cluster, load, this] {
      for (size_t i = 0; !stop_; ++i) {
        const std::string name = "churn-" + std::to_string(i);
        const bool mixed = load.churn == std::string("mixed");
        (void)cluster.client->create(make_pod(mixed ? "high" : load.churn, name));
        if (mixed) {
          auto node = make_node(1'000'000 + i);
          (void)cluster.client->create(node);
          std::this_thread::sleep_for(load.churn_every);
          (void)cluster.client->remove<corev1::Pod>("default", name);
          (void)cluster.client->remove<corev1::Node>("", node.metadata.name);
        } else {
          std::this_thread::sleep_for(load.churn_every);
        }
      }
    });
  }
  ~Churn() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

struct Measure {
  double rate = 0, p50 = 0, p99 = 0;
  size_t resident = 0;  // MiB at the end, what is free given back
};

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

size_t resident_mib() {
  malloc_trim(0);
  size_t total = 0, resident = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%zu %zu", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE)) >> 20;
}

// What the scheduler counts, by the line's name with its labels; totals only.
std::map<std::string, double> counts() {
  std::map<std::string, double> out;
  std::istringstream text(metrics::render());
  for (std::string line; std::getline(text, line);) {
    const auto space = line.rfind(' ');
    const std::string name = line.substr(0, line.find_first_of("{ "));
    if (!line.starts_with("scheduler_") || space == std::string::npos) continue;
    if (name.ends_with("_total") || name.ends_with("_sum") || name.ends_with("_count")) {
      out[line.substr(0, space)] = std::strtod(line.c_str() + space, nullptr);
    }
  }
  return out;
}

void print_counts(const std::map<std::string, double>& since) {
  for (const auto& [name, value] : counts()) {
    auto before = since.find(name);
    const double more = value - (before == since.end() ? 0 : before->second);
    if (more > 0) std::printf("  %-110s %12.2f\n", name.c_str(), more);
  }
}

Measure measure(const Workload& load, size_t nodes, size_t pods, const std::string& sqlite,
                bool count) {
  Cluster cluster(sqlite);
  for (size_t i = 0; i < nodes; ++i) require(bool(cluster.client->create(make_node(i))), "no node");
  cluster.start();
  const auto before = static_cast<size_t>(static_cast<double>(nodes) * load.before_a_node);
  if (before > 0 && cluster.run(load.before, before, "before-") < 0) return {};
  const auto at_begin = count ? counts() : std::map<std::string, double>{};
  Churn churn(cluster, load);
  const double seconds = cluster.run(load.measured, pods, "measured-");
  if (count) print_counts(at_begin);
  if (seconds < 0) return {};
  const auto times = cluster.latencies();
  return {static_cast<double>(pods) / seconds, times[times.size() / 2],
          times[times.size() * 99 / 100], resident_mib()};
}

}  // namespace

int main(int argc, char** argv) {
  size_t nodes = 5'000, pods = 0;
  int repeat = 1;
  std::string only, sqlite;
  bool with_counts = false;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    require(i + 1 < argc, flag + " needs a value");
    const char* value = argv[i + 1];
    if (flag == "--nodes") {
      nodes = std::strtoul(value, nullptr, 10);
    } else if (flag == "--pods") {
      pods = std::strtoul(value, nullptr, 10);
    } else if (flag == "--repeat") {
      repeat = std::atoi(value);
    } else if (flag == "--only") {
      only = value;
    } else if (flag == "--counts") {
      with_counts = value == std::string("yes");
    } else if (flag == "--sqlite") {
      sqlite = value;
    } else {
      require(false, "unknown flag " + flag);
    }
  }
  require(nodes > 0, "--nodes must be at least 1");
  std::printf("%zu nodes, %s store, best of %d\n", nodes, sqlite.empty() ? "memory" : "SQLite",
              repeat);
  std::printf("%-26s %7s %8s %9s %9s %8s %8s %8s %8s %8s\n", "workload", "pods", "pods/s", "p50 ms",
              "p99 ms", "CPU us", "RSS now", "RSS max", "upstream", "goal");
  for (const auto& load : kWorkloads) {
    if (!only.empty() && only != load.name) continue;
    const size_t count = pods > 0 ? pods : load.pods;
    Measure best;
    const double cpu_before = cpu_seconds();
    for (int i = 0; i < repeat; ++i) {
      const Measure one = measure(load, nodes, count, sqlite, with_counts);
      if (one.rate > best.rate) best = one;
    }
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    const double cpu = (cpu_seconds() - cpu_before) / repeat / static_cast<double>(count);
    std::printf("%-26s %7zu %8.0f %9.1f %9.1f %8.0f %8zu %8ld %8d %8d%s\n", load.name, count,
                best.rate, best.p50, best.p99, cpu * 1e6, best.resident, use.ru_maxrss / 1024,
                load.floor, load.goal, best.rate > 0 ? "" : "  NOT ALL BOUND");
    std::fflush(stdout);
  }
  return 0;
}
