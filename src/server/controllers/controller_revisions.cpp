#include "server/controllers/controller_revisions.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/api/json_value.h"
#include "orch/base/strings.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using appsv1::ControllerRevision;

namespace {

constexpr size_t kPrefixMax = 223;  // leaves room for the hash in a name

void sort_by_age(std::vector<RevisionPtr>& revisions) {
  std::sort(revisions.begin(), revisions.end(), [](const RevisionPtr& a, const RevisionPtr& b) {
    const auto key = [](const ControllerRevision& r) {
      return std::make_tuple(r.revision, r.metadata.creationTimestamp.unix_seconds,
                             r.metadata.name);
    };
    return key(*a) < key(*b);
  });
}

std::string canonical(const std::string& json) {
  const auto value = JsonValue::parse(json);
  return value ? value->dump_go() : json;
}

// Other controllers may have written the same data in another order.
bool has_data(const ControllerRevision& revision, const std::string& data) {
  return revision.data.text == data || canonical(revision.data.text) == data;
}

}  // namespace

std::string template_patch(const corev1::PodTemplateSpec& pod_template) {
  // A template has containers, so its text is never just "{}". Its form is the one that kubectl
  // makes of the template when it looks for the current revision, byte for byte.
  return canonical(R"({"spec":{"template":{"$patch":"replace",)" + to_json(pod_template).substr(1) +
                   "}}");
}

Result<corev1::PodTemplateSpec, std::string> template_of(const ControllerRevision& revision) {
  // Deployment for its spec.template: what the data patches is decoded alike for all kinds.
  auto holder = from_json<appsv1::Deployment>(revision.data.text);
  if (!holder) {
    return Err(fmt::format("revision {}: {}", revision.metadata.name, holder.error().message));
  }
  return std::move(holder->spec.template_);
}

std::string revision_hash(const std::string& data, int32_t collision_count) {
  return safe_encode(std::to_string(fnv1a32(data + std::to_string(collision_count))));
}

RevisionPlan plan_revisions(const std::vector<RevisionPtr>& revisions, const std::string& data) {
  std::vector<RevisionPtr> sorted = revisions;
  sort_by_age(sorted);
  RevisionPlan plan;
  int64_t newest_other = 0;
  for (const auto& revision : sorted) {
    if (!has_data(*revision, data)) {
      newest_other = std::max(newest_other, revision->revision);
      continue;
    }
    plan.same = revision;
  }
  plan.revision = newest_other + 1;
  if (plan.same) plan.revision = std::max(plan.revision, plan.same->revision);
  return plan;
}

std::vector<RevisionPtr> plan_history(const std::vector<RevisionPtr>& revisions,
                                      const std::set<std::string>& live, int32_t limit) {
  std::vector<RevisionPtr> history;
  for (const auto& revision : revisions) {
    if (live.count(revision->metadata.name) == 0) history.push_back(revision);
  }
  const auto keep = static_cast<size_t>(std::max(0, limit));
  if (history.size() <= keep) return {};
  sort_by_age(history);
  history.resize(history.size() - keep);
  return history;
}

Result<std::vector<RevisionPtr>, client::ReconcileError> RevisionHistory::claim(
    const Object& owner, const LabelSelector& selector) {
  std::vector<RevisionPtr> claimed;
  for (const auto& revision : revisions_.list(owner.metadata.namespace_, selector)) {
    const auto* controller = controller_of(*revision);
    if (controller != nullptr) {
      if (controller->uid == owner.metadata.uid) claimed.push_back(revision);
      continue;
    }
    if (owner.metadata.deletionTimestamp || revision->metadata.deletionTimestamp) continue;
    auto adopted = context_.client.patch<ControllerRevision>(
        revision->metadata.namespace_, revision->metadata.name, PatchType::kMerge,
        adopt_patch(*revision, owner));
    if (adopted) {
      claimed.push_back(std::make_shared<const ControllerRevision>(std::move(*adopted)));
    } else if (!adopted.error().is("NotFound")) {
      return Err(adopted.error());
    }
  }
  return claimed;
}

Result<RevisionPtr, client::ReconcileError> RevisionHistory::resolve(
    const Object& owner, const corev1::PodTemplateSpec& pod_template,
    const std::vector<RevisionPtr>& revisions, int32_t& collision_count) {
  const std::string data = template_patch(pod_template);
  const RevisionPlan plan = plan_revisions(revisions, data);
  if (!plan.same) return create(owner, pod_template, data, plan.revision, collision_count);
  if (plan.same->revision == plan.revision) return plan.same;
  ControllerRevision changed = *plan.same;
  changed.revision = plan.revision;
  auto updated = context_.client.update(changed);
  if (!updated) return Err(updated.error());
  return std::make_shared<const ControllerRevision>(std::move(*updated));
}

Result<RevisionPtr, client::ReconcileError> RevisionHistory::create(
    const Object& owner, const corev1::PodTemplateSpec& pod_template, const std::string& data,
    int64_t number, int32_t& collision_count) {
  ControllerRevision revision;
  revision.metadata.namespace_ = owner.metadata.namespace_;
  revision.metadata.labels = pod_template.metadata.labels;
  revision.metadata.annotations = owner.metadata.annotations;
  revision.metadata.ownerReferences = {make_controller_ref(owner)};
  revision.data.text = data;
  revision.revision = number;
  for (;;) {
    const std::string hash = revision_hash(data, collision_count);
    revision.metadata.name = owner.metadata.name.substr(0, kPrefixMax) + "-" + hash;
    revision.metadata.labels[hash_label_] = hash;
    auto created = context_.client.create(revision);
    if (created) return std::make_shared<const ControllerRevision>(std::move(*created));
    if (!created.error().is("AlreadyExists")) return Err(created.error());
    auto existing = context_.client.get<ControllerRevision>(revision.metadata.namespace_,
                                                            revision.metadata.name);
    if (!existing) return Err(existing.error());
    // Made a moment ago, not seen in the cache yet; else another one has the name.
    if (has_data(*existing, data) && is_controlled_by(*existing, owner)) {
      return std::make_shared<const ControllerRevision>(std::move(*existing));
    }
    ++collision_count;
  }
}

Result<Unit, client::ReconcileError> RevisionHistory::remove(
    const std::vector<RevisionPtr>& revisions) {
  for (const auto& revision : revisions) {
    client::DeleteOptions options;
    options.uid = revision->metadata.uid;
    auto removed = context_.client.remove<ControllerRevision>(revision->metadata.namespace_,
                                                              revision->metadata.name, options);
    if (!removed && !removed.error().is("NotFound") && !removed.error().is("Conflict")) {
      return Err(removed.error());
    }
  }
  return Unit{};
}

}  // namespace orch::server
