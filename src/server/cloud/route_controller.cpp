// node-route-controller: a route of the infrastructure to every node's pods, where the provider has
// routes; nodes say by the NetworkUnavailable condition whether theirs is there.
#include <fmt/format.h>

#include <algorithm>

#include "server/cloud/cloud_controllers.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;

constexpr Micros kPeriod = Seconds{10};  // upstream's --route-reconciliation-period

class RouteReconciler final : public client::Reconciler {
 public:
  RouteReconciler(client::ControllerContext& context, Routes* routes)
      : context_(context), routes_(routes), nodes_(context.informers.lister<Node>()) {}

  client::ReconcileResult reconcile(const ObjectKey&) override {
    if (routes_ == nullptr) return client::done();
    auto routes = routes_->list();
    if (!routes) return Err(client::ReconcileError(routes.error()));
    const auto nodes = nodes_.list();
    for (const auto& route : *routes) {
      const bool wanted = std::any_of(nodes.begin(), nodes.end(), [&](const auto& node) {
        return node->metadata.name == route.node && node->spec.podCIDR == route.destination_cidr;
      });
      if (wanted) continue;
      if (auto removed = routes_->remove(route); !removed) {
        return Err(client::ReconcileError(removed.error()));
      }
    }
    client::ReconcileResult result = client::requeue_after(kPeriod);
    for (const auto& node : nodes) {
      if (node->spec.podCIDR.empty()) continue;
      const bool there = std::any_of(routes->begin(), routes->end(), [&](const auto& route) {
        return route.node == node->metadata.name && route.destination_cidr == node->spec.podCIDR;
      });
      std::string failure;
      if (!there) {
        auto made = routes_->create({node->metadata.uid, node->metadata.name, node->spec.podCIDR});
        if (!made) failure = made.error();
      }
      if (!failure.empty()) {
        context_.events.record(client::subject_of(*node), "Warning", "FailedToCreateRoute",
                               "Could not create route " + node->metadata.uid + " " +
                                   node->spec.podCIDR + " for node " + node->metadata.name + ": " +
                                   failure);
      }
      if (auto told = tell(*node, failure.empty()); !told) result = Err(told.error());
    }
    return result;
  }

 private:
  Result<Unit, client::ReconcileError> tell(const Node& node, bool there) {
    const auto& conditions = node.status.conditions;
    const std::string status = there ? "False" : "True";
    const bool told = std::any_of(conditions.begin(), conditions.end(), [&](const auto& c) {
      return c.type == "NetworkUnavailable" && c.status == status;
    });
    if (told) return Unit{};
    const std::string now = Time(context_.env.clock.now()).str();
    auto written = context_.client.patch<Node>(
        "", node.metadata.name, PatchType::kStrategic,
        fmt::format(
            R"({{"status":{{"conditions":[{{"type":"NetworkUnavailable","status":"{}",)"
            R"("reason":"{}","message":"{}","lastHeartbeatTime":"{}",)"
            R"("lastTransitionTime":"{}"}}]}}}})",
            status, there ? "RouteCreated" : "NoRouteCreated",
            there ? "RouteController created a route" : "RouteController failed to create a route",
            now, now),
        "status");
    if (!written && !written.error().is("NotFound")) {
      return Err(client::ReconcileError(written.error()));
    }
    return Unit{};
  }

  client::ControllerContext context_;
  Routes* routes_;
  client::Lister<Node> nodes_;
};

}  // namespace

client::ControllerSpec node_route_controller(CloudProvider& provider) {
  client::ControllerSpec spec{
      .name = "node-route-controller", .watches = {}, .strands = 1, .make = {}, .initial_keys = {}};
  Routes* routes = provider.routes();
  if (routes != nullptr) {
    spec.watches = {client::mapped<Node>([](const Node&) {
      return std::vector<ObjectKey>{{"", "all"}};
    })};
    spec.initial_keys = {{"", "all"}};
  }
  spec.make = [routes](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
    return std::make_unique<RouteReconciler>(c, routes);
  };
  return spec;
}

}  // namespace orch::server
