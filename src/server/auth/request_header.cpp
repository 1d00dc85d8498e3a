#include "server/auth/request_header.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::server {
namespace {

std::string first_value(const net::Headers& headers, const std::vector<std::string>& names) {
  for (const auto& name : names) {
    std::string value(trim(net::header(headers, name)));
    if (!value.empty()) return value;
  }
  return "";
}

}  // namespace

Result<std::optional<UserInfo>, std::string> user_of_front_proxy(
    const RequestHeaderOptions& options, const std::string& common_name,
    const net::Headers& headers) {
  const auto& allowed = options.allowed_names;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), common_name) == allowed.end()) {
    return Err(fmt::format("x509: subject with cn={} is not in the allowed list", common_name));
  }
  UserInfo user;
  user.name = first_value(headers, options.username_headers);
  if (user.name.empty()) return std::optional<UserInfo>();
  user.uid = first_value(headers, options.uid_headers);
  for (const auto& name : options.group_headers) {
    for (auto [it, end] = headers.equal_range(name); it != end; ++it) {
      if (!it->second.empty()) user.groups.push_back(it->second);
    }
  }
  for (const auto& [name, value] : headers) {
    const std::string lower = to_lower(name);
    for (const auto& prefix : options.extra_headers_prefix) {
      if (!lower.starts_with(to_lower(prefix))) continue;
      user.extra[net::url_decode(lower.substr(prefix.size()))].push_back(value);
    }
  }
  return std::optional<UserInfo>(std::move(user));
}

}  // namespace orch::server
