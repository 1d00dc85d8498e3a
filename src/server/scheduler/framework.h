// The scheduling framework (KEP-624): small interfaces, one per extension point; a plugin inherits
// those that it implements. What a cycle computes lives in CycleState, never in a plugin: plugins
// are const there and may be used by any thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/random.h"
#include "orch/client/client.h"
#include "server/scheduler/snapshot.h"
#include "server/scheduler/status.h"

namespace orch::server::scheduler {

inline constexpr int64_t kScoreMax = 100;

// Scratch of one cycle, by plugin. Cloned for trials of preemption.
class CycleState {
 public:
  struct Data {
    virtual ~Data() = default;
    virtual std::unique_ptr<Data> clone() const = 0;
  };
  void put(std::string_view key, std::unique_ptr<Data> data) { data_[key] = std::move(data); }
  template <class T>
  T* get(std::string_view key) {
    auto at = data_.find(key);
    return at == data_.end() ? nullptr : static_cast<T*>(at->second.get());
  }
  template <class T>
  const T* get(std::string_view key) const {
    auto at = data_.find(key);
    return at == data_.end() ? nullptr : static_cast<const T*>(at->second.get());
  }
  CycleState clone() const;

  std::set<std::string_view> skip_filter, skip_score;  // plugins that said kSkip

 private:
  std::map<std::string_view, std::unique_ptr<Data>> data_;  // keys are literals
};

// A change that might make room for pods found unschedulable.
struct ClusterEvent {
  // kStorage: a claim, volume, StorageClass or CSI object.
  enum class Kind { kNode, kAssignedPod, kStorage };
  // Bits of `actions`.
  static constexpr unsigned kAdd = 1, kDelete = 2, kAllocatable = 4, kLabel = 8, kTaint = 16,
                            kScaleDown = 32;
  Kind kind = Kind::kNode;
  unsigned actions = 0;
  std::shared_ptr<const corev1::Node> node;  // the node after the change (before, if deleted)
  PodInfoPtr old_pod, pod;                   // old_pod: before a change
  api::ObjectPtr object;                     // of kStorage
  bool has(unsigned bits) const { return (actions & bits) != 0; }
};

struct NodeScore {
  const NodeInfo* node;
  int64_t score;
};
// Scales scores so that the highest becomes 100; reversed: the highest becomes 0.
void normalize_scores(std::vector<NodeScore>& scores, bool reversed);

// Why nodes refused a pod.
struct Diagnosis {
  size_t all_nodes = 0;
  std::map<std::string, Status> nodes;
  std::optional<Status> absent;   // of nodes not in `nodes`
  std::set<std::string> plugins;  // that refused
  std::string pre_filter_message, post_filter_message;
  // "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: ..."
  std::string message() const;
};

class Framework;

class Plugin {
 public:
  virtual ~Plugin() = default;
  virtual std::string_view name() const = 0;  // a literal
  // Could this change make the plugin accept a pod that it refused?
  virtual bool may_help(const ClusterEvent&, const PodInfo&) const { return true; }
  // The same of events of kind kStorage, which only volume plugins look at.
  virtual bool storage_may_help(const ClusterEvent&, const PodInfo&) const { return false; }
};

class PreFilter : public virtual Plugin {
 public:
  // `only`: set to restrict the cycle to these nodes (intersected with what others said).
  virtual Status pre_filter(CycleState&, const PodInfo&, const Snapshot&,
                            std::optional<std::set<std::string>>& only) const = 0;
  // Trials: `other` comes to (leaves) the node.
  virtual void add_pod(CycleState&, const PodInfo& /*pod*/, const PodInfo& /*other*/,
                       const NodeInfo&, const Snapshot&) const {}
  virtual void remove_pod(CycleState&, const PodInfo& /*pod*/, const PodInfo& /*other*/,
                          const NodeInfo&, const Snapshot&) const {}
};

class Filter : public virtual Plugin {
 public:
  virtual Status filter(const CycleState&, const PodInfo&, const NodeInfo&) const = 0;
};

struct PostFilterResult {
  Status status;
  std::string nominated_node;       // what the pod's nomination is to be; "" = none
  std::vector<PodInfoPtr> victims;  // to delete
};
class PostFilter : public virtual Plugin {
 public:
  // No node passed the filters: find another way.
  virtual PostFilterResult post_filter(const Framework&, const CycleState&, const PodInfo&,
                                       const Snapshot&, const Diagnosis&, Random&) const = 0;
};

class PreScore : public virtual Plugin {
 public:
  virtual Status pre_score(CycleState&, const PodInfo&, const Snapshot&,
                           std::span<const NodeInfoPtr> feasible) const = 0;
};

class Score : public virtual Plugin {
 public:
  virtual int64_t score(const CycleState&, const PodInfo&, const NodeInfo&,
                        const Snapshot&) const = 0;
  // Brings raw scores into 0..100.
  virtual void normalize(const CycleState&, std::vector<NodeScore>&) const {}
};

class Reserve : public virtual Plugin {
 public:
  virtual Status reserve(CycleState&, const PodInfo&, const std::string& node) = 0;
  virtual void unreserve(CycleState&, const PodInfo&, const std::string& node) noexcept = 0;
};
class Permit : public virtual Plugin {
 public:
  virtual Status permit(CycleState&, const PodInfo&, const std::string& node) = 0;
};
class PreBind : public virtual Plugin {
 public:
  virtual Status pre_bind(CycleState&, const PodInfo&, const std::string& node) = 0;
};
class Bind : public virtual Plugin {
 public:
  // kSkip = not this plugin's pod.
  virtual Status bind(CycleState&, const PodInfo&, const std::string& node) = 0;
};

// The plugins of the profile, by extension point, in the order of plugins.def.
class Framework {
 public:
  struct Entry {
    std::unique_ptr<Plugin> plugin;
    int64_t weight = 1;  // of Score
  };
  explicit Framework(std::vector<Entry> plugins);

  Status run_pre_filter(CycleState&, const PodInfo&, const Snapshot&,
                        std::optional<std::set<std::string>>& only,
                        std::set<std::string>& rejected_by) const;
  Status run_filter(const CycleState&, const PodInfo&, const NodeInfo&) const;
  // Passes with and without the pods of at least its priority that are nominated to the node.
  Status run_filter_with_nominated(const CycleState&, const PodInfo&, const NodeInfo&,
                                   const Snapshot&) const;
  PostFilterResult run_post_filter(const CycleState&, const PodInfo&, const Snapshot&,
                                   const Diagnosis&, Random&) const;
  // Weighted sums; `scores` comes with the feasible nodes.
  Status run_score(CycleState&, const PodInfo&, const Snapshot&,
                   std::span<const NodeInfoPtr> feasible, std::vector<NodeScore>& scores) const;
  void run_add_pod(CycleState&, const PodInfo& pod, const PodInfo& other, const NodeInfo&,
                   const Snapshot&) const;
  void run_remove_pod(CycleState&, const PodInfo& pod, const PodInfo& other, const NodeInfo&,
                      const Snapshot&) const;
  // Reserve and Permit; on a refusal all reservations are undone.
  Status run_reserve(CycleState&, const PodInfo&, const std::string& node);
  void run_unreserve(CycleState&, const PodInfo&, const std::string& node) noexcept;
  Status run_bind(CycleState&, const PodInfo&, const std::string& node);  // PreBind and Bind

  // Could the change help a pod that `rejected_by` refused?
  bool may_help(const ClusterEvent&, const PodInfo&,
                const std::set<std::string>& rejected_by) const;

 private:
  std::vector<Entry> plugins_;
  std::vector<PreFilter*> pre_filters_;
  std::vector<Filter*> filters_;
  std::vector<PostFilter*> post_filters_;
  std::vector<PreScore*> pre_scores_;
  std::vector<std::pair<Score*, int64_t>> scores_;
  std::vector<Reserve*> reserves_;
  std::vector<Permit*> permits_;
  std::vector<PreBind*> pre_binds_;
  std::vector<Bind*> binds_;
};

// The plugins of plugins.def with their weights.
std::vector<Framework::Entry> default_plugins(const client::Client& client);

}  // namespace orch::server::scheduler
