// TaintNodesByCondition: a new Node starts tainted not-ready, so that nothing is placed on it
// before its agent reported.
#include <algorithm>

#include "orch/api/corev1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

class TaintNodesByCondition final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "TaintNodesByCondition"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !is_write_of(request, "", "nodes"))
      return Unit{};
    auto& taints = static_cast<corev1::Node&>(*request.object).spec.taints;
    const bool there = std::any_of(taints.begin(), taints.end(), [](const auto& taint) {
      return taint.key == "node.kubernetes.io/not-ready" && taint.effect == "NoSchedule";
    });
    if (there) return Unit{};
    corev1::Taint taint;
    taint.key = "node.kubernetes.io/not-ready";
    taint.effect = "NoSchedule";
    taints.push_back(std::move(taint));
    return Unit{};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_taint_nodes_by_condition(const AdmissionContext&) {
  return std::make_unique<TaintNodesByCondition>();
}

}  // namespace orch::server
