// The EndpointSlice and Endpoints controllers' shells.
#include <map>
#include <mutex>

#include "orch/api/selector.h"
#include "server/controllers/pods.h"
#include "server/controllers/service_pods.h"
#include "server/controllers/slice_writer.h"
#include "server/controllers/specs.h"
#include "server/controllers/topology_hints.h"

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

constexpr const char* kZone = "topology.kubernetes.io/zone";
constexpr size_t kToldMax = 10'000;

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
      auto it = node->metadata.labels.find(kZone);
      return it == node->metadata.labels.end() ? "" : it->second;
    };
    auto existing = slices_.by_index("owner", service->metadata.uid);
    std::erase_if(existing, [](const SlicePtr& s) { return !is_managed(*s, kSliceController); });
    auto wanted = plan_slices(*service, selected_pods(*service, pods_), zone, existing);
    report(*service, add_topology_hints(*service, zone_cpu_shares(nodes_.list()), wanted));
    ORCH_CHECK(write_slices(context_, existing, kSliceController, std::move(wanted)));
    return client::done();
  }

 private:
  // Said when it changes, not in every round.
  void report(const Service& service, const TopologyHints& hints) {
    {
      std::lock_guard lock(mutex_);
      auto it = told_.find(service.metadata.uid);
      if (it == told_.end() ? hints.message.empty() : it->second == hints.message) return;
      if (hints.message.empty()) {
        told_.erase(it);
        return;
      }
      if (told_.size() >= kToldMax) told_.clear();
      told_[service.metadata.uid] = hints.message;
    }
    context_.events.record(
        client::subject_of(service), hints.enabled ? "Normal" : "Warning",
        hints.enabled ? "TopologyAwareHintsEnabled" : "TopologyAwareHintsDisabled", hints.message);
  }

  client::ControllerContext context_;
  client::Lister<Service> services_;
  client::Lister<Pod> pods_;
  client::Lister<corev1::Node> nodes_;
  client::Lister<EndpointSlice> slices_;
  std::mutex mutex_;
  std::map<std::string, std::string> told_;  // what was last said of a Service's hints, by uid
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

// The zones of endpoints are those of their nodes, and hints go by what the nodes have.
client::Watch watch_zones(client::ControllerContext& context) {
  auto services = context.informers.lister<Service>();
  return {&resource_of<corev1::Node>(), [services](const ObjectPtr& old, const ObjectPtr& now) {
            std::vector<ObjectKey> keys;
            const auto facts = [](const ObjectPtr& object) -> std::string {
              if (!object) return "";
              const auto& node = static_cast<const corev1::Node&>(*object);
              auto zone = node.metadata.labels.find(kZone);
              auto cpu = node.status.allocatable.find("cpu");
              std::string out = zone == node.metadata.labels.end() ? "" : zone->second;
              if (cpu != node.status.allocatable.end()) out += "/" + cpu->second.str();
              for (const auto& condition : node.status.conditions) {
                if (condition.type == "Ready") out += "/" + condition.status;
              }
              return out;
            };
            if (facts(old) == facts(now)) return keys;
            for (const auto& service : services.list()) {
              if (!service->spec.selector.empty()) keys.push_back(key_of(*service));
            }
            return keys;
          }};
}

}  // namespace

client::ControllerSpec endpoint_slice_controller(client::ControllerContext& context,
                                                 const ControllersConfig&) {
  return {.name = "endpointslice-controller",
          .watches = {client::primary<Service>(), client::owned<EndpointSlice, Service>(),
                      watch_service_pods(context), watch_zones(context)},
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
