#include <catch2/catch.hpp>

#include "orch/api/node_match.h"
#include "server/controllers/node_lifecycle.h"

namespace orch::server {
namespace {

using api::corev1::Node;
using api::corev1::Pod;
using api::corev1::Taint;
using api::corev1::Toleration;

const WallTime kNow{Seconds{1'700'000'000}};

Node node(const std::string& ready) {
  Node out;
  out.metadata.name = "n1";
  out.metadata.creationTimestamp = kNow - Seconds{500};
  if (ready.empty()) return out;
  for (const char* type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
    auto& c = out.status.conditions.emplace_back();
    c.type = type;
    c.status = std::string(type) == "Ready" ? ready : "False";
    c.reason = "KubeletReady";
  }
  return out;
}

std::vector<std::string> taints_of(const Node& node) {
  std::vector<std::string> out;
  for (const auto& taint : plan_taints(node, kNow)) {
    out.push_back(taint.key.substr(taint.key.find('/') + 1) + ":" + taint.effect);
  }
  return out;
}
using Texts = std::vector<std::string>;

Toleration toleration(const std::string& key, const std::string& op, const std::string& effect,
                      std::optional<int64_t> seconds = {}, const std::string& value = "") {
  Toleration out;
  out.key = key;
  out.operator_ = op;
  out.effect = effect;
  out.value = value;
  out.tolerationSeconds = seconds;
  return out;
}

TEST_CASE("node taints follow the conditions") {
  CHECK(taints_of(node("True")).empty());
  CHECK(taints_of(node("False")) == Texts{"not-ready:NoSchedule", "not-ready:NoExecute"});
  CHECK(taints_of(node("Unknown")) == Texts{"unreachable:NoSchedule", "unreachable:NoExecute"});
  CHECK(taints_of(node("")) == Texts{"not-ready:NoSchedule"});
  Node pressed = node("True");
  pressed.status.conditions[1].status = "True";
  pressed.status.conditions[2].status = "True";
  pressed.spec.unschedulable = true;
  CHECK(taints_of(pressed) == Texts{"memory-pressure:NoSchedule", "disk-pressure:NoSchedule",
                                    "unschedulable:NoSchedule"});
}

TEST_CASE("node taints: foreign ones stay, own ones go, times are kept") {
  Node out = node("False");
  out.spec.taints.emplace_back().key = "example.com/mine";
  out.spec.taints[0].effect = "NoExecute";
  out.spec.taints = plan_taints(out, kNow);
  const auto later = plan_taints(out, kNow + Seconds{60});
  REQUIRE(later.size() == 3);
  CHECK(later[1].timeAdded->unix_seconds == 1'700'000'000);
  out.status.conditions[0].status = "True";
  const auto well = plan_taints(out, kNow);
  REQUIRE(well.size() == 1);
  CHECK(well[0].key == "example.com/mine");
}

TEST_CASE("node taints: eviction waits for its turn, and stops when nobody is ready") {
  const auto texts = [](const std::vector<Taint>& taints) {
    Texts out;
    for (const auto& taint : taints) out.push_back(taint.key.substr(19) + ":" + taint.effect);
    return out;
  };
  Node out = node("Unknown");
  CHECK(wants_eviction(out));
  CHECK(texts(plan_taints(out, kNow, Eviction::kLater)) == Texts{"unreachable:NoSchedule"});
  out.spec.taints = plan_taints(out, kNow);
  CHECK_FALSE(wants_eviction(out));
  CHECK(plan_taints(out, kNow, Eviction::kLater).size() == 2);
  // From one reason to the other without waiting.
  out.status.conditions[0].status = "False";
  CHECK(texts(plan_taints(out, kNow, Eviction::kLater)) ==
        Texts{"not-ready:NoSchedule", "not-ready:NoExecute"});
  CHECK(texts(plan_taints(out, kNow, Eviction::kSuspended)) == Texts{"not-ready:NoSchedule"});
}

TEST_CASE("the more of a zone fails the slower its nodes are given up") {
  CHECK(zone_state(3, 0) == ZoneState::kNormal);
  CHECK(zone_state(0, 0) == ZoneState::kNormal);
  CHECK(zone_state(0, 1) == ZoneState::kFullDisruption);
  CHECK(zone_state(1, 2) == ZoneState::kNormal);  // too few to judge by
  CHECK(zone_state(2, 3) == ZoneState::kPartialDisruption);
  CHECK(zone_state(5, 5) == ZoneState::kNormal);
  CHECK(eviction_interval(ZoneState::kNormal, 10) == Micros(Seconds{10}));
  CHECK(eviction_interval(ZoneState::kFullDisruption, 10) == Micros(Seconds{10}));
  CHECK(!eviction_interval(ZoneState::kPartialDisruption, 50));
  CHECK(eviction_interval(ZoneState::kPartialDisruption, 51) == Micros(Seconds{100}));
  Node out = node("True");
  CHECK(zone_of(out).empty());
  out.metadata.labels["topology.kubernetes.io/zone"] = "a";
  CHECK(zone_of(out) == ":a");
}

TEST_CASE("nodes are told to cache the longer the more there are, with steps that overlap") {
  CHECK(ttl_seconds(ttl_step(0, 0)) == 0);
  CHECK(ttl_seconds(ttl_step(0, 100)) == 0);
  CHECK(ttl_seconds(ttl_step(0, 101)) == 15);
  CHECK(ttl_seconds(ttl_step(1, 90)) == 15);
  CHECK(ttl_seconds(ttl_step(1, 89)) == 0);
  CHECK(ttl_seconds(ttl_step(0, 1'000'000)) == 300);
  CHECK(ttl_seconds(ttl_step(4, 3)) == 0);
}

TEST_CASE("a silent node's conditions become Unknown once") {
  Node out = node("True");
  out.status.conditions.pop_back();
  out.status.conditions = unknown_conditions(out, kNow);
  REQUIRE(out.status.conditions.size() == 4);
  CHECK(out.status.conditions[0].status == "Unknown");
  CHECK(out.status.conditions[0].reason == "NodeStatusUnknown");
  CHECK(out.status.conditions[0].message == "Kubelet stopped posting node status.");
  CHECK(out.status.conditions[3].type == "PIDPressure");
  CHECK(out.status.conditions[3].reason == "NodeStatusNeverUpdated");
  CHECK(out.status.conditions[3].message == "Kubelet never posted node status.");
  Node again = out;
  again.status.conditions = unknown_conditions(out, kNow + Seconds{60});
  CHECK(api::equal(again.status, out.status));
}

TEST_CASE("tolerations match key, effect and value") {
  Taint taint;
  taint.key = "k";
  taint.value = "v";
  taint.effect = "NoExecute";
  CHECK(api::tolerates(toleration("k", "Exists", ""), taint));
  CHECK(api::tolerates(toleration("", "Exists", ""), taint));
  CHECK(api::tolerates(toleration("k", "", "NoExecute", {}, "v"), taint));
  CHECK(api::tolerates(toleration("k", "Equal", "", {}, "v"), taint));
  CHECK_FALSE(api::tolerates(toleration("k", "Equal", "", {}, "w"), taint));
  CHECK_FALSE(api::tolerates(toleration("k", "Exists", "NoSchedule"), taint));
  CHECK_FALSE(api::tolerates(toleration("other", "Exists", ""), taint));
}

TEST_CASE("a pod goes at once, after its seconds, or never") {
  Taint taint;
  taint.key = kUnreachableTaint;
  taint.effect = "NoExecute";
  taint.timeAdded = kNow - Seconds{100};
  Pod pod;
  pod.metadata.creationTimestamp = kNow - Seconds{1000};
  CHECK(eviction_time(pod, {taint}, kNow) == kNow);
  CHECK_FALSE(eviction_time(pod, {}, kNow));
  Taint soft = taint;
  soft.effect = "NoSchedule";
  CHECK_FALSE(eviction_time(pod, {soft}, kNow));

  pod.spec.tolerations = {toleration(kUnreachableTaint, "Exists", "NoExecute", 300)};
  CHECK(eviction_time(pod, {taint}, kNow) == kNow + Seconds{200});
  pod.spec.tolerations[0].tolerationSeconds = -5;
  CHECK(eviction_time(pod, {taint}, kNow) == kNow - Seconds{100});
  pod.spec.tolerations[0].tolerationSeconds.reset();
  CHECK_FALSE(eviction_time(pod, {taint}, kNow));

  // The first toleration that matches decides.
  pod.spec.tolerations = {toleration(kUnreachableTaint, "Exists", "NoExecute", 300),
                          toleration("", "Exists", "", 10)};
  CHECK(eviction_time(pod, {taint}, kNow) == kNow + Seconds{200});
  // A second taint that is not tolerated ends it.
  Taint other = taint;
  other.key = "other";
  pod.spec.tolerations.pop_back();
  CHECK(eviction_time(pod, {taint, other}, kNow) == kNow);
  // A pod that came after the taint has its whole time.
  pod.metadata.creationTimestamp = kNow;
  CHECK(eviction_time(pod, {taint}, kNow) == kNow + Seconds{300});
}

}  // namespace
}  // namespace orch::server
