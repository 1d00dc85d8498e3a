// What becomes of tokens in Secrets that no one uses (KEP-2799). Only those are meant that old
// clusters made by themselves, which their ServiceAccounts list: after a year without use they are
// marked invalid, after another they are deleted. Pure.
#pragma once

#include <optional>
#include <string>

#include "orch/api/corev1.h"
#include "orch/base/clock.h"

namespace orch::server {

enum class LegacyTokenMove { kKeep, kInvalidate, kDelete };
struct LegacyTokenFacts {
  const api::corev1::Secret& secret;
  const api::corev1::ServiceAccount& account;  // its own
  bool mounted = false;                        // by a Pod
  WallTime now;
};
LegacyTokenMove plan_legacy_token(const LegacyTokenFacts& facts);
// Whether use has been noted for long enough to judge by it. `since`: the tracking's day.
bool tracked_long_enough(const std::string& since, WallTime now);

}  // namespace orch::server
