// Keeps this machine's Node and its Lease in kube-node-lease: registers, reports status (at once
// while not Ready, then every 10 s, written when it changed or every 5 minutes), renews the lease
// every 10 s (KEP-589). Works through server outages. start() and stop() from one thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "agent/node/node_object.h"
#include "agent/runtime.h"
#include "orch/api/coordinationv1.h"
#include "orch/base/env.h"
#include "orch/client/client.h"
#include "orch/client/events.h"
#include "orch/client/informer.h"

namespace orch::agent {

struct NodeAgentDeps {
  const client::Client& client;
  client::Lister<api::corev1::Node> nodes;
  ContainerRuntime& runtime;
  client::EventRecorder& events;
  std::string data_dir;
  std::shared_ptr<const PressureBoard> board;
  NodeFacts facts;  // name, address, port, labels, taints; the rest is read as it goes
  // Called with the node's pod CIDR whenever it is learnt; returns "" when the pod network is set
  // up, else why not (the node stays not ready).
  std::function<std::string(const std::string& pod_cidr)> set_up_network;
};

class NodeAgent : public std::enable_shared_from_this<NodeAgent> {
 public:
  static std::shared_ptr<NodeAgent> create(Env& env, NodeAgentDeps deps);
  void start();
  void stop();
  // Looks at status soon: the runtime changed.
  void poke();
  // The node has another address: told in its status.
  void set_address(const std::string& address);
  std::map<std::string, api::Quantity> allocatable() const;

 private:
  NodeAgent(Env& env, NodeAgentDeps deps);
  void report();
  void report_and_repeat();
  bool write_status(const api::corev1::Node& node);
  void register_node();
  void refresh_facts();
  void tell_pressure(const api::corev1::Node& node);
  void renew();

  Env& env_;
  NodeAgentDeps deps_;
  std::shared_ptr<Strand> status_strand_, lease_strand_;
  std::atomic<bool> stopped_{false}, poked_{false};
  bool registered_ = false, was_ready_ = false, ready_ = false;
  MonoTime written_at_{}, images_at_{};
  api::corev1::NodeStatus last_written_;
  std::unique_ptr<api::coordinationv1::Lease> lease_;
  mutable std::mutex mutex_;
  std::map<std::string, api::Quantity> allocatable_;  // guarded by mutex_
};

}  // namespace orch::agent
