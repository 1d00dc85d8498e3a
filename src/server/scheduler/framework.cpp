#include "server/scheduler/framework.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler {

CycleState CycleState::clone() const {
  CycleState out;
  out.skip_filter = skip_filter;
  out.skip_score = skip_score;
  for (const auto& [key, data] : data_) out.data_[key] = data->clone();
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

std::string Diagnosis::message() const {
  std::string out = fmt::format("0/{} nodes are available:", all_nodes);
  if (!pre_filter_message.empty()) {
    out += " " + pre_filter_message + ".";
  } else {
    std::map<std::string, size_t> counts;
    for (const auto& [node, status] : nodes) {
      for (const auto& reason : status.reasons) ++counts[reason];
    }
    if (absent && nodes.size() < all_nodes) {
      for (const auto& reason : absent->reasons) counts[reason] += all_nodes - nodes.size();
    }
    std::vector<std::string> parts;
    for (const auto& [reason, count] : counts) parts.push_back(fmt::format("{} {}", count, reason));
    std::sort(parts.begin(), parts.end());
    if (!parts.empty()) out += " " + join(parts, ", ") + ".";
  }
  if (!post_filter_message.empty()) out += " " + post_filter_message;
  return out;
}

Framework::Framework(std::vector<Entry> plugins) : plugins_(std::move(plugins)) {
  auto collect = [](Plugin* plugin, auto& list) {
    using Interface = std::remove_pointer_t<typename std::decay_t<decltype(list)>::value_type>;
    if (auto* p = dynamic_cast<Interface*>(plugin)) list.push_back(p);
  };
  for (auto& [plugin, weight] : plugins_) {
    collect(plugin.get(), pre_filters_);
    collect(plugin.get(), filters_);
    collect(plugin.get(), post_filters_);
    collect(plugin.get(), pre_scores_);
    if (auto* p = dynamic_cast<Score*>(plugin.get())) scores_.emplace_back(p, weight);
    collect(plugin.get(), reserves_);
    collect(plugin.get(), permits_);
    collect(plugin.get(), pre_binds_);
    collect(plugin.get(), binds_);
  }
}

Status Framework::run_pre_filter(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                                 std::optional<std::set<std::string>>& only,
                                 std::set<std::string>& rejected_by) const {
  std::set<std::string> narrowing;
  for (const auto* plugin : pre_filters_) {
    std::optional<std::set<std::string>> mine;
    Status status = plugin->pre_filter(state, pod, snapshot, mine);
    status.plugin = plugin->name();
    if (status.code == Code::kSkip) {
      state.skip_filter.insert(plugin->name());
      continue;
    }
    if (!status.ok()) {
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
  for (const auto* plugin : filters_) {
    if (state.skip_filter.contains(plugin->name())) continue;
    Status status = plugin->filter(state, pod, node);
    if (status.ok()) continue;
    status.plugin = plugin->name();
    return status;
  }
  return Status::success();
}

Status Framework::run_filter_with_nominated(const CycleState& state, const PodInfo& pod,
                                            const NodeInfo& node, const Snapshot& snapshot) const {
  auto waiting = snapshot.nominated.find(node.name());
  if (waiting != snapshot.nominated.end()) {
    // First as if they ran already (they will), then as if not (they may never).
    CycleState with = state.clone();
    NodeInfo crowded = node;
    bool any = false;
    for (const auto& other : waiting->second) {
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

Status Framework::run_score(CycleState& state, const PodInfo& pod, const Snapshot& snapshot,
                            std::span<const NodeInfoPtr> feasible,
                            std::vector<NodeScore>& scores) const {
  for (const auto* plugin : pre_scores_) {
    Status status = plugin->pre_score(state, pod, snapshot, feasible);
    status.plugin = plugin->name();
    if (status.code == Code::kSkip) {
      state.skip_score.insert(plugin->name());
    } else if (!status.ok()) {
      return status;
    }
  }
  scores.clear();
  for (const auto& node : feasible) scores.push_back({node.get(), 0});
  std::vector<NodeScore> mine;
  for (const auto& [plugin, weight] : scores_) {
    if (state.skip_score.contains(plugin->name())) continue;
    mine.clear();
    for (const auto& node : feasible) {
      mine.push_back({node.get(), plugin->score(state, pod, *node, snapshot)});
    }
    plugin->normalize(state, mine);
    for (size_t i = 0; i < mine.size(); ++i) scores[i].score += weight * mine[i].score;
  }
  return Status::success();
}

void Framework::run_add_pod(CycleState& state, const PodInfo& pod, const PodInfo& other,
                            const NodeInfo& node, const Snapshot& snapshot) const {
  for (const auto* plugin : pre_filters_) {
    if (state.skip_filter.contains(plugin->name())) continue;
    plugin->add_pod(state, pod, other, node, snapshot);
  }
}

void Framework::run_remove_pod(CycleState& state, const PodInfo& pod, const PodInfo& other,
                               const NodeInfo& node, const Snapshot& snapshot) const {
  for (const auto* plugin : pre_filters_) {
    if (state.skip_filter.contains(plugin->name())) continue;
    plugin->remove_pod(state, pod, other, node, snapshot);
  }
}

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

Status Framework::run_bind(CycleState& state, const PodInfo& pod, const std::string& node) {
  for (auto* plugin : pre_binds_) {
    Status status = plugin->pre_bind(state, pod, node);
    status.plugin = plugin->name();
    if (!status.ok()) return status;
  }
  for (auto* plugin : binds_) {
    Status status = plugin->bind(state, pod, node);
    status.plugin = plugin->name();
    if (status.code != Code::kSkip) return status;
  }
  return Status::error("no plugin binds this pod");
}

bool Framework::may_help(const ClusterEvent& event, const PodInfo& pod,
                         const std::set<std::string>& rejected_by) const {
  return std::any_of(plugins_.begin(), plugins_.end(), [&](const Entry& entry) {
    return rejected_by.contains(std::string(entry.plugin->name())) &&
           (event.kind == ClusterEvent::Kind::kStorage
                ? entry.plugin->storage_may_help(event, pod)
                : entry.plugin->may_help(event, pod));
  });
}

std::vector<Framework::Entry> default_plugins(const client::Client& client) {
  std::vector<Framework::Entry> out;
#define ORCH_PLUGIN(name, weight) out.push_back({plugins::make_##name(client), weight});
#include "server/scheduler/plugins/plugins.def"
#undef ORCH_PLUGIN
  return out;
}

}  // namespace orch::server::scheduler
