// coordination.k8s.io/v1alpha2 LeaseCandidate (KEP-4355): served on request.
#include "api/kinds/common.h"
#include "orch/api/coordinationv1alpha2.h"
#include "orch/api/semantic_version.h"

namespace orch::api {
namespace {

using coordinationv1alpha2::LeaseCandidate;

std::optional<SemanticVersion> version(const std::string& text, const std::string& path,
                                       FieldErrors& errors) {
  auto parsed = SemanticVersion::parse(text);
  if (!parsed) errors.invalid(path, quoted(text), "bad semantic version");
  return parsed;
}

void validate(const Object& object, const Object* old, FieldErrors& errors) {
  const auto& spec = static_cast<const LeaseCandidate&>(object).spec;
  if (spec.leaseName.empty()) errors.required("spec.leaseName", "");
  if (old && static_cast<const LeaseCandidate&>(*old).spec.leaseName != spec.leaseName) {
    errors.invalid("spec.leaseName", quoted(spec.leaseName), "field is immutable");
  }
  std::optional<SemanticVersion> binary, emulation;
  if (spec.binaryVersion.empty()) {
    errors.required("spec.binaryVersion", "");
  } else {
    binary = version(spec.binaryVersion, "spec.binaryVersion", errors);
  }
  if (!spec.emulationVersion.empty()) {
    emulation = version(spec.emulationVersion, "spec.emulationVersion", errors);
  }
  if (spec.strategy.empty()) {
    errors.required("spec.strategy", "");
  } else if (spec.strategy == "OldestEmulationVersion" && spec.emulationVersion.empty()) {
    errors.required("spec.emulationVersion",
                    "must be specified when `strategy` is 'OldestEmulationVersion'");
  }
  if (binary && emulation && *binary < *emulation) {
    errors.invalid("spec.binaryVersion", quoted(spec.binaryVersion),
                   "must be greater than or equal to `emulationVersion`");
  }
}

}  // namespace

ResourceInfo lease_candidates_resource() {
  auto info = stored_resource<LeaseCandidate>("leasecandidates", "leasecandidate", true);
  info.validate = validate;
  info.columns = {name_column(),
                  column("LeaseName", "string", "The Lease it stands for."),
                  column("BinaryVersion", "string", "The version of its binary."),
                  column("EmulationVersion", "string", "The version it behaves like."),
                  column("Strategy", "string", "How the holder is chosen."),
                  age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& spec = static_cast<const LeaseCandidate&>(object).spec;
    return {name_cell(object),           text(spec.leaseName), text(spec.binaryVersion),
            text(spec.emulationVersion), text(spec.strategy),  age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
