#include <algorithm>

#include "server/controllers/csr.h"

namespace orch::server {

using namespace api;
using certificatesv1::CertificateSigningRequest;

namespace {

constexpr Seconds kShortest{600};

bool usages_are(const std::vector<std::string>& usages, std::string_view purpose) {
  const auto has = [&](std::string_view usage) {
    return std::find(usages.begin(), usages.end(), usage) != usages.end();
  };
  const bool known = std::all_of(usages.begin(), usages.end(), [&](const std::string& usage) {
    return usage == "digital signature" || usage == "key encipherment" || usage == purpose;
  });
  return known && has("digital signature") && has(purpose);
}

bool is_node_subject(const CsrSubject& subject) {
  return subject.organizations == std::vector<std::string>{"system:nodes"};
}

std::string refuses_kubelet_client(const CertificateSigningRequest& request,
                                   const CsrSubject& subject) {
  if (!is_node_subject(subject)) return "subject organization is not system:nodes";
  if (!subject.dns_names.empty()) return "DNS subjectAltNames are not allowed";
  if (!subject.ip_addresses.empty()) return "IP subjectAltNames are not allowed";
  if (!subject.common_name.starts_with("system:node:")) {
    return "subject common name does not begin with system:node: ";
  }
  if (!usages_are(request.spec.usages, "client auth")) {
    return "usages did not match [client auth digital signature key encipherment] or [client auth "
           "digital signature]";
  }
  return "";
}

std::string refuses_kubelet_serving(const CertificateSigningRequest& request,
                                    const CsrSubject& subject) {
  if (!is_node_subject(subject)) return "subject organization is not system:nodes";
  if (subject.dns_names.empty() && subject.ip_addresses.empty()) {
    return "DNS or IP subjectAltName is required";
  }
  if (!usages_are(request.spec.usages, "server auth")) {
    return "usages did not match [digital signature key encipherment server auth] or [digital "
           "signature server auth]";
  }
  if (!subject.common_name.starts_with("system:node:")) {
    return "subject common name does not begin with system:node: ";
  }
  return "";
}

std::string refuses_client(const CertificateSigningRequest& request) {
  static constexpr std::string_view kAllowed[] = {"digital signature", "key encipherment",
                                                  "client auth"};
  const auto& usages = request.spec.usages;
  const bool allowed = std::all_of(usages.begin(), usages.end(), [](const std::string& usage) {
    return std::find(std::begin(kAllowed), std::end(kAllowed), usage) != std::end(kAllowed);
  });
  const bool client = std::find(usages.begin(), usages.end(), "client auth") != usages.end();
  return allowed && client
             ? ""
             : "invalid usage for client certificate: must include \"client auth\" and nothing "
               "beyond \"digital signature\" and \"key encipherment\"";
}

}  // namespace

bool has_csr_condition(const CertificateSigningRequest& request, std::string_view type) {
  const auto& conditions = request.status.conditions;
  return std::any_of(conditions.begin(), conditions.end(),
                     [&](const auto& condition) { return condition.type == type; });
}

std::optional<std::string> signer_refuses(const CertificateSigningRequest& request,
                                          const CsrSubject& subject) {
  const std::string& signer = request.spec.signerName;
  if (signer == kClientSigner) return refuses_client(request);
  if (signer == kKubeletClientSigner) return refuses_kubelet_client(request, subject);
  if (signer == kKubeletServingSigner) return refuses_kubelet_serving(request, subject);
  if (signer == kLegacySigner) return "";
  return std::nullopt;
}

Seconds certificate_lifetime(const CertificateSigningRequest& request, Seconds longest) {
  const auto& asked = request.spec.expirationSeconds;
  return asked ? std::clamp(Seconds{*asked}, std::min(kShortest, longest), longest) : longest;
}

}  // namespace orch::server
