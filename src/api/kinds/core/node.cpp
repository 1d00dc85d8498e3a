// core/v1 Node and Namespace.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/common.h"

namespace orch::api {
namespace {

using corev1::Namespace;
using corev1::Node;

constexpr std::string_view kRolePrefix = "node-role.kubernetes.io/";

void prepare_node(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<Node&>(object);
  // A kubelet registers with its status; later it changes by the status subresource alone.
  if (old_object == nullptr) return;
  const auto& old = static_cast<const Node&>(*old_object);
  now.status = old.status;
}

void validate_node(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const Node&>(object);
  std::set<std::string> seen;
  for (size_t i = 0; i < now.spec.taints.size(); ++i) {
    const auto& taint = now.spec.taints[i];
    const std::string at = indexed("spec.taints", i);
    if (auto why = check_label_key(taint.key); !why.empty()) {
      errors.invalid(at + ".key", quoted(taint.key), why);
    }
    if (auto why = check_label_value(taint.value); !why.empty()) {
      errors.invalid(at + ".value", quoted(taint.value), why);
    }
    if (taint.effect != "NoSchedule" && taint.effect != "PreferNoSchedule" &&
        taint.effect != "NoExecute") {
      errors.not_supported(at + ".effect", taint.effect,
                           {"NoSchedule", "PreferNoSchedule", "NoExecute"});
    }
    if (!seen.insert(taint.key + ":" + taint.effect).second)
      errors.duplicate(at, quoted(taint.key));
  }
  if (old_object == nullptr) return;
  const auto& old = static_cast<const Node&>(*old_object);
  if (!old.spec.podCIDR.empty() && now.spec.podCIDR != old.spec.podCIDR) {
    errors.forbidden("spec.podCIDR",
                     "node updates may not change podCIDR except from \"\" to valid");
  }
  if (!old.spec.providerID.empty() && now.spec.providerID != old.spec.providerID) {
    errors.forbidden("spec.providerID",
                     "node updates may not change providerID except from \"\" to valid");
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

}  // namespace

ResourceInfo nodes_resource() {
  auto info = stored_resource<Node>("nodes", "node", false);
  info.short_names = {"no"};
  info.has_status = true;
  info.prepare = prepare_node;
  info.prepare_status = [](Object& object, const Object& old) {
    static_cast<Node&>(object).spec = static_cast<const Node&>(old).spec;
  };
  info.validate = validate_node;
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
