// networking.k8s.io/v1 NetworkPolicy.
#include "api/kinds/checks.h"
#include "api/kinds/networking/networking.h"
#include "api/validation/formats.h"
#include "api/validation/go_value.h"

namespace orch::api {
namespace {

using namespace networkingv1;

void default_ports(std::vector<NetworkPolicyPort>& ports) {
  for (auto& port : ports) {
    if (!port.protocol) port.protocol = "TCP";
  }
}

void defaults(Object& object) {
  auto& spec = static_cast<NetworkPolicy&>(object).spec;
  for (auto& rule : spec.ingress) default_ports(rule.ports);
  for (auto& rule : spec.egress) default_ports(rule.ports);
  if (!spec.policyTypes.empty()) return;
  spec.policyTypes.push_back("Ingress");
  if (!spec.egress.empty()) spec.policyTypes.push_back("Egress");
}

void validate_port(const NetworkPolicyPort& port, const std::string& path, FieldErrors& errors) {
  if (port.protocol) {
    check_one_of(*port.protocol, path + ".protocol", {"TCP", "UDP", "SCTP"}, errors);
  }
  const std::string end = port.endPort ? std::to_string(*port.endPort) : "";
  if (!port.port) {
    if (port.endPort) {
      errors.invalid(path + ".endPort", end, "may not be specified when `port` is not specified");
    }
    return;
  }
  if (port.port->is_string) {
    if (port.endPort) {
      errors.invalid(path + ".endPort", end, "may not be specified when `port` is non-numeric");
    }
    validate_port_name(port.port->string_value, path + ".port", errors);
    return;
  }
  validate_port_number(port.port->int_value, path + ".port", errors);
  if (!port.endPort) return;
  if (*port.endPort < port.port->int_value) {
    errors.invalid(path + ".endPort", std::to_string(port.port->int_value),
                   "must be greater than or equal to `port`");
  }
  validate_port_number(*port.endPort, path + ".endPort", errors);
}

void validate_block(const IPBlock& block, const std::string& path, FieldErrors& errors) {
  if (block.cidr.empty()) return errors.required(path + ".cidr");
  if (!check_cidr(block.cidr).empty()) {
    return validate_by(check_cidr, block.cidr, path + ".cidr", errors);
  }
  for (size_t i = 0; i < block.except.size(); ++i) {
    const std::string at = indexed(path + ".except", i);
    if (!check_cidr(block.except[i]).empty()) {
      validate_by(check_cidr, block.except[i], at, errors);
    } else if (!is_strict_subnet(block.except[i], block.cidr)) {
      errors.invalid(at, quoted(block.except[i]), "must be a strict subset of `cidr`");
    }
  }
}

void validate_peer(const NetworkPolicyPeer& peer, const std::string& path, FieldErrors& errors) {
  if (peer.podSelector) {
    validate_label_selector(*peer.podSelector, path + ".podSelector", errors);
  }
  if (peer.namespaceSelector) {
    validate_label_selector(*peer.namespaceSelector, path + ".namespaceSelector", errors);
  }
  if (peer.ipBlock) validate_block(*peer.ipBlock, path + ".ipBlock", errors);
  if (!peer.podSelector && !peer.namespaceSelector && !peer.ipBlock) {
    errors.required(path, "must specify a peer");
  } else if (peer.ipBlock && (peer.podSelector || peer.namespaceSelector)) {
    errors.forbidden(path, "may not specify both ipBlock and another peer");
  }
}

void validate_rule(const std::vector<NetworkPolicyPort>& ports,
                   const std::vector<NetworkPolicyPeer>& peers, const std::string& path,
                   const char* peers_field, FieldErrors& errors) {
  for (size_t i = 0; i < ports.size(); ++i) {
    validate_port(ports[i], indexed(path + ".ports", i), errors);
  }
  for (size_t i = 0; i < peers.size(); ++i) {
    validate_peer(peers[i], indexed(path + peers_field, i), errors);
  }
}

void validate(const Object& object, const Object*, FieldErrors& errors) {
  const auto& spec = static_cast<const NetworkPolicy&>(object).spec;
  validate_label_selector(spec.podSelector, "spec.podSelector", errors);
  for (size_t i = 0; i < spec.ingress.size(); ++i) {
    validate_rule(spec.ingress[i].ports, spec.ingress[i].from, indexed("spec.ingress", i), ".from",
                  errors);
  }
  for (size_t i = 0; i < spec.egress.size(); ++i) {
    validate_rule(spec.egress[i].ports, spec.egress[i].to, indexed("spec.egress", i), ".to",
                  errors);
  }
  if (spec.policyTypes.size() > 2) {
    errors.invalid("spec.policyTypes", go_value(spec.policyTypes),
                   "may not specify more than two policyTypes");
    return;
  }
  for (size_t i = 0; i < spec.policyTypes.size(); ++i) {
    check_one_of(spec.policyTypes[i], indexed("spec.policyTypes", i), {"Ingress", "Egress"},
                 errors);
  }
}

}  // namespace

ResourceInfo network_policies_resource() {
  auto info = stored_resource<NetworkPolicy>("networkpolicies", "networkpolicy", true);
  info.short_names = {"netpol"};
  info.set_defaults = defaults;
  info.prepare = prepare_spec_only<NetworkPolicy>;
  info.validate = validate;
  info.columns = {name_column(), column("Pod-Selector", "string", "Labels of the pods it is for."),
                  age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    return {name_cell(object),
            text(selector_text(static_cast<const NetworkPolicy&>(object).spec.podSelector)),
            age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
