// The claims of a ServiceAccount token (a JWT's payload; KEP-1205, KEP-4193).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::api {

struct TokenClaims {
  std::string issuer, subject, id;                        // iss, sub, jti
  std::vector<std::string> audiences;                     // aud
  int64_t issued_at = 0, not_before = 0, expires_at = 0;  // iat, nbf, exp: seconds since 1970
  int64_t warn_after = 0;                                 // kubernetes.io.warnafter, 0 = absent
  // kubernetes.io.*; "" = absent
  std::string namespace_, service_account, service_account_uid;
  std::string pod, pod_uid, secret, secret_uid, node, node_uid;
};

// Tokens kept in Secrets (KEP-2799): labels of the Secret with the day it was last used and since
// when its token is refused, and the ConfigMap of kube-system with the day since when use is noted.
// Days are written as 2006-01-02.
inline constexpr const char* kTokenLastUsed = "kubernetes.io/legacy-token-last-used";
inline constexpr const char* kTokenInvalidSince = "kubernetes.io/legacy-token-invalid-since";
inline constexpr const char* kTokenTracking =
    "kube-apiserver-legacy-service-account-token-tracking";

// The payload as JSON.
std::string encode_claims(const TokenClaims& claims);
// Unknown claims are ignored. Error: what is malformed.
Result<TokenClaims, std::string> decode_claims(std::string_view json);
// A JWT header {"alg":"ES256","kid":kid} and back (alg and kid).
std::string encode_jwt_header(std::string_view key_id);
struct JwtHeader {
  std::string algorithm, key_id;
};
Result<JwtHeader, std::string> decode_jwt_header(std::string_view json);

}  // namespace orch::api
