// What the cloud controllers know about the infrastructure below the cluster, after upstream's
// k8s.io/cloud-provider: instances (zones with them, as in its InstancesV2), load balancers,
// routes. Called by one controller each; calls may block. Errors: a sentence for an event.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "orch/base/result.h"

namespace orch::server {

struct InstanceMetadata {
  std::string provider_id;    // "orch://n1"
  std::string instance_type;  // "" = none known
  std::string zone, region;   // "" = none known
  std::vector<api::corev1::NodeAddress> addresses;
};

class Instances {
 public:
  virtual ~Instances() = default;
  // False: the machine is gone for good, its Node is to be deleted.
  virtual Result<bool, std::string> exists(const api::corev1::Node& node) = 0;
  virtual Result<bool, std::string> is_shut_down(const api::corev1::Node& node) = 0;
  virtual Result<InstanceMetadata, std::string> metadata(const api::corev1::Node& node) = 0;
};

// All there is to decide about every Service at once: addresses and ports are shared out.
struct LoadBalancerState {
  std::vector<std::shared_ptr<const api::corev1::Service>> services;  // those owned, no others
  std::vector<std::shared_ptr<const api::corev1::Node>> nodes;
  std::vector<std::shared_ptr<const api::discoveryv1::EndpointSlice>> slices;
};
struct LoadBalancerPlan {
  std::vector<api::corev1::LoadBalancerIngress> ingress;  // empty = pending
  std::string reason, message;                     // of the event that says why it is pending
  std::map<std::string, std::string> annotations;  // to be on the Service; "" = not there
};

class LoadBalancers {
 public:
  virtual ~LoadBalancers() = default;
  // Whether the Service's class is one of ours.
  virtual bool owns(const api::corev1::Service& service) const = 0;
  // Plans in the order of state.services. At the fixpoint: what is there already.
  virtual std::vector<LoadBalancerPlan> ensure(const LoadBalancerState& state) = 0;
  // Gives back what the Service had; asked before its finalizer goes.
  virtual Result<Unit, std::string> release(const api::corev1::Service& service) = 0;
  // Annotations ensure() may set.
  virtual std::vector<std::string> annotations() const = 0;
};

struct CloudRoute {
  std::string name, node, destination_cidr;
};
class Routes {
 public:
  virtual ~Routes() = default;
  virtual Result<std::vector<CloudRoute>, std::string> list() = 0;
  virtual Result<Unit, std::string> create(const CloudRoute& route) = 0;
  virtual Result<Unit, std::string> remove(const CloudRoute& route) = 0;
};

class CloudProvider {
 public:
  virtual ~CloudProvider() = default;
  virtual std::string name() const = 0;
  virtual Instances& instances() = 0;
  virtual LoadBalancers* load_balancers() = 0;  // null: none offered
  virtual Routes* routes() = 0;                 // null: pods need no routes of the infrastructure
};

}  // namespace orch::server
