// role, clusterrole, rolebinding, clusterrolebinding.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ctl/generate/generate.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr char kRbac[] = "rbac.authorization.k8s.io";
constexpr std::string_view kResourceVerbs[] = {
    "get", "list", "watch",    "create",      "update", "patch", "delete", "deletecollection",
    "use", "bind", "escalate", "impersonate", "*",      "proxy"};

std::vector<std::string> verbs_of(const Flags& flags) {
  std::vector<std::string> out;
  for (std::string& verb : flags.comma_list("verb")) {
    if (verb == "*") return {"*"};
    if (std::find(out.begin(), out.end(), verb) == out.end()) out.push_back(std::move(verb));
  }
  return out;
}

// One rule for each API group among --resource.
Outcome<JsonValue> rules_of(Session& session, bool cluster) {
  const Flags& flags = session.flags;
  const auto verbs = verbs_of(flags), resources = flags.comma_list("resource"),
             urls = flags.comma_list("non-resource-url");
  if (verbs.empty()) return Err(error("at least one verb must be specified"));
  if (resources.empty() && (!cluster || urls.empty())) {
    return Err(error(cluster ? "one of resource or nonResourceURL must be specified"
                             : "at least one resource must be specified"));
  }
  JsonValue out = JsonValue::array();
  std::map<std::string, std::vector<std::string>> by_group;
  for (const std::string& listed : resources) {
    const size_t slash = listed.find('/');
    const std::string type = listed.substr(0, slash);
    if (type == "*") {
      by_group[""].push_back(listed);
      continue;
    }
    ORCH_TRY(const Discovery* known, session.discovery());
    auto resource = known->resolve(type);
    if (!resource) {
      Failure failure = resource.error();
      failure.message.erase(0, std::string_view("error: ").size());
      return Err(std::move(failure));
    }
    by_group[(*resource)->group].push_back(
        (*resource)->plural + (slash == std::string::npos ? "" : listed.substr(slash)));
  }
  for (const std::string& verb : verbs) {
    if (resources.empty() || std::find(std::begin(kResourceVerbs), std::end(kResourceVerbs),
                                       verb) != std::end(kResourceVerbs)) {
      continue;
    }
    fmt::print(stderr, "Warning: '{}' is not a standard resource verb\n", verb);
  }
  const auto names = flags.comma_list("resource-name");
  for (const auto& [group, plurals] : by_group) {
    JsonValue rule = JsonValue::object();
    rule.set("verbs", list_of(verbs));
    rule.set("apiGroups", list_of({group}));
    rule.set("resources", list_of(plurals));
    if (!names.empty()) rule.set("resourceNames", list_of(names));
    out.push_back(std::move(rule));
  }
  if (cluster && !urls.empty()) {
    JsonValue rule = JsonValue::object();
    rule.set("verbs", list_of(verbs));
    rule.set("nonResourceURLs", list_of(urls));
    out.push_back(std::move(rule));
  }
  return out;
}

Outcome<JsonValue> role_of(Session& session, const std::string& name, bool cluster) {
  JsonValue out = new_object(fmt::format("{}/v1", kRbac), cluster ? "ClusterRole" : "Role", name);
  if (cluster && session.flags.given("aggregation-rule")) {
    ORCH_TRY(const JsonValue labels,
             map_of(session.flags.comma_list("aggregation-rule"), "aggregation-rule"));
    JsonValue selector = JsonValue::object(), selectors = JsonValue::array();
    selector.set("matchLabels", labels);
    selectors.push_back(std::move(selector));
    out.set_at("aggregationRule.clusterRoleSelectors", std::move(selectors));
    return out;
  }
  ORCH_TRY(JsonValue rules, rules_of(session, cluster));
  out.set("rules", std::move(rules));
  return out;
}

Outcome<JsonValue> binding_of(Session& session, const std::string& name, bool cluster) {
  const Flags& flags = session.flags;
  const std::string role = flags.text("role"), cluster_role = flags.text("clusterrole");
  if (cluster && cluster_role.empty())
    return Err(error("required flag(s) \"clusterrole\" not set"));
  if (role.empty() == cluster_role.empty()) {
    return Err(error("exactly one of clusterrole or role must be specified"));
  }
  JsonValue out =
      new_object(fmt::format("{}/v1", kRbac), cluster ? "ClusterRoleBinding" : "RoleBinding", name);
  out.set_at("roleRef.apiGroup", kRbac);
  out.set_at("roleRef.kind", role.empty() ? "ClusterRole" : "Role");
  out.set_at("roleRef.name", role.empty() ? cluster_role : role);
  ORCH_TRY(auto subjects, rbac_subjects(flags, ""));
  JsonValue list = JsonValue::array();
  for (JsonValue& subject : subjects) list.push_back(std::move(subject));
  if (list.size() != 0) out.set("subjects", std::move(list));
  return out;
}

template <bool kCluster>
Outcome<JsonValue> role(Session& session, const std::string& name) {
  return role_of(session, name, kCluster);
}
template <bool kCluster>
Outcome<JsonValue> binding(Session& session, const std::string& name) {
  return binding_of(session, name, kCluster);
}

}  // namespace

std::vector<Generated> generated_access() {
  return {
      {"role", "", "", role<false>},
      {"clusterrole", "", "", role<true>},
      {"rolebinding", "", "failed to create rolebinding: ", binding<false>},
      {"clusterrolebinding", "", "failed to create clusterrolebinding: ", binding<true>},
  };
}

}  // namespace orch::ctl
