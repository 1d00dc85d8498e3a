// The EndpointSlice and Endpoints controllers' shells.
#include <fmt/format.h>

#include <map>

#include "orch/api/selector.h"
#include "server/controllers/pods.h"
#include "server/controllers/service_pods.h"
#include "server/controllers/specs.h"

namespace orch::server {

using namespace api;
using corev1::Endpoints;
using corev1::Pod;
using corev1::Service;
using discoveryv1::EndpointSlice;

client::Watch watch_service_pods(client::ControllerContext& context) {
  auto services = context.informers.lister<Service>();
  return {&resource_of<Pod>(), [services](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            for (const auto& service : services.list((now ? now : old)->metadata.namespace_)) {
              if (service->spec.selector.empty()) continue;
              const auto selector = LabelSelector::of(service->spec.selector);
              if ((now && selector.matches(now->metadata.labels)) ||
                  (old && selector.matches(old->metadata.labels))) {
                keys.push_back(key_of(*service));
              }
            }
            return keys;
          }};
}

std::vector<PodPtr> selected_pods(const Service& service, const client::Lister<Pod>& pods) {
  return pods.list(service.metadata.namespace_, LabelSelector::of(service.spec.selector));
}

namespace {

// What of a slice the controller owns: annotations, for one, are not its to undo.
bool same_slice(const EndpointSlice& a, const EndpointSlice& b) {
  EndpointSlice x = a, y = b;
  const auto strip = [](EndpointSlice& slice) {
    metav1::ObjectMeta kept;
    kept.labels = slice.metadata.labels;
    kept.ownerReferences = slice.metadata.ownerReferences;
    slice.metadata = std::move(kept);
  };
  strip(x);
  strip(y);
  return equal(x, y);
}

class EndpointSliceReconciler final : public client::Reconciler {
 public:
  explicit EndpointSliceReconciler(client::ControllerContext& context)
      : context_(context),
        services_(context.informers.lister<Service>()),
        pods_(context.informers.lister<Pod>()),
        nodes_(context.informers.lister<corev1::Node>()),
        slices_(context.informers.lister<EndpointSlice>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto service = services_.get(key.namespace_, key.name);
    // Without a Service its slices go by garbage collection; without a selector they are someone
    // else's.
    if (!service || service->metadata.deletionTimestamp || service->spec.selector.empty() ||
        service->spec.type == "ExternalName") {
      return client::done();
    }
    const auto zone = [this](const std::string& name) -> std::string {
      auto node = nodes_.get("", name);
      if (!node) return "";
      auto it = node->metadata.labels.find("topology.kubernetes.io/zone");
      return it == node->metadata.labels.end() ? "" : it->second;
    };
    std::map<std::string, EndpointSlice> wanted;
    for (auto& slice : plan_slices(*service, selected_pods(*service, pods_), zone)) {
      wanted.emplace(slice.metadata.name, std::move(slice));
    }
    for (const auto& existing : slices_.by_index("owner", service->metadata.uid)) {
      if (!is_managed(*existing)) continue;
      ORCH_CHECK(bring_up_to_date(*existing, wanted));
    }
    for (const auto& [name, slice] : wanted) {
      auto created = context_.client.create(slice);
      if (!created && !namespace_gone(created.error())) return Err(created.error());
    }
    return client::done();
  }

 private:
  // Slices that others made for the Service are theirs.
  static bool is_managed(const EndpointSlice& slice) {
    auto it = slice.metadata.labels.find("endpointslice.kubernetes.io/managed-by");
    return it != slice.metadata.labels.end() && it->second == "endpointslice-controller.k8s.io";
  }

  static bool namespace_gone(const Error& error) { return error.code == 403 || error.code == 404; }

  // Updates or deletes the existing slice and strikes it off what is wanted.
  Result<Unit, client::ReconcileError> bring_up_to_date(
      const EndpointSlice& existing, std::map<std::string, EndpointSlice>& wanted) {
    auto it = wanted.find(existing.metadata.name);
    if (it == wanted.end()) {
      auto removed = context_.client.remove<EndpointSlice>(existing.metadata.namespace_,
                                                           existing.metadata.name);
      if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
      return Unit{};
    }
    EndpointSlice changed = std::move(it->second);
    wanted.erase(it);
    if (same_slice(changed, existing)) return Unit{};
    auto labels = changed.metadata.labels;
    auto owners = changed.metadata.ownerReferences;
    changed.metadata = existing.metadata;
    changed.metadata.labels = std::move(labels);
    changed.metadata.ownerReferences = std::move(owners);
    auto updated = context_.client.update(changed);
    if (!updated) return Err(updated.error());
    return Unit{};
  }

  client::ControllerContext context_;
  client::Lister<Service> services_;
  client::Lister<Pod> pods_;
  client::Lister<corev1::Node> nodes_;
  client::Lister<EndpointSlice> slices_;
};

class EndpointsReconciler final : public client::Reconciler {
 public:
  explicit EndpointsReconciler(client::ControllerContext& context)
      : context_(context),
        services_(context.informers.lister<Service>()),
        pods_(context.informers.lister<Pod>()),
        endpoints_(context.informers.lister<Endpoints>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto service = services_.get(key.namespace_, key.name);
    auto existing = endpoints_.get(key.namespace_, key.name);
    if (!service) return remove_orphan(existing);
    if (service->spec.selector.empty() || service->spec.type == "ExternalName")
      return client::done();
    Endpoints wanted = plan_endpoints(*service, selected_pods(*service, pods_));
    if (!existing) {
      auto created = context_.client.create(wanted);
      if (!created && created.error().code != 403 && !created.error().is("AlreadyExists")) {
        return Err(created.error());
      }
      return client::done();
    }
    Endpoints changed = *existing;
    changed.subsets = wanted.subsets;
    changed.metadata.labels = wanted.metadata.labels;
    changed.metadata.annotations.erase(kOverCapacity);
    for (const auto& [name, value] : wanted.metadata.annotations) {
      changed.metadata.annotations[name] = value;
    }
    if (equal(changed, *existing)) return client::done();
    auto updated = context_.client.update(changed);
    if (!updated) return Err(updated.error());
    return client::done();
  }

 private:
  // Endpoints bear their Service's name; only those this controller made go with it.
  client::ReconcileResult remove_orphan(const std::shared_ptr<const Endpoints>& existing) {
    if (!existing || existing->metadata.labels.count("endpoints.kubernetes.io/managed-by") == 0) {
      return client::done();
    }
    auto removed =
        context_.client.remove<Endpoints>(existing->metadata.namespace_, existing->metadata.name);
    if (!removed && !removed.error().is("NotFound")) return Err(removed.error());
    return client::done();
  }

  client::ControllerContext context_;
  client::Lister<Service> services_;
  client::Lister<Pod> pods_;
  client::Lister<Endpoints> endpoints_;
};

}  // namespace

client::ControllerSpec endpoint_slice_controller(client::ControllerContext& context,
                                                 const ControllersConfig&) {
  return {.name = "endpointslice-controller",
          .watches = {client::primary<Service>(), client::owned<EndpointSlice, Service>(),
                      watch_service_pods(context)},
          .strands = 2,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<EndpointSliceReconciler>(c);
          },
          .initial_keys = {}};
}

client::ControllerSpec endpoints_controller(client::ControllerContext& context,
                                            const ControllersConfig&) {
  return {.name = "endpoints-controller",
          .watches = {client::primary<Service>(), client::primary<Endpoints>(),
                      watch_service_pods(context)},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<EndpointsReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
