// ResourceQuota: recounts what admission charges, when something went, and every five minutes.
// Creations are not looked at: admission has charged them, maybe before this cache knows them.
#include "orch/api/quota.h"

#include <algorithm>

#include "server/controllers/pods.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::ResourceQuota;

constexpr Micros kRecount = Seconds{300};

// Kinds of objects that can be counted, each in one version. Events come and go too often to be.
std::vector<const ResourceInfo*> counted_resources() {
  std::vector<const ResourceInfo*> out;
  for (const auto* resource : all_resources()) {
    const auto& verbs = resource->verbs;
    if (!resource->namespaced || !resource->stored || resource->kind == "Event" ||
        std::find(verbs.begin(), verbs.end(), "watch") == verbs.end()) {
      continue;
    }
    const bool seen = std::any_of(out.begin(), out.end(), [&](const auto* other) {
      return other->group == resource->group && other->plural == resource->plural;
    });
    if (!seen) out.push_back(resource);
  }
  return out;
}

class QuotaReconciler final : public client::Reconciler {
 public:
  explicit QuotaReconciler(client::ControllerContext& context)
      : context_(context), quotas_(context.informers.lister<ResourceQuota>()) {
    for (const auto* resource : counted_resources()) {
      counted_.emplace_back(resource, &context.informers.get(*resource));
    }
  }

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto quota = quotas_.get(key.namespace_, key.name);
    if (!quota) return client::done();
    ResourceQuota changed = *quota;
    changed.status.hard = quota->spec.hard;
    changed.status.used = count(*quota);
    if (!equal(changed.status, quota->status)) {
      auto written = context_.client.update_status(changed);
      if (!written && !written.error().is("NotFound")) return Err(written.error());
    }
    return client::requeue_after(kRecount);
  }

 private:
  ResourceList count(const ResourceQuota& quota) const {
    const WallTime now = context_.env.clock.now();
    ResourceList used;
    for (const auto& [resource, informer] : counted_) {
      bool any = false;
      for (const auto& [name, limit] : quota.spec.hard) {
        if (!quota_counts(*resource, name)) continue;
        used.emplace(name, Quantity::of(0));
        any = true;
      }
      if (!any) continue;
      for (const auto& object : informer->list(quota.metadata.namespace_)) {
        if (!in_quota_scope(quota.spec, *resource, *object)) continue;
        for (const auto& [name, amount] : quota_usage(*resource, *object, now)) {
          if (auto at = used.find(name); at != used.end()) at->second += amount;
        }
      }
    }
    return used;
  }

  client::ControllerContext context_;
  client::Lister<ResourceQuota> quotas_;
  std::vector<std::pair<const ResourceInfo*, const client::InformerBase*>> counted_;
};

// Whether the change can have freed something.
bool frees(const ResourceInfo& resource, const ObjectPtr& old, const ObjectPtr& now) {
  if (!old) return false;
  if (!now) return true;
  if (!resource.group.empty()) return false;
  if (resource.plural == "pods") {
    const auto& before = static_cast<const corev1::Pod&>(*old);
    const auto& after = static_cast<const corev1::Pod&>(*now);
    return is_terminal(after) != is_terminal(before);
  }
  if (resource.plural == "services" || resource.plural == "persistentvolumeclaims") {
    return quota_usage(resource, *old, WallTime{}) != quota_usage(resource, *now, WallTime{});
  }
  return false;
}

client::Watch watch_counted(client::ControllerContext& context, const ResourceInfo& resource) {
  auto quotas = context.informers.lister<ResourceQuota>();
  return {&resource, [&resource, quotas](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            if (!frees(resource, old, now)) return keys;
            for (const auto& quota : quotas.list(old->metadata.namespace_)) {
              for (const auto& [name, limit] : quota->spec.hard) {
                if (!quota_counts(resource, name)) continue;
                keys.push_back(key_of(*quota));
                break;
              }
            }
            return keys;
          }};
}

}  // namespace

client::ControllerSpec resource_quota_controller(client::ControllerContext& context,
                                                 const ControllersConfig&) {
  // A quota's own status changes with every charge: only its limits matter.
  std::vector<client::Watch> watches = {
      {&resource_of<ResourceQuota>(),
       [](const ObjectPtr& old, const ObjectPtr& now) -> std::vector<ObjectKey> {
         if (!now) return {};
         const auto& after = static_cast<const ResourceQuota&>(*now);
         if (old && static_cast<const ResourceQuota&>(*old).spec.hard == after.spec.hard &&
             after.status.hard == after.spec.hard) {
           return {};
         }
         return {key_of(after)};
       }}};
  for (const auto* resource : counted_resources()) {
    watches.push_back(watch_counted(context, *resource));
  }
  return {.name = "resourcequota-controller",
          .watches = std::move(watches),
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<QuotaReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
