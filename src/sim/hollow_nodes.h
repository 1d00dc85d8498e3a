// Hollow nodes: kubelets that run nothing but say so. Each registers its Node, renews its Lease,
// takes pods from Pending to Running and Ready, restarts containers that fail, ends pods that are
// deleted within their grace period: through the API only, each over its own line. They share one
// cache of Nodes and Pods, and see it each with a delay of its own.
//
// How long a container of a pod that is not restarted runs, in seconds: the annotation
// simulate.orch.dev/run-seconds of its pod, else a choice of the seed up to run_max.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "sim/control_plane.h"

namespace orch::sim {

struct HollowOptions {
  Micros start_min{Millis{300}}, start_max{Millis{1500}};  // from seeing a pod to its running
  Micros stop_max{Millis{500}};  // from the signal to the containers' end; never above the grace
  Micros run_max{Seconds{20}};   // of containers that end by themselves
  Micros lag_max{0};             // from the cache's knowing to the node's
  unsigned failing = 0;          // parts of 10,000: containers that end with an error
};

class HollowNodes {
 public:
  HollowNodes(Env& env, Random& random, ControlPlane& plane, client::InformerSet& informers,
              HollowOptions options);
  ~HollowNodes();

  // Names, labels, taints and allocatable of `node` stand; conditions are the node's own. Before
  // the cache is started, or after.
  void add(const api::corev1::Node& node);
  // The node is off: no heartbeat, no answer; its containers are gone when it comes back.
  void power_off(const std::string& name);
  // The node cannot reach the API server; its containers run on.
  void partition(const std::string& name);
  void restore(const std::string& name);
  void slow_down(const std::string& name, unsigned factor);
  std::vector<std::string> names() const;
  // From now on containers do not fail.
  void behave() { options_.failing = 0; }
  void stop();
  bool idle() const;  // no request under way

  // A pod's containers run, or have ended.
  std::function<void(const api::corev1::Pod& pod, const std::string& node, bool running)> changed;

 private:
  class Node;
  void dispatch(const api::ObjectPtr& old, const api::ObjectPtr& now);

  Env& env_;
  Random& random_;
  ControlPlane& plane_;
  client::InformerSet& informers_;
  client::Lister<api::corev1::Pod> pods_;
  client::Lister<api::corev1::Node> node_objects_;
  HollowOptions options_;
  bool stopped_ = false;
  std::map<std::string, std::shared_ptr<Node>, std::less<>> nodes_;
};

}  // namespace orch::sim
