#include "server/api/authorize.h"

#include <fmt/format.h>

namespace orch::server {
namespace {

bool streams(const RequestInfo& info) {
  return info.resource == "pods" && info.group.empty() &&
         (info.subresource == "exec" || info.subresource == "attach" ||
          info.subresource == "portforward");
}

bool upgrades(const Call& call) {
  return call.http != nullptr && net::header_has_token(call.http->headers, "Connection", "upgrade");
}

Attributes attributes_of(const Call& call) {
  const RequestInfo& info = call.info;
  Attributes out;
  out.user = &call.user;
  out.verb = info.verb;
  out.resource_request = info.is_resource;
  out.path = info.path;
  if (!info.is_resource) return out;
  out.group = info.group;
  out.version = info.version;
  out.resource = info.resource;
  out.subresource = info.subresource;
  out.namespace_ = info.namespace_;
  out.name = info.name;
  if (streams(info) || (info.subresource == "proxy" && upgrades(call))) out.verb = "create";
  if (info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection") {
    out.field_selector = call.param("fieldSelector");
    out.label_selector = call.param("labelSelector");
  }
  return out;
}

}  // namespace

std::string forbidden_text(const Attributes& a) {
  const std::string user = a.user->name;
  if (!a.resource_request) {
    return fmt::format("User \"{}\" cannot {} path \"{}\"", user, a.verb, a.path);
  }
  const std::string resource =
      a.subresource.empty() ? a.resource : a.resource + "/" + a.subresource;
  std::string text = fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\"", user,
                                 a.verb, resource, a.group);
  text += a.namespace_.empty() ? std::string(" at the cluster scope")
                               : fmt::format(" in the namespace \"{}\"", a.namespace_);
  return text;
}

api::ApiResult<Unit> authorize(const Hooks& hooks, const Call& call, Authorization* said) {
  if (hooks.authorizer == nullptr) return Unit{};
  const Attributes attributes = attributes_of(call);
  const Authorization verdict = hooks.authorizer->authorize(attributes);
  if (said != nullptr) *said = verdict;
  if (verdict.decision == Decision::kAllow) return Unit{};
  std::string text = forbidden_text(attributes);
  if (!verdict.reason.empty()) text += ": " + verdict.reason;
  api::GroupResource resource{attributes.group, attributes.resource};
  if (!attributes.resource_request) {
    api::Error error = api::forbidden({"", ""}, "", text);
    error.message = "forbidden: " + text;
    return Err(std::move(error));
  }
  return Err(api::forbidden(resource, attributes.name, text));
}

}  // namespace orch::server
