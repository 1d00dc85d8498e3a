// Who is it? Whom a front proxy names, client certificates of the cluster's client CA, then bearer
// tokens: those of ServiceAccounts and of further sources in order. Without credentials the
// anonymous user, where there is one. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/api/hooks.h"
#include "server/auth/request_header.h"
#include "server/auth/service_account_tokens.h"
#include "server/auth/token_source.h"

namespace orch::server {

struct AuthenticatorOptions {
  bool anonymous = true;
  std::vector<std::string> anonymous_paths;  // where; empty = everywhere
  RequestHeaderOptions request_header;
};

class DefaultAuthenticator final : public Authenticator {
 public:
  explicit DefaultAuthenticator(const ServiceAccountTokens& tokens,
                                std::vector<std::unique_ptr<TokenSource>> more = {},
                                AuthenticatorOptions options = {})
      : tokens_(tokens), more_(std::move(more)), options_(std::move(options)) {}
  api::ApiResult<UserInfo> authenticate(const Credentials& credentials) override;
  void review(api::authenticationv1::TokenReview& review) override;

 private:
  // Error: why no source knows the token (for logs; callers learn nothing).
  Result<VerifiedToken, std::string> verify(const std::string& token,
                                            const std::vector<std::string>& audiences) const;
  bool lets_anonymous_in(const std::string& path) const;

  const ServiceAccountTokens& tokens_;
  const std::vector<std::unique_ptr<TokenSource>> more_;
  const AuthenticatorOptions options_;
};

}  // namespace orch::server
