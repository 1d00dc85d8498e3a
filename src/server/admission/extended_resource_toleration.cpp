// ExtendedResourceToleration (off by default): Pods that ask for devices tolerate the taints named
// after them.

#include <algorithm>
#include <set>

#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

class ExtendedResourceToleration final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "ExtendedResourceToleration"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (!is_write_of(request, "", "pods")) return Unit{};
    auto& spec = static_cast<corev1::Pod&>(*request.object).spec;
    std::set<std::string> names;
    const auto gather = [&names](const auto& containers) {
      for (const auto& container : containers) {
        for (const auto& [name, amount] : container.resources.requests) {
          const bool own = name.find('/') == std::string::npos ||
                           name.find("kubernetes.io/") != std::string::npos ||
                           name.starts_with("requests.");
          if (!own) names.insert(name);
        }
      }
    };
    gather(spec.initContainers);
    gather(spec.containers);
    for (const auto& name : names) {
      corev1::Toleration wanted;
      wanted.key = name;
      wanted.operator_ = "Exists";
      wanted.effect = "NoSchedule";
      const bool there = std::any_of(spec.tolerations.begin(), spec.tolerations.end(),
                                     [&](const auto& held) { return equal(held, wanted); });
      if (!there) spec.tolerations.push_back(std::move(wanted));
    }
    return Unit{};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_extended_resource_toleration(const AdmissionContext&) {
  return std::make_unique<ExtendedResourceToleration>();
}

}  // namespace orch::server
