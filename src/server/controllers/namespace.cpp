// Namespace: what is being deleted is emptied first, then loses its finalizer.
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/corev1.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Namespace;

constexpr Seconds kLookAgain{1};

class NamespaceReconciler final : public client::Reconciler {
 public:
  explicit NamespaceReconciler(client::ControllerContext& context)
      : context_(context), namespaces_(context.informers.lister<Namespace>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto ns = namespaces_.get("", key.name);
    if (!ns || !ns->metadata.deletionTimestamp) return client::done();
    const auto& finalizers = ns->spec.finalizers;
    if (std::find(finalizers.begin(), finalizers.end(), "kubernetes") == finalizers.end()) {
      return client::done();
    }
    std::string remaining, failed;
    for (const auto* resource : all_resources()) {
      if (!resource->namespaced || !resource->stored) continue;
      auto left = empty(*resource, key.name);
      if (!left) {
        failed += (failed.empty() ? "" : "; ") + left.error().message;
      } else if (*left > 0) {
        remaining += fmt::format("{}{}.{} has {} resource instances", remaining.empty() ? "" : ", ",
                                 resource->plural, resource->group, *left);
      }
    }
    ORCH_CHECK(write_conditions(*ns, remaining, failed));
    if (!failed.empty()) return Err(client::ReconcileError(failed));
    if (!remaining.empty()) return client::requeue_after(kLookAgain);
    return finalize(*ns);
  }

 private:
  // Deletes all of a kind; the number of objects still there.
  ApiResult<size_t> empty(const ResourceInfo& resource, const std::string& ns) {
    ORCH_TRY(auto before, context_.client.raw().list(resource, ns, {}));
    if (before.items.empty()) return size_t{0};
    client::Request request;
    request.verb = "deletecollection";
    request.group = resource.group;
    request.version = resource.version;
    request.resource = resource.plural;
    request.namespace_ = ns;
    request.query = {{"propagationPolicy", "Background"}};
    ORCH_CHECK(context_.client.raw().transport().call(request));
    ORCH_TRY(auto after, context_.client.raw().list(resource, ns, {}));
    return after.items.size();
  }

  Result<Unit, client::ReconcileError> write_conditions(const Namespace& ns,
                                                        const std::string& remaining,
                                                        const std::string& failed) {
    Namespace changed = ns;
    changed.status.phase = "Terminating";
    set(changed, "NamespaceDeletionContentFailure", !failed.empty(),
        failed.empty() ? "ContentDeleted" : "ContentDeletionFailed",
        failed.empty() ? "All content successfully deleted, may be waiting on finalization"
                       : failed);
    set(changed, "NamespaceContentRemaining", !remaining.empty(),
        remaining.empty() ? "ContentRemoved" : "SomeResourcesRemain",
        remaining.empty() ? "All content successfully removed"
                          : "Some resources are remaining: " + remaining);
    if (equal(changed.status, ns.status)) return Unit{};
    auto written = context_.client.update_status(changed);
    if (!written && !written.error().is("NotFound") && !written.error().is("Conflict")) {
      return Err(written.error());
    }
    return Unit{};
  }

  void set(Namespace& ns, const std::string& type, bool is_true, const std::string& reason,
           const std::string& message) {
    corev1::NamespaceCondition condition;
    condition.type = type;
    condition.status = is_true ? "True" : "False";
    condition.reason = reason;
    condition.message = message;
    condition.lastTransitionTime = Time(context_.env.clock.now());
    for (auto& existing : ns.status.conditions) {
      if (existing.type != type) continue;
      if (existing.status == condition.status) {
        condition.lastTransitionTime = existing.lastTransitionTime;
      }
      existing = std::move(condition);
      return;
    }
    ns.status.conditions.push_back(std::move(condition));
  }

  client::ReconcileResult finalize(const Namespace& ns) {
    auto fresh = context_.client.get<Namespace>("", ns.metadata.name);
    if (!fresh) {
      if (fresh.error().is("NotFound")) return client::done();
      return Err(client::ReconcileError(fresh.error()));
    }
    std::erase(fresh->spec.finalizers, "kubernetes");
    auto written =
        context_.client.raw().write(resource_of<Namespace>(), "update", *fresh, "finalize");
    if (!written && !written.error().is("NotFound")) {
      return Err(client::ReconcileError(written.error()));
    }
    return client::done();
  }

  client::ControllerContext context_;
  client::Lister<Namespace> namespaces_;
};

}  // namespace

client::ControllerSpec namespace_controller(client::ControllerContext&, const ControllersConfig&) {
  return {.name = "namespace-controller",
          .watches = {client::primary<Namespace>()},
          .strands = 2,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<NamespaceReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
