// ServiceAccount tokens: ES256 JWTs bound to Pods, Secrets or Nodes (KEP-1205, KEP-4193). Issuing,
// and checking that what a token is bound to still exists with the same uid. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "orch/api/token_claims.h"
#include "orch/base/env.h"
#include "orch/client/client.h"
#include "server/api/hooks.h"

namespace orch::server {

class ServiceAccountTokens final : public TokenIssuer {
 public:
  // `lookups` reads ServiceAccounts, Pods, Secrets and Nodes with the server's own identity, and
  // labels Secrets whose token is used.
  ServiceAccountTokens(Env& env, std::string key_pem, std::string issuer,
                       std::vector<std::string> api_audiences, const client::Client& lookups);

  api::ApiResult<Unit> issue(const TokenSubject& subject,
                             api::authenticationv1::TokenRequest& request) override;

  struct Verified {
    UserInfo user;
    std::vector<std::string> audiences;  // those of the token that were asked for
  };
  // Error: why the token is not good (for logs; the caller only learns "Unauthorized"). Empty
  // `audiences` = the API server's own.
  Result<Verified, std::string> verify(const std::string& token,
                                       std::vector<std::string> audiences) const;

  const std::string& issuer() const { return issuer_; }
  const std::string& key_id() const { return key_id_; }
  // The public keys that verify its tokens, as a JSON Web Key Set.
  std::string key_set() const;

 private:
  Result<api::TokenClaims, std::string> decode(const std::string& token) const;
  Result<Unit, std::string> check_bound_objects(const api::TokenClaims& claims,
                                                const std::string& token) const;
  Result<Unit, std::string> check_secret(const api::TokenClaims& claims,
                                         const std::string& token) const;

  Env& env_;
  std::string key_pem_, key_id_, issuer_;
  std::vector<std::string> api_audiences_;
  const client::Client& lookups_;
};

}  // namespace orch::server
