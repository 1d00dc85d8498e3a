// Priority: resolves priorityClassName to a number (the default class where none is named) and
// keeps clients from setting the number themselves.
#include <fmt/format.h>

#include "orch/api/corev1.h"
#include "orch/api/schedulingv1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

class PriorityPlugin final : public AdmissionPlugin {
 public:
  explicit PriorityPlugin(const AdmissionContext& context)
      : client_(context.client),
        classes_(context.informers.lister<schedulingv1::PriorityClass>()) {}

  std::string_view name() const override { return "Priority"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (!is_write_of(request, "", "pods")) return Unit{};
    auto& pod = static_cast<corev1::Pod&>(*request.object);
    if (request.operation == Operation::kUpdate) {
      const auto& old = static_cast<const corev1::Pod&>(*request.old_object);
      if (!pod.spec.priority) pod.spec.priority = old.spec.priority;
      if (!pod.spec.preemptionPolicy) pod.spec.preemptionPolicy = old.spec.preemptionPolicy;
      return Unit{};
    }
    int32_t priority = 0;
    std::optional<std::string> policy;
    if (!pod.spec.priorityClassName.empty()) {
      ORCH_TRY(const auto named, find(pod));
      priority = named->value;
      policy = named->preemptionPolicy;
    } else if (auto fallback = default_class()) {
      pod.spec.priorityClassName = fallback->metadata.name;
      priority = fallback->value;
      policy = fallback->preemptionPolicy;
    }
    if (pod.spec.priority && *pod.spec.priority != priority) {
      return Err(forbidden({"", "pods"}, pod.metadata.name,
                           fmt::format("the integer value of priority ({}) must not be provided in "
                                       "pod spec; priority admission controller computed {} from "
                                       "the given PriorityClass name",
                                       *pod.spec.priority, priority)));
    }
    pod.spec.priority = priority;
    const std::string preemption = policy.value_or("PreemptLowerPriority");
    if (pod.spec.preemptionPolicy && *pod.spec.preemptionPolicy != preemption) {
      return Err(
          forbidden({"", "pods"}, pod.metadata.name,
                    fmt::format("the string value of PreemptionPolicy ({}) must not be provided in "
                                "pod spec; priority admission controller computed {} from the "
                                "given PriorityClass name",
                                *pod.spec.preemptionPolicy, preemption)));
    }
    pod.spec.preemptionPolicy = preemption;
    return Unit{};
  }

  // Of classes only one may be the default.
  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    if (!is_write_of(request, "scheduling.k8s.io", "priorityclasses")) return Unit{};
    const auto& written = static_cast<const schedulingv1::PriorityClass&>(*request.object);
    if (!written.globalDefault) return Unit{};
    const auto other = default_class();
    if (!other || other->metadata.name == written.metadata.name) return Unit{};
    return Err(forbidden(request.resource->group_resource(), written.metadata.name,
                         fmt::format("PriorityClass {} is already marked as default. Only one "
                                     "default can exist",
                                     other->metadata.name)));
  }

 private:
  ApiResult<std::shared_ptr<const schedulingv1::PriorityClass>> find(const corev1::Pod& pod) const {
    const std::string& name = pod.spec.priorityClassName;
    if (auto cached = classes_.get("", name)) return cached;
    auto read = client_.get<schedulingv1::PriorityClass>("", name);
    if (read) return std::make_shared<const schedulingv1::PriorityClass>(std::move(*read));
    return Err(forbidden({"", "pods"}, pod.metadata.name,
                         fmt::format("no PriorityClass with name {} was found", name)));
  }

  std::shared_ptr<const schedulingv1::PriorityClass> default_class() const {
    std::shared_ptr<const schedulingv1::PriorityClass> best;
    for (const auto& candidate : classes_.list()) {
      if (!candidate->globalDefault) continue;
      if (!best || candidate->value < best->value) best = candidate;
    }
    return best;
  }

  const client::Client& client_;
  client::Lister<schedulingv1::PriorityClass> classes_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_priority(const AdmissionContext& context) {
  return std::make_unique<PriorityPlugin>(context);
}

}  // namespace orch::server
