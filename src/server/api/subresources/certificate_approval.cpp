#include "server/api/subresources/certificate_approval.h"

#include <fmt/format.h>

#include "orch/api/certificate_decision.h"
#include "orch/net/tls.h"
#include "server/api/resource_traits.h"

namespace orch::server {
namespace {

using api::certificatesv1::CertificateSigningRequest;

constexpr std::string_view kGroup = "certificates.k8s.io";
constexpr std::string_view kResource = "certificatesigningrequests";
constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client";

api::Error refused(const CertificateSigningRequest& request, std::string_view why) {
  return api::forbidden({std::string(kGroup), std::string(kResource)}, request.metadata.name, why);
}

bool failed(const CertificateSigningRequest& request) {
  for (const auto& c : request.status.conditions) {
    if (c.type == "Failed") return true;
  }
  return false;
}

// Asks for the signer itself, then for all signers of its domain.
bool may(ApiServer& server, const UserInfo& user, std::string_view verb,
         const std::string& signer) {
  Authorizer* authorizer = server.hooks().authorizer;
  if (authorizer == nullptr) return true;
  Attributes attributes;
  attributes.user = &user;
  attributes.verb = verb;
  attributes.group = kGroup;
  attributes.version = "*";
  attributes.resource = "signers";
  for (const std::string& name : {signer, signer.substr(0, signer.find('/')) + "/*"}) {
    attributes.name = name;
    if (authorizer->authorize(attributes).decision == Decision::kAllow) return true;
  }
  return false;
}

}  // namespace

bool is_certificate_request(const api::ResourceInfo& resource) {
  return is_resource(resource, kGroup, kResource);
}

bool decides_certificate(const api::ResourceInfo& resource, std::string_view subresource) {
  return (subresource == "approval" || subresource == "status") && is_certificate_request(resource);
}

api::ApiResult<Unit> admit_certificate_request(api::Object& object, const UserInfo& user) {
  auto& request = static_cast<CertificateSigningRequest&>(object);
  request.spec.username = user.name;
  request.spec.uid = user.uid;
  request.spec.groups = user.groups;
  request.spec.extra = user.extra;
  const auto asked = net::parse_csr(request.spec.request);
  if (!asked) {
    api::FieldErrors errors;
    errors.invalid("spec.request", api::go_quoted(request.spec.request), asked.error());
    return Err(
        api::invalid(kGroup, "CertificateSigningRequest", request.metadata.name, errors.take()));
  }
  if (request.spec.signerName != kClientSigner) return Unit{};
  for (const auto& organization : asked->organizations) {
    if (organization != "system:masters") continue;
    return Err(refused(request, fmt::format("use of {} signer with system:masters group is not "
                                            "allowed",
                                            kClientSigner)));
  }
  return Unit{};
}

api::ApiResult<Unit> admit_certificate_decision(ApiServer& server, const UserInfo& user,
                                                std::string_view subresource,
                                                const api::Object& old_object,
                                                api::Object& object) {
  const auto& old = static_cast<const CertificateSigningRequest&>(old_object);
  auto& now = static_cast<CertificateSigningRequest&>(object);
  const bool approving = subresource == "approval";
  api::prepare_certificate_decision(now, old, approving, server.env().clock.now());
  const std::string& signer = old.spec.signerName;
  const bool signs = !approving && (now.status.certificate != old.status.certificate ||
                                    failed(now) != failed(old));
  if (approving && !may(server, user, "approve", signer)) {
    return Err(refused(
        now, "user not permitted to approve requests with signerName " + api::go_quoted(signer)));
  }
  if (signs && !may(server, user, "sign", signer)) {
    return Err(refused(
        now, "user not permitted to sign requests with signerName " + api::go_quoted(signer)));
  }
  api::FieldErrors errors;
  api::validate_certificate_decision(now, old, approving, errors);
  if (errors.empty()) return Unit{};
  return Err(api::invalid(kGroup, "CertificateSigningRequest", now.metadata.name, errors.take()));
}

}  // namespace orch::server
