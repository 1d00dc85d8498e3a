// servicelb: Services of type LoadBalancer get the addresses the provider has for them. One
// reconcile looks at all of them: an address or port that one gives up may be what another waits
// for.
#include <algorithm>
#include <map>

#include "orch/base/strings.h"
#include "server/cloud/cloud_controllers.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;
using corev1::Service;
using discoveryv1::EndpointSlice;
using ServicePtr = std::shared_ptr<const Service>;

// Upstream's (KEP-980): the Service stays until its addresses are given back.
constexpr const char* kCleanup = "service.kubernetes.io/load-balancer-cleanup";

bool has_cleanup(const Service& service) {
  const auto& all = service.metadata.finalizers;
  return std::find(all.begin(), all.end(), kCleanup) != all.end();
}

bool same_ingress(const std::vector<corev1::LoadBalancerIngress>& a,
                  const std::vector<corev1::LoadBalancerIngress>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.ip == y.ip && x.hostname == y.hostname && x.ipMode == y.ipMode;
  });
}

// "" removes. True if something changed.
bool put_annotations(const std::map<std::string, std::string>& wanted, Service& service) {
  bool changed = false;
  auto& now = service.metadata.annotations;
  for (const auto& [key, value] : wanted) {
    if (value.empty()) {
      changed = now.erase(key) > 0 || changed;
    } else if (auto [at, fresh] = now.try_emplace(key, value); fresh || at->second != value) {
      at->second = value;
      changed = true;
    }
  }
  return changed;
}

class ServiceReconciler final : public client::Reconciler {
 public:
  ServiceReconciler(client::ControllerContext& context, LoadBalancers& balancers)
      : context_(context),
        balancers_(balancers),
        services_(context.informers.lister<Service>()),
        nodes_(context.informers.lister<Node>()),
        slices_(context.informers.lister<EndpointSlice>()) {}

  client::ReconcileResult reconcile(const ObjectKey&) override {
    LoadBalancerState state;
    std::vector<ServicePtr> given_up;
    for (auto& cached : services_.list()) {
      const ServicePtr service = newest(cached);
      if (balancers_.owns(*service)) {
        state.services.push_back(service);
      } else if (was_ours(*service)) {
        given_up.push_back(service);
      }
    }
    std::erase_if(written_, [this](const auto& entry) {
      return !services_.get(entry.second->metadata.namespace_, entry.second->metadata.name);
    });
    if (state.services.empty() && given_up.empty()) return client::done();
    state.nodes = nodes_.list();
    state.slices = slices_.list();
    client::ReconcileResult result = client::done();
    const auto note = [&](const ApiResult<Unit>& outcome) {
      if (!outcome && !outcome.error().is("NotFound")) {
        result = Err(client::ReconcileError(outcome.error()));
      }
    };
    for (const auto& service : given_up) note(clean_up(*service));
    const auto plans = balancers_.ensure(state);
    for (size_t i = 0; i < plans.size(); ++i) note(ensure(*state.services[i], plans[i]));
    return result;
  }

 private:
  void event(const Service& service, std::string_view type, std::string_view reason,
             std::string_view message) {
    context_.events.record(client::subject_of(service), type, reason, message);
  }

  // Other classes' Services may carry the finalizer of their own load balancer.
  bool was_ours(const Service& service) const {
    if (!has_cleanup(service)) return false;
    Service alive = service;
    alive.metadata.deletionTimestamp = {};
    alive.spec.type = "LoadBalancer";
    return balancers_.owns(alive);
  }

  // The cache may not show yet what was written a moment ago: an address would be given twice.
  ServicePtr newest(const ServicePtr& cached) {
    auto written = written_.find(cached->metadata.uid);
    if (written == written_.end()) return cached;
    const auto version = [](const Service& service) {
      return parse_int(service.metadata.resourceVersion).value_or(0);
    };
    if (version(*cached) < version(*written->second)) return written->second;
    written_.erase(written);
    return cached;
  }

  ApiResult<Unit> remember(ApiResult<Service> written) {
    if (!written) return Err(std::move(written).error());
    const std::string uid = written->metadata.uid;
    written_[uid] = std::make_shared<const Service>(std::move(*written));
    return Unit{};
  }

  ApiResult<Unit> ensure(const Service& service, const LoadBalancerPlan& plan) {
    Service changed = service;
    bool meta = put_annotations(plan.annotations, changed);
    if (plan.ingress.empty()) meta = put_annotations(nothing(), changed) || meta;
    if (!has_cleanup(service)) {
      event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer");
      changed.metadata.finalizers.emplace_back(kCleanup);
      meta = true;
    }
    if (meta) {
      auto written = context_.client.update(changed);
      if (!written) return Err(std::move(written).error());
      changed = *written;
      ORCH_CHECK(remember(std::move(written)));
    }
    const bool had = !service.status.loadBalancer.ingress.empty();
    const bool same = same_ingress(service.status.loadBalancer.ingress, plan.ingress);
    if (!same) {
      changed.status.loadBalancer.ingress = plan.ingress;
      ORCH_CHECK(remember(context_.client.update_status(changed)));
    }
    std::string& told = told_[service.metadata.uid];
    if (plan.ingress.empty()) {
      if (told != plan.message) {
        event(service, "Warning", plan.reason,
              plan.reason == "SyncLoadBalancerFailed"
                  ? "Error syncing load balancer: failed to ensure load balancer: " + plan.message
                  : plan.message);
      }
      told = plan.message;
      return Unit{};
    }
    told_.erase(service.metadata.uid);
    if (!had) {
      event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer");
    } else if (!same) {
      event(service, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts");
    }
    return Unit{};
  }

  std::map<std::string, std::string> nothing() const {
    std::map<std::string, std::string> out;
    for (auto& key : balancers_.annotations()) out[key] = "";
    return out;
  }

  // The Service is being deleted, or is no LoadBalancer any more.
  ApiResult<Unit> clean_up(const Service& service) {
    told_.erase(service.metadata.uid);
    Service changed = service;
    if (!service.status.loadBalancer.ingress.empty()) {
      event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer");
      if (auto released = balancers_.release(service); !released) {
        event(service, "Warning", "SyncLoadBalancerFailed",
              "Error deleting load balancer: " + released.error());
        return Err(internal_error(released.error()));
      }
      changed.status.loadBalancer.ingress.clear();
      auto written = context_.client.update_status(changed);
      if (!written) return Err(std::move(written).error());
      changed = std::move(*written);
    }
    put_annotations(nothing(), changed);
    std::erase(changed.metadata.finalizers, kCleanup);
    ORCH_CHECK(remember(context_.client.update(changed)));
    event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer");
    return Unit{};
  }

  client::ControllerContext context_;
  LoadBalancers& balancers_;
  client::Lister<Service> services_;
  client::Lister<Node> nodes_;
  client::Lister<EndpointSlice> slices_;
  std::map<std::string, std::string> told_;  // why a Service waits, as its last event said; by uid
  std::map<std::string, ServicePtr> written_;  // newer than the cache perhaps; by uid
};

template <class T>
client::Watch wakes() {
  return client::mapped<T>([](const T&) { return std::vector<ObjectKey>{{"", "all"}}; });
}

class Idle final : public client::Reconciler {
 public:
  client::ReconcileResult reconcile(const ObjectKey&) override { return client::done(); }
};

}  // namespace

client::ControllerSpec service_controller(CloudProvider& provider) {
  client::ControllerSpec spec{
      .name = "servicelb", .watches = {}, .strands = 1, .make = {}, .initial_keys = {}};
  LoadBalancers* balancers = provider.load_balancers();
  if (balancers != nullptr) {
    spec.watches = {wakes<Service>(), wakes<Node>(), wakes<EndpointSlice>()};
  }
  spec.make = [balancers](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
    if (balancers == nullptr) return std::make_unique<Idle>();
    return std::make_unique<ServiceReconciler>(c, *balancers);
  };
  return spec;
}

}  // namespace orch::server
