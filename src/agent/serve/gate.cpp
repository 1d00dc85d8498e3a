#include "agent/serve/gate.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/authorizationv1.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"

namespace orch::agent {
namespace {

namespace authn = api::authenticationv1;
namespace authz = api::authorizationv1;

constexpr Seconds kUserLifetime{120};
constexpr Seconds kAllowedLifetime{300};
constexpr Seconds kDeniedLifetime{30};
constexpr const char* kMasters = "system:masters";
constexpr const char* kAuthenticated = "system:authenticated";

bool contains(const std::vector<std::string>& list, std::string_view what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

std::string_view first_segment(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return path.substr(0, path.find('/'));
}

std::string bearer_token(const net::HttpRequest& request) {
  const std::string_view authorization = net::header(request.headers, "Authorization");
  const size_t space = authorization.find(' ');
  if (space == std::string_view::npos || !iequals(authorization.substr(0, space), "Bearer")) {
    return "";
  }
  return std::string(trim(authorization.substr(space + 1)));
}

}  // namespace

std::string node_verb(std::string_view method, std::string_view path) {
  const std::string_view first = first_segment(path);
  for (const char* runs : {"exec", "attach", "run", "portForward"}) {
    if (first == runs) return "create";
  }
  if (method == "GET") return "get";
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return "delete";
  return "";
}

std::vector<std::string> node_subresources(std::string_view path) {
  const std::string first(first_segment(path));
  for (const char* alone : {"metrics", "stats", "spec", "checkpoint"}) {
    if (first == alone) return {first};
  }
  if (first == "logs") return {"log"};
  if (first == "healthz" || first == "configz" || first == "pods") return {first, "proxy"};
  if (first == "runningpods") return {"pods", "proxy"};
  return {"proxy"};
}

std::optional<Gate::User> Gate::token_user(const std::string& token) {
  const std::string key = net::sha256(token);
  if (auto kept = users_.get(key, clock_.mono())) return *kept;
  authn::TokenReview review;
  review.spec.token = token;
  auto answer = client_.create(review);
  if (!answer) {  // not the token's fault: nothing to keep
    log::warn("agent", "TokenReview for a caller: {}", answer.error().message);
    return std::nullopt;
  }
  std::optional<User> user;
  if (answer->status.authenticated) user = std::move(answer->status.user);
  users_.put(key, user, clock_.mono() + kUserLifetime);
  return user;
}

std::optional<Gate::User> Gate::authenticate(const net::HttpRequest& request) {
  if (!request.peer.error.empty()) return std::nullopt;  // one that does not verify
  if (!request.peer.common_name.empty()) {
    User user;
    user.username = request.peer.common_name;
    user.groups = request.peer.organizations;
    if (!contains(user.groups, kAuthenticated)) user.groups.emplace_back(kAuthenticated);
    return user;
  }
  const std::string token = bearer_token(request);
  if (token.empty()) return std::nullopt;
  return token_user(token);
}

api::ApiResult<bool> Gate::allowed(const User& user, const std::string& verb,
                                   const std::string& subresource) {
  authz::SubjectAccessReview review;
  review.spec.user = user.username;
  review.spec.uid = user.uid;
  review.spec.groups = user.groups;
  review.spec.extra = user.extra;
  auto& asked = review.spec.resourceAttributes.ensure();
  asked.verb = verb;
  asked.version = "v1";
  asked.resource = "nodes";
  asked.subresource = subresource;
  asked.name = node_name_;
  const std::string key = net::sha256(api::to_json(review));
  if (auto kept = decisions_.get(key, clock_.mono())) return *kept;
  ORCH_TRY(const auto answer, client_.create(review));
  const bool verdict = answer.status.allowed;
  decisions_.put(key, verdict, clock_.mono() + (verdict ? kAllowedLifetime : kDeniedLifetime));
  return verdict;
}

std::optional<Gate::Refusal> Gate::refuses(const net::HttpRequest& request) {
  const auto user = authenticate(request);
  if (!user) return Refusal{401, "Unauthorized"};
  if (contains(user->groups, kMasters)) return std::nullopt;
  const std::string verb = node_verb(request.method, request.path);
  const auto subresources = node_subresources(request.path);
  for (const auto& subresource : subresources) {
    const auto verdict = allowed(*user, verb, subresource);
    if (!verdict) {
      std::string text =
          fmt::format("Authorization error (user={}, verb={}, resource=nodes, subresource={})",
                      user->username, verb, subresource);
      log::warn("agent", "{}: {}", text, verdict.error().message);
      return Refusal{500, std::move(text)};
    }
    if (*verdict) return std::nullopt;
  }
  return Refusal{403, fmt::format("Forbidden (user={}, verb={}, resource=nodes, subresource={})",
                                  user->username, verb, subresources.back())};
}

}  // namespace orch::agent
