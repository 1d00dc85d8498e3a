// The Pod Security Standards (privileged, baseline, restricted; up to 1.32) as a pure function:
// which of a level's demands a Pod does not meet, with upstream's texts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/corev1.h"

namespace orch::server {

enum class PodSecurityLevel : uint8_t { kPrivileged, kBaseline, kRestricted };

// Level and the version of the standard it is to be read in.
struct PodSecurityPolicy {
  static constexpr int kLatest = 1 << 20;
  PodSecurityLevel level = PodSecurityLevel::kPrivileged;
  int minor = kLatest;  // of 1.MINOR
  bool operator==(const PodSecurityPolicy&) const = default;
};

std::optional<PodSecurityLevel> parse_pod_security_level(std::string_view text);
// "latest" or "v1.MINOR".
std::optional<int> parse_pod_security_version(std::string_view text);
std::string to_string(const PodSecurityPolicy& policy);  // "restricted:latest"

struct PodSecurityViolation {
  std::string reason;  // `privileged`
  std::string detail;  // `container "a" must not set securityContext.privileged=true`
};
std::vector<PodSecurityViolation> check_pod_security(const PodSecurityPolicy& policy,
                                                     const api::metav1::ObjectMeta& meta,
                                                     const api::corev1::PodSpec& spec);
// `reason, reason`
std::string reasons_of(const std::vector<PodSecurityViolation>& violations);
// `reason (detail), reason (detail)`
std::string details_of(const std::vector<PodSecurityViolation>& violations);

}  // namespace orch::server
