// A pod's resolv.conf and /etc/hosts. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/pod/pod_access.h"
#include "agent/runtime.h"

namespace orch::agent {

struct DnsInput {
  const corev1::Pod& pod;
  std::vector<std::string> cluster_dns;
  std::string cluster_domain;
  std::string host_resolv_conf;  // content
};
DnsConfig pod_dns(const DnsInput& input);
DnsConfig parse_resolv_conf(std::string_view content);

std::string pod_hostname(const corev1::Pod& pod);  // at most 63 characters
std::string pod_host_domain(const corev1::Pod& pod, const std::string& cluster_domain);

// The managed /etc/hosts. `host_hosts`: the node's own file, for pods on the host network.
std::string hosts_file(const corev1::Pod& pod, const std::vector<std::string>& pod_ips,
                       const std::string& cluster_domain, const std::string& host_hosts);

}  // namespace orch::agent
