#include "server/auth/authenticator.h"

#include "orch/base/log.h"

namespace orch::server {

api::ApiResult<UserInfo> DefaultAuthenticator::authenticate(const Credentials& credentials) {
  if (!credentials.certificate_common_name.empty()) {
    UserInfo user;
    user.name = credentials.certificate_common_name;
    user.groups = credentials.certificate_organizations;
    user.groups.push_back("system:authenticated");
    user.extra["authentication.kubernetes.io/credential-id"] = {
        "X509SHA256=" + credentials.certificate_fingerprint};
    return user;
  }
  if (!credentials.bearer_token.empty()) {
    auto verified = tokens_.verify(credentials.bearer_token, {});
    if (verified) return std::move(verified->user);
    // One answer for every reason: which check failed is not the caller's to learn.
    log::debug("auth", "bearer token refused: {}", verified.error());
    return Err(api::unauthorized());
  }
  if (!credentials.bad_authorization.empty()) return Err(api::unauthorized());
  return UserInfo{
      .name = "system:anonymous", .uid = "", .groups = {"system:unauthenticated"}, .extra = {}};
}

void DefaultAuthenticator::review(api::authenticationv1::TokenReview& review) {
  review.status = {};
  auto verified = tokens_.verify(review.spec.token, review.spec.audiences);
  if (!verified) {
    review.status.error = "invalid bearer token";
    return;
  }
  review.status.authenticated = true;
  review.status.audiences = std::move(verified->audiences);
  auto& user = review.status.user;
  user.username = verified->user.name;
  user.uid = verified->user.uid;
  user.groups = verified->user.groups;
  user.extra = verified->user.extra;
}

}  // namespace orch::server
