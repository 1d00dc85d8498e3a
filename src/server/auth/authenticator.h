// Who is it? Client certificates of the cluster's client CA, then ServiceAccount tokens, else the
// anonymous user (who may read health and version, see Authorizer). Any thread.
#pragma once

#include "server/api/hooks.h"
#include "server/auth/service_account_tokens.h"

namespace orch::server {

class DefaultAuthenticator final : public Authenticator {
 public:
  explicit DefaultAuthenticator(const ServiceAccountTokens& tokens) : tokens_(tokens) {}
  api::ApiResult<UserInfo> authenticate(const Credentials& credentials) override;
  void review(api::authenticationv1::TokenReview& review) override;

 private:
  const ServiceAccountTokens& tokens_;
};

}  // namespace orch::server
