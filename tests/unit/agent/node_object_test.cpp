#include "agent/node/node_object.h"

#include <catch2/catch.hpp>

namespace orch::agent {
namespace {

const WallTime kNow{Seconds{1'700'000'000}};

NodeFacts facts() {
  NodeFacts out;
  out.name = "n1";
  out.ip = "192.0.2.1";
  out.machine.cpus = 4;
  out.machine.memory_bytes = int64_t{8} << 30;
  out.machine.memory_available_bytes = int64_t{4} << 30;
  out.machine.disk_bytes = int64_t{100} << 30;
  out.machine.disk_available_bytes = int64_t{50} << 30;
  out.machine.architecture = "amd64";
  out.memory_reserve.quantity = api::Quantity::of_bytes(100 * 1024 * 1024);
  out.disk_reserve.part = 0.1F;
  out.runtime.runtime_ready = out.runtime.network_ready = true;
  out.runtime.name = "containerd";
  out.runtime.version = "1.6.20";
  return out;
}

// "status reason: message"
std::string condition(const api::corev1::NodeStatus& status, const std::string& type) {
  for (const auto& c : status.conditions) {
    if (c.type == type) return c.status + " " + c.reason + ": " + c.message;
  }
  return "";
}

TEST_CASE("node object: what kubectl describe node shows") {
  auto with = facts();
  with.labels = {"disk=ssd", "node-role.kubernetes.io/worker="};
  with.taints = {"a=b:NoSchedule", "c:NoExecute"};
  const auto node = make_node(with, kNow);
  CHECK(node.metadata.labels.at("kubernetes.io/hostname") == "n1");
  CHECK(node.metadata.labels.at("kubernetes.io/arch") == "amd64");
  CHECK(node.metadata.labels.at("disk") == "ssd");
  CHECK(node.metadata.labels.at("node-role.kubernetes.io/worker").empty());
  REQUIRE(node.spec.taints.size() == 2);
  CHECK(node.spec.taints[0].key == "a");
  CHECK(node.spec.taints[0].value == "b");
  CHECK(node.spec.taints[0].effect == "NoSchedule");
  CHECK(node.spec.taints[1].key == "c");
  CHECK(node.spec.taints[1].value.empty());
  CHECK(node.status.capacity.at("cpu").str() == "4");
  CHECK(node.status.capacity.at("pods").str() == "110");
  CHECK(node.status.capacity.at("memory").str() == "8Gi");
  CHECK(node.status.allocatable.at("memory").value() == (int64_t{8} << 30) - 100 * 1024 * 1024);
  // A percentage is a 32 bit float, as the kubelet's.
  CHECK(node.status.allocatable.at("ephemeral-storage").value() == 96'636'764'000);
  CHECK(node.status.nodeInfo.containerRuntimeVersion == "containerd://1.6.20");
  CHECK(node.status.addresses[0].type == "InternalIP");
  CHECK(node.status.addresses[0].address == "192.0.2.1");
  CHECK(condition(node.status, "Ready") == "True KubeletReady: kubelet is posting ready status");
  CHECK(condition(node.status, "MemoryPressure") ==
        "False KubeletHasSufficientMemory: kubelet has sufficient memory available");
}

TEST_CASE("node object: why a node is not ready") {
  auto with = facts();
  with.runtime.network_ready = false;
  with.runtime.network_message = "cni plugin not initialized";
  CHECK(condition(make_status(with, {}, kNow), "Ready") ==
        "False KubeletNotReady: container runtime network not ready: cni plugin not initialized");
  with.not_ready_reason = "no pod CIDR yet";
  CHECK(condition(make_status(with, {}, kNow), "Ready") ==
        "False KubeletNotReady: [container runtime network not ready: cni plugin not initialized, "
        "no pod CIDR yet]");
}

TEST_CASE("node object: what the eviction manager says of pressure is told") {
  auto with = facts();
  with.pressure = {.memory = true, .disk = true, .pid = true};
  const auto status = make_status(with, {}, kNow);
  CHECK(condition(status, "MemoryPressure").starts_with("True KubeletHasInsufficientMemory"));
  CHECK(condition(status, "DiskPressure").starts_with("True KubeletHasDiskPressure"));
  CHECK(condition(status, "PIDPressure").starts_with("True KubeletHasInsufficientPID"));
}

TEST_CASE("node object: heartbeats alone are no difference; transitions keep their time") {
  const auto first = make_status(facts(), {}, kNow);
  const auto later = make_status(facts(), first, kNow + Seconds{60});
  CHECK_FALSE(status_differs(first, later));
  CHECK(later.conditions[0].lastTransitionTime == first.conditions[0].lastTransitionTime);
  auto with = facts();
  with.runtime.runtime_ready = false;
  const auto down = make_status(with, later, kNow + Seconds{90});
  CHECK(status_differs(later, down));
  auto foreign = first;
  auto& network = foreign.conditions.emplace_back();
  network.type = "NetworkUnavailable";
  network.status = "False";
  CHECK(condition(make_status(facts(), foreign, kNow), "NetworkUnavailable").starts_with("False"));
}

TEST_CASE("node object: labels are applied once, those without a value too") {
  auto with = facts();
  with.labels = {"node-role.kubernetes.io/worker="};
  api::corev1::Node node = make_node(facts(), kNow);
  node.metadata.labels["mine"] = "x";
  CHECK(apply_labels(with, node));
  CHECK(node.metadata.labels.count("node-role.kubernetes.io/worker") == 1);
  CHECK(node.metadata.labels.at("mine") == "x");
  CHECK_FALSE(apply_labels(with, node));
}

TEST_CASE("node object: extended resources that somebody patched in stay and can be given out") {
  api::corev1::NodeStatus before;
  before.capacity = {{"example.com/gpu", api::Quantity::of(3)},
                     {"hugepages-2Mi", api::Quantity::of(1)}};
  const auto status = make_status(facts(), before, WallTime{});
  CHECK(status.capacity.at("example.com/gpu") == api::Quantity::of(3));
  CHECK(status.allocatable.at("example.com/gpu") == api::Quantity::of(3));
  CHECK_FALSE(status.capacity.contains("hugepages-2Mi"));
}

TEST_CASE("node flags: what is wrong is named") {
  CHECK(check_labels({"a=b", "example.com/c="}));
  CHECK(check_taints({"a=b:NoSchedule", "c:NoExecute", "d=:PreferNoSchedule"}));
  for (const char* bad : {"a", "=b", "a b=c", "a=b c"}) {
    auto refused = check_labels({bad});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().starts_with("--node-label: \"" + std::string(bad) + "\""));
  }
  for (const char* bad : {"a", "a=b", "a=b:Never", ":NoSchedule", "=b:NoSchedule"}) {
    INFO(bad);
    auto refused = check_taints({bad});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().starts_with("--node-taint: \"" + std::string(bad) + "\""));
  }
}

}  // namespace
}  // namespace orch::agent
