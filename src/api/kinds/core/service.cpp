// core/v1 Service. Addresses and node ports are given out by the API server's allocator.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/common.h"

namespace orch::api {
namespace {

using corev1::Service;

bool is_ip(const std::string& text) {
  in_addr v4{};
  in6_addr v6{};
  return inet_pton(AF_INET, text.c_str(), &v4) == 1 || inet_pton(AF_INET6, text.c_str(), &v6) == 1;
}

void defaults(Object& object) {
  auto& spec = static_cast<Service&>(object).spec;
  if (spec.type.empty()) spec.type = "ClusterIP";
  if (spec.sessionAffinity.empty()) spec.sessionAffinity = "None";
  if (spec.sessionAffinity == "None") spec.sessionAffinityConfig.reset();
  if (spec.sessionAffinity == "ClientIP") {
    auto& client_ip = spec.sessionAffinityConfig.ensure().clientIP.ensure();
    if (!client_ip.timeoutSeconds) client_ip.timeoutSeconds = 10800;
  }
  for (auto& port : spec.ports) {
    if (port.protocol.empty()) port.protocol = "TCP";
    const bool unset = port.targetPort.is_string ? port.targetPort.string_value.empty()
                                                 : port.targetPort.int_value == 0;
    if (unset) port.targetPort = IntOrString(port.port);
  }
  const bool external = spec.type == "NodePort" || spec.type == "LoadBalancer";
  if (external && spec.externalTrafficPolicy.empty()) spec.externalTrafficPolicy = "Cluster";
  if (spec.type != "ExternalName") {
    if (!spec.internalTrafficPolicy) spec.internalTrafficPolicy = "Cluster";
    if (!spec.ipFamilyPolicy) spec.ipFamilyPolicy = "SingleStack";
    if (spec.ipFamilies.empty()) spec.ipFamilies = {"IPv4"};
  }
  if (spec.type == "LoadBalancer" && !spec.allocateLoadBalancerNodePorts) {
    spec.allocateLoadBalancerNodePorts = true;
  }
}

void prepare(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<Service&>(object);
  if (old_object == nullptr) {
    now.status = {};
    return;
  }
  const auto& old = static_cast<const Service&>(*old_object);
  now.status = old.status;
  // A client that leaves allocated values out means: keep them.
  if (now.spec.type != "ExternalName" && old.spec.type != "ExternalName") {
    if (now.spec.clusterIP.empty()) {
      now.spec.clusterIP = old.spec.clusterIP;
      now.spec.clusterIPs = old.spec.clusterIPs;
    }
    const bool ports = now.spec.type != "ClusterIP" && old.spec.type != "ClusterIP";
    for (auto& port : now.spec.ports) {
      for (const auto& before : old.spec.ports) {
        if (ports && port.nodePort == 0 && before.port == port.port &&
            before.protocol == port.protocol) {
          port.nodePort = before.nodePort;
        }
      }
    }
  }
  if (now.spec.type == "ClusterIP" && old.spec.type != "ClusterIP") {
    for (auto& port : now.spec.ports) {
      const bool kept = std::any_of(old.spec.ports.begin(), old.spec.ports.end(),
                                    [&](const auto& p) { return p.nodePort == port.nodePort; });
      if (kept) port.nodePort = 0;  // left over from what it was
    }
    now.spec.externalTrafficPolicy.clear();
    now.spec.healthCheckNodePort = 0;
    now.spec.allocateLoadBalancerNodePorts.reset();
  }
}

void validate_ports(const Service& service, FieldErrors& errors) {
  const auto& spec = service.spec;
  const bool headless = spec.clusterIP == "None";
  if (spec.ports.empty() && !headless && spec.type != "ExternalName") {
    errors.required("spec.ports");
  }
  std::set<std::string> names, numbers;
  for (size_t i = 0; i < spec.ports.size(); ++i) {
    const auto& port = spec.ports[i];
    const std::string at = indexed("spec.ports", i);
    if (port.name.empty()) {
      if (spec.ports.size() > 1) errors.required(at + ".name");
    } else if (auto why = check_dns1123_label(port.name); !why.empty()) {
      errors.invalid(at + ".name", quoted(port.name), why);
    } else if (!names.insert(port.name).second) {
      errors.duplicate(at + ".name", quoted(port.name));
    }
    if (port.port < 1 || port.port > 65535) {
      errors.invalid(at + ".port", std::to_string(port.port),
                     "must be between 1 and 65535, inclusive");
    }
    if (!port.targetPort.is_string &&
        (port.targetPort.int_value < 1 || port.targetPort.int_value > 65535)) {
      errors.invalid(at + ".targetPort", std::to_string(port.targetPort.int_value),
                     "must be between 1 and 65535, inclusive");
    }
    if (port.protocol != "TCP" && port.protocol != "UDP" && port.protocol != "SCTP") {
      errors.not_supported(at + ".protocol", port.protocol, {"SCTP", "TCP", "UDP"});
    }
    const std::string key = fmt::format("{}/{}", port.protocol, port.port);
    if (!numbers.insert(key).second) errors.duplicate(at, quoted(key));
    if (port.nodePort != 0 && spec.type == "ClusterIP") {
      errors.forbidden(at + ".nodePort", "may not be used when `type` is 'ClusterIP'");
    }
  }
}

void validate_addresses(const Service& service, FieldErrors& errors) {
  const auto& spec = service.spec;
  const bool headless = spec.clusterIP == "None";
  if (!spec.clusterIP.empty() && !headless && !is_ip(spec.clusterIP)) {
    errors.invalid(indexed("spec.clusterIPs", 0), quoted(spec.clusterIP),
                   "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  }
  if (headless && (spec.type == "LoadBalancer" || spec.type == "NodePort")) {
    errors.invalid("spec.clusterIPs[0]", quoted(spec.clusterIP),
                   fmt::format("may not be set to 'None' for {} services", spec.type));
  }
  if (spec.type == "ExternalName") {
    if (!spec.clusterIP.empty()) {
      errors.forbidden("spec.clusterIP", "may not be set when `type` is 'ExternalName'");
    }
    if (spec.externalName.empty()) {
      errors.required("spec.externalName");
    } else if (auto why = check_dns1123_subdomain(spec.externalName); !why.empty()) {
      errors.invalid("spec.externalName", quoted(spec.externalName), why);
    }
  }
  for (size_t i = 0; i < spec.externalIPs.size(); ++i) {
    if (!is_ip(spec.externalIPs[i])) {
      errors.invalid(indexed("spec.externalIPs", i), quoted(spec.externalIPs[i]),
                     "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
  }
}

void validate(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const Service&>(object);
  const auto& spec = now.spec;
  const std::vector<std::string> types = {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"};
  if (std::find(types.begin(), types.end(), spec.type) == types.end()) {
    errors.not_supported("spec.type", spec.type, types);
  }
  if (spec.sessionAffinity != "None" && spec.sessionAffinity != "ClientIP") {
    errors.not_supported("spec.sessionAffinity", spec.sessionAffinity, {"ClientIP", "None"});
  }
  if (spec.sessionAffinityConfig && spec.sessionAffinityConfig->clientIP) {
    const int32_t seconds = spec.sessionAffinityConfig->clientIP->timeoutSeconds.value_or(0);
    if (seconds <= 0 || seconds > 86400) {
      errors.invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", std::to_string(seconds),
                     "must be greater than 0 and less than 86400");
    }
  }
  validate_labels(spec.selector, "spec.selector", errors);
  validate_ports(now, errors);
  validate_addresses(now, errors);
  if (!spec.externalTrafficPolicy.empty() && spec.externalTrafficPolicy != "Cluster" &&
      spec.externalTrafficPolicy != "Local") {
    errors.not_supported("spec.externalTrafficPolicy", spec.externalTrafficPolicy,
                         {"Cluster", "Local"});
  }
  if (old_object == nullptr) return;
  const auto& old = static_cast<const Service&>(*old_object);
  const bool both = spec.type != "ExternalName" && old.spec.type != "ExternalName";
  if (both && !old.spec.clusterIP.empty() && spec.clusterIP != old.spec.clusterIP) {
    errors.invalid("spec.clusterIPs[0]", quoted(spec.clusterIP), "may not change once set");
  }
}

std::string external_ips(const Service& service) {
  std::vector<std::string> shown;
  for (const auto& ingress : service.status.loadBalancer.ingress) {
    shown.push_back(ingress.ip.empty() ? ingress.hostname : ingress.ip);
  }
  shown.insert(shown.end(), service.spec.externalIPs.begin(), service.spec.externalIPs.end());
  if (service.spec.type == "ExternalName") return service.spec.externalName;
  if (shown.empty()) return service.spec.type == "LoadBalancer" ? "<pending>" : "<none>";
  std::string out;
  for (const auto& ip : shown) out += (out.empty() ? "" : ",") + ip;
  return out;
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& service = static_cast<const Service&>(object);
  std::string ports;
  for (const auto& port : service.spec.ports) {
    if (!ports.empty()) ports += ",";
    ports += std::to_string(port.port);
    if (port.nodePort != 0) ports += fmt::format(":{}", port.nodePort);
    ports += "/" + port.protocol;
  }
  return {name_cell(object),
          text(service.spec.type),
          text(service.spec.clusterIP.empty() ? "<none>" : service.spec.clusterIP),
          text(external_ips(service)),
          text(ports.empty() ? "<none>" : ports),
          age_cell(object, now),
          text(labels_text(service.spec.selector))};
}

std::string field_value(const Object& object, std::string_view field) {
  const auto& spec = static_cast<const Service&>(object).spec;
  return field == "spec.type" ? spec.type : spec.clusterIP;
}

}  // namespace

ResourceInfo services_resource() {
  auto info = stored_resource<Service>("services", "service", true);
  info.short_names = {"svc"};
  info.categories = {"all"};
  info.has_status = true;
  info.set_defaults = defaults;
  info.prepare = prepare;
  info.prepare_status = prepare_status_only<Service>;
  info.validate = validate;
  info.selectable_fields = {"spec.clusterIP", "spec.type"};
  info.field_value = field_value;
  info.columns = {name_column(),
                  column("Type", "string", "How the service is exposed."),
                  column("Cluster-IP", "string", "Its address inside the cluster."),
                  column("External-IP", "string", "Its addresses outside the cluster."),
                  column("Port(s)", "string", "Its ports, with their node ports."),
                  age_column(),
                  column("Selector", "string", "Labels of the pods behind it.", 1)};
  info.row = row;
  return info;
}

}  // namespace orch::api
