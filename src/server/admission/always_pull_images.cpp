// AlwaysPullImages (off by default): images are pulled each time, so that who may not pull one may
// not run it either.

#include "orch/api/corev1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

class AlwaysPullImages final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "AlwaysPullImages"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (!is_write_of(request, "", "pods")) return Unit{};
    auto& spec = static_cast<corev1::Pod&>(*request.object).spec;
    const auto set = [](auto& containers) {
      for (auto& container : containers) container.imagePullPolicy = "Always";
    };
    // What runs keeps the policy it was born with.
    if (request.operation == Operation::kUpdate) return Unit{};
    set(spec.initContainers);
    set(spec.containers);
    set(spec.ephemeralContainers);
    return Unit{};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_always_pull_images(const AdmissionContext&) {
  return std::make_unique<AlwaysPullImages>();
}

}  // namespace orch::server
