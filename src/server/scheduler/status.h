// What a plugin says about a pod, or a pod on a node (kube-scheduler's framework.Status). "Cannot
// fit" and "broken" are different codes. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orch::server::scheduler {

enum class Code : uint8_t {
  kSuccess,
  kSkip,                          // this plugin has nothing to do for this pod
  kUnschedulable,                 // not now; preemption may help
  kUnschedulableAndUnresolvable,  // not now, and removing pods would not help
  kWait,                          // of PreBind: not ready yet, asked again in a moment
  kError,                         // the scheduler is at fault: retried with back-off
};

struct [[nodiscard]] Status {
  Code code = Code::kSuccess;
  std::vector<std::string> reasons;
  std::string_view plugin;  // set by the framework; names are literals

  bool ok() const { return code == Code::kSuccess; }
  bool rejected() const {
    return code == Code::kUnschedulable || code == Code::kUnschedulableAndUnresolvable;
  }
  std::string message() const {
    std::string out;
    for (const auto& reason : reasons) {
      if (!out.empty()) out += ", ";
      out += reason;
    }
    return out;
  }

  static Status success() { return {}; }
  static Status skip() { return {Code::kSkip, {}, {}}; }
  static Status unschedulable(std::string reason) {
    return {Code::kUnschedulable, {std::move(reason)}, {}};
  }
  static Status unresolvable(std::string reason) {
    return {Code::kUnschedulableAndUnresolvable, {std::move(reason)}, {}};
  }
  static Status wait() { return {Code::kWait, {}, {}}; }
  static Status error(std::string reason) { return {Code::kError, {std::move(reason)}, {}}; }
};

}  // namespace orch::server::scheduler
