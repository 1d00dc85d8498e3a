#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "orch/base/strings.h"
#include "server/controllers/endpoint_slices.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using corev1::Pod;
using corev1::Service;
using discoveryv1::Endpoint;
using discoveryv1::EndpointPort;
using discoveryv1::EndpointSlice;

namespace {

constexpr size_t kEndpointsMax = 1000;

corev1::ObjectReference pod_reference(const Pod& pod) {
  corev1::ObjectReference reference;
  reference.kind = "Pod";
  reference.namespace_ = pod.metadata.namespace_;
  reference.name = pod.metadata.name;
  reference.uid = pod.metadata.uid;
  return reference;
}

Endpoint make_endpoint(const Pod& pod, const Service& service, const std::string& zone) {
  Endpoint endpoint;
  endpoint.addresses = {pod.status.podIP};
  const bool terminating = pod.metadata.deletionTimestamp.has_value();
  const bool serving = is_ready(pod);
  endpoint.conditions.ready = service.spec.publishNotReadyAddresses || (serving && !terminating);
  endpoint.conditions.serving = serving;
  endpoint.conditions.terminating = terminating;
  endpoint.targetRef = pod_reference(pod);
  if (!pod.spec.nodeName.empty()) endpoint.nodeName = pod.spec.nodeName;
  if (!zone.empty()) endpoint.zone = zone;
  // Whoever is in the same zone is to use it.
  if (!zone.empty() && *endpoint.conditions.ready &&
      service.spec.trafficDistribution.value_or("") == "PreferClose") {
    endpoint.hints.ensure().forZones.emplace_back().name = zone;
  }
  if (!pod.spec.hostname.empty() && pod.spec.subdomain == service.metadata.name) {
    endpoint.hostname = pod.spec.hostname;
  }
  return endpoint;
}

// Pods whose named target ports differ stand in different slices: a slice has one list of ports.
using PortKey = std::vector<std::pair<std::string, int32_t>>;

std::vector<EndpointPort> slice_ports(const Service& service, const PortKey& key) {
  std::vector<EndpointPort> ports;
  for (const auto& [name, number] : key) {
    for (const auto& service_port : service.spec.ports) {
      if (service_port.name != name) continue;
      EndpointPort port;
      port.name = name;
      port.protocol = service_port.protocol;
      port.port = number;
      if (service_port.appProtocol) port.appProtocol = service_port.appProtocol;
      ports.push_back(std::move(port));
    }
  }
  return ports;
}

EndpointSlice empty_slice(const Service& service, const PortKey& key, size_t index) {
  EndpointSlice slice;
  std::string identity = fmt::format("{}/{}", service.metadata.uid, index);
  for (const auto& [name, number] : key) identity += fmt::format("/{}={}", name, number);
  slice.metadata.name =
      service.metadata.name + "-" + safe_encode(std::to_string(fnv1a32(identity))).substr(0, 8);
  slice.metadata.generateName = service.metadata.name + "-";
  slice.metadata.namespace_ = service.metadata.namespace_;
  slice.metadata.labels = service.metadata.labels;
  slice.metadata.labels["kubernetes.io/service-name"] = service.metadata.name;
  slice.metadata.labels[kManagedBy] = kSliceController;
  if (service.spec.clusterIP == "None") {
    slice.metadata.labels["service.kubernetes.io/headless"] = "";
  }
  slice.metadata.ownerReferences = {make_controller_ref(service)};
  slice.addressType = "IPv4";
  slice.ports = slice_ports(service, key);
  return slice;
}

bool same_ports(const std::vector<EndpointPort>& a, const std::vector<EndpointPort>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const EndpointPort& x, const EndpointPort& y) { return equal(x, y); });
}

// Endpoints stay in the slice they are in, new ones fill what has room: a pod that comes or goes
// changes one slice.
class Packer {
 public:
  Packer(const Service& service, const PortKey& key, const std::vector<SlicePtr>& existing)
      : service_(service), key_(key) {
    const auto ports = slice_ports(service, key);
    for (const auto& slice : existing) {
      if (slice->addressType != "IPv4" || !same_ports(slice->ports, ports)) continue;
      const size_t index = open(slice->metadata.name);
      slices_.back().endpoints.reserve(slice->endpoints.size());
      for (const auto& endpoint : slice->endpoints) {
        if (!endpoint.addresses.empty()) homes_[identity(endpoint)] = index;
      }
    }
  }

  void add(Endpoint endpoint) {
    auto home = homes_.find(identity(endpoint));
    if (home != homes_.end() && slices_[home->second].endpoints.size() < kEndpointsPerSlice) {
      slices_[home->second].endpoints.push_back(std::move(endpoint));
    } else {
      new_.push_back(std::move(endpoint));
    }
  }

  // Appends the slices that hold something; one empty slice if there is nothing to hold.
  void finish(std::vector<EndpointSlice>& out) {
    for (auto& endpoint : new_) fullest().endpoints.push_back(std::move(endpoint));
    for (auto& slice : slices_) {
      if (slice.endpoints.empty()) continue;
      const auto by_address = [](const Endpoint& a, const Endpoint& b) {
        return std::tie(a.addresses, a.targetRef->name) < std::tie(b.addresses, b.targetRef->name);
      };
      if (!std::is_sorted(slice.endpoints.begin(), slice.endpoints.end(), by_address)) {
        std::sort(slice.endpoints.begin(), slice.endpoints.end(), by_address);
      }
      out.push_back(std::move(slice));
      used_ = true;
    }
    if (used_) return;
    if (slices_.empty()) open_next();
    out.push_back(std::move(slices_.front()));
  }

 private:
  static std::string identity(const Endpoint& endpoint) {
    return endpoint.addresses.front() + "/" + (endpoint.targetRef ? endpoint.targetRef->uid : "");
  }

  size_t open(const std::string& name) {
    slices_.push_back(empty_slice(service_, key_, 0));
    slices_.back().metadata.name = name;
    names_.insert(name);
    return slices_.size() - 1;
  }
  // Under the first name that is free: names are the same whoever makes them.
  size_t open_next() {
    std::string name;
    do {
      name = empty_slice(service_, key_, next_++).metadata.name;
    } while (names_.count(name) > 0);
    return open(name);
  }

  // Of those with room.
  EndpointSlice& fullest() {
    const auto has_room = [](const EndpointSlice& slice) {
      return slice.endpoints.size() < kEndpointsPerSlice;
    };
    if (filling_ < slices_.size() && has_room(slices_[filling_])) return slices_[filling_];
    filling_ = slices_.size();
    for (size_t i = 0; i < slices_.size(); ++i) {
      if (!has_room(slices_[i])) continue;
      if (filling_ == slices_.size() ||
          slices_[i].endpoints.size() > slices_[filling_].endpoints.size()) {
        filling_ = i;
      }
    }
    if (filling_ == slices_.size()) open_next();
    return slices_[filling_];
  }

  const Service& service_;
  const PortKey& key_;
  std::vector<EndpointSlice> slices_;
  std::unordered_map<std::string, size_t> homes_;  // which slice an endpoint is in
  std::set<std::string> names_;
  std::vector<Endpoint> new_;
  size_t next_ = 0, filling_ = SIZE_MAX;
  bool used_ = false;
};

}  // namespace

std::optional<int32_t> find_port(const Pod& pod, const corev1::ServicePort& port) {
  if (!port.targetPort.is_string) return port.targetPort.int_value;
  const auto search =
      [&](const std::vector<corev1::Container>& containers) -> std::optional<int32_t> {
    for (const auto& container : containers) {
      for (const auto& candidate : container.ports) {
        if (candidate.name == port.targetPort.string_value && candidate.protocol == port.protocol) {
          return candidate.containerPort;
        }
      }
    }
    return std::nullopt;
  };
  if (auto found = search(pod.spec.containers)) return found;
  return search(pod.spec.initContainers);
}

bool should_be_listed(const Pod& pod, bool include_terminating) {
  if (is_terminal(pod) || pod.status.podIP.empty()) return false;
  return include_terminating || !pod.metadata.deletionTimestamp;
}

std::vector<EndpointSlice> plan_slices(
    const Service& service, const std::vector<PodPtr>& pods,
    const std::function<std::string(const std::string& node)>& node_zone,
    const std::vector<SlicePtr>& existing) {
  // By address. Pods are put in order, as endpoints are large and thousands of them slow to move.
  std::vector<const Pod*> listed;
  for (const auto& pod : pods) {
    if (should_be_listed(*pod, /*include_terminating=*/true)) listed.push_back(pod.get());
  }
  std::sort(listed.begin(), listed.end(), [](const Pod* a, const Pod* b) {
    return std::tie(a->status.podIP, a->metadata.name) <
           std::tie(b->status.podIP, b->metadata.name);
  });
  std::map<PortKey, std::vector<const Pod*>> by_ports;
  for (const Pod* pod : listed) {
    PortKey key;
    for (const auto& port : service.spec.ports) {
      if (auto number = find_port(*pod, port)) key.emplace_back(port.name, *number);
    }
    by_ports[key].push_back(pod);
  }
  if (by_ports.empty()) by_ports[{}];  // a Service without pods still has one, empty slice
  std::vector<EndpointSlice> slices;
  for (const auto& [key, members] : by_ports) {
    Packer packer(service, key, existing);
    for (const Pod* pod : members) {
      packer.add(make_endpoint(*pod, service, node_zone(pod->spec.nodeName)));
    }
    packer.finish(slices);
  }
  return slices;
}

corev1::Endpoints plan_endpoints(const Service& service, const std::vector<PodPtr>& pods) {
  corev1::Endpoints endpoints;
  endpoints.metadata.name = service.metadata.name;
  endpoints.metadata.namespace_ = service.metadata.namespace_;
  endpoints.metadata.labels = service.metadata.labels;
  endpoints.metadata.labels["endpoints.kubernetes.io/managed-by"] = "endpoint-controller";
  if (service.spec.clusterIP == "None") {
    endpoints.metadata.labels["service.kubernetes.io/headless"] = "";
  }
  // Pods with the same ports share a subset.
  std::map<PortKey, corev1::EndpointSubset> subsets;
  size_t count = 0;
  for (const auto& pod : pods) {
    const bool publish = service.spec.publishNotReadyAddresses;
    if (!should_be_listed(*pod, publish)) continue;
    PortKey key;
    for (const auto& port : service.spec.ports) {
      if (auto number = find_port(*pod, port)) key.emplace_back(port.name, *number);
    }
    if (key.empty() && !service.spec.ports.empty()) continue;
    if (++count > kEndpointsMax) {
      endpoints.metadata.annotations[kOverCapacity] = "truncated";
      break;
    }
    auto& subset = subsets[key];
    corev1::EndpointAddress address;
    address.ip = pod->status.podIP;
    if (!pod->spec.nodeName.empty()) address.nodeName = pod->spec.nodeName;
    address.targetRef = pod_reference(*pod);
    if (!pod->spec.hostname.empty() && pod->spec.subdomain == service.metadata.name) {
      address.hostname = pod->spec.hostname;
    }
    (publish || is_ready(*pod) ? subset.addresses : subset.notReadyAddresses)
        .push_back(std::move(address));
  }
  const auto by_ip = [](const auto& a, const auto& b) { return a.ip < b.ip; };
  for (auto& [key, subset] : subsets) {
    std::sort(subset.addresses.begin(), subset.addresses.end(), by_ip);
    std::sort(subset.notReadyAddresses.begin(), subset.notReadyAddresses.end(), by_ip);
    for (const auto& slice_port : slice_ports(service, key)) {
      corev1::EndpointPort port;
      port.name = slice_port.name.value_or("");
      port.port = slice_port.port.value_or(0);
      port.protocol = slice_port.protocol.value_or("TCP");
      port.appProtocol = slice_port.appProtocol;
      subset.ports.push_back(std::move(port));
    }
    endpoints.subsets.push_back(std::move(subset));
  }
  return endpoints;
}

}  // namespace orch::server
