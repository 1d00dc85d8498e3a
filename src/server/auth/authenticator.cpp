#include "server/auth/authenticator.h"

#include <algorithm>

#include "orch/base/log.h"

namespace orch::server {
namespace {

constexpr const char* kAnonymous = "system:anonymous";
constexpr const char* kAuthenticated = "system:authenticated";
constexpr const char* kUnauthenticated = "system:unauthenticated";

void add_authenticated(UserInfo& user) {
  if (user.name == kAnonymous || user.in_group(kUnauthenticated)) return;
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
  bool refused = credentials.certificate_refused || !credentials.bad_authorization.empty();
  if (credentials.front_proxy && credentials.headers != nullptr) {
    auto named = user_of_front_proxy(options_.request_header, *credentials.front_proxy,
                                     *credentials.headers);
    if (!named) {
      log::debug("auth", "front proxy refused: {}", named.error());
      refused = true;
    } else if (*named) {
      add_authenticated(**named);
      return std::move(**named);
    }
  }
  if (!credentials.certificate_common_name.empty()) {
    UserInfo user;
    user.name = credentials.certificate_common_name;
    user.uid = credentials.certificate_uid;
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
  if (refused || !lets_anonymous_in(credentials.path)) return Err(api::unauthorized());
  return UserInfo{.name = kAnonymous, .uid = "", .groups = {kUnauthenticated}, .extra = {}};
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
