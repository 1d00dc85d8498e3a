#include "server/auth/authenticator.h"

#include <algorithm>

#include "orch/base/log.h"

namespace orch::server {
namespace {

constexpr const char* kAuthenticated = "system:authenticated";

void add_authenticated(UserInfo& user) {
  if (!user.in_group(kAuthenticated)) user.groups.emplace_back(kAuthenticated);
}

}  // namespace

bool DefaultAuthenticator::lets_anonymous_in(const std::string& path) const {
  if (!options_.anonymous) return false;
  const auto& paths = options_.anonymous_paths;
  return paths.empty() || std::find(paths.begin(), paths.end(), path) != paths.end();
}

Result<VerifiedToken, std::string> DefaultAuthenticator::verify(
    const std::string& token, const std::vector<std::string>& audiences) const {
  auto own = tokens_.verify(token, audiences);
  if (own) return VerifiedToken{std::move(own->user), std::move(own->audiences)};
  std::string why = own.error();
  for (const auto& source : more_) {
    auto verified = source->verify(token, audiences);
    if (!verified) {
      why += "; " + verified.error();
    } else if (*verified) {
      add_authenticated((*verified)->user);
      return std::move(**verified);
    }
  }
  return Err(std::move(why));
}

api::ApiResult<UserInfo> DefaultAuthenticator::authenticate(const Credentials& credentials) {
  if (!credentials.certificate_common_name.empty()) {
    UserInfo user;
    user.name = credentials.certificate_common_name;
    user.groups = credentials.certificate_organizations;
    add_authenticated(user);
    user.extra["authentication.kubernetes.io/credential-id"] = {
        "X509SHA256=" + credentials.certificate_fingerprint};
    return user;
  }
  if (!credentials.bearer_token.empty()) {
    auto verified = verify(credentials.bearer_token, {});
    if (verified) return std::move(verified->user);
    // One answer for every reason: which check failed is not the caller's to learn.
    log::debug("auth", "bearer token refused: {}", verified.error());
    return Err(api::unauthorized());
  }
  if (!credentials.bad_authorization.empty() || !lets_anonymous_in(credentials.path)) {
    return Err(api::unauthorized());
  }
  return UserInfo{
      .name = "system:anonymous", .uid = "", .groups = {"system:unauthenticated"}, .extra = {}};
}

void DefaultAuthenticator::review(api::authenticationv1::TokenReview& review) {
  review.status = {};
  auto verified = verify(review.spec.token, review.spec.audiences);
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
