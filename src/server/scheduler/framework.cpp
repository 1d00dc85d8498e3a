#include "server/scheduler/framework.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/assert.h"
#include "orch/base/strings.h"
#include "server/scheduler/class_cache.h"
#include "server/scheduler/extenders.h"
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler {
namespace {

constexpr std::string_view kPointNames[kPoints] = {
    "preEnqueue", "queueSort", "preFilter", "filter",  "postFilter", "preScore",
    "score",      "reserve",   "permit",    "preBind", "bind",       "postBind"};

template <class T>
bool is(const Plugin& plugin) {
  return dynamic_cast<const T*>(&plugin) != nullptr;
}

}  // namespace

// ---- CycleState ----

void CycleState::put(std::string_view key, std::unique_ptr<Data> data) {
  for (auto& [at, value] : data_) {
    if (at != key) continue;
    value = std::move(data);
    return;
  }
  data_.emplace_back(key, std::move(data));
}

CycleState::Data* CycleState::find(std::string_view key) const {
  for (const auto& [at, value] : data_) {
    if (at == key) return value.get();
  }
  return nullptr;
}

CycleState CycleState::clone() const {
  CycleState out;
  out.known = known;
  out.skip_filter = skip_filter;
  out.skip_score = skip_score;
  out.data_.reserve(data_.size());
  for (const auto& [key, data] : data_) out.data_.emplace_back(key, data->clone());
  return out;
}

void normalize_scores(std::vector<NodeScore>& scores, bool reversed) {
  int64_t max = 0;
  for (const auto& s : scores) max = std::max(max, s.score);
  for (auto& s : scores) {
    s.score = max == 0 ? 0 : kScoreMax * s.score / max;
    if (reversed) s.score = kScoreMax - s.score;
  }
}

// ---- making one ----

std::string_view name_of(Point point) { return kPointNames[static_cast<size_t>(point)]; }

bool implements(const Plugin& plugin, Point point) {
  switch (point) {
    case Point::kPreEnqueue:
      return is<PreEnqueue>(plugin);
    case Point::kQueueSort:
      return is<QueueSort>(plugin);
    case Point::kPreFilter:
      return is<PreFilter>(plugin);
    case Point::kFilter:
      return is<Filter>(plugin);
    case Point::kPostFilter:
      return is<PostFilter>(plugin);
    case Point::kPreScore:
      return is<PreScore>(plugin);
    case Point::kScore:
      return is<Score>(plugin);
    case Point::kReserve:
      return is<Reserve>(plugin);
    case Point::kPermit:
      return is<Permit>(plugin);
    case Point::kPreBind:
      return is<PreBind>(plugin);
    case Point::kBind:
      return is<Bind>(plugin);
    case Point::kPostBind:
      return is<PostBind>(plugin);
  }
  return false;
}

Framework::Framework(std::vector<Entry> plugins) : plugins_(std::move(plugins)) {
  for (size_t point = 0; point < kPoints; ++point) {
    for (auto& [plugin, weight] : plugins_) {
      const auto at = static_cast<Point>(point);
      if (implements(*plugin, at)) place(*plugin, at, weight);
    }
  }
  number();
}

Framework::Framework(std::vector<Entry> plugins, const PointLists& points)
    : plugins_(std::move(plugins)) {
  for (size_t point = 0; point < kPoints; ++point) {
    for (const auto& wanted : points[point]) {
      auto at = std::find_if(plugins_.begin(), plugins_.end(), [&](const Entry& entry) {
        return entry.plugin->name() == wanted.name;
      });
      ORCH_ASSERT(at != plugins_.end());
      place(*at->plugin, static_cast<Point>(point), wanted.weight);
    }
  }
  number();
}

void Framework::place(Plugin& plugin, Point point, int64_t weight) {
  switch (point) {
    case Point::kPreEnqueue:
      return pre_enqueues_.push_back(dynamic_cast<PreEnqueue*>(&plugin));
    case Point::kQueueSort:
      return;  // Queue knows the only one
    case Point::kPreFilter:
      return pre_filters_.push_back({dynamic_cast<PreFilter*>(&plugin), 0});
    case Point::kFilter:
      return filters_.push_back(dynamic_cast<Filter*>(&plugin));
    case Point::kPostFilter:
      return post_filters_.push_back(dynamic_cast<PostFilter*>(&plugin));
    case Point::kPreScore:
      return pre_scores_.push_back({dynamic_cast<PreScore*>(&plugin), 0});
    case Point::kScore:
      return scores_.push_back({dynamic_cast<Score*>(&plugin), weight, -1});
    case Point::kReserve:
      return reserves_.push_back(dynamic_cast<Reserve*>(&plugin));
    case Point::kPermit:
      return permits_.push_back(dynamic_cast<Permit*>(&plugin));
    case Point::kPreBind:
      return pre_binds_.push_back(dynamic_cast<PreBind*>(&plugin));
    case Point::kBind:
      return binds_.push_back(dynamic_cast<Bind*>(&plugin));
    case Point::kPostBind:
      return post_binds_.push_back(dynamic_cast<PostBind*>(&plugin));
  }
}

void Framework::number() {
  while (local_filters_ < filters_.size() && filters_[local_filters_]->filter_is_local()) {
    ++local_filters_;
  }
  for (auto& at : pre_filters_) {
    for (size_t i = 0; i < filters_.size(); ++i) {
      if (filters_[i]->name() == at.plugin->name()) at.skip = uint64_t{1} << i;
    }
  }
  int known = 0;
  for (auto& at : scores_) {
    if (at.plugin->score_is_local() && known < PodClass::kScoresMax) at.known_at = known++;
  }
  for (auto& at : pre_scores_) {
    for (size_t i = 0; i < scores_.size(); ++i) {
      if (scores_[i].plugin->name() == at.plugin->name()) at.skip = uint64_t{1} << i;
    }
  }
}

// ---- PreEnqueue, PreFilter, Filter ----

Status Framework::run_pre_enqueue(const corev1::Pod& pod) const {
  for (const auto* plugin : pre_enqueues_) {
    Status status = plugin->pre_enqueue(pod);
    if (status.ok()) continue;
    status.plugin = plugin->name();
    return status;
  }
  return Status::success();
}

Status Framework::run_pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                                 std::optional<std::set<std::string>>& only,
                                 std::set<std::string>& rejected_by) const {
  std::set<std::string> narrowing;
  for (const auto& at : pre_filters_) {
    const auto* plugin = at.plugin;
    std::optional<std::set<std::string>> mine;
    Status status = plugin->pre_filter(state, pod, snapshot, mine);
    if (status.code == Code::kSkip) {
      state.skip_filter |= at.skip;
      continue;
    }
    if (!status.ok()) {
      status.plugin = plugin->name();
      rejected_by.insert(std::string(plugin->name()));
      return status;
    }
    if (!mine) continue;
    narrowing.insert(std::string(plugin->name()));
    if (only) {
      std::erase_if(*only, [&](const auto& node) { return !mine->contains(node); });
    } else {
      only = std::move(mine);
    }
    if (!only->empty()) continue;
    rejected_by = narrowing;
    const std::vector<std::string> names(narrowing.begin(), narrowing.end());
    return Status::unresolvable(
        names.size() == 1 ? fmt::format("node(s) didn't satisfy plugin {}", names.front())
                          : fmt::format("node(s) didn't satisfy plugin(s) [{}] simultaneously",
                                        join(names, " ")));
  }
  rejected_by = std::move(narrowing);
  return Status::success();
}

Status Framework::run_filter(const CycleState& state, const PodInfo& pod,
                             const NodeInfo& node) const {
  Status status = run_local_filters(state, pod, node);
  return status.ok() ? run_other_filters(state, pod, node) : status;
}

Status Framework::run_local_filters(const CycleState& state, const PodInfo& pod,
                                    const NodeInfo& node) const {
  for (size_t i = 0; i < local_filters_; ++i) {
    if (state.skip_filter >> i & 1) continue;
    Status status = filters_[i]->filter(state, pod, node);
    if (status.ok()) continue;
    status.plugin = filters_[i]->name();
    return status;
  }
  return Status::success();
}

Status Framework::run_other_filters(const CycleState& state, const PodInfo& pod,
                                    const NodeInfo& node) const {
  for (size_t i = local_filters_; i < filters_.size(); ++i) {
    if (state.skip_filter >> i & 1) continue;
    Status status = filters_[i]->filter(state, pod, node);
    if (status.ok()) continue;
    status.plugin = filters_[i]->name();
    return status;
  }
  return Status::success();
}

bool Framework::decides_locally(const CycleState& state) const {
  for (size_t i = local_filters_; i < filters_.size(); ++i) {
    if (!(state.skip_filter >> i & 1)) return false;
  }
  return true;
}

Status Framework::run_filter_with_nominated(const CycleState& state, const PodInfo& pod,
                                            const NodeInfo& node, const Snapshot& snapshot) const {
  if (!node.nominated.empty()) {
    // First as if they ran already (they will), then as if not (they may never).
    CycleState with = state.clone();
    NodeInfo crowded = node;
    bool any = false;
    for (const auto& other : node.nominated) {
      if (other->priority < pod.priority || other->uid() == pod.uid()) continue;
      crowded.add_pod(other);
      run_add_pod(with, pod, *other, crowded, snapshot);
      any = true;
    }
    if (any) {
      if (Status status = run_filter(with, pod, crowded); !status.ok()) return status;
    }
  }
  return run_filter(state, pod, node);
}

PostFilterResult Framework::run_post_filter(const CycleState& state, const PodInfo& pod,
                                            const Snapshot& snapshot, const Diagnosis& diagnosis,
                                            Random& random) const {
  PostFilterResult last;
  last.status = Status::unschedulable("");
  last.status.reasons.clear();
  for (const auto* plugin : post_filters_) {
    last = plugin->post_filter(*this, state, pod, snapshot, diagnosis, random);
    if (!last.status.rejected()) break;
  }
  return last;
}

void Framework::run_add_pod(CycleState& state, const PodInfo& pod, const PodInfo& other,
                            const NodeInfo& node, const Snapshot& snapshot) const {
  for (const auto& at : pre_filters_) {
    if (!(state.skip_filter & at.skip)) at.plugin->add_pod(state, pod, other, node, snapshot);
  }
}

void Framework::run_remove_pod(CycleState& state, const PodInfo& pod, const PodInfo& other,
                               const NodeInfo& node, const Snapshot& snapshot) const {
  for (const auto& at : pre_filters_) {
    if (!(state.skip_filter & at.skip)) at.plugin->remove_pod(state, pod, other, node, snapshot);
  }
}

// ---- Score ----

Status Framework::run_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                            Nodes feasible, std::vector<NodeScore>& scores, PodClass* known) const {
  for (const auto& at : pre_scores_) {
    Status status = at.plugin->pre_score(state, pod, snapshot, feasible);
    if (status.code == Code::kSkip) {
      state.skip_score |= at.skip;
    } else if (!status.ok()) {
      status.plugin = at.plugin->name();
      return status;
    }
  }
  scores.clear();
  scores.reserve(feasible.size());
  for (const auto* node : feasible) scores.push_back({node, 0});
  std::vector<NodeScore> mine;
  mine.reserve(feasible.size());
  for (size_t p = 0; p < scores_.size(); ++p) {
    const ScoreAt& at = scores_[p];
    if (state.skip_score >> p & 1) continue;
    mine.clear();
    if (known && at.known_at >= 0) {
      score_local(at, state, pod, snapshot, feasible, *known, mine);
    } else {
      for (const auto* node : feasible) {
        mine.push_back({node, at.plugin->score(state, pod, *node, snapshot)});
      }
    }
    at.plugin->normalize(state, mine);
    for (size_t i = 0; i < mine.size(); ++i) scores[i].score += at.weight * mine[i].score;
  }
  return Status::success();
}

void Framework::score_local(const ScoreAt& at, const CycleState& state, const PodInfo& pod,
                            const Snapshot& snapshot, Nodes feasible, PodClass& known,
                            std::vector<NodeScore>& out) const {
  const auto place = static_cast<size_t>(at.known_at);
  const uint32_t bit = uint32_t{1} << place;
  for (const auto* node : feasible) {
    auto& row = known.rows[node->slot];
    if (row.generation == node->generation && (row.scored & bit)) {
      out.push_back({node, row.scores[place]});
      continue;
    }
    const int64_t score = at.plugin->score(state, pod, *node, snapshot);
    out.push_back({node, score});
    if (row.generation != node->generation || score != static_cast<int32_t>(score)) continue;
    row.scores[place] = static_cast<int32_t>(score);
    row.scored |= bit;
  }
}

// ---- Reserve to PostBind ----

Status Framework::run_reserve(CycleState& state, const PodInfo& pod, const std::string& node) {
  auto guard = [&](Status status, std::string_view plugin) {
    status.plugin = plugin;
    if (!status.ok()) run_unreserve(state, pod, node);
    return status;
  };
  for (auto* plugin : reserves_) {
    Status status = guard(plugin->reserve(state, pod, node), plugin->name());
    if (!status.ok()) return status;
  }
  for (auto* plugin : permits_) {
    Status status = guard(plugin->permit(state, pod, node), plugin->name());
    if (!status.ok()) return status;
  }
  return Status::success();
}

void Framework::run_unreserve(CycleState& state, const PodInfo& pod,
                              const std::string& node) noexcept {
  for (auto at = reserves_.rbegin(); at != reserves_.rend(); ++at) {
    (*at)->unreserve(state, pod, node);
  }
}

Status Framework::run_pre_bind(CycleState& state, const PodInfo& pod, const std::string& node) {
  for (auto* plugin : pre_binds_) {
    Status status = plugin->pre_bind(state, pod, node);
    status.plugin = plugin->name();
    if (!status.ok()) return status;
  }
  return Status::success();
}

Status Framework::run_bind(CycleState& state, const PodInfo& pod, const std::string& node) {
  for (auto* plugin : binds_) {
    Status status = plugin->bind(state, pod, node);
    status.plugin = plugin->name();
    if (status.code != Code::kSkip) return status;
  }
  return Status::error("no plugin binds this pod");
}

void Framework::run_post_bind(CycleState& state, const PodInfo& pod, const std::string& node) {
  for (auto* plugin : post_binds_) plugin->post_bind(state, pod, node);
}

// ---- queueing hints ----

bool Framework::may_help(const ClusterEvent& event, const PodInfo& pod,
                         const std::set<std::string>& rejected_by) const {
  if (rejected_by.contains(std::string(kExtenderName))) return true;
  return std::any_of(plugins_.begin(), plugins_.end(), [&](const Entry& entry) {
    return (entry.plugin->interests() & event.mask()) != 0 &&
           rejected_by.contains(std::string(entry.plugin->name())) &&
           (event.kind == ClusterEvent::Kind::kStorage ? entry.plugin->storage_may_help(event, pod)
                                                       : entry.plugin->may_help(event, pod));
  });
}

ClusterEvent::Mask Framework::interests(const std::set<std::string>& rejected_by) const {
  if (rejected_by.contains(std::string(kExtenderName))) return ~ClusterEvent::Mask{0};
  ClusterEvent::Mask out = 0;
  for (const auto& entry : plugins_) {
    if (rejected_by.contains(std::string(entry.plugin->name()))) out |= entry.plugin->interests();
  }
  return out;
}

bool Framework::helps_by_class(const std::set<std::string>& rejected_by) const {
  size_t local = 0;
  for (size_t i = 0; i < local_filters_; ++i) {
    local += rejected_by.contains(std::string(filters_[i]->name())) ? 1 : 0;
  }
  return local == rejected_by.size() && local > 0;
}

std::vector<Framework::Entry> default_plugins(const client::Client& client,
                                              const PluginArgs& args) {
  std::vector<Framework::Entry> out;
#define ORCH_PLUGIN(name, weight) \
  out.push_back({plugins::make_##name(PluginContext{client, args}), weight});
#include "server/scheduler/plugins/plugins.def"
#undef ORCH_PLUGIN
  return out;
}

}  // namespace orch::server::scheduler
