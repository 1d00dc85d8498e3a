// DefaultTolerationSeconds: a Pod stays 300 s on a node that is not ready or unreachable unless it
// says otherwise.
#include <algorithm>

#include "orch/api/corev1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

constexpr int64_t kSeconds = 300;

bool tolerates_no_execute(const corev1::PodSpec& spec, std::string_view key) {
  return std::any_of(spec.tolerations.begin(), spec.tolerations.end(), [key](const auto& t) {
    return (t.key == key || t.key.empty()) && (t.effect == "NoExecute" || t.effect.empty());
  });
}

class DefaultTolerationSeconds final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "DefaultTolerationSeconds"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (!is_write_of(request, "", "pods")) return Unit{};
    auto& spec = static_cast<corev1::Pod&>(*request.object).spec;
    for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
      if (tolerates_no_execute(spec, key)) continue;
      corev1::Toleration toleration;
      toleration.key = key;
      toleration.operator_ = "Exists";
      toleration.effect = "NoExecute";
      toleration.tolerationSeconds = kSeconds;
      spec.tolerations.push_back(std::move(toleration));
    }
    return Unit{};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_default_toleration_seconds(const AdmissionContext&) {
  return std::make_unique<DefaultTolerationSeconds>();
}

}  // namespace orch::server
