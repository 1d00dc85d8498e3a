// ControllerRevisions: the templates a StatefulSet or DaemonSet had, for rolling back. A revision's
// data is the strategic merge patch that restores the template, as `kubectl rollout` reads it.
//
// plan_revisions() and plan_history() are pure; RevisionHistory acts, on its reconciler's strand.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "orch/api/appsv1.h"
#include "orch/api/selector.h"
#include "orch/client/reconciler.h"

namespace orch::server {

using RevisionPtr = std::shared_ptr<const api::appsv1::ControllerRevision>;

inline constexpr const char* kRevisionHashLabel = "controller-revision-hash";  // of pods

// The data of a revision of this template, and the template in a revision's data.
std::string template_patch(const api::corev1::PodTemplateSpec& pod_template);
Result<api::corev1::PodTemplateSpec, std::string> template_of(
    const api::appsv1::ControllerRevision& revision);
std::string revision_hash(const std::string& data, int32_t collision_count);

struct RevisionPlan {
  RevisionPtr same;      // has the wanted data; nullptr = none has
  int64_t revision = 0;  // the number the wanted one must have
};
// `revisions` of one owner, in any order; the newest of equal ones counts.
RevisionPlan plan_revisions(const std::vector<RevisionPtr>& revisions, const std::string& data);
// The revisions to delete: the oldest beyond `limit` of those whose name is not in `live`.
std::vector<RevisionPtr> plan_history(const std::vector<RevisionPtr>& revisions,
                                      const std::set<std::string>& live, int32_t limit);

class RevisionHistory {
 public:
  // `hash_label` bears the hash on the revisions themselves.
  RevisionHistory(client::ControllerContext& context, std::string hash_label)
      : context_(context),
        hash_label_(std::move(hash_label)),
        revisions_(context.informers.lister<api::appsv1::ControllerRevision>()) {}

  // The owner's revisions, after adopting orphans that the selector matches.
  Result<std::vector<RevisionPtr>, client::ReconcileError> claim(
      const api::Object& owner, const api::LabelSelector& selector);
  // The revision of this template: found, renumbered when it is an old one come back, or made.
  // Hash collisions are added to `collision_count`.
  Result<RevisionPtr, client::ReconcileError> resolve(
      const api::Object& owner, const api::corev1::PodTemplateSpec& pod_template,
      const std::vector<RevisionPtr>& revisions, int32_t& collision_count);
  Result<Unit, client::ReconcileError> remove(const std::vector<RevisionPtr>& revisions);

 private:
  Result<RevisionPtr, client::ReconcileError> create(
      const api::Object& owner, const api::corev1::PodTemplateSpec& pod_template,
      const std::string& data, int64_t number, int32_t& collision_count);

  client::ControllerContext context_;
  std::string hash_label_;
  client::Lister<api::appsv1::ControllerRevision> revisions_;
};

}  // namespace orch::server
