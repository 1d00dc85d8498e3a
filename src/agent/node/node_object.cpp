#include "agent/node/node_object.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/object.h"
#include "orch/api/scheme.h"

namespace orch::agent {

using namespace api;
using corev1::Node;
using corev1::NodeCondition;
using corev1::NodeStatus;

namespace {

constexpr int64_t kPodsMax = 110;
constexpr size_t kImagesMax = 50;
// Known to the server's edge provider; the first one is upstream's.
constexpr const char* kProvidedNodeIp = "alpha.kubernetes.io/provided-node-ip";
constexpr const char* kNodeExternalIp = "orch.io/node-external-ip";
constexpr std::string_view kVersion = "v1.32.0+orch1";

bool is_extended_resource(const std::string& name) {
  const size_t slash = name.find('/');
  if (slash == std::string::npos || name.starts_with("requests.")) return false;
  const std::string domain = name.substr(0, slash);
  return domain != "kubernetes.io" && !domain.ends_with(".kubernetes.io");
}

std::map<std::string, std::string> wanted_labels(const NodeFacts& facts) {
  const std::string& arch = facts.machine.architecture;
  std::map<std::string, std::string> labels = {{"kubernetes.io/hostname", facts.name},
                                               {"kubernetes.io/os", "linux"},
                                               {"kubernetes.io/arch", arch},
                                               {"beta.kubernetes.io/os", "linux"},
                                               {"beta.kubernetes.io/arch", arch}};
  for (const auto& label : facts.labels) {
    const size_t equals = label.find('=');
    labels[label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  return labels;
}

void put(NodeStatus& status, const NodeStatus& before, std::string_view type, bool is_true,
         std::string reason, std::string message, WallTime now) {
  NodeCondition condition;
  condition.type = type;
  condition.status = is_true ? "True" : "False";
  condition.reason = std::move(reason);
  condition.message = std::move(message);
  condition.lastHeartbeatTime = condition.lastTransitionTime = Time(now);
  for (const auto& old : before.conditions) {
    if (old.type == type && old.status == condition.status) {
      condition.lastTransitionTime = old.lastTransitionTime;
    }
  }
  status.conditions.push_back(std::move(condition));
}

void put_conditions(const NodeFacts& facts, NodeStatus& status, const NodeStatus& before,
                    WallTime now) {
  const auto pressure = [&](const char* type, bool is, const char* bad, const char* good,
                            const char* bad_text, const char* good_text) {
    put(status, before, type, is, is ? bad : good, is ? bad_text : good_text, now);
  };
  pressure("MemoryPressure", facts.pressure.memory, "KubeletHasInsufficientMemory",
           "KubeletHasSufficientMemory", "kubelet has insufficient memory available",
           "kubelet has sufficient memory available");
  pressure("DiskPressure", facts.pressure.disk, "KubeletHasDiskPressure",
           "KubeletHasNoDiskPressure", "kubelet has disk pressure", "kubelet has no disk pressure");
  pressure("PIDPressure", facts.pressure.pid, "KubeletHasInsufficientPID",
           "KubeletHasSufficientPID", "kubelet has insufficient PID available",
           "kubelet has sufficient PID available");
  std::vector<std::string> why;
  if (!facts.runtime.runtime_ready) {
    why.push_back("container runtime is down: " + facts.runtime.runtime_message);
  } else if (!facts.runtime.network_ready) {
    why.push_back("container runtime network not ready: " + facts.runtime.network_message);
  }
  if (!facts.not_ready_reason.empty()) why.push_back(facts.not_ready_reason);
  std::string message;
  for (const auto& reason : why) message += (message.empty() ? "" : ", ") + reason;
  if (why.size() > 1) message = "[" + message + "]";
  put(status, before, "Ready", why.empty(), why.empty() ? "KubeletReady" : "KubeletNotReady",
      why.empty() ? "kubelet is posting ready status" : message, now);
}

void put_images(const NodeFacts& facts, NodeStatus& status) {
  std::vector<ImageView> images = facts.images;
  std::sort(images.begin(), images.end(), [](const ImageView& a, const ImageView& b) {
    return std::tie(b.size_bytes, a.id) < std::tie(a.size_bytes, b.id);
  });
  if (images.size() > kImagesMax) images.resize(kImagesMax);
  for (const auto& image : images) {
    auto& out = status.images.emplace_back();
    out.names = image.digests;
    out.names.insert(out.names.end(), image.tags.begin(), image.tags.end());
    out.sizeBytes = static_cast<int64_t>(image.size_bytes);
  }
}

}  // namespace

Result<Unit, std::string> check_labels(const std::vector<std::string>& labels) {
  for (const auto& label : labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos) {
      return Err(fmt::format("--node-label: \"{}\" is not of the form key=value", label));
    }
    std::string why = check_label_key(label.substr(0, equals));
    if (why.empty()) why = check_label_value(label.substr(equals + 1));
    if (!why.empty()) return Err(fmt::format("--node-label: \"{}\": {}", label, why));
  }
  return Unit{};
}

Result<Unit, std::string> check_taints(const std::vector<std::string>& taints) {
  for (const auto& taint : taints) {
    const size_t colon = taint.rfind(':');
    const std::string effect = colon == std::string::npos ? "" : taint.substr(colon + 1);
    if (effect != "NoSchedule" && effect != "PreferNoSchedule" && effect != "NoExecute") {
      return Err(
          fmt::format("--node-taint: \"{}\" is not of the form key=value:Effect with Effect "
                      "NoSchedule, PreferNoSchedule or NoExecute",
                      taint));
    }
    const std::string key = taint.substr(0, std::min(taint.find('='), colon));
    if (auto why = check_label_key(key); !why.empty()) {
      return Err(fmt::format("--node-taint: \"{}\": {}", taint, why));
    }
  }
  return Unit{};
}

Node make_node(const NodeFacts& facts, WallTime now) {
  Node node;
  node.metadata.name = facts.name;
  apply_labels(facts, node);
  for (const auto& text : facts.taints) {
    auto& taint = node.spec.taints.emplace_back();
    const size_t colon = text.rfind(':');
    const size_t equals = text.find('=');
    taint.effect = text.substr(colon + 1);
    taint.key = text.substr(0, std::min(equals, colon));
    if (equals < colon) taint.value = text.substr(equals + 1, colon - equals - 1);
  }
  node.status = make_status(facts, {}, now);
  return node;
}

NodeStatus make_status(const NodeFacts& facts, const NodeStatus& before, WallTime now) {
  NodeStatus status;
  const Machine& machine = facts.machine;
  status.capacity = {{"cpu", Quantity::of(machine.cpus)},
                     {"memory", Quantity::of_bytes(machine.memory_bytes)},
                     {"ephemeral-storage", Quantity::of_bytes(machine.disk_bytes)},
                     {"pods", Quantity::of(kPodsMax)}};
  // Extended resources are whoever's patched them into the capacity; what is there can be given
  // out.
  for (const auto& [resource, quantity] : before.capacity) {
    if (is_extended_resource(resource)) status.capacity.emplace(resource, quantity);
  }
  status.allocatable = status.capacity;
  const auto keep = [&status](const char* resource, int64_t capacity, const Amount& reserve) {
    const int64_t left = capacity - reserve.of(capacity).value();
    status.allocatable[resource] = Quantity::of_bytes(std::max<int64_t>(0, left));
  };
  keep("memory", machine.memory_bytes, facts.memory_reserve);
  keep("ephemeral-storage", machine.disk_bytes, facts.disk_reserve);
  const auto address = [&status](const char* type, const std::string& value) {
    auto& out = status.addresses.emplace_back();
    out.type = type;
    out.address = value;
  };
  address("InternalIP", facts.ip);
  address("Hostname", facts.name);
  // Those of other types (ExternalIP, InternalDNS ...) are the cloud's.
  for (const auto& old : before.addresses) {
    if (old.type != "InternalIP" && old.type != "Hostname") status.addresses.push_back(old);
  }
  status.daemonEndpoints.kubeletEndpoint.Port = facts.kubelet_port;
  auto& info = status.nodeInfo;
  info.machineID = machine.machine_id;
  info.systemUUID = machine.system_uuid;
  info.bootID = machine.boot_id;
  info.kernelVersion = machine.kernel;
  info.osImage = machine.os_image;
  info.operatingSystem = "linux";
  info.architecture = machine.architecture;
  info.kubeletVersion = info.kubeProxyVersion = kVersion;
  if (!facts.runtime.name.empty()) {
    info.containerRuntimeVersion = facts.runtime.name + "://" + facts.runtime.version;
  } else {
    info.containerRuntimeVersion = before.nodeInfo.containerRuntimeVersion;
  }
  put_conditions(facts, status, before, now);
  put_images(facts, status);
  status.volumesAttached = before.volumesAttached;  // the attach-detach controller's
  // Conditions that others set (NetworkUnavailable ...) stay.
  for (const auto& old : before.conditions) {
    const bool ours = std::any_of(status.conditions.begin(), status.conditions.end(),
                                  [&](const auto& c) { return c.type == old.type; });
    if (!ours) status.conditions.push_back(old);
  }
  return status;
}

bool status_differs(const NodeStatus& a, const NodeStatus& b) {
  NodeStatus x = a, y = b;
  for (auto* status : {&x, &y}) {
    for (auto& condition : status->conditions) condition.lastHeartbeatTime = {};
  }
  return !equal(x, y);
}

bool apply_labels(const NodeFacts& facts, Node& node) {
  bool changed = false;
  for (const auto& [key, value] : wanted_labels(facts)) {
    auto [present, added] = node.metadata.labels.try_emplace(key, value);
    if (added || present->second != value) changed = true;
    present->second = value;
  }
  auto& annotations = node.metadata.annotations;
  const auto annotate = [&](const char* key, const std::string& value) {
    auto found = annotations.find(key);
    const bool there = found != annotations.end();
    if (value.empty() ? !there : there && found->second == value) return;
    changed = true;
    if (value.empty()) {
      annotations.erase(found);
    } else {
      annotations[key] = value;
    }
  };
  annotate(kProvidedNodeIp, facts.ip);
  annotate(kNodeExternalIp, facts.external_ip);
  return changed;
}

}  // namespace orch::agent
