// DenyServiceExternalIPs: new externalIPs are refused (CVE-2020-8554); those that are there may
// stay or go.

#include <algorithm>
#include <set>

#include "orch/api/corev1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

class DenyServiceExternalIps final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "DenyServiceExternalIPs"; }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    if (!is_write_of(request, "", "services")) return Unit{};
    const auto& now = static_cast<const corev1::Service&>(*request.object).spec.externalIPs;
    std::set<std::string> old;
    if (request.old_object != nullptr) {
      const auto& list = static_cast<const corev1::Service&>(*request.old_object).spec.externalIPs;
      old.insert(list.begin(), list.end());
    }
    const bool held = std::all_of(now.begin(), now.end(),
                                  [&](const auto& address) { return old.count(address) != 0; });
    if (held) return Unit{};
    return Err(forbidden({"", "services"}, request.object->metadata.name,
                         "Use of external IPs is denied by admission control."));
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_deny_service_external_ips(const AdmissionContext&) {
  return std::make_unique<DenyServiceExternalIps>();
}

}  // namespace orch::server
