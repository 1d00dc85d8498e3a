// By what others verify ServiceAccount tokens: /.well-known/openid-configuration and
// /openid/v1/jwks (OpenID Connect Discovery 1.0), for callers that RBAC lets see them.
#pragma once

#include <string>

#include "server/api/api_server.h"
#include "server/auth/service_account_tokens.h"

namespace orch::server {

// `address`: host and port the key set is reached at. `tokens` outlives the ApiServer.
void add_issuer_discovery(ApiServer& api, const ServiceAccountTokens& tokens,
                          const std::string& address);

}  // namespace orch::server
