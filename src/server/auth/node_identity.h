// Which users are nodes (upstream's NodeIdentifier): members of system:nodes called
// system:node:NAME.
#pragma once

#include <optional>
#include <string_view>

#include "server/api/hooks.h"

namespace orch::server {

// The node's name: nullopt = not a node; "" = a node of no name.
inline std::optional<std::string_view> node_identity(const UserInfo& user) {
  constexpr std::string_view kPrefix = "system:node:";
  if (!user.in_group("system:nodes") || !user.name.starts_with(kPrefix)) return std::nullopt;
  return std::string_view(user.name).substr(kPrefix.size());
}

}  // namespace orch::server
