#include "sim/desired.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "orch/api/appsv1.h"
#include "orch/api/batchv1.h"
#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "orch/api/policyv1.h"
#include "orch/api/selector.h"

namespace orch::sim {
namespace corev1 = api::corev1;
namespace appsv1 = api::appsv1;
namespace batchv1 = api::batchv1;
namespace discoveryv1 = api::discoveryv1;
namespace policyv1 = api::policyv1;

namespace {

class Look {
 public:
  explicit Look(const client::Client& client) : client_(client) {}

  std::vector<std::string> run() {
    pods_ = all<corev1::Pod>();
    nodes_ = all<corev1::Node>();
    for (const auto& pod : pods_) {
      if (const auto* owner = controller_of(pod->metadata)) by_owner_[owner->uid].push_back(pod);
    }
    nodes();
    deployments();
    stateful_sets();
    daemon_sets();
    jobs();
    pods();
    services();
    budgets();
    for (const auto& ns : all<corev1::Namespace>()) {
      if (ns->metadata.deletionTimestamp) say("Namespace", *ns, "is still there");
    }
    return std::move(complaints_);
  }

 private:
  using PodPtr = std::shared_ptr<const corev1::Pod>;

  template <class T>
  std::vector<std::shared_ptr<const T>> all() {
    auto list = client_.list<T>();
    if (!list) {
      complaints_.push_back("list: " + list.error().message);
      return {};
    }
    for (const auto& object : list->items) uids_.insert(object->metadata.uid);
    return std::move(list->items);
  }
  static const api::metav1::OwnerReference* controller_of(const api::metav1::ObjectMeta& meta) {
    for (const auto& owner : meta.ownerReferences) {
      if (owner.controller.value_or(false)) return &owner;
    }
    return nullptr;
  }
  static bool is_ready(const corev1::Pod& pod) {
    for (const auto& c : pod.status.conditions) {
      if (c.type == "Ready") return c.status == "True";
    }
    return false;
  }
  static bool is_finished(const corev1::Pod& pod) {
    return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
  }
  void say(std::string_view kind, const api::Object& object, const std::string& what) {
    complaints_.push_back(fmt::format("{} {}: {}", kind, api::key_of(object).str(), what));
  }
  // One number that should be another.
  void equal(std::string_view kind, const api::Object& object, std::string_view what, int64_t is,
             int64_t should) {
    if (is != should) say(kind, object, fmt::format("{} is {}, not {}", what, is, should));
  }
  template <class T>
  bool seen(std::string_view kind, const T& object) {
    if (object.metadata.deletionTimestamp) {
      say(kind, object, "is still there");
      return false;
    }
    equal(kind, object, "observedGeneration", int64_t(object.status.observedGeneration),
          int64_t(object.metadata.generation));
    return true;
  }

  void nodes() {
    for (const auto& node : nodes_) {
      bool ready = false;
      for (const auto& c : node->status.conditions) {
        if (c.type == "Ready") ready = c.status == "True";
      }
      if (!ready) say("Node", *node, "is not ready");
      for (const auto& taint : node->spec.taints) say("Node", *node, "has taint " + taint.key);
    }
  }
  void deployments() {
    const auto sets = all<appsv1::ReplicaSet>();
    for (const auto& deployment : all<appsv1::Deployment>()) {
      const appsv1::Deployment& d = *deployment;
      if (!seen("Deployment", d)) continue;
      const int wanted = d.spec.replicas.value_or(1);
      equal("Deployment", d, "status.replicas", d.status.replicas, wanted);
      equal("Deployment", d, "status.updatedReplicas", d.status.updatedReplicas, wanted);
      equal("Deployment", d, "status.availableReplicas", d.status.availableReplicas, wanted);
      int there = 0;
      for (const auto& set : sets) {
        const auto* owner = controller_of(set->metadata);
        if (owner != nullptr && owner->uid == d.metadata.uid) there += active(set->metadata.uid);
      }
      equal("Deployment", d, "pods", there, wanted);
    }
    for (const auto& set : sets) {
      if (!seen("ReplicaSet", *set)) continue;
      equal("ReplicaSet", *set, "pods", active(set->metadata.uid), set->spec.replicas.value_or(1));
      equal("ReplicaSet", *set, "status.readyReplicas", set->status.readyReplicas,
            set->spec.replicas.value_or(1));
    }
  }
  int active(const std::string& uid) {
    int out = 0;
    for (const auto& pod : by_owner_[uid]) out += !is_finished(*pod);
    return out;
  }
  void stateful_sets() {
    for (const auto& set : all<appsv1::StatefulSet>()) {
      if (!seen("StatefulSet", *set)) continue;
      const int wanted = set->spec.replicas.value_or(1);
      equal("StatefulSet", *set, "status.readyReplicas", set->status.readyReplicas, wanted);
      equal("StatefulSet", *set, "pods", active(set->metadata.uid), wanted);
      if (set->status.currentRevision != set->status.updateRevision) {
        say("StatefulSet", *set, "is not updated");
      }
    }
  }
  void daemon_sets() {
    for (const auto& set : all<appsv1::DaemonSet>()) {
      if (!seen("DaemonSet", *set)) continue;
      const auto wanted = static_cast<int64_t>(nodes_.size());
      equal("DaemonSet", *set, "desiredNumberScheduled", set->status.desiredNumberScheduled,
            wanted);
      equal("DaemonSet", *set, "numberAvailable", set->status.numberAvailable, wanted);
      equal("DaemonSet", *set, "updatedNumberScheduled", set->status.updatedNumberScheduled,
            wanted);
      equal("DaemonSet", *set, "pods", active(set->metadata.uid), wanted);
    }
  }
  void jobs() {
    for (const auto& cron : all<batchv1::CronJob>()) {
      if (cron->metadata.deletionTimestamp) say("CronJob", *cron, "is still there");
    }
    for (const auto& job : all<batchv1::Job>()) {
      if (job->metadata.deletionTimestamp) {
        say("Job", *job, "is still there");
        continue;
      }
      bool complete = false, failed = false;
      for (const auto& c : job->status.conditions) {
        complete |= c.type == "Complete" && c.status == "True";
        failed |= c.type == "Failed" && c.status == "True";
      }
      if (!complete && !failed) say("Job", *job, "has not ended");
      equal("Job", *job, "status.active", job->status.active, 0);
      // Without indexes a pod more than asked for may succeed: promised is only not fewer.
      const int wanted = job->spec.completions.value_or(1);
      if (complete && (job->spec.completionMode == "Indexed" || job->status.succeeded < wanted)) {
        equal("Job", *job, "status.succeeded", job->status.succeeded, wanted);
      }
      for (const auto& pod : by_owner_[job->metadata.uid]) {
        for (const auto& finalizer : pod->metadata.finalizers) {
          say("Pod", *pod, "still has finalizer " + finalizer);
        }
      }
    }
  }
  void pods() {
    for (const auto& pod : pods_) {
      if (pod->metadata.deletionTimestamp) say("Pod", *pod, "is still there");
      if (!is_finished(*pod) && !is_ready(*pod)) {
        say("Pod", *pod, "is not ready; phase " + pod->status.phase);
      }
      const auto* owner = controller_of(pod->metadata);
      if (owner != nullptr && !uids_.contains(owner->uid)) {
        say("Pod", *pod, "has lost its " + owner->kind + " " + owner->name);
      }
    }
  }
  void services() {
    std::map<std::string, std::set<std::string>> served;
    for (const auto& slice : all<discoveryv1::EndpointSlice>()) {
      const auto service = slice->metadata.labels.find("kubernetes.io/service-name");
      if (service == slice->metadata.labels.end()) continue;
      for (const auto& endpoint : slice->endpoints) {
        if (!endpoint.conditions.ready.value_or(false)) continue;
        served[slice->metadata.namespace_ + "/" + service->second].insert(
            endpoint.addresses.begin(), endpoint.addresses.end());
      }
    }
    for (const auto& service : all<corev1::Service>()) {
      if (service->spec.selector.empty()) continue;
      std::set<std::string> wanted;
      for (const auto& pod :
           matching(service->metadata.namespace_, api::LabelSelector::of(service->spec.selector))) {
        if (is_ready(*pod) && !is_finished(*pod)) wanted.insert(pod->status.podIP);
      }
      const auto& is = served[api::key_of(*service).str()];
      if (is != wanted) {
        say("Service", *service,
            fmt::format("has endpoints [{}], not [{}]", fmt::join(is, " "),
                        fmt::join(wanted, " ")));
      }
    }
  }
  std::vector<PodPtr> matching(const std::string& ns, const api::LabelSelector& selector) {
    std::vector<PodPtr> out;
    for (const auto& pod : pods_) {
      if (pod->metadata.namespace_ == ns && selector.matches(pod->metadata.labels)) {
        out.push_back(pod);
      }
    }
    return out;
  }
  void budgets() {
    for (const auto& budget : all<policyv1::PodDisruptionBudget>()) {
      if (!seen("PodDisruptionBudget", *budget) || !budget->spec.selector) continue;
      auto selector = api::LabelSelector::from(*budget->spec.selector);
      if (!selector) continue;
      int healthy = 0;
      for (const auto& pod : matching(budget->metadata.namespace_, *selector)) {
        // As the controller counts, and upstream's: of a pod that was given up as its node was
        // gone nobody takes back that it is ready.
        healthy += is_ready(*pod) ? 1 : 0;
      }
      equal("PodDisruptionBudget", *budget, "currentHealthy", budget->status.currentHealthy,
            healthy);
    }
  }

  const client::Client& client_;
  std::vector<PodPtr> pods_;
  std::vector<std::shared_ptr<const corev1::Node>> nodes_;
  std::map<std::string, std::vector<PodPtr>> by_owner_;
  std::set<std::string> uids_;
  std::vector<std::string> complaints_;
};

}  // namespace

std::vector<std::string> undesired(const client::Client& client) { return Look(client).run(); }

}  // namespace orch::sim
