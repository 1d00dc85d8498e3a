// Namespace: what is being deleted is emptied first, then loses its finalizer.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "orch/api/corev1.h"
#include "orch/base/strings.h"
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
    Left left;
    for (const auto* resource : all_resources()) {
      if (!resource->namespaced || !resource->stored) continue;
      auto emptied = empty(*resource, key.name, left);
      if (!emptied) left.errors.push_back(emptied.error().message);
    }
    ORCH_CHECK(write_conditions(*ns, left));
    if (!left.errors.empty()) return Err(client::ReconcileError(join(left.errors, ", ")));
    if (!left.resources.empty()) return client::requeue_after(kLookAgain);
    return finalize(*ns);
  }

 private:
  // What could not be deleted, or not yet.
  struct Left {
    std::vector<std::string> resources;  // "pods. has 2 resource instances"
    std::map<std::string, size_t> finalizers;
    std::vector<std::string> errors;
  };

  // Deletes all of a kind and counts what is still there.
  ApiResult<Unit> empty(const ResourceInfo& resource, const std::string& ns, Left& left) {
    ORCH_TRY(auto before, context_.client.raw().list(resource, ns, {}));
    if (before.items.empty()) return Unit{};
    client::Request request;
    request.verb = "deletecollection";
    request.group = resource.group;
    request.version = resource.version;
    request.resource = resource.plural;
    request.namespace_ = ns;
    request.query = {{"propagationPolicy", "Background"}};
    ORCH_CHECK(context_.client.raw().transport().call(request));
    ORCH_TRY(auto after, context_.client.raw().list(resource, ns, {}));
    if (after.items.empty()) return Unit{};
    left.resources.push_back(fmt::format("{}.{} has {} resource instances", resource.plural,
                                         resource.group, after.items.size()));
    for (const auto& object : after.items) {
      for (const auto& finalizer : object->metadata.finalizers) ++left.finalizers[finalizer];
    }
    return Unit{};
  }

  Result<Unit, client::ReconcileError> write_conditions(const Namespace& ns, Left& left) {
    Namespace changed = ns;
    changed.status.phase = "Terminating";
    // Kinds are compiled in: finding and parsing them cannot fail.
    set(changed, "NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered",
        "All resources successfully discovered");
    set(changed, "NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions",
        "All legacy kube types successfully parsed");
    std::sort(left.errors.begin(), left.errors.end());
    const bool failed = !left.errors.empty();
    set(changed, "NamespaceDeletionContentFailure", failed,
        failed ? "ContentDeletionFailed" : "ContentDeleted",
        failed ? join(left.errors, ", ")
               : "All content successfully deleted, may be waiting on finalization");
    std::sort(left.resources.begin(), left.resources.end());
    const bool remaining = !left.resources.empty();
    set(changed, "NamespaceContentRemaining", remaining,
        remaining ? "SomeResourcesRemain" : "ContentRemoved",
        remaining ? "Some resources are remaining: " + join(left.resources, ", ")
                  : "All content successfully removed");
    std::vector<std::string> finalizers;
    for (const auto& [name, count] : left.finalizers) {
      finalizers.push_back(fmt::format("{} in {} resource instances", name, count));
    }
    const bool held = !finalizers.empty();
    set(changed, "NamespaceFinalizersRemaining", held,
        held ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
        held ? "Some content in the namespace has finalizers remaining: " + join(finalizers, ", ")
             : "All content-preserving finalizers finished");
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
      const bool same = existing.status == condition.status &&
                        existing.reason == condition.reason &&
                        existing.message == condition.message;
      if (!same) existing = std::move(condition);
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
