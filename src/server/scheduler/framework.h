// The scheduling framework (KEP-624): small interfaces, one per extension point; a plugin inherits
// those that it implements. What a cycle computes lives in CycleState, never in a plugin: plugins
// are const there and may be used by any thread.
#pragma once

#include <array>
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
#include "server/scheduler/diagnosis.h"
#include "server/scheduler/plugin_args.h"
#include "server/scheduler/snapshot.h"
#include "server/scheduler/status.h"

namespace orch::server::scheduler {

inline constexpr int64_t kScoreMax = 100;

struct PodClass;

// Scratch of one cycle, by plugin. Cloned for trials of preemption.
class CycleState {
 public:
  struct Data {
    virtual ~Data() = default;
    virtual std::unique_ptr<Data> clone() const = 0;
  };
  void put(std::string_view key, std::unique_ptr<Data> data);
  template <class T>
  T* get(std::string_view key) {
    return static_cast<T*>(find(key));
  }
  template <class T>
  const T* get(std::string_view key) const {
    return static_cast<const T*>(find(key));
  }
  CycleState clone() const;

  // What is remembered of pods like this one; null = nothing, or not to be relied on.
  PodClass* known = nullptr;
  // Plugins that said kSkip, by their position among those of the extension point Filter (Score).
  uint64_t skip_filter = 0, skip_score = 0;

 private:
  Data* find(std::string_view key) const;
  std::vector<std::pair<std::string_view, std::unique_ptr<Data>>> data_;  // keys are literals
};

// A change that might make room for pods found unschedulable.
struct ClusterEvent {
  // kStorage: a claim, volume, StorageClass or CSI object.
  enum class Kind { kNode, kAssignedPod, kStorage };
  // Bits of `actions`.
  static constexpr unsigned kAdd = 1, kDelete = 2, kAllocatable = 4, kLabel = 8, kTaint = 16,
                            kScaleDown = 32;
  static constexpr unsigned kAll = 63;
  // Sets of kinds with actions, for Plugin::interests().
  using Mask = uint32_t;
  static constexpr Mask mask(Kind kind, unsigned actions) {
    return static_cast<Mask>(actions) << (8 * static_cast<unsigned>(kind));
  }
  Mask mask() const { return mask(kind, actions); }

  Kind kind = Kind::kNode;
  unsigned actions = 0;
  std::shared_ptr<const corev1::Node> node;  // the node after the change (before, if deleted)
  PodInfoPtr old_pod, pod;                   // old_pod: before a change
  std::string node_name;                     // of kAssignedPod: where; "" = not known
  api::ObjectPtr object;                     // of kStorage
  // While may_help() is asked: node_name's node as it is now (null = not known), and whether the
  // pod could preempt others there.
  const NodeInfo* at = nullptr;
  bool can_preempt = true;
  bool has(unsigned bits) const { return (actions & bits) != 0; }
};

struct NodeScore {
  const NodeInfo* node;
  int64_t score;
};
// Scales scores so that the highest becomes 100; reversed: the highest becomes 0.
void normalize_scores(std::vector<NodeScore>& scores, bool reversed);

class Framework;

class Plugin {
 public:
  virtual ~Plugin() = default;
  virtual std::string_view name() const = 0;  // a literal
  // The only kinds of changes that may_help() and storage_may_help() can say yes to.
  virtual ClusterEvent::Mask interests() const {
    return ClusterEvent::mask(ClusterEvent::Kind::kNode, ClusterEvent::kAll) |
           ClusterEvent::mask(ClusterEvent::Kind::kAssignedPod, ClusterEvent::kAll);
  }
  // Could this change make the plugin accept a pod that it refused?
  virtual bool may_help(const ClusterEvent&, const PodInfo&) const { return true; }
  // The same of events of kind kStorage, which only volume plugins look at.
  virtual bool storage_may_help(const ClusterEvent&, const PodInfo&) const { return false; }
};

// Before a pod may enter the active queue: a refusal keeps it apart until it changes.
class PreEnqueue : public virtual Plugin {
 public:
  virtual Status pre_enqueue(const corev1::Pod&) const = 0;
};
// The order of the active queue. One for all profiles.
class QueueSort : public virtual Plugin {};

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
  // The answer depends on nothing but the node and what class_of() tells of the pod.
  virtual bool filter_is_local() const { return false; }
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

using Nodes = std::span<const NodeInfo* const>;

class PreScore : public virtual Plugin {
 public:
  virtual Status pre_score(CycleState&, const PodInfo&, const Snapshot&, Nodes feasible) const = 0;
};

class Score : public virtual Plugin {
 public:
  virtual int64_t score(const CycleState&, const PodInfo&, const NodeInfo&,
                        const Snapshot&) const = 0;
  // As Filter::filter_is_local().
  virtual bool score_is_local() const { return false; }
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
class PostBind : public virtual Plugin {
 public:
  virtual void post_bind(CycleState&, const PodInfo&, const std::string& node) = 0;
};

// ---- a profile's plugins ----

enum class Point {
  kPreEnqueue,
  kQueueSort,
  kPreFilter,
  kFilter,
  kPostFilter,
  kPreScore,
  kScore,
  kReserve,
  kPermit,
  kPreBind,
  kBind,
  kPostBind,
};
inline constexpr size_t kPoints = 12;
// Their names in configuration files, in order: "preEnqueue", "queueSort" ...
std::string_view name_of(Point point);
bool implements(const Plugin& plugin, Point point);

struct PluginRef {
  std::string name;
  int64_t weight = 1;  // of Score
};
// By extension point, in the order they run.
using PointLists = std::array<std::vector<PluginRef>, kPoints>;

class ClassCache;

class Framework {
 public:
  struct Entry {
    std::unique_ptr<Plugin> plugin;
    int64_t weight = 1;  // of Score
  };
  // Every plugin at every point it implements, in this order.
  explicit Framework(std::vector<Entry> plugins);
  // At those of `points`; every name must be one of `plugins`.
  Framework(std::vector<Entry> plugins, const PointLists& points);

  // Refusals keep the pod out of the active queue.
  Status run_pre_enqueue(const corev1::Pod& pod) const;
  Status run_pre_filter(CycleState&, const PodInfo&, const Snapshot&,
                        std::optional<std::set<std::string>>& only,
                        std::set<std::string>& rejected_by) const;
  Status run_filter(const CycleState&, const PodInfo&, const NodeInfo&) const;
  // run_filter() is these two, one after the other.
  Status run_local_filters(const CycleState&, const PodInfo&, const NodeInfo&) const;
  Status run_other_filters(const CycleState&, const PodInfo&, const NodeInfo&) const;
  // No filter but the local ones has a say in this cycle.
  bool decides_locally(const CycleState&) const;
  // Passes with and without the pods of at least its priority that are nominated to the node.
  Status run_filter_with_nominated(const CycleState&, const PodInfo&, const NodeInfo&,
                                   const Snapshot&) const;
  PostFilterResult run_post_filter(const CycleState&, const PodInfo&, const Snapshot&,
                                   const Diagnosis&, Random&) const;
  // Weighted sums. `known`: local scores of pods like this one, used and added to; may be null.
  Status run_score(CycleState&, const PodInfo&, const Snapshot&, Nodes feasible,
                   std::vector<NodeScore>& scores, PodClass* known = nullptr) const;
  void run_add_pod(CycleState&, const PodInfo& pod, const PodInfo& other, const NodeInfo&,
                   const Snapshot&) const;
  void run_remove_pod(CycleState&, const PodInfo& pod, const PodInfo& other, const NodeInfo&,
                      const Snapshot&) const;
  // Reserve and Permit; on a refusal all reservations are undone.
  Status run_reserve(CycleState&, const PodInfo&, const std::string& node);
  void run_unreserve(CycleState&, const PodInfo&, const std::string& node) noexcept;
  Status run_pre_bind(CycleState&, const PodInfo&, const std::string& node);
  Status run_bind(CycleState&, const PodInfo&, const std::string& node);
  void run_post_bind(CycleState&, const PodInfo&, const std::string& node);

  // Could the change help a pod that `rejected_by` refused?
  bool may_help(const ClusterEvent&, const PodInfo&,
                const std::set<std::string>& rejected_by) const;
  // The only changes that could.
  ClusterEvent::Mask interests(const std::set<std::string>& rejected_by) const;
  // may_help() says the same of all pods of a class_of(), a priority and a `can_preempt`; but for
  // pods that are nominated to the very node.
  bool helps_by_class(const std::set<std::string>& rejected_by) const;
  bool has_post_filter() const { return !post_filters_.empty(); }

 private:
  struct PreFilterAt {
    PreFilter* plugin;
    uint64_t skip;  // its bit of CycleState::skip_filter
  };
  struct PreScoreAt {
    PreScore* plugin;
    uint64_t skip;  // its bit of CycleState::skip_score
  };
  struct ScoreAt {
    Score* plugin;
    int64_t weight;
    int known_at;  // its place in PodClass; -1 = not local
  };
  void place(Plugin& plugin, Point point, int64_t weight);
  void number();
  void score_local(const ScoreAt& at, const CycleState&, const PodInfo&, const Snapshot&,
                   Nodes feasible, PodClass& known, std::vector<NodeScore>& out) const;

  std::vector<Entry> plugins_;
  std::vector<PreEnqueue*> pre_enqueues_;
  std::vector<PreFilterAt> pre_filters_;
  std::vector<Filter*> filters_;
  size_t local_filters_ = 0;  // the first so many of filters_ are local
  std::vector<PostFilter*> post_filters_;
  std::vector<PreScoreAt> pre_scores_;
  std::vector<ScoreAt> scores_;
  std::vector<Reserve*> reserves_;
  std::vector<Permit*> permits_;
  std::vector<PreBind*> pre_binds_;
  std::vector<Bind*> binds_;
  std::vector<PostBind*> post_binds_;
};

// The plugins of plugins.def with their weights.
std::vector<Framework::Entry> default_plugins(const client::Client& client,
                                              const PluginArgs& args = {});

}  // namespace orch::server::scheduler
