// servicelb: Services of type LoadBalancer are reached at the addresses of the nodes, where the
// service proxy answers their ports. One reconcile looks at all of them: a port that one gives up
// may be what another waits for.
#include <algorithm>
#include <map>

#include "server/controllers/service_lb_plan.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;
using corev1::Service;
using discoveryv1::EndpointSlice;

// Upstream's (KEP-980): the Service stays until its addresses are given back.
constexpr const char* kCleanup = "service.kubernetes.io/load-balancer-cleanup";

bool has_cleanup(const Service& service) {
  const auto& all = service.metadata.finalizers;
  return std::find(all.begin(), all.end(), kCleanup) != all.end();
}

// Other classes' Services may carry the finalizer of their own load balancer.
bool was_ours(const Service& service) {
  return has_cleanup(service) &&
         service.spec.loadBalancerClass.value_or(kNodeLoadBalancerClass) == kNodeLoadBalancerClass;
}

class ServiceLbReconciler final : public client::Reconciler {
 public:
  explicit ServiceLbReconciler(client::ControllerContext& context)
      : context_(context),
        services_(context.informers.lister<Service>()),
        nodes_(context.informers.lister<Node>()),
        slices_(context.informers.lister<EndpointSlice>()) {}

  client::ReconcileResult reconcile(const ObjectKey&) override {
    ServiceLbState state;
    std::vector<std::shared_ptr<const Service>> given_up;
    for (const auto& service : services_.list()) {
      if (is_node_load_balancer(*service)) {
        state.services.push_back(service);
      } else if (was_ours(*service)) {
        given_up.push_back(service);
      }
    }
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
    for (const auto& service : state.services) {
      note(ensure(*service, plan_service_lb(*service, state)));
    }
    return result;
  }

 private:
  void event(const Service& service, std::string_view type, std::string_view reason,
             std::string_view message) {
    context_.events.record(client::subject_of(service), type, reason, message);
  }

  ApiResult<Unit> set_ingress(const Service& service, const std::vector<std::string>& addresses) {
    const auto ingress = ingress_of(addresses);
    const auto& now = service.status.loadBalancer.ingress;
    if (std::equal(now.begin(), now.end(), ingress.begin(), ingress.end(),
                   [](const auto& a, const auto& b) {
                     return a.ip == b.ip && a.hostname == b.hostname && a.ipMode == b.ipMode;
                   })) {
      return Unit{};
    }
    Service changed = service;
    changed.status.loadBalancer.ingress = ingress;
    ORCH_CHECK(context_.client.update_status(changed));
    return Unit{};
  }

  ApiResult<Unit> ensure(const Service& service, const ServiceLbPlan& plan) {
    const std::string key = service.metadata.namespace_ + "/" + service.metadata.name;
    if (!has_cleanup(service)) {
      event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer");
      Service changed = service;
      changed.metadata.finalizers.emplace_back(kCleanup);
      // The status follows with the version this write brings.
      ORCH_CHECK(context_.client.update(changed));
      return Unit{};
    }
    const bool had = !service.status.loadBalancer.ingress.empty();
    ORCH_CHECK(set_ingress(service, plan.addresses));
    if (plan.addresses.empty()) {
      std::string& told = told_[key];
      if (told != plan.message) event(service, "Warning", plan.reason, plan.message);
      told = plan.message;
      return Unit{};
    }
    told_.erase(key);
    if (!had) event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer");
    return Unit{};
  }

  // The Service is being deleted, or is no LoadBalancer any more.
  ApiResult<Unit> clean_up(const Service& service) {
    told_.erase(service.metadata.namespace_ + "/" + service.metadata.name);
    if (!service.status.loadBalancer.ingress.empty()) {
      event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer");
      return set_ingress(service, {});
    }
    Service changed = service;
    std::erase(changed.metadata.finalizers, kCleanup);
    ORCH_CHECK(context_.client.update(changed));
    event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer");
    return Unit{};
  }

  client::ControllerContext context_;
  client::Lister<Service> services_;
  client::Lister<Node> nodes_;
  client::Lister<EndpointSlice> slices_;
  std::map<std::string, std::string> told_;  // why a Service waits, as its last event said
};

template <class T>
client::Watch wakes() {
  return client::mapped<T>([](const T&) { return std::vector<ObjectKey>{{"", "all"}}; });
}

}  // namespace

client::ControllerSpec service_lb_controller(client::ControllerContext&, const ControllersConfig&) {
  return {.name = "servicelb",
          .watches = {wakes<Service>(), wakes<Node>(), wakes<EndpointSlice>()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<ServiceLbReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
