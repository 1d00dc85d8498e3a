// CSR approving and signing: an agent's own client certificate is approved by itself where the API
// lets it; the built-in signers sign what is approved.
#include <algorithm>

#include "orch/api/authorizationv1.h"
#include "orch/api/codec.h"
#include "server/controllers/csr.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using certificatesv1::CertificateSigningRequest;
using Outcome = Result<Unit, client::ReconcileError>;

constexpr Seconds kLongest{365 * 24 * 3600};
constexpr Seconds kBackdated{300};  // clocks of those who verify may be behind

void add_condition(CertificateSigningRequest& request, const char* type, const char* reason,
                   std::string message, WallTime now) {
  auto& condition = request.status.conditions.emplace_back();
  condition.type = type;
  condition.status = "True";
  condition.reason = reason;
  condition.message = std::move(message);
  condition.lastUpdateTime = condition.lastTransitionTime = Time(now);
}

class CsrApprover final : public client::Reconciler {
 public:
  CsrApprover(client::ControllerContext& context, const CertificateAuthority& authority)
      : context_(context),
        authority_(authority),
        requests_(context.informers.lister<CertificateSigningRequest>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto request = requests_.get("", key.name);
    if (!request || !request->status.certificate.empty() ||
        has_csr_condition(*request, "Approved") || has_csr_condition(*request, "Denied")) {
      return client::done();
    }
    if (request->spec.signerName != kKubeletClientSigner) return client::done();
    const auto subject = authority_.read(request->spec.request);
    if (!subject || signer_refuses(*request, *subject) != "") return client::done();
    if (request->spec.username == subject->common_name) {
      ORCH_TRY(const bool may, asks_for(*request, "selfnodeclient"));
      if (may) {
        return approve(*request,
                       "Auto approving self kubelet client certificate after SubjectAccessReview.");
      }
    }
    ORCH_TRY(const bool may, asks_for(*request, "nodeclient"));
    if (!may) return client::done();
    return approve(*request,
                   "Auto approving kubelet client certificate after SubjectAccessReview.");
  }

 private:
  Result<bool, client::ReconcileError> asks_for(const CertificateSigningRequest& request,
                                                const char* subresource) {
    authorizationv1::SubjectAccessReview review;
    review.spec.user = request.spec.username;
    review.spec.uid = request.spec.uid;
    review.spec.groups = request.spec.groups;
    review.spec.extra = request.spec.extra;
    auto& attributes = review.spec.resourceAttributes.ensure();
    attributes.group = "certificates.k8s.io";
    attributes.resource = "certificatesigningrequests";
    attributes.verb = "create";
    attributes.subresource = subresource;
    auto answer = context_.client.create(review);
    if (!answer) return Err(answer.error());
    return answer->status.allowed;
  }

  client::ReconcileResult approve(CertificateSigningRequest request, std::string message) {
    add_condition(request, "Approved", "AutoApproved", std::move(message),
                  context_.env.clock.now());
    auto written = context_.client.raw().write(resource_of<CertificateSigningRequest>(), "update",
                                               request, "approval");
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

  client::ControllerContext context_;
  const CertificateAuthority& authority_;
  client::Lister<CertificateSigningRequest> requests_;
};

class CsrSigner final : public client::Reconciler {
 public:
  CsrSigner(client::ControllerContext& context, const CertificateAuthority& authority)
      : context_(context),
        authority_(authority),
        requests_(context.informers.lister<CertificateSigningRequest>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto request = requests_.get("", key.name);
    if (!request || !request->status.certificate.empty() ||
        !has_csr_condition(*request, "Approved") || has_csr_condition(*request, "Denied") ||
        has_csr_condition(*request, "Failed")) {
      return client::done();
    }
    const auto subject = authority_.read(request->spec.request);
    const auto refusal = subject ? signer_refuses(*request, *subject) : subject.error();
    if (!refusal) return client::done();  // another signer's
    CertificateSigningRequest changed = *request;
    if (!refusal->empty()) {
      add_condition(changed, "Failed", "SignerValidationFailure", *refusal,
                    context_.env.clock.now());
    } else {
      auto certificate = authority_.sign(order(*request));
      if (!certificate) return Err(client::ReconcileError(certificate.error()));
      changed.status.certificate = std::move(*certificate);
    }
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

 private:
  CertificateOrder order(const CertificateSigningRequest& request) const {
    const auto& usages = request.spec.usages;
    const auto asks = [&](const char* usage) {
      return std::find(usages.begin(), usages.end(), usage) != usages.end();
    };
    CertificateOrder out;
    out.csr_pem = request.spec.request;
    out.server_auth = asks("server auth");
    out.client_auth = asks("client auth");
    out.for_serving = request.spec.signerName == kKubeletServingSigner;
    out.not_before = context_.env.clock.now() - kBackdated;
    out.not_after = context_.env.clock.now() + certificate_lifetime(request, kLongest);
    return out;
  }

  client::ControllerContext context_;
  const CertificateAuthority& authority_;
  client::Lister<CertificateSigningRequest> requests_;
};

class Idle final : public client::Reconciler {
 public:
  client::ReconcileResult reconcile(const ObjectKey&) override { return client::done(); }
};

// Without an authority there is nobody to ask: the controller then has nothing to watch.
template <class R>
auto csr_spec(const char* name, const ControllersConfig& config) {
  client::ControllerSpec spec{
      .name = name, .watches = {}, .strands = 1, .make = nullptr, .initial_keys = {}};
  const CertificateAuthority* authority = config.certificates;
  if (authority != nullptr) spec.watches = {client::primary<CertificateSigningRequest>()};
  spec.make = [authority](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
    if (authority == nullptr) return std::make_unique<Idle>();
    return std::make_unique<R>(c, *authority);
  };
  return spec;
}

}  // namespace

client::ControllerSpec csr_approver(client::ControllerContext&, const ControllersConfig& config) {
  return csr_spec<CsrApprover>("certificatesigningrequest-approving-controller", config);
}

client::ControllerSpec csr_signer(client::ControllerContext&, const ControllersConfig& config) {
  return csr_spec<CsrSigner>("certificatesigningrequest-signing-controller", config);
}

}  // namespace orch::server
