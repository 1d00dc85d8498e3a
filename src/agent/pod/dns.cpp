#include "agent/pod/dns.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::agent {
namespace {

constexpr size_t kServersMax = 3, kSearchesMax = 32, kSearchBytesMax = 2048;

void add_unique(std::vector<std::string>& list, const std::string& item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

std::string_view option_name(std::string_view option) { return option.substr(0, option.find(':')); }

// Options of the pod replace those of the same name.
void merge_options(std::vector<std::string>& options,
                   const std::vector<corev1::PodDNSConfigOption>& more) {
  for (const auto& option : more) {
    std::string text = option.name;
    if (option.value && !option.value->empty()) text += ":" + *option.value;
    auto same = std::find_if(options.begin(), options.end(),
                             [&](const auto& o) { return option_name(o) == option.name; });
    if (same == options.end()) {
      options.push_back(text);
    } else {
      *same = text;
    }
  }
}

void limit(DnsConfig& config) {
  if (config.servers.size() > kServersMax) config.servers.resize(kServersMax);
  if (config.searches.size() > kSearchesMax) config.searches.resize(kSearchesMax);
  size_t bytes = 0, keep = 0;
  for (const auto& search : config.searches) {
    bytes += search.size() + 1;
    if (bytes > kSearchBytesMax) break;
    ++keep;
  }
  config.searches.resize(keep);
}

}  // namespace

DnsConfig parse_resolv_conf(std::string_view content) {
  DnsConfig out;
  for (const auto& raw : split(content, '\n')) {
    std::string line(trim(raw));
    std::replace(line.begin(), line.end(), '\t', ' ');
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    std::vector<std::string> words;
    for (auto& word : split(line, ' ')) {
      if (!word.empty()) words.push_back(std::move(word));
    }
    if (words[0] == "nameserver" && words.size() > 1) {
      out.servers.push_back(words[1]);
    } else if (words[0] == "search") {
      out.searches.clear();
      for (size_t i = 1; i < words.size(); ++i) {
        if (words[i] != ".") {
          if (words[i].size() > 1 && words[i].back() == '.') words[i].pop_back();
          out.searches.push_back(words[i]);
        }
      }
    } else if (words[0] == "options") {
      for (size_t i = 1; i < words.size(); ++i) out.options.push_back(words[i]);
    }
  }
  return out;
}

DnsConfig pod_dns(const DnsInput& input) {
  const auto& spec = input.pod.spec;
  DnsConfig host = parse_resolv_conf(input.host_resolv_conf), out;
  std::string policy = spec.dnsPolicy.empty() ? "ClusterFirst" : spec.dnsPolicy;
  const bool on_host = spec.hostNetwork && policy == "ClusterFirst";
  if (policy == "None") {
    // Nothing but dnsConfig.
  } else if (policy == "Default" || on_host || input.cluster_dns.empty()) {
    out = host;
    // A loopback resolver of the host cannot be reached from a pod's own network.
    if (!spec.hostNetwork) {
      std::erase_if(out.servers, [](const auto& s) { return s.starts_with("127.") || s == "::1"; });
    }
  } else {
    out.servers = input.cluster_dns;
    const std::string& domain = input.cluster_domain;
    out.searches = {input.pod.metadata.namespace_ + ".svc." + domain, "svc." + domain, domain};
    for (const auto& search : host.searches) add_unique(out.searches, search);
    out.options = {"ndots:5"};
  }
  if (spec.dnsConfig) {
    for (const auto& server : spec.dnsConfig->nameservers) add_unique(out.servers, server);
    for (const auto& search : spec.dnsConfig->searches) add_unique(out.searches, search);
    merge_options(out.options, spec.dnsConfig->options);
  }
  limit(out);
  return out;
}

std::string pod_hostname(const corev1::Pod& pod) {
  std::string name = pod.spec.hostname.empty() ? pod.metadata.name : pod.spec.hostname;
  if (name.size() > 63) name.resize(63);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

std::string pod_host_domain(const corev1::Pod& pod, const std::string& cluster_domain) {
  if (pod.spec.subdomain.empty()) return "";
  return fmt::format("{}.{}.svc.{}", pod.spec.subdomain, pod.metadata.namespace_, cluster_domain);
}

std::string hosts_file(const corev1::Pod& pod, const std::vector<std::string>& pod_ips,
                       const std::string& cluster_domain, const std::string& host_hosts) {
  std::string out = "# Kubernetes-managed hosts file";
  if (pod.spec.hostNetwork) {
    out += " (host network).\n" + host_hosts;
    if (!out.ends_with('\n')) out += '\n';
  } else {
    out +=
        ".\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n";
    const std::string host = pod_hostname(pod), domain = pod_host_domain(pod, cluster_domain);
    for (const auto& ip : pod_ips) {
      out += domain.empty() ? fmt::format("{}\t{}\n", ip, host)
                            : fmt::format("{}\t{}.{}\t{}\n", ip, host, domain, host);
    }
  }
  if (!pod.spec.hostAliases.empty()) {
    out += "\n# Entries added by HostAliases.\n";
    for (const auto& alias : pod.spec.hostAliases) {
      out += alias.ip + "\t" + join(alias.hostnames, "\t") + "\n";
    }
  }
  return out;
}

}  // namespace orch::agent
