// Thresholds, pressure, ranking, limits and messages of eviction.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/eviction/disk_usage.h"
#include "agent/eviction/eviction_plan.h"
#include "agent/eviction/pod_use.h"
#include "agent/pod/admission.h"
#include "unit/agent/pod_support.h"

namespace orch::agent {
namespace {

using namespace orch::agent::test;

constexpr int64_t kMi = 1024 * 1024;
constexpr MonoTime kT0{std::chrono::hours{1}};

EvictionConfig config_of(EvictionFlags flags) {
  auto config = parse_eviction(flags);
  if (!config) FAIL(config.error());
  return *config;
}

std::string refused(EvictionFlags flags) {
  auto config = parse_eviction(flags);
  return config ? "" : config.error();
}

TEST_CASE("eviction flags: the defaults are the kubelet's") {
  const auto config = config_of({});
  REQUIRE(config.thresholds.size() == 5);
  CHECK(config.hard(Signal::kMemoryAvailable)->of(0).str() == "100Mi");
  CHECK(config.hard(Signal::kNodefsAvailable)->of(1000).value() == 100);
  CHECK(config.hard(Signal::kImagefsAvailable)->of(1000).value() == 150);
  CHECK(config.hard(Signal::kNodefsInodesFree)->of(1000).value() == 50);
  CHECK(config.hard(Signal::kPidAvailable) == nullptr);
  CHECK(config.transition_period == Seconds{300});
}

TEST_CASE("eviction flags: soft ones take their grace, reclaim is added to both") {
  const auto config = config_of({.hard = {"pid.available<10%"},
                                 .soft = {"memory.available<1Gi"},
                                 .soft_grace_period = {"memory.available=1m30s"},
                                 .minimum_reclaim = {"memory.available=500Mi"},
                                 .transition_period = "30s",
                                 .max_pod_grace_period = "60"});
  REQUIRE(config.thresholds.size() == 2);
  CHECK(config.thresholds[0].hard());
  CHECK(config.thresholds[1].grace == Seconds{90});
  CHECK(config.thresholds[1].minimum_reclaim->of(0).str() == "500Mi");
  CHECK(config.transition_period == Seconds{30});
  CHECK(config.max_pod_grace_seconds == 60);
  CHECK(config_of({.hard = {"memory.available<0%", "nodefs.available<100%"}}).thresholds.empty());
}

TEST_CASE("eviction flags: what is wrong is named") {
  CHECK(refused({.hard = {"memory.available=1Gi"}}) ==
        "--eviction-hard: malformed pair, expect string<string");
  CHECK(refused({.hard = {"mem<1Gi"}}) == "--eviction-hard: unsupported eviction signal mem");
  CHECK(refused({.hard = {"memory.available<0"}}) ==
        "--eviction-hard: eviction threshold memory.available must be positive: 0");
  CHECK(refused({.hard = {"memory.available<-5%"}}) ==
        "--eviction-hard: eviction percentage threshold memory.available must be >= 0%: -5%");
  CHECK(refused({.hard = {"memory.available<110%"}}) ==
        "--eviction-hard: eviction percentage threshold memory.available must be <= 100%: 110%");
  for (const char* bad : {"memory.available<x%", "memory.available<nan%", "memory.available<%"}) {
    CHECK(refused({.hard = {bad}}).starts_with("--eviction-hard: strconv."));
  }
  CHECK(refused({.hard = {"memory.available<x"}}).starts_with("--eviction-hard: quantities must"));
  CHECK(refused({.soft = {"memory.available<1Gi"}}) ==
        "--eviction-soft: grace period must be specified for the soft eviction threshold "
        "memory.available");
  CHECK(refused({.soft_grace_period = {"memory.available=-1s"}}) ==
        "--eviction-soft-grace-period: invalid eviction grace period specified: -1s, must be a "
        "positive value");
  CHECK(refused({.minimum_reclaim = {"memory.available=-1Mi"}}) ==
        "--eviction-minimum-reclaim: negative eviction minimum reclaim specified for "
        "memory.available");
  CHECK(refused({.minimum_reclaim = {"memory.available=0%"}}) ==
        "--eviction-minimum-reclaim: eviction percentage minimum reclaim memory.available must be "
        "positive: 0%");
  CHECK(refused({.max_pod_grace_period = "soon"}).starts_with("--eviction-max-pod-grace-period"));
  CHECK_FALSE(refused({.transition_period = "5"}).empty());
}

Observations memory(int64_t mebibytes) {
  return {{Signal::kMemoryAvailable, {mebibytes * kMi, 1000 * kMi}}};
}

TEST_CASE("eviction: a hard threshold acts at once; the condition stays for the period") {
  const auto config = config_of({});
  PressureState state;
  auto j = judge(config, memory(100), kT0, state);
  CHECK_FALSE(j.pressure.any());
  CHECK(j.act_on.empty());
  j = judge(config, memory(99), kT0, state);
  CHECK(j.pressure == Pressure{.memory = true});
  REQUIRE(j.act_on.size() == 1);
  CHECK(config.thresholds[j.act_on[0]].signal == Signal::kMemoryAvailable);
  j = judge(config, memory(500), kT0 + Seconds{10}, state);
  CHECK(j.pressure.memory);
  CHECK(j.act_on.empty());
  j = judge(config, memory(500), kT0 + Seconds{299}, state);
  CHECK(j.pressure.memory);
  j = judge(config, memory(500), kT0 + Seconds{300}, state);
  CHECK_FALSE(j.pressure.memory);
}

TEST_CASE("eviction: a soft threshold acts after its grace, begun anew when it was left") {
  const auto config = config_of({.hard = {"pid.available<1%"},
                                 .soft = {"memory.available<200Mi"},
                                 .soft_grace_period = {"memory.available=60s"}});
  PressureState state;
  auto j = judge(config, memory(150), kT0, state);
  CHECK(j.pressure.memory);
  CHECK(j.act_on.empty());
  j = judge(config, memory(300), kT0 + Seconds{50}, state);
  j = judge(config, memory(150), kT0 + Seconds{55}, state);
  j = judge(config, memory(150), kT0 + Seconds{70}, state);
  CHECK(j.act_on.empty());
  j = judge(config, memory(150), kT0 + Seconds{115}, state);
  CHECK(j.act_on.size() == 1);
}

TEST_CASE("eviction: a met threshold holds until its minimum is reclaimed") {
  const auto config = config_of({.minimum_reclaim = {"memory.available=50Mi"}});
  PressureState state;
  judge(config, memory(99), kT0, state);
  CHECK(judge(config, memory(149), kT0 + Seconds{10}, state).act_on.size() == 1);
  CHECK(still_met(config, state.met, memory(149)));
  CHECK_FALSE(still_met(config, state.met, memory(150)));
  CHECK(judge(config, memory(150), kT0 + Seconds{20}, state).act_on.empty());
  CHECK(judge(config, memory(149), kT0 + Seconds{30}, state).act_on.empty());
}

TEST_CASE("eviction: memory comes before disk; either disk is disk pressure") {
  const auto config = config_of({});
  PressureState state;
  Observations seen = memory(10);
  seen[Signal::kImagefsAvailable] = {14, 100};
  seen[Signal::kNodefsAvailable] = {14, 100};
  auto j = judge(config, seen, kT0, state);
  REQUIRE(j.act_on.size() == 2);
  CHECK(config.thresholds[j.act_on[0]].signal == Signal::kMemoryAvailable);
  CHECK(config.thresholds[j.act_on[1]].signal == Signal::kImagefsAvailable);
  CHECK(j.pressure == Pressure{.memory = true, .disk = true});
}

struct Use {
  PodUse use;
  Use(std::string name, const std::string& spec) {
    auto pod = std::make_shared<corev1::Pod>(pod_of(spec));
    REQUIRE_FALSE(pod->metadata.uid.empty());
    pod->metadata.name = std::move(name);
    use.pod = pod;
  }
};

std::string ranked(Signal signal, bool own_image_fs, const std::vector<const PodUse*>& uses) {
  auto pods = uses;
  rank_for(signal, own_image_fs, pods);
  std::string out;
  for (const auto* p : pods) out += p->pod->metadata.name + " ";
  return out;
}

TEST_CASE("eviction: memory ranks by request exceeded, priority, then use over request") {
  Use within("within",
             R"({"containers":[{"name":"a","resources":{"requests":{"memory":"1Gi"}}}]})");
  Use small("small", R"({"containers":[{"name":"a"}]})");
  Use big("big", R"({"containers":[{"name":"a"}]})");
  Use vip("vip", R"({"priority":100,"containers":[{"name":"a"}]})");
  within.use.memory_bytes = 900 * kMi;
  small.use.memory_bytes = 10 * kMi;
  big.use.memory_bytes = 100 * kMi;
  vip.use.memory_bytes = 800 * kMi;
  CHECK(ranked(Signal::kMemoryAvailable, false, {&within.use, &small.use, &vip.use, &big.use}) ==
        "big small vip within ");
}

TEST_CASE("eviction: disk counts layers, logs, volumes; with a disk for images, apart") {
  Use layers("layers", R"({"containers":[{"name":"a"}]})");
  Use volumes("volumes", R"({"containers":[{"name":"a"}]})");
  layers.use.containers.push_back({"a", 0, {100, 1}, {1, 1}});
  volumes.use.volumes["v"] = {60, 500};
  volumes.use.own_files = {1, 1};
  const std::vector<const PodUse*> both{&volumes.use, &layers.use};
  CHECK(ranked(Signal::kNodefsAvailable, false, both) == "layers volumes ");
  CHECK(ranked(Signal::kNodefsAvailable, true, both) == "volumes layers ");
  CHECK(ranked(Signal::kImagefsAvailable, true, both) == "layers volumes ");
  CHECK(ranked(Signal::kNodefsInodesFree, false, both) == "volumes layers ");
  layers.use.processes = 5;
  volumes.use.processes = 6;
  CHECK(ranked(Signal::kPidAvailable, false, both) == "volumes layers ");
}

TEST_CASE("eviction: the message names threshold and containers over their requests") {
  const auto config = config_of({.hard = {"memory.available<100Mi"}});
  Use u("web", R"({"containers":[
      {"name":"big"},{"name":"fits","resources":{"requests":{"memory":"1Gi"}}}]})");
  u.use.containers = {{"big", 20 * kMi, {}, {}}, {"fits", 30 * kMi, {}, {}}};
  CHECK(eviction_message(Signal::kMemoryAvailable, u.use, config, {0}, memory(80)) ==
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
        "Container big was using 20Mi, request is 0, has larger consumption of memory. ");
  u.use.containers = {{"big", 0, {3072, 1}, {1024, 1}}};
  CHECK(eviction_message(Signal::kNodefsAvailable, u.use, config, {}, {}) ==
        "The node was low on resource: ephemeral-storage. Container big was using 4Ki, request is "
        "0, has larger consumption of ephemeral-storage. ");
}

TEST_CASE("eviction: limits of local storage") {
  Use dir("dir", R"({"containers":[{"name":"a"}],"volumes":[
      {"name":"v","emptyDir":{"sizeLimit":"1Mi"}},{"name":"m","emptyDir":{"medium":"Memory",
      "sizeLimit":"1Mi"}}]})");
  CHECK(has_storage_limit(*dir.use.pod));
  CHECK_FALSE(has_container_storage_limit(*dir.use.pod));
  dir.use.volumes["v"] = {static_cast<uint64_t>(kMi), 3};
  dir.use.volumes["m"] = {static_cast<uint64_t>(kMi) * 2, 3};
  CHECK_FALSE(over_storage_limit(dir.use, false));
  dir.use.volumes["v"].bytes += 1;
  REQUIRE(over_storage_limit(dir.use, false));
  CHECK(over_storage_limit(dir.use, false)->message ==
        "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ");

  Use limited("limited", R"({"containers":[
      {"name":"a","resources":{"limits":{"ephemeral-storage":"1Mi"}}},
      {"name":"b","resources":{"limits":{"ephemeral-storage":"2Mi"}}}]})");
  CHECK(has_container_storage_limit(*limited.use.pod));
  limited.use.containers = {{"a", 0, {static_cast<uint64_t>(kMi), 1}, {512, 1}}, {"b", 0, {}, {}}};
  CHECK(over_storage_limit(limited.use, false)->message ==
        "Container a exceeded its local ephemeral storage limit \"1Mi\". ");
  CHECK_FALSE(over_storage_limit(limited.use, true));
  // /etc/hosts and termination messages are the pod's too.
  limited.use.own_files = {static_cast<uint64_t>(kMi) * 2, 1};
  CHECK(over_storage_limit(limited.use, false)->message ==
        "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. ");
  Use none("none", R"({"containers":[{"name":"a"}],"volumes":[{"name":"v","emptyDir":{}}]})");
  CHECK_FALSE(has_storage_limit(*none.use.pod));
}

TEST_CASE("eviction: who is admitted under pressure") {
  const auto refusal = [](const std::string& spec, Pressure pressure) {
    const auto no = check_pressure(pod_of(spec), pressure);
    return no ? no->reason + ": " + no->message : std::string();
  };
  const std::string best_effort = R"({"containers":[{"name":"a"}]})";
  const std::string burstable =
      R"({"containers":[{"name":"a","resources":{"requests":{"cpu":"1m"}}}]})";
  const std::string tolerant =
      R"({"tolerations":[{"key":"node.kubernetes.io/memory-pressure","operator":"Exists"}],
          "containers":[{"name":"a"}]})";
  const std::string critical = R"({"priority":2000000000,"containers":[{"name":"a"}]})";
  const Pressure memory{.memory = true}, disk{.disk = true}, both{.memory = true, .disk = true};
  CHECK(refusal(best_effort, {}).empty());
  CHECK(refusal(best_effort, memory) == "Evicted: The node had condition: [MemoryPressure]. ");
  CHECK(refusal(burstable, memory).empty());
  CHECK(refusal(tolerant, memory).empty());
  CHECK(refusal(burstable, disk) == "Evicted: The node had condition: [DiskPressure]. ");
  CHECK(refusal(tolerant, both) ==
        "Evicted: The node had condition: [MemoryPressure DiskPressure]. ");
  CHECK(refusal(burstable, {.pid = true}) == "Evicted: The node had condition: [PIDPressure]. ");
  CHECK(refusal(critical, both).empty());
  // What anybody may write on a pod makes it no more important.
  auto mirror = pod_of(best_effort);
  mirror.metadata.annotations["kubernetes.io/config.mirror"] = "x";
  mirror.metadata.annotations["scheduler.alpha.kubernetes.io/critical-pod"] = "";
  CHECK(check_pressure(mirror, both));
  CHECK_FALSE(is_critical(mirror));
}

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/orch-du.XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() {
    std::error_code ec;
    std::filesystem::remove_all(path, ec);
  }
};

TEST_CASE("disk usage: blocks of files and folders; links neither followed nor counted twice") {
  Folder folder;
  const std::atomic<bool> stop{false};
  const uint64_t empty = disk_usage(folder.path, stop).bytes;
  std::ofstream(folder.path + "/a") << std::string(100'000, 'x');
  ::link((folder.path + "/a").c_str(), (folder.path + "/b").c_str());
  ::symlink("/usr", (folder.path + "/usr").c_str());
  std::filesystem::create_directories(folder.path + "/d/e");
  std::ofstream(folder.path + "/d/e/f") << std::string(50'000, 'x');
  // A hole takes nothing.
  std::ofstream(folder.path + "/hole") << "";
  REQUIRE(::truncate((folder.path + "/hole").c_str(), 1 << 30) == 0);
  const DiskUse use = disk_usage(folder.path, stop);
  CHECK(use.bytes - empty >= 150'000);
  CHECK(use.bytes - empty < 200'000);
  CHECK(use.inodes == 7);  // itself, a, usr, d, e, f, hole
  CHECK(disk_usage(folder.path + "/none", stop).inodes == 0);
  for (int i = 0; i < 3000; ++i) std::ofstream(folder.path + "/d/" + std::to_string(i));
  CHECK(disk_usage(folder.path, stop).inodes == 3007);
  const auto cut = disk_usage(folder.path, stop, Millis{0}).inodes;
  CHECK(cut >= 1000);
  CHECK(cut < 3007);
  CHECK(disk_usage(folder.path, std::atomic<bool>{true}).inodes <= 7);
}

TEST_CASE("disk usage: a tree deeper than any path can be named is counted to its end") {
  Folder folder;
  const std::atomic<bool> stop{false};
  const std::string name(200, 'd');
  constexpr int kDepth = 100;
  int fd = ::open(folder.path.c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE(::mkdirat(fd, name.c_str(), 0755) == 0);
    const int next = ::openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY);
    REQUIRE(next >= 0);
    ::close(fd);
    fd = next;
  }
  ::close(fd);
  CHECK(disk_usage(folder.path, stop).inodes == kDepth + 1);
}

}  // namespace
}  // namespace orch::agent
