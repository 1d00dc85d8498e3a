#include "sim/hollow_status.h"

#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/base/json_scan.h"

namespace orch::sim {
namespace corev1 = api::corev1;

namespace {

std::string_view phase_of(PodView::State state) {
  switch (state) {
    case PodView::kSucceeded:
      return "Succeeded";
    case PodView::kFailed:
      return "Failed";
    default:
      return "Running";
  }
}

std::string container_state(const PodView& view) {
  const std::string started = api::Time(view.started).str();
  switch (view.state) {
    case PodView::kRunning:
      return fmt::format(R"({{"running":{{"startedAt":"{}"}}}})", started);
    case PodView::kBackOff:
      return R"({"waiting":{"reason":"CrashLoopBackOff"}})";
    default:
      return fmt::format(
          R"({{"terminated":{{"exitCode":{},"reason":"{}","startedAt":"{}","finishedAt":"{}"}}}})",
          view.exit_code.value_or(0), view.exit_code.value_or(0) == 0 ? "Completed" : "Error",
          started, api::Time(view.finished).str());
  }
}

// The condition's own time moves only with its status.
std::string condition(const corev1::Pod& pod, std::string_view type, bool holds,
                      std::string_view reason, WallTime now) {
  std::string since = api::Time(now).str();
  for (const auto& c : pod.status.conditions) {
    if (c.type == type && c.status == (holds ? "True" : "False") && c.lastTransitionTime) {
      since = c.lastTransitionTime.str();
    }
  }
  return fmt::format(R"({{"type":"{}","status":"{}","reason":{},"lastTransitionTime":"{}"}})", type,
                     holds ? "True" : "False", holds ? "null" : fmt::format("\"{}\"", reason),
                     since);
}

}  // namespace

bool shows(const corev1::Pod& pod, const PodView& view, const std::string& ip) {
  if (view.state == PodView::kNew) return true;
  const bool ready = view.state == PodView::kRunning;
  bool said = false;
  for (const auto& c : pod.status.conditions) {
    if (c.type == "Ready") said = c.status == (ready ? "True" : "False");
  }
  return said && pod.status.phase == phase_of(view.state) && pod.status.podIP == ip &&
         !pod.status.containerStatuses.empty() &&
         pod.status.containerStatuses.front().restartCount == view.restarts;
}

std::string pod_status_patch(const corev1::Pod& pod, const PodView& view, const std::string& ip,
                             const corev1::Node& node) {
  const bool ready = view.state == PodView::kRunning;
  const bool finished = view.state == PodView::kSucceeded || view.state == PodView::kFailed;
  const WallTime changed = ready ? view.started : view.finished;
  const std::string_view why = finished ? "PodCompleted" : "ContainersNotReady";
  std::string conditions = condition(pod, "PodReadyToStartContainers", !finished, "", changed);
  conditions += "," + condition(pod, "Initialized", true, "", view.since);
  conditions += "," + condition(pod, "ContainersReady", ready, why, changed);
  conditions += "," + condition(pod, "Ready", ready, why, changed);
  std::string statuses;
  for (const auto& container : pod.spec.containers) {
    if (!statuses.empty()) statuses += ",";
    statuses += fmt::format(
        R"({{"name":{},"image":{},"imageID":"","ready":{},"started":{},"restartCount":{},)"
        R"("state":{}}})",
        json_quote(container.name), json_quote(container.image), ready, ready, view.restarts,
        container_state(view));
  }
  std::string host = node.metadata.name;
  for (const auto& address : node.status.addresses) {
    if (address.type == "InternalIP") host = address.address;
  }
  std::string addresses;
  if (!ip.empty()) {
    addresses = fmt::format(R"("podIP":"{}","podIPs":[{{"ip":"{}"}})", ip, ip);
    for (const auto& old : pod.status.podIPs) {  // of before the node was switched off
      if (old.ip != ip) addresses += fmt::format(R"(,{{"ip":"{}","$patch":"delete"}})", old.ip);
    }
    addresses += "],";
  }
  return fmt::format(
      R"({{"metadata":{{"uid":"{}"}},"status":{{"phase":"{}","hostIP":"{}",{}"startTime":"{}",)"
      R"("conditions":[{}],"containerStatuses":[{}]}}}})",
      pod.metadata.uid, phase_of(view.state), host, addresses, api::Time(view.since).str(),
      conditions, statuses);
}

bool is_ready(const corev1::Node& node) {
  for (const auto& c : node.status.conditions) {
    if (c.type == "Ready") return c.status == "True";
  }
  return false;
}

std::vector<corev1::NodeCondition> node_conditions(WallTime now) {
  struct Kind {
    const char *type, *status, *reason, *message;
  };
  static constexpr Kind kKinds[] = {
      {"MemoryPressure", "False", "KubeletHasSufficientMemory",
       "kubelet has sufficient memory available"},
      {"DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
      {"PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
      {"Ready", "True", "KubeletReady", "kubelet is posting ready status"},
  };
  std::vector<corev1::NodeCondition> out;
  for (const Kind& kind : kKinds) {
    auto& condition = out.emplace_back();
    condition.type = kind.type;
    condition.status = kind.status;
    condition.reason = kind.reason;
    condition.message = kind.message;
    condition.lastHeartbeatTime = api::Time(now);
    condition.lastTransitionTime = api::Time(now);
  }
  return out;
}

std::string node_status_patch(WallTime now) {
  corev1::NodeStatus status;
  status.conditions = node_conditions(now);
  return fmt::format(R"({{"status":{}}})", api::to_json(status));
}

}  // namespace orch::sim
