// Builders for pods and runtime views in the tests of the agent.
#pragma once

#include <string>

#include "agent/pod/plan.h"
#include "agent/pod/pod_access.h"
#include "agent/pod/sandbox_config.h"
#include "orch/api/codec.h"

namespace orch::agent::test {

// From JSON text; a mistake in it shows as an empty pod.
inline corev1::Pod pod_of(const std::string& spec_json) {
  auto pod = api::from_json<corev1::Pod>(
      R"({"metadata":{"name":"web","namespace":"default","uid":"u1"},"spec":)" + spec_json + "}");
  return pod ? *pod : corev1::Pod{};
}

inline constexpr WallTime kNow{std::chrono::hours{24 * 365 * 55}};
inline int64_t ns_of(WallTime t) { return t.time_since_epoch().count() * 1000; }

inline SandboxView sandbox(std::string id, uint32_t attempt = 0, bool ready = true) {
  SandboxView s;
  s.id = std::move(id);
  s.uid = "u1";
  s.attempt = attempt;
  s.ready = ready;
  s.created_at_ns = ns_of(kNow) + attempt;
  s.ips = {"10.42.0.7"};
  return s;
}

inline ContainerView container(std::string id, std::string name, ContainerState state,
                               uint32_t restarts = 0, int32_t exit_code = 0,
                               std::string sandbox_id = "s0") {
  ContainerView c;
  c.id = std::move(id);
  c.name = std::move(name);
  c.sandbox_id = std::move(sandbox_id);
  c.state = state;
  c.attempt = restarts;
  c.exit_code = exit_code;
  c.detailed = true;
  c.annotations[kRestartCountAnnotation] = std::to_string(restarts);
  c.created_at_ns = ns_of(kNow) + restarts;
  c.started_at_ns = ns_of(kNow) - 5'000'000'000;
  if (state == ContainerState::kExited) {
    c.finished_at_ns = ns_of(kNow) - 1'000'000'000;
    c.reason = exit_code == 0 ? "Completed" : "Error";
  }
  return c;
}

}  // namespace orch::agent::test
