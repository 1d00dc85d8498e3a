#include "server/cloud/edge_provider.h"

#include "server/cloud/edge_load_balancer.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;

std::string annotation_of(const Node& node, const char* key) {
  auto found = node.metadata.annotations.find(key);
  return found == node.metadata.annotations.end() ? "" : found->second;
}

class EdgeInstances final : public Instances {
 public:
  // Nobody says when a machine is thrown away or switched off: a Node goes by kubectl delete.
  Result<bool, std::string> exists(const Node&) override { return true; }
  Result<bool, std::string> is_shut_down(const Node&) override { return false; }

  Result<InstanceMetadata, std::string> metadata(const Node& node) override {
    InstanceMetadata out;
    out.provider_id = "orch://" + node.metadata.name;
    out.instance_type = "orch";
    const auto add = [&out](const char* type, const std::string& address) {
      if (address.empty()) return;
      out.addresses.emplace_back().type = type;
      out.addresses.back().address = address;
    };
    std::string internal = annotation_of(node, kProvidedNodeIp);
    for (const auto& address : node.status.addresses) {
      if (internal.empty() && address.type == "InternalIP") internal = address.address;
    }
    // A Node made by hand, before its agent came: nothing is known.
    if (internal.empty()) return out;
    add("InternalIP", internal);
    add("ExternalIP", annotation_of(node, kNodeExternalIp));
    add("Hostname", node.metadata.name);
    return out;
  }
};

class EdgeLoadBalancers final : public LoadBalancers {
 public:
  explicit EdgeLoadBalancers(LbPool pool) : pool_(std::move(pool)) {}
  bool owns(const corev1::Service& service) const override {
    return is_edge_load_balancer(service);
  }
  std::vector<LoadBalancerPlan> ensure(const LoadBalancerState& state) override {
    return plan_edge_load_balancers(state, pool_);
  }
  Result<Unit, std::string> release(const corev1::Service&) override { return Unit{}; }
  std::vector<std::string> annotations() const override { return {kAnnouncingNode}; }

 private:
  const LbPool pool_;
};

class EdgeProvider final : public CloudProvider {
 public:
  explicit EdgeProvider(LbPool pool) : load_balancers_(std::move(pool)) {}
  std::string name() const override { return "orch"; }
  Instances& instances() override { return instances_; }
  LoadBalancers* load_balancers() override { return &load_balancers_; }
  Routes* routes() override { return nullptr; }

 private:
  EdgeInstances instances_;
  EdgeLoadBalancers load_balancers_;
};

}  // namespace

std::unique_ptr<CloudProvider> make_edge_provider(LbPool pool) {
  return std::make_unique<EdgeProvider>(std::move(pool));
}

}  // namespace orch::server
