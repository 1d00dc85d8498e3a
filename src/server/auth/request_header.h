// Users that an authenticating proxy vouches for: it shows a certificate of the request header
// authority and says in headers who the request is from. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orch/base/result.h"
#include "orch/net/http.h"
#include "server/api/hooks.h"

namespace orch::server {

// Names and meaning are those of kube-apiserver's --requestheader-* flags.
struct RequestHeaderOptions {
  std::vector<std::string> allowed_names;  // common names of proxies; empty = any
  std::vector<std::string> username_headers, uid_headers, group_headers, extra_headers_prefix;
};

// Nothing: the proxy names no user. Error: who it is may not speak for others.
Result<std::optional<UserInfo>, std::string> user_of_front_proxy(
    const RequestHeaderOptions& options, const std::string& common_name,
    const net::Headers& headers);

}  // namespace orch::server
