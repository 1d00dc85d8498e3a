#include "server/controllers/pod_control.h"

#include <algorithm>

#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using corev1::Pod;

Result<LabelSelector, client::ReconcileError> workload_selector(
    const Ptr<metav1::LabelSelector>& selector) {
  if (!selector) return LabelSelector::nothing();
  auto parsed = LabelSelector::from(*selector);
  if (!parsed) return Err(client::ReconcileError("spec.selector: " + parsed.error(), true));
  return std::move(*parsed);
}

bool selector_matches(const Ptr<metav1::LabelSelector>& selector, const Labels& labels) {
  if (!selector) return false;
  auto parsed = LabelSelector::from(*selector);
  return parsed && parsed->matches(labels);
}

bool is_namespace_terminating(const Error& error) {
  return std::any_of(error.causes.begin(), error.causes.end(),
                     [](const Cause& cause) { return cause.type == "NamespaceTerminating"; });
}

std::vector<PodPtr> pods_to_claim(const client::Lister<Pod>& pods, const Object& owner) {
  auto out = pods.by_index("owner", owner.metadata.uid);
  auto orphans = pods.by_index("orphan", owner.metadata.namespace_);
  // A uid names one object, but an owner reference may come from another namespace.
  std::erase_if(
      out, [&](const auto& pod) { return pod->metadata.namespace_ != owner.metadata.namespace_; });
  out.insert(out.end(), std::make_move_iterator(orphans.begin()),
             std::make_move_iterator(orphans.end()));
  return out;
}

Result<std::vector<PodPtr>, client::ReconcileError> PodControl::claim(
    const Object& owner, const LabelSelector& selector, const std::vector<PodPtr>& pods,
    const std::function<bool(const Pod&)>& wanted) {
  std::vector<PodPtr> claimed;
  const bool going = owner.metadata.deletionTimestamp.has_value();
  for (const auto& pod : pods) {
    if (!wanted(*pod)) continue;
    const auto* controller = controller_of(*pod);
    const bool matches = selector.matches(pod->metadata.labels);
    if (controller != nullptr) {
      if (controller->uid != owner.metadata.uid) continue;
      if (matches) {
        claimed.push_back(pod);
      } else if (!going) {
        ORCH_CHECK(patch(*pod, release_patch(*pod, owner)));
      }
    } else if (matches && !going && !pod->metadata.deletionTimestamp) {
      ORCH_CHECK(patch(*pod, adopt_patch(*pod, owner)));
      claimed.push_back(pod);
    }
  }
  return claimed;
}

Result<Unit, client::ReconcileError> PodControl::patch(const Pod& pod, std::string body) {
  auto patched = context_.client.patch<Pod>(pod.metadata.namespace_, pod.metadata.name,
                                            PatchType::kMerge, std::move(body));
  if (!patched && !patched.error().is("NotFound")) return Err(patched.error());
  return Unit{};
}

ReplicaFailure PodControl::create(const Object& owner, int count,
                                  const std::function<Pod(int)>& pod_at) {
  const std::string key = key_of(owner).str();
  expectations_->expect_creations(key, count);
  const auto subject = client::subject_of(owner);
  const auto never_seen = [&](int pods) {
    for (int i = 0; i < pods; ++i) expectations_->creation_observed(key);
  };
  int asked = 0;
  for (int batch = 1; asked < count; batch = std::min(2 * batch, count - asked)) {
    ReplicaFailure failure;
    for (const int end = asked + batch; asked < end;) {
      auto created = context_.client.create(pod_at(asked));
      ++asked;
      if (created) {
        context_.events.record(subject, "Normal", "SuccessfulCreate",
                               "Created pod: " + created->metadata.name);
        continue;
      }
      never_seen(1);
      if (is_namespace_terminating(created.error())) {  // nothing to complain about
        never_seen(count - asked);
        return {};
      }
      failure = {"FailedCreate", created.error().message};
      context_.events.record(subject, "Warning", "FailedCreate",
                             "Error creating: " + created.error().message);
    }
    if (!failure.reason.empty()) {
      never_seen(count - asked);
      return failure;
    }
  }
  return {};
}

ReplicaFailure PodControl::remove(const Object& owner, const std::vector<PodPtr>& victims) {
  const std::string key = key_of(owner).str();
  std::vector<std::string> uids;
  for (const auto& pod : victims) uids.push_back(pod->metadata.uid);
  expectations_->expect_deletions(key, uids);
  const auto subject = client::subject_of(owner);
  ReplicaFailure failure;
  for (const auto& pod : victims) {
    client::DeleteOptions options;
    options.uid = pod->metadata.uid;
    auto removed =
        context_.client.remove<Pod>(pod->metadata.namespace_, pod->metadata.name, options);
    if (removed) {
      context_.events.record(subject, "Normal", "SuccessfulDelete",
                             "Deleted pod: " + pod->metadata.name);
      continue;
    }
    expectations_->deletion_observed(key, pod->metadata.uid);
    // Gone, or another pod of the same name stands there now.
    if (removed.error().is("NotFound") || removed.error().is("Conflict")) continue;
    failure = {"FailedDelete", removed.error().message};
    context_.events.record(subject, "Warning", "FailedDelete",
                           "Error deleting: " + removed.error().message);
  }
  return failure;
}

client::Watch watch_owned_pods(client::ControllerContext& context, const ResourceInfo& owners,
                               std::shared_ptr<client::Expectations> expectations,
                               std::function<bool(const Object&, const Object&)> selects) {
  const client::InformerBase* informer = &context.informers.get(owners);
  const auto owner_key =
      [kind = std::string(owners.kind)](const Object& pod) -> std::optional<ObjectKey> {
    const auto* owner = controller_of(pod);
    if (owner == nullptr || owner->kind != kind) return std::nullopt;
    return ObjectKey{pod.metadata.namespace_, owner->name};
  };
  return {&resource_of<Pod>(),
          [informer, owner_key, expectations = std::move(expectations),
           selects = std::move(selects)](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            const auto before = old ? owner_key(*old) : std::nullopt;
            const auto after = now ? owner_key(*now) : std::nullopt;
            const bool goes =
                old &&
                (!now || (now->metadata.deletionTimestamp && !old->metadata.deletionTimestamp));
            if (expectations && after && !old) expectations->creation_observed(after->str());
            if (expectations && before && goes) {
              expectations->deletion_observed(before->str(), old->metadata.uid);
            }
            if (before) keys.push_back(*before);
            if (after && after != before) keys.push_back(*after);
            if (now && !after && controller_of(*now) == nullptr) {
              for (const auto& owner : informer->list(now->metadata.namespace_)) {
                if (selects(*owner, *now)) keys.push_back(key_of(*owner));
              }
            }
            return keys;
          }};
}

}  // namespace orch::server
