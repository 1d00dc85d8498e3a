// Keys of what only one object may have (a Service's address, a node port), written in the
// transaction that writes the object: in a store that several servers share they are what keeps
// two of them from giving away the same. Their value is the key of the object.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace orch::server {

inline constexpr std::string_view kClaimPrefix = "/orch/services/";

struct Claims {
  std::vector<std::string> take, drop;
  // Set by the registry: one of `take` is another object's; nothing was written.
  bool refused = false;
};

}  // namespace orch::server
