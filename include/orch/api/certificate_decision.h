// What may become of a CertificateSigningRequest through its approval and status subresources.
// Pure; any thread. Texts as upstream.
#pragma once

#include "orch/api/certificatesv1.h"  // generated
#include "orch/api/error.h"

namespace orch::api {

// Keeps what the subresource must not change and stamps conditions without times. `approving`:
// through approval, which decides but does not bring the certificate.
void prepare_certificate_decision(certificatesv1::CertificateSigningRequest& now,
                                  const certificatesv1::CertificateSigningRequest& old,
                                  bool approving, WallTime time);
void validate_certificate_decision(const certificatesv1::CertificateSigningRequest& now,
                                   const certificatesv1::CertificateSigningRequest& old,
                                   bool approving, FieldErrors& errors);

}  // namespace orch::api
