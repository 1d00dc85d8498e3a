// What the scheduler remembers from cycle to cycle (classes of pods, counts by domain) changes how
// fast it answers, never what: a cycle with memory against one from scratch, over random clusters.
#include <set>

#include "server/scheduler/cache.h"
#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;

struct World {
  std::unique_ptr<Random> random;
  Cache cache;
  Snapshot kept;  // brought up to date in steps
  ClassCache classes;
  std::set<std::string> nodes;
  std::map<std::string, PodInfoPtr> placed;
  size_t start = 0;
  int serial = 0;

  explicit World(uint64_t seed) : random(seeded_random(seed)) {}
  int below(int bound) {
    return static_cast<int>(random_below(*random, static_cast<uint64_t>(bound)));
  }
  std::string color() { return std::vector<std::string>{"red", "green", "blue"}[below(3)]; }

  void put_node(const std::string& name) {
    NodeBuilder node(name, below(4) == 0 ? "1" : "2");
    if (below(8) != 0) node.zone("z" + std::to_string(below(4)));
    if (below(6) == 0) node.taint("dedicated", "x", below(2) ? "NoSchedule" : "PreferNoSchedule");
    if (below(4) == 0) node.label("disk", "ssd");
    node.node.spec.unschedulable = below(20) == 0;
    cache.put_node(std::make_shared<corev1::Node>(node.node));
    nodes.insert(name);
  }
  PodBuilder pod() {
    PodBuilder out("p" + std::to_string(serial++), below(5) ? "default" : "other");
    // Few kinds, so that classes are met again.
    static const std::vector<std::string> kCpu = {"100m", "500m", "1"};
    out.request("cpu", kCpu[static_cast<size_t>(below(3))]).label("color", color());
    const char* zone = "topology.kubernetes.io/zone";
    const char* host = "kubernetes.io/hostname";
    switch (below(9)) {
      case 0:
        out.near(zone, "color", color());
        break;
      case 1:
        out.away(host, "color", color());
        break;
      case 2:
        out.away(zone, "color", color());
        break;
      case 3:
        out.spread(1 + below(2), zone, "DoNotSchedule", "color", color());
        break;
      case 4:
        out.spread(2, host, "ScheduleAnyway", "color", color());
        out.spread(1, zone, "ScheduleAnyway", "color", color());
        break;
      case 5:
        out.prefer_near(1 + below(50), zone, "color", color());
        break;
      case 6:
        out.pod.spec.nodeSelector["disk"] = "ssd";
        break;
      case 7:
        out.host_port(8080 + below(2));
        out.tolerate("dedicated", "Exists", "", "");
        break;
      default:
        break;
    }
    if (below(10) == 0) out.priority(100);
    return out;
  }
  // The same cluster, made anew.
  Snapshot fresh() const {
    std::vector<NodeInfo> infos;
    for (const auto& node : kept.nodes) infos.push_back(*node);
    return Snapshot::of(std::move(infos));
  }
  void disturb() {
    const int what = below(12);
    if (what == 0 || nodes.size() < 10) {
      put_node("n" + std::to_string(below(60)));
    } else if (what == 1 && nodes.size() > 20) {
      auto at = std::next(nodes.begin(), below(static_cast<int>(nodes.size())));
      cache.remove_node(*at);
      nodes.erase(at);
    } else if (what < 5 && !placed.empty()) {
      auto at = std::next(placed.begin(), below(static_cast<int>(placed.size())));
      cache.remove_pod(at->first);
      placed.erase(at);
    } else if (what == 5 && !nodes.empty()) {
      put_node(*std::next(nodes.begin(), below(static_cast<int>(nodes.size()))));
    }
  }
};

std::vector<std::string> names(const std::vector<PodInfoPtr>& pods) {
  std::vector<std::string> out;
  for (const auto& pod : pods) out.push_back(pod->name());
  return out;
}

TEST_CASE("a cycle that remembers decides as one that begins from nothing") {
  size_t all_preempted = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    World world(seed);
    for (int i = 0; i < 45; ++i) world.put_node("n" + std::to_string(i));
    size_t placed = 0, refused = 0, preempted = 0;
    for (int step = 0; step < 250; ++step) {
      world.disturb();
      world.cache.update(world.kept);
      const PodBuilder builder = world.pod();
      const PodInfoPtr pod = builder.info();
      const Snapshot fresh = world.fresh();
      auto one = seeded_random(seed * 1000 + static_cast<uint64_t>(step));
      auto two = seeded_random(seed * 1000 + static_cast<uint64_t>(step));
      const Decision fast = schedule(default_framework(), world.kept, *pod, *one,
                                     {.start = world.start, .classes = &world.classes});
      const Decision plain =
          schedule(default_framework(), fresh, *pod, *two, {.start = world.start});
      INFO("seed " << seed << ", step " << step);
      REQUIRE(fast.node == plain.node);
      REQUIRE(fast.status.code == plain.status.code);
      REQUIRE(fast.status.message() == plain.status.message());
      REQUIRE(fast.nominated_node == plain.nominated_node);
      REQUIRE(names(fast.victims) == names(plain.victims));
      REQUIRE(fast.rejected_by == plain.rejected_by);
      REQUIRE(fast.evaluated == plain.evaluated);
      world.start = (world.start + fast.evaluated) % world.kept.nodes.size();
      if (fast.status.ok()) {
        ++placed;
        world.cache.assume(pod, fast.node);
        world.placed[pod->uid()] = pod;
        // Most are confirmed by a later version, as the API brings it.
        if (world.below(3)) {
          PodBuilder seen = builder;
          world.cache.put_pod(seen.on(fast.node).info());
        }
      } else {
        ++refused;
        preempted += fast.victims.empty() ? 0 : 1;
        if (!fast.victims.empty() && world.below(2)) {
          world.cache.nominate(pod, fast.nominated_node);
        }
      }
    }
    CHECK(placed > 50);
    CHECK(refused > 10);
    all_preempted += preempted;
  }
  CHECK(all_preempted > 10);
}

TEST_CASE("counts by domain follow nodes that come, go and change their labels") {
  World world(7);
  world.cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("a").zone("x").node));
  world.cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("b").zone("y").node));
  PodBuilder web = PodBuilder("web").label("app", "web");
  world.cache.put_pod(web.on("a").info());
  const PodBuilder wants =
      PodBuilder("p").label("app", "web").away("topology.kubernetes.io/zone", "app", "web");
  auto chosen = [&] {
    world.cache.update(world.kept);
    return feasible(world.kept, wants);
  };
  CHECK(chosen() == Names{"b"});
  // The node of `web` moves to the other zone.
  world.cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("a").zone("y").node));
  CHECK(chosen().empty());
  world.cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("c").zone("x").node));
  CHECK(chosen() == Names{"c"});
  // Gone with its node, and with it what it forbade.
  world.cache.remove_node("a");
  CHECK(chosen() == Names{"c", "b"});
  world.cache.remove_pod("uid-web");
  world.cache.put_node(std::make_shared<corev1::Node>(NodeBuilder("a").zone("x").node));
  CHECK(chosen().size() == 3);
}

}  // namespace
}  // namespace orch::server::scheduler
