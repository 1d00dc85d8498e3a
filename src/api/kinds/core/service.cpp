// core/v1 Service. Addresses and node ports are given out by the API server's allocator.
#include <fmt/format.h>

#include <algorithm>

#include "api/kinds/core/service.h"

namespace orch::api {
namespace {

using corev1::Service;

// Reached from outside the cluster's network.
bool is_external(const corev1::ServiceSpec& spec) {
  return spec.type == "NodePort" || spec.type == "LoadBalancer" ||
         (spec.type == "ClusterIP" && !spec.externalIPs.empty());
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
  if (is_external(spec) && spec.externalTrafficPolicy.empty())
    spec.externalTrafficPolicy = "Cluster";
  if (spec.type != "ExternalName") {
    if (!spec.internalTrafficPolicy) spec.internalTrafficPolicy = "Cluster";
    if (!spec.ipFamilyPolicy) spec.ipFamilyPolicy = "SingleStack";
    if (spec.ipFamilies.empty()) spec.ipFamilies = {"IPv4"};
  }
  if (spec.type == "LoadBalancer") {
    if (!spec.allocateLoadBalancerNodePorts) spec.allocateLoadBalancerNodePorts = true;
    for (auto& point : static_cast<Service&>(object).status.loadBalancer.ingress) {
      if (!point.ip.empty() && !point.ipMode) point.ipMode = "VIP";
    }
  }
}

// Fields that the new type has no use for and that the client did not touch go.
void drop_leftovers(corev1::ServiceSpec& now, const corev1::ServiceSpec& old) {
  if (!is_external(now) && now.externalTrafficPolicy == old.externalTrafficPolicy) {
    now.externalTrafficPolicy.clear();
  }
  const auto checked = [](const corev1::ServiceSpec& spec) {
    return spec.type == "LoadBalancer" && spec.externalTrafficPolicy == "Local";
  };
  if (checked(old) && !checked(now) && now.healthCheckNodePort == old.healthCheckNodePort) {
    now.healthCheckNodePort = 0;
  }
  if (old.type == "LoadBalancer" && now.type != "LoadBalancer") {
    if (now.allocateLoadBalancerNodePorts == old.allocateLoadBalancerNodePorts) {
      now.allocateLoadBalancerNodePorts.reset();
    }
    if (now.loadBalancerClass == old.loadBalancerClass) now.loadBalancerClass.reset();
  }
  if (old.type != "ExternalName" && now.type == "ExternalName") {
    if (now.clusterIP == old.clusterIP) {
      now.clusterIP.clear();
      now.clusterIPs.clear();
    }
    if (now.ipFamilies == old.ipFamilies) now.ipFamilies.clear();
    if (now.ipFamilyPolicy == old.ipFamilyPolicy) now.ipFamilyPolicy.reset();
    if (now.internalTrafficPolicy == old.internalTrafficPolicy) now.internalTrafficPolicy.reset();
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
    now.spec.healthCheckNodePort = 0;
    now.spec.allocateLoadBalancerNodePorts.reset();
  }
  drop_leftovers(now.spec, old.spec);
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
  info.validate = validate_service;
  info.validate_status = validate_service_status;
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
