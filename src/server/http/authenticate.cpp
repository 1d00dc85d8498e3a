#include <fmt/format.h>

#include "orch/base/strings.h"
#include "server/api/authorize.h"
#include "server/http/filters.h"

namespace orch::server {
namespace {

constexpr std::string_view kServiceAccountPrefix = "system:serviceaccount:";
constexpr std::string_view kExtraPrefix = "impersonate-extra-";

Credentials credentials_of(const net::HttpRequest& request) {
  Credentials out;
  const std::string_view authorization = net::header(request.headers, "Authorization");
  const size_t space = authorization.find(' ');
  if (space != std::string_view::npos && iequals(authorization.substr(0, space), "Bearer")) {
    out.bearer_token = trim(authorization.substr(space + 1));
  } else if (!authorization.empty()) {
    out.bad_authorization = authorization;
  }
  out.certificate_common_name = request.peer.common_name;
  out.certificate_organizations = request.peer.organizations;
  out.certificate_uid = request.peer.uid;
  out.certificate_fingerprint = request.peer.fingerprint_sha256;
  out.certificate_refused = !request.peer.error.empty();
  out.front_proxy = request.peer.front_proxy;
  out.headers = &request.headers;
  out.path = request.path;
  return out;
}

struct Impersonation {
  std::string user, uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
};

Impersonation asked_for(const net::HttpRequest& request) {
  Impersonation out;
  for (const auto& [name, value] : request.headers) {
    const std::string lower = to_lower(name);
    if (lower == "impersonate-user") out.user = value;
    if (lower == "impersonate-uid") out.uid = value;
    if (lower == "impersonate-group") out.groups.push_back(value);
    if (lower.starts_with(kExtraPrefix)) {
      out.extra[net::url_decode(lower.substr(kExtraPrefix.size()))].push_back(value);
    }
  }
  return out;
}

api::ApiResult<Unit> allow(const Hooks& hooks, const UserInfo& user, std::string_view group,
                           std::string_view resource, std::string_view subresource,
                           std::string_view ns, std::string_view name) {
  if (hooks.authorizer == nullptr) return Unit{};
  Attributes attributes;
  attributes.user = &user;
  attributes.verb = "impersonate";
  attributes.group = group;
  attributes.version = "v1";
  attributes.resource = resource;
  attributes.subresource = subresource;
  attributes.namespace_ = ns;
  attributes.name = name;
  const Authorization verdict = hooks.authorizer->authorize(attributes);
  if (verdict.decision == Decision::kAllow) return Unit{};
  std::string text = forbidden_text(attributes);
  if (!verdict.reason.empty()) text += ": " + verdict.reason;
  return Err(api::forbidden({std::string(group), std::string(resource)}, name, text));
}

bool has_group(const std::vector<std::string>& groups, std::string_view name) {
  for (const auto& group : groups) {
    if (group == name) return true;
  }
  return false;
}

}  // namespace

api::ApiResult<Unit> authenticate(const Hooks& hooks, const net::HttpRequest& request, Call& call) {
  if (hooks.authenticator == nullptr) return Unit{};
  ORCH_TRY(call.user, hooks.authenticator->authenticate(credentials_of(request)));
  return Unit{};
}

api::ApiResult<Unit> impersonate(const Hooks& hooks, const net::HttpRequest& request, Call& call) {
  Impersonation asked = asked_for(request);
  if (asked.user.empty()) {
    if (asked.groups.empty() && asked.extra.empty() && asked.uid.empty()) return Unit{};
    return Err(api::bad_request("requested impersonation without impersonating a user"));
  }
  const UserInfo& who = call.user;
  UserInfo becomes;
  becomes.name = asked.user;
  becomes.uid = asked.uid;
  if (asked.user.starts_with(kServiceAccountPrefix)) {
    const auto parts = split(asked.user.substr(kServiceAccountPrefix.size()), ':');
    if (parts.size() != 2) {
      return Err(api::bad_request(fmt::format("invalid service account name \"{}\"", asked.user)));
    }
    ORCH_CHECK(allow(hooks, who, "", "serviceaccounts", "", parts[0], parts[1]));
    if (asked.groups.empty()) {
      becomes.groups = {"system:serviceaccounts", "system:serviceaccounts:" + parts[0]};
    }
  } else {
    ORCH_CHECK(allow(hooks, who, "", "users", "", "", asked.user));
  }
  for (const std::string& group : asked.groups) {
    ORCH_CHECK(allow(hooks, who, "", "groups", "", "", group));
    becomes.groups.push_back(group);
  }
  if (!asked.uid.empty()) {
    ORCH_CHECK(allow(hooks, who, "authentication.k8s.io", "uids", "", "", asked.uid));
  }
  for (const auto& [key, values] : asked.extra) {
    for (const std::string& value : values) {
      ORCH_CHECK(allow(hooks, who, "authentication.k8s.io", "userextras", key, "", value));
    }
  }
  becomes.extra = std::move(asked.extra);
  if (becomes.name == "system:anonymous") {
    if (!has_group(becomes.groups, "system:unauthenticated")) {
      becomes.groups.emplace_back("system:unauthenticated");
    }
  } else if (!has_group(becomes.groups, "system:authenticated")) {
    becomes.groups.emplace_back("system:authenticated");
  }
  call.user = std::move(becomes);
  return Unit{};
}

}  // namespace orch::server
