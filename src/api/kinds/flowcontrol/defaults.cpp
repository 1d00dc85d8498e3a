#include <initializer_list>
#include <string>

#include "orch/api/flow_defaults.h"

namespace orch::api {
namespace {

using namespace flowcontrolv1;
using Names = std::initializer_list<const char*>;

// Subjects are written "user:NAME", "group:NAME" and "account:NAME" (of kube-system).
struct RuleRow {
  Names verbs, groups, resources;
  bool cluster_scope;
};
struct SchemaRow {
  const char* name;
  const char* level;
  int32_t precedence;
  const char* distinguisher;  // nullptr: none
  Names subjects;
  std::initializer_list<RuleRow> resource_rules;
  Names path_verbs, paths;
};
struct LevelRow {
  const char* name;
  int32_t shares, lendable_percent, queues, hand_size;
};

constexpr RuleRow kEverything{{"*"}, {"*"}, {"*"}, true};
constexpr const char* kByUser = "ByUser";
constexpr const char* kByNamespace = "ByNamespace";
constexpr int32_t kQueueLength = 50;

std::vector<std::string> list(Names names) { return {names.begin(), names.end()}; }

Subject subject(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string name(text.substr(colon + 1));
  Subject out;
  if (kind == "user") {
    out.kind = "User";
    out.user.ensure().name = name;
  } else if (kind == "group") {
    out.kind = "Group";
    out.group.ensure().name = name;
  } else {
    out.kind = "ServiceAccount";
    out.serviceAccount.ensure().name = name;
    out.serviceAccount->namespace_ = "kube-system";
  }
  return out;
}

FlowSchema schema(const SchemaRow& row) {
  FlowSchema out;
  out.metadata.name = row.name;
  out.spec.priorityLevelConfiguration.name = row.level;
  out.spec.matchingPrecedence = row.precedence;
  if (row.distinguisher != nullptr) out.spec.distinguisherMethod.ensure().type = row.distinguisher;
  auto& rules = out.spec.rules.emplace_back();
  for (const char* text : row.subjects) rules.subjects.push_back(subject(text));
  for (const auto& from : row.resource_rules) {
    auto& to = rules.resourceRules.emplace_back();
    to.verbs = list(from.verbs);
    to.apiGroups = list(from.groups);
    to.resources = list(from.resources);
    to.clusterScope = from.cluster_scope;
    to.namespaces = {"*"};
  }
  if (row.paths.size() != 0) {
    auto& to = rules.nonResourceRules.emplace_back();
    to.verbs = list(row.path_verbs);
    to.nonResourceURLs = list(row.paths);
  }
  return out;
}

PriorityLevelConfiguration level(const LevelRow& row) {
  PriorityLevelConfiguration out;
  out.metadata.name = row.name;
  out.spec.type = "Limited";
  auto& limited = out.spec.limited.ensure();
  limited.nominalConcurrencyShares = row.shares;
  limited.lendablePercent = row.lendable_percent;
  limited.limitResponse.type = "Reject";
  if (row.queues != 0) {
    limited.limitResponse.type = "Queue";
    auto& queuing = limited.limitResponse.queuing.ensure();
    queuing.queues = row.queues;
    queuing.handSize = row.hand_size;
    queuing.queueLengthLimit = kQueueLength;
  }
  return out;
}

}  // namespace

std::vector<FlowSchema> mandatory_flow_schemas() {
  return {
      schema(
          {"exempt", "exempt", 1, nullptr, {"group:system:masters"}, {kEverything}, {"*"}, {"*"}}),
      schema({"catch-all",
              "catch-all",
              10000,
              kByUser,
              {"group:system:unauthenticated", "group:system:authenticated"},
              {kEverything},
              {"*"},
              {"*"}})};
}

std::vector<FlowSchema> suggested_flow_schemas() {
  const RuleRow leases{{"get", "create", "update"}, {"coordination.k8s.io"}, {"leases"}, false};
  const RuleRow endpoints{{"get", "create", "update"}, {""}, {"endpoints"}, false};
  const RuleRow locks{{"get", "create", "update"}, {""}, {"endpoints", "configmaps"}, false};
  const Names kcm = {"user:system:kube-controller-manager"};
  const Names everyone = {"group:system:unauthenticated", "group:system:authenticated"};
  const SchemaRow rows[] = {
      {"system-nodes", "system", 500, kByUser, {"group:system:nodes"}, {kEverything}, {"*"}, {"*"}},
      {"system-node-high",
       "node-high",
       400,
       kByUser,
       {"group:system:nodes"},
       {{{"*"}, {""}, {"nodes", "nodes/status"}, true},
        {{"*"}, {"coordination.k8s.io"}, {"leases"}, false}},
       {},
       {}},
      {"probes", "exempt", 2, nullptr, everyone, {}, {"get"}, {"/healthz", "/readyz", "/livez"}},
      {"system-leader-election",
       "leader-election",
       100,
       kByUser,
       {"user:system:kube-controller-manager", "user:system:kube-scheduler", "account:*"},
       {leases},
       {},
       {}},
      {"workload-leader-election",
       "leader-election",
       200,
       kByUser,
       {"account:*"},
       {locks, leases},
       {},
       {}},
      {"endpoint-controller",
       "workload-high",
       150,
       kByUser,
       {"user:system:kube-controller-manager", "account:endpoint-controller",
        "account:endpointslicemirroring-controller"},
       {endpoints},
       {},
       {}},
      {"kube-controller-manager",
       "workload-high",
       800,
       kByNamespace,
       kcm,
       {kEverything},
       {"*"},
       {"*"}},
      {"kube-scheduler",
       "workload-high",
       800,
       kByNamespace,
       {"user:system:kube-scheduler"},
       {kEverything},
       {"*"},
       {"*"}},
      {"kube-system-service-accounts",
       "workload-high",
       900,
       kByNamespace,
       {"account:*"},
       {kEverything},
       {"*"},
       {"*"}},
      {"service-accounts",
       "workload-low",
       9000,
       kByUser,
       {"group:system:serviceaccounts"},
       {kEverything},
       {"*"},
       {"*"}},
      {"global-default", "global-default", 9900, kByUser, everyone, {kEverything}, {"*"}, {"*"}}};
  std::vector<FlowSchema> out;
  for (const auto& row : rows) out.push_back(schema(row));
  return out;
}

std::vector<PriorityLevelConfiguration> mandatory_priority_levels() {
  PriorityLevelConfiguration exempt;
  exempt.metadata.name = "exempt";
  exempt.spec.type = "Exempt";
  exempt.spec.exempt.ensure().nominalConcurrencyShares = 0;
  exempt.spec.exempt->lendablePercent = 0;
  return {exempt, level({"catch-all", 5, 0, 0, 0})};
}

std::vector<PriorityLevelConfiguration> suggested_priority_levels() {
  constexpr LevelRow kRows[] = {
      {"system", 30, 33, 64, 6},         {"node-high", 40, 25, 64, 6},
      {"leader-election", 10, 0, 16, 4}, {"workload-high", 40, 50, 128, 6},
      {"workload-low", 100, 90, 128, 6}, {"global-default", 20, 50, 128, 6}};
  std::vector<PriorityLevelConfiguration> out;
  for (const auto& row : kRows) out.push_back(level(row));
  return out;
}

}  // namespace orch::api
