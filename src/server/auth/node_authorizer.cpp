#include "server/auth/node_authorizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/auth/default_roles.h"
#include "server/auth/default_roles_table.h"
#include "server/auth/pod_references.h"

namespace orch::server {
namespace {

using namespace api;

constexpr std::string_view kLeaseNamespace = "kube-node-lease";
constexpr std::string_view kNoOpinion = "no opinion";  // of no interest to who asks

bool is(const Attributes& a, std::string_view group, std::string_view resource) {
  return a.group == group && a.resource == resource;
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

std::string may_lease(const std::string& node, const Attributes& a) {
  if (!one_of(a.verb, {"get", "create", "update", "patch", "delete"})) {
    return "can only get, create, update, patch, or delete a node lease";
  }
  if (a.namespace_ != kLeaseNamespace) {
    return fmt::format("can only access leases in the \"{}\" system namespace", kLeaseNamespace);
  }
  // The name of what is created is not known yet; admission looks at it.
  if (a.verb != "create" && a.name != node) {
    return "can only access node lease with the same name as the requesting node";
  }
  return "";
}

std::string may_csi_node(const std::string& node, const Attributes& a) {
  if (!one_of(a.verb, {"get", "create", "update", "patch", "delete"})) {
    return "can only get, create, update, patch, or delete a CSINode";
  }
  if (!a.subresource.empty()) return "cannot authorize CSINode subresources";
  if (a.verb != "create" && a.name != node) {
    return "can only access CSINode with the same name as the requesting node";
  }
  return "";
}

// What a node writes of itself, admission (NodeRestriction) looks at.
std::string may_node(const std::string& node, const Attributes& a) {
  if (a.subresource == "status" && one_of(a.verb, {"update", "patch"})) return "";
  if (!a.subresource.empty()) return std::string(kNoOpinion);
  if (one_of(a.verb, {"create", "update", "patch"})) return "";
  if (!one_of(a.verb, {"get", "list", "watch"})) return std::string(kNoOpinion);
  const bool one = a.field_selector == "metadata.name=" + node;
  if (a.name == node || (a.name.empty() && one)) return "";
  if (a.name.empty()) {
    return fmt::format("node '{}' cannot read all nodes, only its own Node object", node);
  }
  return fmt::format("node '{}' cannot read '{}', only its own Node object", node, a.name);
}

// A requirement `spec.nodeName=NODE` among those of a field selector.
bool selects_node(std::string_view selector, const std::string& node) {
  while (!selector.empty()) {
    const size_t comma = selector.find(',');
    std::string_view part = selector.substr(0, comma);
    selector.remove_prefix(comma == std::string_view::npos ? selector.size() : comma + 1);
    constexpr std::string_view kField = "spec.nodeName=";
    if (!part.starts_with(kField)) continue;
    part.remove_prefix(kField.size());
    if (part.starts_with('=')) part.remove_prefix(1);
    if (part == node) return true;
  }
  return false;
}

}  // namespace

const PolicyRules& node_rules() {
  static const PolicyRules rules = parse_rules(kNodeRuleTable);
  return rules;
}

NodeAuthorizer::NodeAuthorizer(client::InformerSet& informers)
    : pods_(informers.lister<corev1::Pod>()),
      claims_(informers.lister<corev1::PersistentVolumeClaim>()),
      volumes_(informers.lister<corev1::PersistentVolume>()),
      attachments_(informers.lister<storagev1::VolumeAttachment>()) {}

Authorization NodeAuthorizer::authorize(const Attributes& a) {
  const auto identity = node_identity(*a.user);
  if (!identity) return {};
  if (identity->empty()) {
    return {Decision::kNoOpinion, fmt::format("unknown node for user {}", go_quoted(a.user->name)),
            ""};
  }
  const std::string why = decide(std::string(*identity), a);
  if (why.empty()) return {Decision::kAllow, "", ""};
  return {Decision::kNoOpinion, why == kNoOpinion ? "" : why, ""};
}

std::string NodeAuthorizer::decide(const std::string& node, const Attributes& a) const {
  if (a.resource_request) {
    if (is(a, "", "secrets") || is(a, "", "configmaps")) return read_namespaced(node, a);
    if (is(a, "", "persistentvolumeclaims")) {
      if (a.subresource != "status") return get_related(node, a);
      if (!one_of(a.verb, {"get", "update", "patch"})) {
        return "can only get/update/patch this type";
      }
      return related(node, a);
    }
    if (is(a, "", "persistentvolumes") || is(a, "storage.k8s.io", "volumeattachments")) {
      return get_related(node, a);
    }
    if (is(a, "", "serviceaccounts")) return create_token(node, a);
    if (is(a, "coordination.k8s.io", "leases")) return may_lease(node, a);
    if (is(a, "storage.k8s.io", "csinodes")) return may_csi_node(node, a);
    if (is(a, "", "nodes")) return may_node(node, a);
    if (is(a, "", "pods")) {
      if (a.subresource == "status" && one_of(a.verb, {"update", "patch"})) return "";
      if (a.subresource == "eviction" && a.verb == "create") return "";
      if (!a.subresource.empty()) return std::string(kNoOpinion);
      if (a.verb == "get") return get_related(node, a);
      if (one_of(a.verb, {"create", "delete"})) return "";
      if (!one_of(a.verb, {"list", "watch"})) return std::string(kNoOpinion);
      if (selects_node(a.field_selector, node)) return "";
      return "can only list/watch pods with spec.nodeName field selector";
    }
  }
  for (const auto& rule : node_rules()) {
    if (rule_allows(rule, a)) return "";
  }
  return std::string(kNoOpinion);
}

std::string NodeAuthorizer::read_namespaced(const std::string& node, const Attributes& a) const {
  if (!one_of(a.verb, {"get", "list", "watch"})) return "can only read resources of this type";
  if (!a.subresource.empty()) return "cannot read subresource";
  if (a.namespace_.empty()) return "can only read namespaced object of this type";
  return related(node, a);
}

std::string NodeAuthorizer::get_related(const std::string& node, const Attributes& a) const {
  if (a.verb != "get") return "can only get individual resources of this type";
  if (!a.subresource.empty()) return "cannot get subresource";
  return related(node, a);
}

std::string NodeAuthorizer::create_token(const std::string& node, const Attributes& a) const {
  if (a.verb != "create" || a.name.empty()) {
    return "can only create tokens for individual service accounts";
  }
  if (a.subresource != "token") return "can only create token subresource of service account";
  return related(node, a);
}

std::string NodeAuthorizer::related(const std::string& node, const Attributes& a) const {
  if (a.name.empty()) return "No Object name found";
  if (reaches(node, a)) return "";
  return fmt::format("no relationship found between node '{}' and this object", node);
}

// From a Pod's claim to its volume, and the secrets that one names.
bool NodeAuthorizer::claim_reaches(const corev1::Pod& pod, const std::string& claim,
                                   const Attributes& a) const {
  const auto found = claims_.get(pod.metadata.namespace_, claim);
  if (!found || found->spec.volumeName.empty()) return false;
  const auto volume = volumes_.get("", found->spec.volumeName);
  if (!volume || !volume->spec.claimRef) return false;
  const auto& ref = *volume->spec.claimRef;
  if (ref.namespace_ != pod.metadata.namespace_ || ref.name != claim) return false;
  if (a.resource == "persistentvolumes") return volume->metadata.name == a.name;
  return secrets_of(*volume).count(a.namespace_ + "/" + a.name) != 0;
}

bool NodeAuthorizer::reaches(const std::string& node, const Attributes& a) const {
  if (a.resource == "volumeattachments") {
    const auto attachment = attachments_.get("", a.name);
    return attachment && attachment->spec.nodeName == node;
  }
  if (a.resource == "pods") {
    // Of a Pod that is gone it may learn that.
    const auto pod = pods_.get(a.namespace_, a.name);
    return !pod || pod->spec.nodeName == node;
  }
  const bool through_claims = a.resource == "persistentvolumes" || a.resource == "secrets";
  for (const auto& pod : pods_.by_index("node", node)) {
    if (is_mirror_pod(*pod)) continue;
    const bool same_namespace = pod->metadata.namespace_ == a.namespace_;
    if (!same_namespace && !through_claims) continue;
    const PodReferences refs = references_of(*pod);
    if (same_namespace) {
      if (a.resource == "secrets" && refs.secrets.count(a.name) != 0) return true;
      if (a.resource == "configmaps" && refs.config_maps.count(a.name) != 0) return true;
      if (a.resource == "persistentvolumeclaims" && refs.claims.count(a.name) != 0) return true;
      if (a.resource == "serviceaccounts" && refs.service_account == a.name) return true;
    }
    if (!through_claims) continue;
    for (const auto& claim : refs.claims) {
      if (claim_reaches(*pod, claim, a)) return true;
    }
  }
  return false;
}

std::vector<HeldRule> NodeAuthorizer::rules_for(const UserInfo& user, std::string_view) {
  std::vector<HeldRule> out;
  if (!node_identity(user)) return out;
  for (const auto& rule : node_rules()) {
    out.push_back(
        {rule.verbs, rule.apiGroups, rule.resources, rule.resourceNames, rule.nonResourceURLs});
  }
  return out;
}

}  // namespace orch::server
