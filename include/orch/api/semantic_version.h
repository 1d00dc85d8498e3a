// Semantic versions (semver.org 2.0): "1.32.0", "1.33.0-alpha.1". Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orch::api {

struct SemanticVersion {
  int64_t major = 0, minor = 0, patch = 0;
  std::vector<std::string> pre_release;  // "alpha", "1"; what stands behind a + does not count

  static std::optional<SemanticVersion> parse(std::string_view text);
  std::strong_ordering operator<=>(const SemanticVersion& other) const;
  bool operator==(const SemanticVersion& other) const = default;
};

}  // namespace orch::api
