// What the certificate controllers decide: which requests of agents are approved by themselves, and
// which the built-in signers sign. Pure.
#pragma once

#include <optional>
#include <string>

#include "orch/api/certificatesv1.h"
#include "orch/base/clock.h"
#include "server/controllers/certificate_authority.h"

namespace orch::server {

inline constexpr const char* kClientSigner = "kubernetes.io/kube-apiserver-client";
inline constexpr const char* kKubeletClientSigner = "kubernetes.io/kube-apiserver-client-kubelet";
inline constexpr const char* kKubeletServingSigner = "kubernetes.io/kubelet-serving";
inline constexpr const char* kLegacySigner = "kubernetes.io/legacy-unknown";

bool has_csr_condition(const api::certificatesv1::CertificateSigningRequest& request,
                       std::string_view type);
// Why the signer does not sign the request; "" = it does. Other signers' requests: nullopt.
std::optional<std::string> signer_refuses(
    const api::certificatesv1::CertificateSigningRequest& request, const CsrSubject& subject);
// How long the certificate is valid: as asked, at least 10 minutes, at most `longest`.
Seconds certificate_lifetime(const api::certificatesv1::CertificateSigningRequest& request,
                             Seconds longest);

}  // namespace orch::server
