// RuntimeClass: a Pod takes overhead, node selector and tolerations of the class it names (KEP-585,
// KEP-688).
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/corev1.h"
#include "orch/api/nodev1.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Pod;
using nodev1::RuntimeClass;

constexpr std::string_view kOtherOverhead =
    "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

Err<Error> refuse(const Pod& pod, std::string_view why) {
  const auto& meta = pod.metadata;
  return Err(forbidden({"", "pods"}, meta.name.empty() ? meta.generateName : meta.name, why));
}

ApiResult<Unit> take_overhead(Pod& pod, const RuntimeClass& runtime) {
  if (!runtime.overhead) return Unit{};
  const auto& fixed = runtime.overhead->podFixed;
  if (!pod.spec.overhead.empty() && pod.spec.overhead != fixed) return refuse(pod, kOtherOverhead);
  pod.spec.overhead = fixed;
  return Unit{};
}

ApiResult<Unit> take_scheduling(Pod& pod, const RuntimeClass& runtime) {
  if (!runtime.scheduling) return Unit{};
  for (const auto& [key, value] : runtime.scheduling->nodeSelector) {
    const auto [at, added] = pod.spec.nodeSelector.emplace(key, value);
    if (!added && at->second != value) {
      return refuse(pod, fmt::format("conflict: runtimeClass.scheduling.nodeSelector[{}] = {}; "
                                     "pod.spec.nodeSelector[{}] = {}",
                                     key, value, key, at->second));
    }
  }
  for (const auto& toleration : runtime.scheduling->tolerations) {
    auto& have = pod.spec.tolerations;
    const bool there =
        std::any_of(have.begin(), have.end(), [&](const auto& t) { return equal(t, toleration); });
    if (!there) have.push_back(toleration);
  }
  return Unit{};
}

class RuntimeClassPlugin final : public AdmissionPlugin {
 public:
  explicit RuntimeClassPlugin(const AdmissionContext& context)
      : client_(context.client), classes_(context.informers.lister<RuntimeClass>()) {}

  std::string_view name() const override { return "RuntimeClass"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !is_write_of(request, "", "pods")) return Unit{};
    auto& pod = static_cast<Pod&>(*request.object);
    ORCH_TRY(const auto runtime, find(pod));
    if (!runtime) return Unit{};
    ORCH_CHECK(take_overhead(pod, *runtime));
    return take_scheduling(pod, *runtime);
  }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !is_write_of(request, "", "pods")) return Unit{};
    const auto& pod = static_cast<const Pod&>(*request.object);
    ORCH_TRY(const auto runtime, find(pod));
    if (runtime && runtime->overhead) {
      if (runtime->overhead->podFixed != pod.spec.overhead) return refuse(pod, kOtherOverhead);
    } else if (!pod.spec.overhead.empty()) {
      return refuse(
          pod,
          "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    }
    return Unit{};
  }

 private:
  // Null: the Pod names none.
  ApiResult<std::shared_ptr<const RuntimeClass>> find(const Pod& pod) const {
    const auto& wanted = pod.spec.runtimeClassName;
    if (!wanted) return std::shared_ptr<const RuntimeClass>();
    if (auto cached = classes_.get("", *wanted)) return cached;
    auto live = client_.get<RuntimeClass>("", *wanted);
    if (live) return std::make_shared<const RuntimeClass>(std::move(*live));
    if (!live.error().is("NotFound")) return Err(live.error());
    return refuse(pod, fmt::format("pod rejected: RuntimeClass {} not found", go_quoted(*wanted)));
  }

  const client::Client& client_;
  client::Lister<RuntimeClass> classes_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_runtime_class(const AdmissionContext& context) {
  return std::make_unique<RuntimeClassPlugin>(context);
}

}  // namespace orch::server
