// The rules of a Service. Whether addresses and node ports are free is the allocator's to say.
#include <fmt/format.h>

#include <set>

#include "api/kinds/checks.h"
#include "api/kinds/core/service.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using corev1::Service;
using corev1::ServicePort;
using corev1::ServiceSpec;

constexpr int32_t kKubeletPort = 10250;
constexpr int32_t kAffinitySecondsMax = 86400;

bool headless(const ServiceSpec& spec) { return spec.clusterIP == "None"; }
bool external(const ServiceSpec& spec) {
  return spec.type == "NodePort" || spec.type == "LoadBalancer" ||
         (spec.type == "ClusterIP" && !spec.externalIPs.empty());
}

void validate_type(const ServiceSpec& spec, FieldErrors& errors) {
  if (spec.type == "LoadBalancer") {
    for (size_t i = 0; i < spec.ports.size(); ++i) {
      if (spec.ports[i].port != kKubeletPort) continue;
      errors.invalid(indexed("spec.ports", i), std::to_string(kKubeletPort),
                     "may not expose port 10250 externally since it is used by kubelet");
    }
  }
  if (headless(spec) && (spec.type == "LoadBalancer" || spec.type == "NodePort")) {
    errors.invalid("spec.clusterIPs[0]", "\"None\"",
                   fmt::format("may not be set to 'None' for {} services", spec.type));
  }
  if (spec.type != "ExternalName") return;
  const auto forbid = [&](bool given, const char* field) {
    if (given) errors.forbidden(field, "may not be set for ExternalName services");
  };
  forbid(!spec.clusterIP.empty() || !spec.clusterIPs.empty(), "spec.clusterIPs");
  forbid(!spec.ipFamilies.empty(), "spec.ipFamilies");
  forbid(spec.ipFamilyPolicy.has_value(), "spec.ipFamilyPolicy");
  std::string_view name = spec.externalName;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) {
    errors.required("spec.externalName");
  } else {
    validate_by(check_dns1123_subdomain, name, "spec.externalName", errors);
  }
}

void validate_port(const ServicePort& port, bool named, std::set<std::string>& names,
                   const std::string& at, FieldErrors& errors) {
  if (port.name.empty()) {
    if (named) errors.required(at + ".name");
  } else {
    validate_by(check_dns1123_label, port.name, at + ".name", errors);
    if (!names.insert(port.name).second) errors.duplicate(at + ".name", quoted(port.name));
  }
  validate_port_number(port.port, at + ".port", errors);
  if (port.protocol.empty()) {
    errors.required(at + ".protocol");
  } else {
    check_one_of(port.protocol, at + ".protocol", {"SCTP", "TCP", "UDP"}, errors);
  }
  validate_port_reference(port.targetPort, at + ".targetPort", errors);
  if (port.appProtocol && !port.appProtocol->empty()) {
    validate_qualified_name(*port.appProtocol, at + ".appProtocol", errors);
  }
}

void validate_ports(const ServiceSpec& spec, FieldErrors& errors) {
  if (spec.ports.empty() && !headless(spec) && spec.type != "ExternalName") {
    errors.required("spec.ports");
  }
  std::set<std::string> names;
  for (size_t i = 0; i < spec.ports.size(); ++i) {
    validate_port(spec.ports[i], spec.ports.size() > 1, names, indexed("spec.ports", i), errors);
  }
}

// Ports that exclude one another; named after the other rules, as upstream does.
void validate_port_pairs(const ServiceSpec& spec, FieldErrors& errors) {
  std::set<std::pair<std::string, int32_t>> node_ports, ports;
  for (size_t i = 0; i < spec.ports.size(); ++i) {
    const auto& port = spec.ports[i];
    const std::string at = indexed("spec.ports", i);
    if (port.nodePort != 0) {
      if (spec.type == "ClusterIP") {
        errors.forbidden(at + ".nodePort", "may not be used when `type` is 'ClusterIP'");
      }
      if (!node_ports.emplace(port.protocol, port.nodePort).second) {
        errors.duplicate(at + ".nodePort", std::to_string(port.nodePort));
      }
    }
    if (!ports.emplace(port.protocol, port.port).second) {
      ServicePort shown;
      shown.protocol = port.protocol;
      shown.port = port.port;
      errors.duplicate(at, go_value(ServicePort::type_info(), &shown));
    }
  }
}

void validate_affinity(const ServiceSpec& spec, FieldErrors& errors) {
  const std::string path = "spec.sessionAffinityConfig";
  if (spec.sessionAffinity.empty()) return errors.required("spec.sessionAffinity");
  check_one_of(spec.sessionAffinity, "spec.sessionAffinity", {"ClientIP", "None"}, errors);
  if (spec.sessionAffinity == "None" && spec.sessionAffinityConfig) {
    errors.forbidden(path, "must not be set when session affinity is None");
  }
  if (spec.sessionAffinity != "ClientIP") return;
  if (!spec.sessionAffinityConfig) {
    errors.required(path, "when session affinity type is ClientIP");
  } else if (!spec.sessionAffinityConfig->clientIP) {
    errors.required(path + ".clientIP", "when session affinity type is ClientIP");
  } else if (!spec.sessionAffinityConfig->clientIP->timeoutSeconds) {
    errors.required(path + ".clientIP.timeoutSeconds", "when session affinity type is ClientIP");
  } else {
    const int32_t seconds = *spec.sessionAffinityConfig->clientIP->timeoutSeconds;
    if (seconds <= 0 || seconds > kAffinitySecondsMax) {
      errors.invalid(path + ".clientIP.timeoutSeconds", std::to_string(seconds),
                     fmt::format("must be greater than 0 and less than {}", kAffinitySecondsMax));
    }
  }
}

void validate_addresses(const ServiceSpec& spec, FieldErrors& errors) {
  if (spec.type != "ExternalName") {
    for (size_t i = 0; i < spec.ipFamilies.size(); ++i) {
      check_one_of(spec.ipFamilies[i], indexed("spec.ipFamilies", i), {"IPv4", "IPv6"}, errors);
    }
    if (spec.ipFamilies.size() == 2 && spec.ipFamilies[0] == spec.ipFamilies[1]) {
      errors.duplicate("spec.ipFamilies[1]", quoted(spec.ipFamilies[1]));
    }
    if (spec.ipFamilyPolicy) {
      check_one_of(*spec.ipFamilyPolicy, "spec.ipFamilyPolicy",
                   {"PreferDualStack", "RequireDualStack", "SingleStack"}, errors);
    }
    if (!spec.clusterIP.empty() && !headless(spec)) {
      validate_by(check_ip, spec.clusterIP, "spec.clusterIPs[0]", errors);
    }
    if (!spec.clusterIPs.empty() && spec.clusterIPs[0] != spec.clusterIP &&
        !spec.clusterIP.empty()) {
      errors.invalid("spec.clusterIPs", go_value(spec.clusterIPs),
                     "first value must match `clusterIP`");
    }
  }
  for (size_t i = 0; i < spec.externalIPs.size(); ++i) {
    const auto& ip = spec.externalIPs[i];
    const std::string at = indexed("spec.externalIPs", i);
    if (!is_ip(ip)) {
      validate_by(check_ip, ip, at, errors);
    } else {
      validate_non_special_ip(ip, at, errors);
    }
  }
}

void validate_load_balancer(const ServiceSpec& spec, FieldErrors& errors) {
  const bool balanced = spec.type == "LoadBalancer";
  const auto only = [&](bool given, const char* field) {
    if (given && !balanced) {
      errors.forbidden(field, "may only be used when `type` is 'LoadBalancer'");
    }
  };
  // Spelled like this upstream.
  const std::string ranges = "spec.LoadBalancerSourceRanges";
  only(!spec.loadBalancerSourceRanges.empty(), ranges.c_str());
  for (size_t i = 0; i < spec.loadBalancerSourceRanges.size(); ++i) {
    validate_by(check_cidr, trim(spec.loadBalancerSourceRanges[i]), indexed(ranges, i), errors);
  }
  only(spec.allocateLoadBalancerNodePorts.has_value(), "spec.allocateLoadBalancerNodePorts");
  if (balanced && !spec.allocateLoadBalancerNodePorts) {
    errors.required("spec.allocateLoadBalancerNodePorts");
  }
  only(spec.loadBalancerClass.has_value(), "spec.loadBalancerClass");
  if (balanced && spec.loadBalancerClass) {
    validate_qualified_name(*spec.loadBalancerClass, "spec.loadBalancerClass", errors);
  }
}

void validate_traffic(const ServiceSpec& spec, FieldErrors& errors) {
  const std::string path = "spec.externalTrafficPolicy";
  if (external(spec)) {
    if (spec.externalTrafficPolicy.empty()) {
      errors.required(path);
    } else {
      check_one_of(spec.externalTrafficPolicy, path, {"Cluster", "Local"}, errors);
    }
  } else if (!spec.externalTrafficPolicy.empty()) {
    errors.invalid(path, quoted(spec.externalTrafficPolicy),
                   "may only be set for externally-accessible services");
  }
  const bool checked = spec.type == "LoadBalancer" && spec.externalTrafficPolicy == "Local";
  if (spec.healthCheckNodePort != 0 && !checked) {
    errors.invalid("spec.healthCheckNodePort", std::to_string(spec.healthCheckNodePort),
                   "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is "
                   "'Local'");
  } else if (spec.healthCheckNodePort != 0) {
    validate_port_number(spec.healthCheckNodePort, "spec.healthCheckNodePort", errors);
  }
  if (spec.internalTrafficPolicy) {
    check_one_of(*spec.internalTrafficPolicy, "spec.internalTrafficPolicy", {"Cluster", "Local"},
                 errors);
  } else if (spec.type != "ExternalName") {
    errors.required("spec.internalTrafficPolicy");
  }
  if (spec.trafficDistribution) {
    check_one_of(*spec.trafficDistribution, "spec.trafficDistribution", {"PreferClose"}, errors);
  }
}

void validate_update(const ServiceSpec& now, const ServiceSpec& old, FieldErrors& errors) {
  const bool both = now.type != "ExternalName" && old.type != "ExternalName";
  if (both && !old.clusterIP.empty() && now.clusterIP != old.clusterIP) {
    errors.invalid("spec.clusterIPs[0]", quoted(now.clusterIP), "may not change once set");
  }
  if (both && !old.ipFamilies.empty() && !now.ipFamilies.empty() &&
      now.ipFamilies[0] != old.ipFamilies[0]) {
    errors.invalid("spec.ipFamilies[0]", quoted(now.ipFamilies[0]), "may not change once set");
  }
  if (now.type == "LoadBalancer" && old.type == "LoadBalancer" &&
      now.loadBalancerClass != old.loadBalancerClass) {
    errors.invalid("spec.loadBalancerClass", go_value(now.loadBalancerClass),
                   "may not change once set");
  }
}

}  // namespace

void validate_service(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& spec = static_cast<const Service&>(object).spec;
  validate_type(spec, errors);
  validate_ports(spec, errors);
  validate_labels(spec.selector, "spec.selector", errors);
  validate_affinity(spec, errors);
  validate_addresses(spec, errors);
  if (spec.type.empty()) {
    errors.required("spec.type");
  } else {
    check_one_of(spec.type, "spec.type", {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"},
                 errors);
  }
  validate_port_pairs(spec, errors);
  validate_load_balancer(spec, errors);
  validate_traffic(spec, errors);
  if (old_object != nullptr) {
    validate_update(spec, static_cast<const Service&>(*old_object).spec, errors);
  }
}

void validate_service_status(const Object& object, const Object&, FieldErrors& errors) {
  const auto& service = static_cast<const Service&>(object);
  const auto& given = service.status.loadBalancer.ingress;
  if (service.spec.type != "LoadBalancer" && !given.empty()) {
    return errors.forbidden("status.loadBalancer.ingress",
                            "may only be used when `spec.type` is \"LoadBalancer\"");
  }
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string at = indexed("status.loadBalancer.ingress", i);
    if (!given[i].ip.empty()) validate_by(check_ip, given[i].ip, at + ".ip", errors);
    if (!given[i].ipMode) {
      if (!given[i].ip.empty()) {
        errors.required(at + ".ipMode", "must be specified when `ip` is set");
      }
    } else if (given[i].ip.empty()) {
      errors.forbidden(at + ".ipMode", "may not be specified when `ip` is not set");
    } else {
      check_one_of(*given[i].ipMode, at + ".ipMode", {"Proxy", "VIP"}, errors);
    }
    if (given[i].hostname.empty()) continue;
    validate_by(check_dns1123_subdomain, given[i].hostname, at + ".hostname", errors);
    if (is_ip(given[i].hostname)) {
      errors.invalid(at + ".hostname", quoted(given[i].hostname),
                     "must be a DNS name, not an IP address");
    }
  }
}

}  // namespace orch::api
