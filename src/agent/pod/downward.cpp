#include "agent/pod/downward.h"

#include <fmt/format.h>

#include "orch/api/error.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

Error config_error(std::string message) { return {Error::Code::kConfig, std::move(message)}; }

// "labels['key']" -> key.
bool subscript(std::string_view path, std::string_view prefix, std::string& key) {
  if (!path.starts_with(prefix) || !path.ends_with("']")) return false;
  path.remove_prefix(prefix.size());
  if (!path.starts_with("['")) return false;
  key = std::string(path.substr(2, path.size() - 4));
  return true;
}

std::string value_of(const std::map<std::string, std::string>& map, const std::string& key) {
  auto it = map.find(key);
  return it == map.end() ? "" : it->second;
}

std::string first(const std::vector<std::string>& list) { return list.empty() ? "" : list[0]; }

int64_t divide_up(int64_t value, int64_t by) {
  if (by <= 0) by = 1;
  return value / by + (value % by > 0 ? 1 : 0);
}

}  // namespace

std::string format_map(const std::map<std::string, std::string>& map) {
  std::string out;
  for (const auto& [key, value] : map) {
    if (!out.empty()) out += '\n';
    out += key + "=" + api::go_quoted(value);
  }
  return out;
}

Result<std::string, Error> field_value(const corev1::Pod& pod, const std::string& path,
                                       const PodAddresses& addresses) {
  std::string key;
  if (subscript(path, "metadata.annotations", key)) return value_of(pod.metadata.annotations, key);
  if (subscript(path, "metadata.labels", key)) return value_of(pod.metadata.labels, key);
  if (path == "metadata.annotations") return format_map(pod.metadata.annotations);
  if (path == "metadata.labels") return format_map(pod.metadata.labels);
  if (path == "metadata.name") return pod.metadata.name;
  if (path == "metadata.namespace") return pod.metadata.namespace_;
  if (path == "metadata.uid") return pod.metadata.uid;
  if (path == "spec.nodeName") return pod.spec.nodeName;
  if (path == "spec.serviceAccountName") return pod.spec.serviceAccountName;
  if (path == "status.hostIP") return first(addresses.host_ips);
  if (path == "status.hostIPs") return join(addresses.host_ips, ",");
  if (path == "status.podIP") return first(addresses.pod_ips);
  if (path == "status.podIPs") return join(addresses.pod_ips, ",");
  return Err(config_error(fmt::format("unsupported fieldPath: {}", path)));
}

Result<std::string, Error> resource_value(const corev1::Pod& pod,
                                          const corev1::ResourceFieldSelector& selector,
                                          const corev1::Container* container,
                                          const std::map<std::string, api::Quantity>& allocatable) {
  if (!selector.containerName.empty()) {
    container = find_container(pod, selector.containerName);
    if (container == nullptr) {
      return Err(config_error(fmt::format("container {} not found", selector.containerName)));
    }
  }
  if (container == nullptr) return Err(config_error("containerName is required"));
  auto dot = selector.resource.find('.');
  const std::string from = selector.resource.substr(0, dot);
  const std::string name = dot == std::string::npos ? "" : selector.resource.substr(dot + 1);
  if (from != "limits" && from != "requests") {
    return Err(config_error(fmt::format("unsupported container resource : {}", selector.resource)));
  }
  const auto& own = from == "limits" ? container->resources.limits : container->resources.requests;
  api::Quantity amount;
  if (auto it = own.find(name); it != own.end() && !it->second.is_zero()) {
    amount = it->second;
  } else if (auto node = allocatable.find(name); from == "limits" && node != allocatable.end()) {
    amount = node->second;
  }
  const bool whole = selector.divisor.is_zero();
  if (name == "cpu") {
    return std::to_string(divide_up(amount.milli(), whole ? 1000 : selector.divisor.milli()));
  }
  return std::to_string(divide_up(amount.value(), whole ? 1 : selector.divisor.value()));
}

}  // namespace orch::agent
