// The files AuthenticationConfiguration and AuthorizationConfiguration of apiserver.config.k8s.io
// read into plain values. Expressions in CEL are refused: a rule nobody evaluates would let people
// in. Errors name file and field.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/auth/jwt_issuer.h"

namespace orch::server {

struct AuthenticationFile {
  std::vector<JwtIssuerConfig> issuers;
  std::optional<bool> anonymous;             // nullopt = as --anonymous-auth says
  std::vector<std::string> anonymous_paths;  // where anonymous callers are let in; empty = all
};
Result<AuthenticationFile, std::string> parse_authentication_file(std::string_view yaml);

struct AuthorizerEntry {
  std::string type, name;  // Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny
  std::string kubeconfig;  // of a Webhook, with what follows
  Micros timeout{Seconds{30}}, authorized_ttl{Seconds{300}}, unauthorized_ttl{Seconds{30}};
  bool deny_on_failure = false;
};
Result<std::vector<AuthorizerEntry>, std::string> parse_authorization_file(std::string_view yaml);

}  // namespace orch::server
