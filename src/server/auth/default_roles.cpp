#include "server/auth/default_roles.h"

#include <algorithm>

#include "orch/base/strings.h"
#include "server/auth/default_roles_table.h"

namespace orch::server {
namespace {

using namespace api;
using Rules = std::vector<rbacv1::PolicyRule>;
using List = std::vector<std::string>;

constexpr const char* kGroup = "rbac.authorization.k8s.io";
constexpr const char* kAutoUpdate = "rbac.authorization.kubernetes.io/autoupdate";
constexpr const char* kAggregateTo = "rbac.authorization.k8s.io/aggregate-to-";
constexpr std::string_view kControllerPrefix = "system:controller:";

// The table's lines; one that ends with a backslash goes on in the next.
List lines_of(std::string_view text) {
  List out;
  bool joined = false;
  for (const std::string& raw : split(text, '\n')) {
    std::string line(joined ? trim(raw) : std::string_view(raw));
    if (joined) {
      line.insert(0, out.back());
      out.pop_back();
    }
    joined = line.ends_with('\\');
    if (joined) line.pop_back();
    if (!line.empty()) out.push_back(std::move(line));
  }
  return out;
}

List words_of(const std::string& line) {
  List out;
  for (auto& word : split(line, ' ')) {
    if (!word.empty()) out.push_back(std::move(word));
  }
  return out;
}

List sorted(List list) {
  std::sort(list.begin(), list.end());
  return list;
}

List verbs_of(const std::string& text) {
  if (text == "read") return {"get", "list", "watch"};
  if (text == "write") return {"create", "delete", "deletecollection", "patch", "update"};
  if (text == "all") {
    return {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
  }
  return sorted(split(text, ','));
}

rbacv1::PolicyRule rule_of(const std::string& line) {
  if (line == "events") return rule_of("create,patch,update core,events.k8s.io events");
  const List words = words_of(line);
  rbacv1::PolicyRule out;
  out.verbs = verbs_of(words.at(0));
  if (words.at(1) == "paths") {
    out.nonResourceURLs = sorted(split(words.at(2), ','));
    return out;
  }
  for (const auto& group : split(words.at(1), ',')) {
    out.apiGroups.push_back(group == "core" ? "" : group);
  }
  out.apiGroups = sorted(std::move(out.apiGroups));
  out.resources = sorted(split(words.at(2), ','));
  if (words.size() > 3) out.resourceNames = sorted(split(words.at(3), ','));
  return out;
}

void mark_default(metav1::ObjectMeta& meta) {
  meta.labels["kubernetes.io/bootstrapping"] = "rbac-defaults";
  meta.annotations[kAutoUpdate] = "true";
}

// One role of a table: the words of its "=" line after the sign, and its rules.
struct Entry {
  List head;
  Rules rules;
};

std::vector<Entry> entries_of(std::string_view table) {
  std::vector<Entry> out;
  for (const auto& line : lines_of(table)) {
    if (line.starts_with("= ")) {
      out.push_back({words_of(line.substr(2)), {}});
    } else {
      out.back().rules.push_back(rule_of(line));
    }
  }
  return out;
}

rbacv1::ClusterRole cluster_role(std::string name, Rules rules) {
  rbacv1::ClusterRole out;
  out.metadata.name = std::move(name);
  mark_default(out.metadata);
  out.rules = std::move(rules);
  return out;
}

// A role that holds the rules of all roles labelled to be aggregated to it; `into` names the one it
// is aggregated to itself. Its rules are given here as aggregation will find them, so that they
// hold from the first moment.
rbacv1::ClusterRole aggregated(const std::string& name, const Rules& rules,
                               const std::string& into) {
  rbacv1::ClusterRole out = cluster_role(name, rules);
  if (!into.empty()) out.metadata.labels[kAggregateTo + into] = "true";
  out.aggregationRule.ensure().clusterRoleSelectors.emplace_back().matchLabels = {
      {kAggregateTo + name, "true"}};
  return out;
}

Rules rules_of(const std::vector<rbacv1::ClusterRole>& roles, std::string_view name) {
  for (const auto& role : roles) {
    if (role.metadata.name == name) return role.rules;
  }
  return {};
}

Rules joined(Rules a, const Rules& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

rbacv1::Subject subject_of(const std::string& text) {
  rbacv1::Subject out;
  const size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  out.name = text.substr(colon + 1);
  if (kind == "sa") {
    out.kind = "ServiceAccount";
    const size_t slash = out.name.find('/');
    out.namespace_ = out.name.substr(0, slash);
    out.name.erase(0, slash + 1);
    return out;
  }
  out.kind = kind == "group" ? "Group" : "User";
  out.apiGroup = kGroup;
  return out;
}

template <class Binding>
Binding binding_of(std::string name, const std::string& kind, const std::string& role,
                   const List& subjects) {
  Binding out;
  const size_t slash = name.find('/');
  if (slash != std::string::npos) {
    out.metadata.namespace_ = name.substr(0, slash);
    name.erase(0, slash + 1);
  }
  out.metadata.name = std::move(name);
  mark_default(out.metadata);
  out.roleRef.apiGroup = kGroup;
  out.roleRef.kind = kind;
  out.roleRef.name = role;
  for (const auto& subject : subjects) out.subjects.push_back(subject_of(subject));
  return out;
}

// Bindings of the table: those with a namespace, or those without.
template <class Binding>
std::vector<Binding> table_bindings(bool namespaced) {
  std::vector<Binding> out;
  for (const auto& line : lines_of(kBindingTable)) {
    const List words = words_of(line);
    if ((words[0].find('/') != std::string::npos) != namespaced) continue;
    out.push_back(binding_of<Binding>(words[0], namespaced ? "Role" : "ClusterRole", words[1],
                                      List(words.begin() + 2, words.end())));
  }
  return out;
}

}  // namespace

Rules parse_rules(std::string_view text) {
  Rules out;
  for (const auto& line : lines_of(text)) out.push_back(rule_of(line));
  return out;
}

std::vector<rbacv1::ClusterRole> bootstrap_roles() {
  std::vector<rbacv1::ClusterRole> out;
  for (auto& entry : entries_of(kClusterRoleTable)) {
    auto& role = out.emplace_back(cluster_role(entry.head[0], std::move(entry.rules)));
    for (const auto& word : entry.head) {
      if (word.starts_with("into=")) role.metadata.labels[kAggregateTo + word.substr(5)] = "true";
    }
  }
  const Rules view = rules_of(out, "system:aggregate-to-view");
  const Rules edit = joined(rules_of(out, "system:aggregate-to-edit"), view);
  const Rules admin = joined(edit, rules_of(out, "system:aggregate-to-admin"));
  out.push_back(aggregated("admin", admin, ""));
  out.push_back(aggregated("edit", edit, "admin"));
  out.push_back(aggregated("view", view, "edit"));
  out.push_back(cluster_role("system:node", parse_rules(kNodeRuleTable)));
  for (auto& entry : entries_of(kControllerRoleTable)) {
    out.push_back(
        cluster_role(std::string(kControllerPrefix) + entry.head[0], std::move(entry.rules)));
  }
  for (auto& entry : entries_of(kOrchRoleTable)) {
    out.push_back(cluster_role(entry.head[0], std::move(entry.rules)));
  }
  return out;
}

std::vector<rbacv1::ClusterRoleBinding> bootstrap_role_bindings() {
  auto out = table_bindings<rbacv1::ClusterRoleBinding>(false);
  for (const auto& entry : entries_of(kControllerRoleTable)) {
    const std::string role = std::string(kControllerPrefix) + entry.head[0];
    out.push_back(binding_of<rbacv1::ClusterRoleBinding>(role, "ClusterRole", role,
                                                         {"sa:kube-system/" + entry.head[0]}));
  }
  return out;
}

std::vector<rbacv1::Role> bootstrap_namespace_roles() {
  std::vector<rbacv1::Role> out;
  for (auto& entry : entries_of(kNamespaceRoleTable)) {
    auto& role = out.emplace_back();
    const size_t slash = entry.head[0].find('/');
    role.metadata.namespace_ = entry.head[0].substr(0, slash);
    role.metadata.name = entry.head[0].substr(slash + 1);
    mark_default(role.metadata);
    role.rules = std::move(entry.rules);
  }
  return out;
}

std::vector<rbacv1::RoleBinding> bootstrap_namespace_role_bindings() {
  return table_bindings<rbacv1::RoleBinding>(true);
}

}  // namespace orch::server
