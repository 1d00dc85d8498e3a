#include "server/scheduler/config_plugins.h"

#include <fmt/format.h>

#include <algorithm>

namespace orch::server::scheduler {
namespace {

constexpr int64_t kPercent = 100;
constexpr int64_t kShapeScoreMax = 10;
constexpr int64_t kResourceWeightMax = 100;
constexpr int64_t kCountMax = 1'000'000'000;
constexpr int64_t kScoreWeightMax = 1'000'000;  // sums of weighted scores stay far from overflow

struct Known {
  std::string name;
  int64_t weight;
  std::array<bool, kPoints> points;
};

class NoTransport final : public client::Transport {
 public:
  api::ApiResult<client::Response> call(const client::Request&) override {
    return Err(api::service_unavailable("no API here"));
  }
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(const client::Request&,
                                                             client::WatchCallbacks) override {
    return Err(api::service_unavailable("no API here"));
  }
};

// The default plugins with what they implement, in their order.
std::vector<Known> known_plugins() {
  NoTransport transport;
  const client::Client client(transport);
  std::vector<Known> out;
  for (const auto& [plugin, weight] : default_plugins(client)) {
    Known one{std::string(plugin->name()), weight, {}};
    for (size_t p = 0; p < kPoints; ++p) {
      one.points[p] = implements(*plugin, static_cast<Point>(p));
    }
    out.push_back(std::move(one));
  }
  return out;
}

struct Enabled {
  std::string name;
  int64_t weight = 0;  // 0 = the plugin's own
  std::string path;
};

struct PluginSet {
  std::vector<Enabled> enabled;
  std::set<std::string> disabled;
  bool disables(const std::string& name) const {
    return disabled.contains("*") || disabled.contains(name);
  }
  const Enabled* find(const std::string& name) const {
    auto at = std::find_if(enabled.begin(), enabled.end(),
                           [&](const Enabled& one) { return one.name == name; });
    return at == enabled.end() ? nullptr : &*at;
  }
};

class PluginLists {
 public:
  PluginLists(ConfigReader& reader) : reader_(reader), known_(known_plugins()) {}

  void read(const At& at) {
    ConfigReader::Handlers handlers;
    handlers.emplace_back("multiPoint", [this](const At& set) { read_set(set, multi_); });
    for (size_t p = 0; p < kPoints; ++p) {
      handlers.emplace_back(name_of(static_cast<Point>(p)),
                            [this, p](const At& set) { read_set(set, sets_[p]); });
    }
    reader_.object(at, handlers);
  }

  PointLists lists(const std::string& path) {
    PointLists out;
    const std::vector<Enabled> everywhere = multi_point();
    for (size_t p = 0; p < kPoints; ++p) {
      out[p] = list(static_cast<Point>(p), sets_[p], everywhere, path);
    }
    check_one(out, Point::kQueueSort, path, true);
    check_one(out, Point::kBind, path, false);
    return out;
  }

 private:
  const Known* known(const std::string& name) const {
    auto at = std::find_if(known_.begin(), known_.end(),
                           [&](const Known& one) { return one.name == name; });
    return at == known_.end() ? nullptr : &*at;
  }

  void read_set(const At& at, PluginSet& out) {
    reader_.object(at, {{"enabled",
                         [&](const At& list) {
                           reader_.array(list, [&](const At& item) { read_enabled(item, out); });
                         }},
                        {"disabled", [&](const At& list) {
                           reader_.array(list, [&](const At& item) {
                             reader_.object(item, {{"name",
                                                    [&](const At& name) {
                                                      out.disabled.insert(checked_name(name, true));
                                                    }},
                                                   {"weight", ConfigReader::ignored()}});
                           });
                         }}});
  }

  void read_enabled(const At& at, PluginSet& out) {
    Enabled one;
    one.path = at.path;
    reader_.object(
        at,
        {{"name", [&](const At& name) { one.name = checked_name(name, false); }},
         {"weight", [&](const At& w) { one.weight = reader_.integer(w, 0, kScoreWeightMax); }}});
    if (one.name.empty()) {
      if (!at.value.has("name")) reader_.errors().required(at.path + ".name");
    } else if (out.find(one.name)) {
      reader_.errors().duplicate(at.path + ".name", api::go_quoted(one.name));
    } else {
      out.enabled.push_back(std::move(one));
    }
  }

  std::string checked_name(const At& at, bool star) {
    std::string name = reader_.text(at);
    if ((star && name == "*") || known(name)) return name;
    if (at.value.is_string()) reader_.errors().not_found(at.path, api::go_quoted(name));
    return "";
  }

  // The defaults, less what is disabled, with other weights where enabled again; then the rest.
  std::vector<Enabled> multi_point() const {
    std::vector<Enabled> out;
    std::set<std::string> taken;
    for (const auto& plugin : known_) {
      if (multi_.disables(plugin.name)) continue;
      const Enabled* again = multi_.find(plugin.name);
      out.push_back(again ? *again : Enabled{plugin.name, 0, ""});
      taken.insert(plugin.name);
    }
    for (const auto& one : multi_.enabled) {
      if (!taken.contains(one.name)) out.push_back(one);
    }
    return out;
  }

  std::vector<PluginRef> list(Point point, const PluginSet& set,
                              const std::vector<Enabled>& everywhere, const std::string&) {
    auto at_multi = [&](const std::string& name) {
      return std::any_of(everywhere.begin(), everywhere.end(),
                         [&](const Enabled& one) { return one.name == name; });
    };
    std::vector<PluginRef> out;
    auto add = [&](const Enabled& one) {
      const Known* plugin = known(one.name);
      if (plugin && !plugin->points[static_cast<size_t>(point)]) {
        // Said at this very point it is a mistake; of multiPoint it only means the others.
        if (&one >= set.enabled.data() && &one < set.enabled.data() + set.enabled.size()) {
          reader_.errors().invalid(one.path + ".name", api::go_quoted(one.name),
                                   fmt::format("does not extend {}", name_of(point)));
        }
        return;
      }
      if (plugin) out.push_back({one.name, one.weight > 0 ? one.weight : plugin->weight});
    };
    for (const auto& one : set.enabled) {
      if (at_multi(one.name)) add(one);
    }
    for (const auto& one : everywhere) {
      if (!set.find(one.name) && !set.disables(one.name)) add(one);
    }
    for (const auto& one : set.enabled) {
      if (!at_multi(one.name)) add(one);
    }
    return out;
  }

  void check_one(const PointLists& lists, Point point, const std::string& path, bool only) {
    const auto& list = lists[static_cast<size_t>(point)];
    const std::string field = fmt::format("{}.plugins.{}", path, name_of(point));
    if (list.empty()) {
      reader_.errors().required(field, "at least one plugin is needed");
    } else if (only && list.size() > 1) {
      reader_.errors().invalid(field, std::to_string(list.size()), "only one plugin is allowed");
    }
  }

  ConfigReader& reader_;
  const std::vector<Known> known_;
  PluginSet multi_;
  std::array<PluginSet, kPoints> sets_;
};

// ---- arguments ----

// "kind" and "apiVersion" may stand in any arguments.
ConfigReader::Handlers typed(ConfigReader& reader, std::string_view kind,
                             ConfigReader::Handlers handlers) {
  handlers.emplace_back("kind",
                        [&reader, kind](const At& at) { reader.choice(at, {std::string(kind)}); });
  handlers.emplace_back("apiVersion", [&reader](const At& at) {
    reader.choice(at, {"kubescheduler.config.k8s.io/v1"});
  });
  return handlers;
}

std::vector<ResourceWeight> read_resources(ConfigReader& reader, const At& at, int64_t max) {
  std::vector<ResourceWeight> out;
  reader.array(at, [&](const At& item) {
    ResourceWeight one;
    reader.object(item, {{"name", [&](const At& name) { one.name = reader.text(name); }},
                         {"weight", [&](const At& w) {
                            one.weight = w.value.number() == 0 ? 1 : reader.integer(w, 1, max);
                          }}});
    if (one.name.empty()) reader.errors().required(item.path + ".name");
    out.push_back(std::move(one));
  });
  return out;
}

std::vector<ShapePoint> read_shape(ConfigReader& reader, const At& at) {
  std::vector<ShapePoint> out;
  reader.array(at, [&](const At& item) {
    ShapePoint point;
    reader.object(
        item,
        {{"utilization", [&](const At& u) { point.utilization = reader.integer(u, 0, kPercent); }},
         {"score", [&](const At& s) { point.score = reader.integer(s, 0, kShapeScoreMax); }}});
    if (!out.empty() && point.utilization <= out.back().utilization) {
      reader.errors().invalid(item.path + ".utilization", std::to_string(point.utilization),
                              "utilization values must be sorted in increasing order");
    }
    out.push_back(point);
  });
  if (out.empty()) reader.errors().required(at.path, "at least one point must be specified");
  return out;
}

std::set<std::string> read_names(ConfigReader& reader, const At& at) {
  std::set<std::string> out;
  reader.array(at, [&](const At& item) { out.insert(reader.text(item)); });
  return out;
}

void read_strategy(ConfigReader& reader, const At& at, PluginArgs& out) {
  reader.object(at, {{"type",
                      [&](const At& type) {
                        const std::string name = reader.choice(
                            type, {"LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"});
                        if (name == "MostAllocated")
                          out.strategy = PluginArgs::Strategy::kMostAllocated;
                        if (name == "RequestedToCapacityRatio") {
                          out.strategy = PluginArgs::Strategy::kRequestedToCapacityRatio;
                        }
                      }},
                     {"resources",
                      [&](const At& list) {
                        auto resources = read_resources(reader, list, kResourceWeightMax);
                        if (!resources.empty()) out.fit_resources = std::move(resources);
                      }},
                     {"requestedToCapacityRatio", [&](const At& ratio) {
                        reader.object(ratio, {{"shape", [&](const At& shape) {
                                                 out.shape = read_shape(reader, shape);
                                               }}});
                      }}});
  if (out.strategy == PluginArgs::Strategy::kRequestedToCapacityRatio && out.shape.empty()) {
    reader.errors().required(at.path + ".requestedToCapacityRatio.shape",
                             "at least one point must be specified");
  }
}

void read_spread(ConfigReader& reader, const At& at, PluginArgs& out) {
  reader.object(
      at, typed(reader, "PodTopologySpreadArgs",
                {{"defaultConstraints",
                  [&](const At& list) {
                    reader.array(list, [&](const At& item) {
                      auto& constraint = out.default_constraints.emplace_back();
                      using Constraint = api::corev1::TopologySpreadConstraint;
                      reader.decode(item, Constraint::type_info(), &constraint);
                      if (constraint.labelSelector) {
                        reader.errors().forbidden(item.path + ".labelSelector",
                                                  "constraint must not define a selector, as they "
                                                  "deduced for each pod");
                      }
                      if (constraint.maxSkew <= 0) {
                        reader.errors().invalid(item.path + ".maxSkew",
                                                std::to_string(constraint.maxSkew),
                                                "not in valid range (0, inf)");
                      }
                      if (constraint.topologyKey.empty()) {
                        reader.errors().required(item.path + ".topologyKey", "can not be empty");
                      }
                      const auto& when = constraint.whenUnsatisfiable;
                      if (when != "DoNotSchedule" && when != "ScheduleAnyway") {
                        reader.errors().not_supported(item.path + ".whenUnsatisfiable", when,
                                                      {"DoNotSchedule", "ScheduleAnyway"});
                      }
                    });
                  }},
                 {"defaultingType", [&](const At& type) {
                    const auto name = reader.choice(type, {"System", "List"});
                    out.default_spread_of_system = name != "List";
                  }}}));
  if (!at.value.has("defaultingType") && !out.default_constraints.empty()) {
    out.default_spread_of_system = false;
  }
  if (out.default_spread_of_system && !out.default_constraints.empty()) {
    reader.errors().invalid(at.path + ".defaultingType", "\"System\"",
                            "when .defaultingType is System, .defaultConstraints must be empty");
  }
}

void read_preemption(ConfigReader& reader, const At& at, PluginArgs& out) {
  reader.object(at, typed(reader, "DefaultPreemptionArgs",
                          {{"minCandidateNodesPercentage",
                            [&](const At& v) {
                              out.min_candidate_nodes_percentage = reader.integer(v, 0, kPercent);
                            }},
                           {"minCandidateNodesAbsolute", [&](const At& v) {
                              out.min_candidate_nodes_absolute = reader.integer(v, 0, kCountMax);
                            }}}));
  if (out.min_candidate_nodes_percentage == 0 && out.min_candidate_nodes_absolute == 0) {
    reader.errors().invalid(at.path + ".minCandidateNodesPercentage", "0",
                            "cannot be zero at the same time as minCandidateNodesAbsolute");
  }
}

void read_fit(ConfigReader& reader, const At& at, PluginArgs& out) {
  reader.object(at,
                typed(reader, "NodeResourcesFitArgs",
                      {{"ignoredResources",
                        [&](const At& v) { out.ignored_resources.merge(read_names(reader, v)); }},
                       {"ignoredResourceGroups",
                        [&](const At& v) { out.ignored_resource_groups = read_names(reader, v); }},
                       {"scoringStrategy", [&](const At& v) { read_strategy(reader, v, out); }}}));
}

using ReadArgs = void (*)(ConfigReader&, const At&, PluginArgs&);
struct ArgsOf {
  std::string_view plugin;
  ReadArgs read;
};
constexpr ArgsOf kArgs[] = {
    {"DefaultPreemption", read_preemption},
    {"InterPodAffinity",
     [](ConfigReader& reader, const At& at, PluginArgs& out) {
       reader.object(at, typed(reader, "InterPodAffinityArgs",
                               {{"hardPodAffinityWeight",
                                 [&](const At& v) {
                                   out.hard_pod_affinity_weight = reader.integer(v, 0, kPercent);
                                 }},
                                {"ignorePreferredTermsOfExistingPods", [&](const At& v) {
                                   out.ignore_preferred_terms_of_existing_pods = reader.boolean(v);
                                 }}}));
     }},
    {"NodeAffinity",
     [](ConfigReader& reader, const At& at, PluginArgs& out) {
       reader.object(at, typed(reader, "NodeAffinityArgs", {{"addedAffinity", [&](const At& v) {
                                                               using Added = corev1::NodeAffinity;
                                                               reader.decode(
                                                                   v, Added::type_info(),
                                                                   &out.added_affinity.emplace());
                                                             }}}));
     }},
    {"NodeResourcesBalancedAllocation",
     [](ConfigReader& reader, const At& at, PluginArgs& out) {
       reader.object(at, typed(reader, "NodeResourcesBalancedAllocationArgs",
                               {{"resources", [&](const At& v) {
                                   auto resources = read_resources(reader, v, 1);
                                   if (!resources.empty()) {
                                     out.balanced_resources = std::move(resources);
                                   }
                                 }}}));
     }},
    {"NodeResourcesFit", read_fit},
    {"PodTopologySpread", read_spread},
    {"VolumeBinding",
     [](ConfigReader& reader, const At& at, PluginArgs& out) {
       reader.object(at, typed(reader, "VolumeBindingArgs",
                               {{"bindTimeoutSeconds",
                                 [&](const At& v) {
                                   out.bind_timeout = Seconds{reader.at_least(
                                       v, 0,
                                       "invalid BindTimeoutSeconds, should not be a "
                                       "negative value")};
                                 }},
                                {"shape", [&](const At& v) { (void)read_shape(reader, v); }}}));
     }},
};

}  // namespace

void read_plugins(ConfigReader& reader, const At& at, ProfileConfig& out) {
  PluginLists lists(reader);
  lists.read(at);
  out.default_points = false;
  out.points = lists.lists(at.path.substr(0, at.path.rfind('.')));
}

void read_plugin_config(ConfigReader& reader, const At& at, PluginArgs& out) {
  std::set<std::string> seen;
  reader.array(at, [&](const At& item) {
    std::string name;
    At args{{}, item.path + ".args"};
    reader.object(item, {{"name", [&](const At& v) { name = reader.text(v); }},
                         {"args", [&](const At& v) { args = v; }}});
    if (name.empty()) return reader.errors().required(item.path + ".name");
    if (!seen.insert(name).second) {
      return reader.errors().duplicate(item.path + ".name", api::go_quoted(name));
    }
    for (const auto& [plugin, read] : kArgs) {
      if (plugin == name) return read(reader, args, out);
    }
    const auto known = known_plugins();
    if (std::none_of(known.begin(), known.end(), [&](const Known& k) { return k.name == name; })) {
      return reader.errors().not_found(item.path + ".name", api::go_quoted(name));
    }
    if (!args.value.is_null()) {
      reader.errors().forbidden(args.path, fmt::format("{} takes no arguments", name));
    }
  });
}

}  // namespace orch::server::scheduler
