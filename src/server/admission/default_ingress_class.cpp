// DefaultIngressClass: an Ingress that names no class gets the one marked as default; of several,
// the newest.
#include <tuple>

#include "orch/api/networkingv1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;
using networkingv1::Ingress;
using networkingv1::IngressClass;

bool is_default(const IngressClass& candidate) {
  const auto& annotations = candidate.metadata.annotations;
  const auto at = annotations.find("ingressclass.kubernetes.io/is-default-class");
  return at != annotations.end() && at->second == "true";
}

class DefaultIngressClass final : public AdmissionPlugin {
 public:
  explicit DefaultIngressClass(const AdmissionContext& context)
      : classes_(context.informers.lister<IngressClass>()) {}

  std::string_view name() const override { return "DefaultIngressClass"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate ||
        !is_write_of(request, "networking.k8s.io", "ingresses")) {
      return Unit{};
    }
    auto& ingress = static_cast<Ingress&>(*request.object);
    // The annotation is how classes were named before they were objects.
    if (ingress.spec.ingressClassName ||
        ingress.metadata.annotations.count("kubernetes.io/ingress.class") != 0) {
      return Unit{};
    }
    std::shared_ptr<const IngressClass> best;
    const auto rank = [](const IngressClass& c) {
      return std::make_tuple(-c.metadata.creationTimestamp.unix_seconds, c.metadata.name);
    };
    for (const auto& candidate : classes_.list()) {
      if (is_default(*candidate) && (!best || rank(*candidate) < rank(*best))) best = candidate;
    }
    if (best) ingress.spec.ingressClassName = best->metadata.name;
    return Unit{};
  }

 private:
  client::Lister<IngressClass> classes_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_default_ingress_class(const AdmissionContext& context) {
  return std::make_unique<DefaultIngressClass>(context);
}

}  // namespace orch::server
