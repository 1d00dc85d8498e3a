// coordination.k8s.io/v1 Lease.
#include "api/kinds/common.h"
#include "orch/api/coordinationv1.h"

namespace orch::api {
namespace {

using coordinationv1::Lease;

// Coordinated elections are an alpha feature: where it is off its fields are dropped, unless the
// object has them already.
void prepare(Object& object, const Object* old, const StrategyContext&) {
  if (find_resource("coordination.k8s.io", "v1alpha2", "leasecandidates") != nullptr) return;
  auto& spec = static_cast<Lease&>(object).spec;
  const auto* before = old == nullptr ? nullptr : &static_cast<const Lease&>(*old).spec;
  if (before != nullptr && (before->strategy || before->preferredHolder)) return;
  spec.strategy.reset();
  spec.preferredHolder.reset();
}

void validate(const Object& object, const Object*, FieldErrors& errors) {
  const auto& spec = static_cast<const Lease&>(object).spec;
  if (spec.leaseDurationSeconds && *spec.leaseDurationSeconds <= 0) {
    errors.invalid("spec.leaseDurationSeconds", std::to_string(*spec.leaseDurationSeconds),
                   "must be greater than 0");
  }
  if (spec.leaseTransitions && *spec.leaseTransitions < 0) {
    errors.invalid("spec.leaseTransitions", std::to_string(*spec.leaseTransitions),
                   "must be greater than or equal to 0");
  }
  if (!spec.preferredHolder.value_or("").empty() && spec.strategy.value_or("").empty()) {
    errors.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined");
  }
}

}  // namespace

ResourceInfo leases_resource() {
  auto info = stored_resource<Lease>("leases", "lease", true);
  info.prepare = prepare;
  info.validate = validate;
  info.columns = {name_column(), column("Holder", "string", "Who holds it."), age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    return {name_cell(object),
            text(static_cast<const Lease&>(object).spec.holderIdentity.value_or("")),
            age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
