// core/v1 Node and Namespace.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/checks.h"

namespace orch::api {
namespace {

using corev1::Namespace;
using corev1::Node;

constexpr std::string_view kRolePrefix = "node-role.kubernetes.io/";

// podCIDR is from when there was one: where the two differ it counts.
void node_defaults(Object& object) {
  auto& spec = static_cast<Node&>(object).spec;
  if (spec.podCIDR.empty()) {
    if (!spec.podCIDRs.empty()) spec.podCIDR = spec.podCIDRs[0];
  } else if (spec.podCIDRs.empty() || spec.podCIDRs[0] != spec.podCIDR) {
    spec.podCIDRs = {spec.podCIDR};
  }
}

void prepare_node(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<Node&>(object);
  // A kubelet registers with its status; later it changes by the status subresource alone.
  if (old_object == nullptr) {
    now.spec.configSource.reset();
    return;
  }
  const auto& old = static_cast<const Node&>(*old_object);
  if (!old.spec.configSource) now.spec.configSource.reset();
  now.status = old.status;
}

// The path is upstream's, although the taints are in the spec.
void validate_taints(const std::vector<corev1::Taint>& taints, FieldErrors& errors) {
  std::set<std::pair<std::string, std::string>> seen;
  for (size_t i = 0; i < taints.size(); ++i) {
    const auto& taint = taints[i];
    const std::string at = indexed("metadata.taints", i);
    validate_qualified_name(taint.key, at + ".key", errors);
    validate_by(check_label_value, taint.value, at + ".value", errors);
    if (taint.effect.empty()) {
      errors.required(at + ".effect");
    } else {
      check_one_of(taint.effect, at + ".effect", {"NoSchedule", "PreferNoSchedule", "NoExecute"},
                   errors);
    }
    if (!seen.emplace(taint.effect, taint.key).second) {
      errors.duplicate(at, go_value(corev1::Taint::type_info(), &taint) +
                               ": taints must be unique by key and effect pair");
    }
  }
}

void validate_capacities(const corev1::NodeStatus& status, FieldErrors& errors) {
  for (const auto& [name, value] : status.capacity) {
    validate_resource_quantity(name, value, "status.capacity." + name, errors);
  }
  for (const auto& [name, value] : status.allocatable) {
    validate_resource_quantity(name, value, "status.allocatable." + name, errors);
  }
}

void validate_networks(const std::vector<std::string>& cidrs, FieldErrors& errors) {
  const std::string path = "spec.podCIDRs";
  int sixes = 0;
  for (size_t i = 0; i < cidrs.size(); ++i) {
    validate_by(check_cidr, cidrs[i], indexed(path, i), errors);
    if (cidrs[i].find(':') != std::string::npos) ++sixes;
  }
  if (cidrs.size() > 2 || (cidrs.size() == 2 && sixes != 1)) {
    errors.invalid(path, go_value(cidrs), "may specify no more than one CIDR for each IP family");
  }
}

void validate_node_changes(const Node& now, const Node& old, FieldErrors& errors) {
  if (!old.spec.podCIDRs.empty() && now.spec.podCIDRs != old.spec.podCIDRs) {
    errors.forbidden("spec.podCIDRs",
                     "node updates may not change podCIDR except from \"\" to valid");
  }
  if (!old.spec.providerID.empty() && now.spec.providerID != old.spec.providerID) {
    errors.forbidden("spec.providerID",
                     "node updates may not change providerID except from \"\" to valid");
  }
  if (now.spec.externalID != old.spec.externalID) {
    errors.forbidden("spec.externalID", "may not be updated");
  }
}

void validate_node(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const Node&>(object);
  if (old_object != nullptr) {
    validate_node_changes(now, static_cast<const Node&>(*old_object), errors);
    return validate_taints(now.spec.taints, errors);
  }
  validate_taints(now.spec.taints, errors);
  validate_capacities(now.status, errors);
  validate_networks(now.spec.podCIDRs, errors);
}

void validate_node_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& status = static_cast<const Node&>(object).status;
  validate_capacities(status, errors);
  std::set<std::pair<std::string, std::string>> seen;
  for (size_t i = 0; i < status.addresses.size(); ++i) {
    const auto& address = status.addresses[i];
    if (seen.emplace(address.type, address.address).second) continue;
    errors.duplicate(indexed("status.addresses", i),
                     go_value(corev1::NodeAddress::type_info(), &address));
  }
}

std::string node_status(const Node& node) {
  std::string status = "Unknown";
  for (const auto& c : node.status.conditions) {
    if (c.type == "Ready") status = c.status == "True" ? "Ready" : "NotReady";
  }
  return node.spec.unschedulable ? status + ",SchedulingDisabled" : status;
}

std::string node_roles(const Node& node) {
  std::string roles;
  for (const auto& [key, value] : node.metadata.labels) {
    std::string role;
    if (key.starts_with(kRolePrefix)) role = key.substr(kRolePrefix.size());
    if (key == "kubernetes.io/role") role = value;
    if (!role.empty()) roles += (roles.empty() ? "" : ",") + role;
  }
  return roles.empty() ? "<none>" : roles;
}

std::string node_address(const Node& node, std::string_view type) {
  for (const auto& address : node.status.addresses) {
    if (address.type == type) return address.address;
  }
  return "<none>";
}

std::string or_unknown(const std::string& value) { return value.empty() ? "<unknown>" : value; }

std::vector<Cell> node_row(const Object& object, WallTime now) {
  const auto& node = static_cast<const Node&>(object);
  const auto& info = node.status.nodeInfo;
  return {name_cell(object),
          text(node_status(node)),
          text(node_roles(node)),
          age_cell(object, now),
          text(info.kubeletVersion),
          text(node_address(node, "InternalIP")),
          text(node_address(node, "ExternalIP")),
          text(or_unknown(info.osImage)),
          text(or_unknown(info.kernelVersion)),
          text(or_unknown(info.containerRuntimeVersion))};
}

void namespace_defaults(Object& object) {
  auto& ns = static_cast<Namespace&>(object);
  if (!ns.metadata.name.empty())
    ns.metadata.labels["kubernetes.io/metadata.name"] = ns.metadata.name;
  if (ns.status.phase.empty()) ns.status.phase = "Active";
}

void prepare_namespace(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<Namespace&>(object);
  if (old_object == nullptr) {
    now.status = {};
    now.status.phase = "Active";
    auto& finalizers = now.spec.finalizers;
    if (std::find(finalizers.begin(), finalizers.end(), "kubernetes") == finalizers.end()) {
      finalizers.push_back("kubernetes");
    }
    return;
  }
  const auto& old = static_cast<const Namespace&>(*old_object);
  now.spec.finalizers = old.spec.finalizers;  // the finalize subresource alone changes them
  now.status = old.status;
}

void validate_namespace(const Object& object, const Object*, FieldErrors& errors) {
  for (const auto& name : static_cast<const Namespace&>(object).spec.finalizers) {
    validate_qualified_name(name, "spec.finalizers", errors);
    validate_kube_finalizer(name, "spec.finalizers", errors);
  }
}

void validate_namespace_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& ns = static_cast<const Namespace&>(object);
  const bool going = ns.metadata.deletionTimestamp.has_value();
  if (ns.status.phase == (going ? "Terminating" : "Active")) return;
  errors.invalid("status.Phase", quoted(ns.status.phase),
                 going ? "may only be 'Terminating' if `deletionTimestamp` is not empty"
                       : "may only be 'Active' if `deletionTimestamp` is empty");
}

}  // namespace

ResourceInfo nodes_resource() {
  auto info = stored_resource<Node>("nodes", "node", false);
  info.short_names = {"no"};
  info.has_status = true;
  info.set_defaults = node_defaults;
  info.prepare = prepare_node;
  info.prepare_status = [](Object& object, const Object& old) {
    static_cast<Node&>(object).spec = static_cast<const Node&>(old).spec;
  };
  info.validate = validate_node;
  info.validate_status = validate_node_status;
  info.selectable_fields = {"spec.unschedulable"};
  info.field_value = [](const Object& object, std::string_view) -> std::string {
    return static_cast<const Node&>(object).spec.unschedulable ? "true" : "false";
  };
  info.columns = {name_column(),
                  column("Status", "string", "Whether the node is ready and takes pods."),
                  column("Roles", "string", "Its roles."),
                  age_column(),
                  column("Version", "string", "Version of its agent."),
                  column("Internal-IP", "string", "Its address inside the cluster.", 1),
                  column("External-IP", "string", "Its address outside the cluster.", 1),
                  column("OS-Image", "string", "Its operating system.", 1),
                  column("Kernel-Version", "string", "Its kernel.", 1),
                  column("Container-Runtime", "string", "Its container runtime.", 1)};
  info.row = node_row;
  return info;
}

ResourceInfo namespaces_resource() {
  auto info = stored_resource<Namespace>("namespaces", "namespace", false);
  info.verbs = {"create", "delete", "get", "list", "patch", "update", "watch"};
  info.short_names = {"ns"};
  info.has_status = true;
  info.set_defaults = namespace_defaults;
  info.prepare = prepare_namespace;
  info.prepare_status = [](Object& object, const Object& old) {
    static_cast<Namespace&>(object).spec = static_cast<const Namespace&>(old).spec;
  };
  info.validate = validate_namespace;
  info.validate_status = validate_namespace_status;
  info.selectable_fields = {"status.phase"};
  info.field_value = [](const Object& object, std::string_view) {
    return static_cast<const Namespace&>(object).status.phase;
  };
  info.columns = {name_column(), column("Status", "string", "Active or Terminating."),
                  age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    return {name_cell(object), text(static_cast<const Namespace&>(object).status.phase),
            age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
