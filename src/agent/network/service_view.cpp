#include "agent/network/service_view.h"

#include "orch/net/netlink.h"

namespace orch::agent {

using namespace api;

namespace {

constexpr const char* kServiceName = "kubernetes.io/service-name";

net::Protocol protocol_of(const std::string& text) {
  return net::parse_protocol(text).value_or(net::Protocol::kTcp);
}

bool is_headless(const corev1::Service& service) { return service.spec.clusterIP == "None"; }

net::ProxyEndpoint proxy_endpoint(const discoveryv1::Endpoint& endpoint, int32_t port,
                                  const std::string& node_name) {
  net::ProxyEndpoint out;
  out.ip = endpoint.addresses.front();
  out.port = static_cast<uint16_t>(port);
  out.ready = endpoint.conditions.ready.value_or(true);
  out.terminating = endpoint.conditions.terminating.value_or(false);
  out.serving = endpoint.conditions.serving.value_or(out.ready);
  out.node_local = endpoint.nodeName.value_or("") == node_name;
  return out;
}

std::vector<net::ProxyEndpoint> endpoints_of_port(const corev1::ServicePort& port,
                                                  const std::vector<SlicePtr>& slices,
                                                  const std::string& node_name) {
  std::vector<net::ProxyEndpoint> out;
  for (const auto& slice : slices) {
    if (slice->addressType != "IPv4") continue;
    for (const auto& slice_port : slice->ports) {
      if (slice_port.name.value_or("") != port.name || !slice_port.port) continue;
      if (slice_port.protocol.value_or("TCP") != port.protocol) continue;
      for (const auto& endpoint : slice->endpoints) {
        if (endpoint.addresses.empty()) continue;
        out.push_back(proxy_endpoint(endpoint, *slice_port.port, node_name));
      }
    }
  }
  return out;
}

}  // namespace

std::string service_key(const discoveryv1::EndpointSlice& slice) {
  auto it = slice.metadata.labels.find(kServiceName);
  return it == slice.metadata.labels.end() ? "" : slice.metadata.namespace_ + "/" + it->second;
}

bool is_proxied(const corev1::Service& service) {
  if (service.spec.type == "ExternalName" || is_headless(service)) return false;
  if (service.spec.clusterIP.empty()) return false;
  const auto& labels = service.metadata.labels;
  return labels.count("service.kubernetes.io/service-proxy-name") == 0;
}

std::vector<uint32_t> announced_addresses(const corev1::Service& service,
                                          const std::string& node_name) {
  std::vector<uint32_t> out;
  auto node = service.metadata.annotations.find(kAnnouncingNode);
  if (service.spec.type != "LoadBalancer" || node == service.metadata.annotations.end() ||
      node->second != node_name) {
    return out;
  }
  for (const auto& ingress : service.status.loadBalancer.ingress) {
    if (auto address = net::parse_ipv4(ingress.ip)) out.push_back(*address);
  }
  return out;
}

net::ProxyService proxy_service(const corev1::Service& service, const std::vector<SlicePtr>& slices,
                                const std::string& node_name) {
  const auto& spec = service.spec;
  net::ProxyService out;
  out.namespace_ = service.metadata.namespace_;
  out.name = service.metadata.name;
  out.cluster_ips =
      spec.clusterIPs.empty() ? std::vector<std::string>{spec.clusterIP} : spec.clusterIPs;
  out.external_ips = spec.externalIPs;
  for (const auto& ingress : service.status.loadBalancer.ingress) {
    if (!ingress.ip.empty() && ingress.ipMode.value_or("VIP") == "VIP") {
      out.load_balancer_ips.push_back(ingress.ip);
    }
  }
  out.load_balancer_source_ranges = spec.loadBalancerSourceRanges;
  out.session_affinity_client_ip = spec.sessionAffinity == "ClientIP";
  if (spec.sessionAffinityConfig && spec.sessionAffinityConfig->clientIP) {
    out.affinity_timeout =
        Seconds{spec.sessionAffinityConfig->clientIP->timeoutSeconds.value_or(10800)};
  }
  out.external_traffic_local = spec.externalTrafficPolicy == "Local";
  out.internal_traffic_local = spec.internalTrafficPolicy.value_or("Cluster") == "Local";
  out.publish_not_ready_addresses = spec.publishNotReadyAddresses;
  out.health_check_node_port = static_cast<uint16_t>(spec.healthCheckNodePort);
  for (const auto& port : spec.ports) {
    net::ProxyPort& to = out.ports.emplace_back();
    to.name = port.name;
    to.protocol = protocol_of(port.protocol);
    to.port = static_cast<uint16_t>(port.port);
    to.node_port = static_cast<uint16_t>(port.nodePort);
    to.endpoints = endpoints_of_port(port, slices, node_name);
  }
  return out;
}

net::DnsService dns_service(const corev1::Service& service, const std::vector<SlicePtr>& slices) {
  net::DnsService out;
  out.namespace_ = service.metadata.namespace_;
  out.name = service.metadata.name;
  out.publish_not_ready_addresses = service.spec.publishNotReadyAddresses;
  if (service.spec.type == "ExternalName") {
    out.external_name = service.spec.externalName;
    return out;
  }
  out.cluster_ips = service.spec.clusterIPs;
  if (out.cluster_ips.empty() && !service.spec.clusterIP.empty()) {
    out.cluster_ips = {service.spec.clusterIP};
  }
  for (const auto& port : service.spec.ports) {
    out.ports.push_back({port.name, port.protocol, static_cast<uint16_t>(port.port)});
  }
  if (!is_headless(service)) return out;
  for (const auto& slice : slices) {
    if (slice->addressType == "FQDN") continue;
    std::vector<net::DnsPort> ports;
    for (const auto& port : slice->ports) {
      if (!port.port) continue;
      ports.push_back({port.name.value_or(""), port.protocol.value_or("TCP"),
                       static_cast<uint16_t>(*port.port)});
    }
    for (const auto& endpoint : slice->endpoints) {
      for (const auto& address : endpoint.addresses) {
        out.endpoints.push_back({address, endpoint.hostname.value_or(""),
                                 endpoint.conditions.ready.value_or(true), ports});
      }
    }
  }
  return out;
}

}  // namespace orch::agent
