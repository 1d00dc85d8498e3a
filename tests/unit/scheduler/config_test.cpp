// KubeSchedulerConfiguration: what it says happens, and what is wrong with it is said.
#include "server/scheduler/config.h"

#include <algorithm>

#include "unit/scheduler/build.h"

namespace orch::server::scheduler {
namespace {

using namespace testing;

const std::string kHead =
    "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

SchedulerConfig good(const std::string& text) {
  auto parsed = parse_scheduler_config(kHead + text);
  INFO((parsed ? "" : parsed.error()));
  REQUIRE(parsed);
  return std::move(*parsed);
}
std::string bad(const std::string& text) {
  auto parsed = parse_scheduler_config(kHead + text);
  REQUIRE_FALSE(parsed);
  return parsed.error();
}
Names at(const ProfileConfig& profile, Point point) {
  Names out;
  for (const auto& plugin : profile.points[static_cast<size_t>(point)]) out.push_back(plugin.name);
  return out;
}
bool has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
Framework framework_of(const ProfileConfig& profile) {
  static NoTransport transport;
  static client::Client client(transport);
  auto plugins = default_plugins(client, profile.args);
  return profile.default_points ? Framework(std::move(plugins))
                                : Framework(std::move(plugins), profile.points);
}
std::string node_for(const ProfileConfig& profile, const Snapshot& snapshot,
                     const PodBuilder& pod) {
  const Framework framework = framework_of(profile);
  auto random = seeded_random(1);
  return schedule(framework, snapshot, *pod.info(), *random).node;
}

TEST_CASE("an empty configuration is the default one") {
  const SchedulerConfig config = good("");
  REQUIRE(config.profiles.size() == 1);
  CHECK(config.profiles[0].scheduler_name == "default-scheduler");
  CHECK(config.profiles[0].default_points);
  CHECK(config.pod_initial_backoff == Seconds{1});
  CHECK(config.pod_max_backoff == Seconds{10});
}

TEST_CASE("the top level") {
  const SchedulerConfig config = good(
      "parallelism: 8\npercentageOfNodesToScore: 30\npodInitialBackoffSeconds: 2\n"
      "podMaxBackoffSeconds: 20\nleaderElection: {leaderElect: false}\nprofiles:\n"
      "- schedulerName: one\n- schedulerName: two\n  percentageOfNodesToScore: 70\n");
  REQUIRE(config.profiles.size() == 2);
  CHECK(config.profiles[0].percentage_of_nodes == 30);
  CHECK(config.profiles[1].percentage_of_nodes == 70);
  CHECK(config.pod_initial_backoff == Seconds{2});
  CHECK(config.pod_max_backoff == Seconds{20});
  CHECK(feasible_nodes_to_find(1000, 30) == 300);
  CHECK(feasible_nodes_to_find(1000, 5) == 100);
}

TEST_CASE("plugins: multiPoint, single points, order and weights") {
  const SchedulerConfig config = good(R"(
profiles:
- schedulerName: mine
  plugins:
    multiPoint:
      disabled: [{name: ImageLocality}]
      enabled: [{name: TaintToleration, weight: 7}]
    score:
      disabled: [{name: NodeResourcesBalancedAllocation}]
      enabled: [{name: NodeAffinity, weight: 5}]
    filter:
      disabled: [{name: NodePorts}]
)");
  const ProfileConfig& profile = config.profiles[0];
  const Names scores = at(profile, Point::kScore);
  CHECK_FALSE(has(scores, "ImageLocality"));
  CHECK_FALSE(has(scores, "NodeResourcesBalancedAllocation"));
  // What a point names itself goes first.
  CHECK(scores.front() == "NodeAffinity");
  const auto& list = profile.points[static_cast<size_t>(Point::kScore)];
  CHECK(list.front().weight == 5);
  for (const auto& plugin : list) {
    if (plugin.name == "TaintToleration") CHECK(plugin.weight == 7);
    if (plugin.name == "PodTopologySpread") CHECK(plugin.weight == 2);
  }
  CHECK_FALSE(has(at(profile, Point::kFilter), "NodePorts"));
  CHECK(has(at(profile, Point::kPreFilter), "NodePorts"));
  CHECK(at(profile, Point::kBind) == Names{"DefaultBinder"});

  const SchedulerConfig bare = good(R"(
profiles:
- plugins:
    multiPoint: {disabled: [{name: "*"}]}
    queueSort: {enabled: [{name: PrioritySort}]}
    bind: {enabled: [{name: DefaultBinder}]}
    filter: {enabled: [{name: NodeName}]}
)");
  CHECK(at(bare.profiles[0], Point::kFilter) == Names{"NodeName"});
  CHECK(at(bare.profiles[0], Point::kScore).empty());
  // Without NodeResourcesFit anything fits.
  const Snapshot snapshot = snapshot_of({NodeBuilder("a", "1")});
  CHECK(node_for(bare.profiles[0], snapshot, PodBuilder("p").request("cpu", "64")) == "a");
}

TEST_CASE("scoring strategies of NodeResourcesFit") {
  const Snapshot snapshot = snapshot_of(
      {NodeBuilder("full").with(PodBuilder("x").request("cpu", "3").request("memory", "6Gi")),
       NodeBuilder("half").with(PodBuilder("y").request("cpu", "2").request("memory", "4Gi")),
       NodeBuilder("empty")});
  const PodBuilder pod = PodBuilder("p").request("cpu", "100m").request("memory", "100Mi");
  auto with = [&](const std::string& strategy) {
    return good(
               "profiles:\n- pluginConfig:\n  - name: NodeResourcesFit\n    args:\n"
               "      scoringStrategy: " +
               strategy)
        .profiles[0];
  };
  CHECK(node_for(with("{type: LeastAllocated}"), snapshot, pod) == "empty");
  CHECK(node_for(with("{type: MostAllocated}"), snapshot, pod) == "full");
  // A peak at half of it.
  CHECK(node_for(with("{type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: ["
                      "{utilization: 0, score: 0}, {utilization: 52, score: 10}, "
                      "{utilization: 60, score: 0}]}}"),
                 snapshot, pod) == "half");
}

TEST_CASE("arguments of the other plugins") {
  const SchedulerConfig config = good(R"(
profiles:
- pluginConfig:
  - name: NodeAffinity
    args:
      apiVersion: kubescheduler.config.k8s.io/v1
      kind: NodeAffinityArgs
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms:
          - matchExpressions: [{key: disk, operator: In, values: [ssd]}]
  - name: NodeResourcesFit
    args: {ignoredResources: [example.com/foo], ignoredResourceGroups: [vendor.io]}
  - name: PodTopologySpread
    args:
      defaultingType: List
      defaultConstraints:
      - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule}
  - name: InterPodAffinity
    args: {hardPodAffinityWeight: 55}
  - name: DefaultPreemption
    args: {minCandidateNodesPercentage: 20, minCandidateNodesAbsolute: 10}
  - name: VolumeBinding
    args: {bindTimeoutSeconds: 30}
)");
  const PluginArgs& args = config.profiles[0].args;
  CHECK(args.hard_pod_affinity_weight == 55);
  CHECK(args.min_candidate_nodes_percentage == 20);
  CHECK(args.min_candidate_nodes_absolute == 10);
  CHECK(args.bind_timeout == Seconds{30});
  CHECK_FALSE(args.default_spread_of_system);

  Snapshot snapshot = snapshot_of(
      {NodeBuilder("ssd").zone("a").label("disk", "ssd").with(PodBuilder("w").label("app", "w")),
       NodeBuilder("other").zone("b").label("disk", "ssd"), NodeBuilder("hdd").zone("c")});
  CHECK(node_for(config.profiles[0], snapshot,
                 PodBuilder("p").request("example.com/foo", "1").request("vendor.io/x", "2")) !=
        "");
  const Framework framework = framework_of(config.profiles[0]);
  auto random = seeded_random(1);
  const Decision refused =
      schedule(framework, snapshot, *PodBuilder("p").request("other.io/x", "2").info(), *random);
  CHECK(refused.status.message().find(
            "1 node(s) didn't match scheduler-enforced node affinity, 2 Insufficient other.io/x") !=
        std::string::npos);
  // The list of default constraints selects as the pod's owner does.
  snapshot.view.spread_selector = [](const corev1::Pod&) {
    return api::LabelSelector::of({{"app", "w"}});
  };
  CHECK(node_for(config.profiles[0], snapshot, PodBuilder("w2").label("app", "w")) == "other");
}

TEST_CASE("what is wrong is named by its path") {
  CHECK(parse_scheduler_config("{}").error().find("apiVersion: Required value") !=
        std::string::npos);
  CHECK(parse_scheduler_config("apiVersion: kubescheduler.config.k8s.io/v1beta3\n"
                               "kind: KubeSchedulerConfiguration")
            .error() ==
        "apiVersion: Unsupported value: \"kubescheduler.config.k8s.io/v1beta3\": supported values: "
        "\"kubescheduler.config.k8s.io/v1\"");
  CHECK_FALSE(parse_scheduler_config("[1, 2"));
  CHECK_FALSE(parse_scheduler_config("- a"));
  CHECK(bad("nonsense: 1").find("nonsense: Invalid value: \"nonsense\": unknown field") == 0);
  CHECK(bad("percentageOfNodesToScore: 101") ==
        "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]");
  CHECK(bad("percentageOfNodesToScore: much").find("percentageOfNodesToScore: Invalid value") == 0);
  CHECK(bad("podInitialBackoffSeconds: 0") ==
        "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0");
  CHECK(bad("podInitialBackoffSeconds: 20")
            .find("podMaxBackoffSeconds: Invalid value: 10: must be "
                  "greater than or equal to "
                  "PodInitialBackoffSeconds") == 0);
  CHECK(bad("podMaxBackoffSeconds: 99999999999999999").find("podMaxBackoffSeconds: ") == 0);
  CHECK(bad("profiles: [{schedulerName: a}, {schedulerName: a}]") ==
        "profiles[1].schedulerName: Duplicate value: \"a\"");
  CHECK(bad("profiles: [{plugins: {score: {enabled: [{name: Nope}]}}}]")
            .find("profiles[0].plugins.score.enabled[0].name: Not found: \"Nope\"") == 0);
  CHECK(bad("profiles: [{plugins: {score: {enabled: [{name: NodePorts}]}}}]")
            .find("does not extend score") != std::string::npos);
  CHECK(bad("profiles: [{plugins: {multiPoint: {disabled: [{name: \"*\"}]}}}]")
            .find("profiles[0].plugins.queueSort: Required value") == 0);
  CHECK(bad("profiles: [{pluginConfig: [{name: Nope}]}]")
            .find("profiles[0].pluginConfig[0].name: Not found: \"Nope\"") == 0);
  CHECK(bad("profiles: [{pluginConfig: [{name: NodeName, args: {a: 1}}]}]")
            .find("profiles[0].pluginConfig[0].args: Forbidden: NodeName takes no arguments") == 0);
  CHECK(bad("profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: "
            "-1}}]}]") ==
        "profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: -1: not in valid "
        "range [0-100]");
  CHECK(bad("profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: "
            "Best}}}]}]")
            .find("profiles[0].pluginConfig[0].args.scoringStrategy.type: Unsupported value: "
                  "\"Best\"") == 0);
  CHECK(bad("profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultingType: List, "
            "defaultConstraints: [{maxSkew: 0, topologyKey: z, whenUnsatisfiable: "
            "DoNotSchedule}]}}]}]")
            .find("defaultConstraints[0].maxSkew: Invalid value: 0") != std::string::npos);
  CHECK(bad("extenders: [{urlPrefix: \"\"}]") == "extenders[0].urlPrefix: Required value");
  CHECK(bad("extenders: [{urlPrefix: \"http://a\", prioritizeVerb: p}]")
            .find("extenders[0].weight: Invalid value: 0") == 0);
  CHECK(bad("extenders: [{urlPrefix: \"http://a\", httpTimeout: soon}]")
            .find("extenders[0].httpTimeout: Invalid value") == 0);
}

TEST_CASE("extenders are read whole") {
  const SchedulerConfig config = good(R"(
extenders:
- urlPrefix: https://127.0.0.1:8888/scheduler
  filterVerb: filter
  prioritizeVerb: prioritize
  preemptVerb: preempt
  bindVerb: bind
  weight: 5
  enableHTTPS: true
  tlsConfig: {insecure: true, serverName: extender.local}
  httpTimeout: 1m30.5s
  nodeCacheCapable: true
  managedResources: [{name: example.com/gpu, ignoredByScheduler: true}]
  ignorable: true
)");
  REQUIRE(config.extenders.size() == 1);
  const ExtenderConfig& extender = config.extenders[0];
  CHECK(extender.timeout == Millis{90'500});
  CHECK(extender.weight == 5);
  CHECK(extender.tls.insecure);
  CHECK(extender.ignorable);
  CHECK(extender.node_cache_capable);
  CHECK(extender.managed_resources.size() == 1);
  CHECK(config.profiles[0].args.ignored_resources.contains("example.com/gpu"));
}

}  // namespace
}  // namespace orch::server::scheduler
