// Mirroring: EndpointSlices of Endpoints that somebody keeps by hand. Pure.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "orch/base/strings.h"
#include "server/controllers/endpoint_slices.h"
#include "server/controllers/pods.h"

namespace orch::server {

using namespace api;
using corev1::EndpointAddress;
using corev1::Endpoints;
using discoveryv1::Endpoint;
using discoveryv1::EndpointSlice;

namespace {

constexpr size_t kAddressesMax = 1000;  // a subset
constexpr const char* kSkipMirror = "endpointslice.kubernetes.io/skip-mirror";
constexpr const char* kLeader = "control-plane.alpha.kubernetes.io/leader";

std::string family_of(const std::string& address) {
  in6_addr buffer;
  if (inet_pton(AF_INET, address.c_str(), &buffer) == 1) return "IPv4";
  return inet_pton(AF_INET6, address.c_str(), &buffer) == 1 ? "IPv6" : "";
}

Endpoint endpoint_of(const EndpointAddress& address, bool ready) {
  Endpoint endpoint;
  endpoint.addresses = {address.ip};
  endpoint.conditions.ready = ready;
  endpoint.targetRef = address.targetRef;
  if (!address.hostname.empty()) endpoint.hostname = address.hostname;
  endpoint.nodeName = address.nodeName;
  return endpoint;
}

EndpointSlice slice_of(const Endpoints& endpoints, const corev1::EndpointSubset& subset,
                       const std::string& family, const std::string& identity) {
  EndpointSlice slice;
  slice.metadata.name =
      endpoints.metadata.name + "-" + safe_encode(std::to_string(fnv1a32(identity))).substr(0, 8);
  slice.metadata.generateName = endpoints.metadata.name + "-";
  slice.metadata.namespace_ = endpoints.metadata.namespace_;
  slice.metadata.labels = endpoints.metadata.labels;
  slice.metadata.labels["kubernetes.io/service-name"] = endpoints.metadata.name;
  slice.metadata.labels[kManagedBy] = kMirrorController;
  slice.metadata.annotations = endpoints.metadata.annotations;
  slice.metadata.annotations.erase("endpoints.kubernetes.io/last-change-trigger-time");
  slice.metadata.annotations.erase("kubectl.kubernetes.io/last-applied-configuration");
  slice.metadata.ownerReferences = {make_controller_ref(endpoints)};
  slice.addressType = family;
  for (const auto& port : subset.ports) {
    auto& out = slice.ports.emplace_back();
    out.name = port.name;
    out.port = port.port;
    out.protocol = port.protocol;
    out.appProtocol = port.appProtocol;
  }
  return slice;
}

}  // namespace

bool should_mirror(const Endpoints& endpoints, const corev1::Service* service) {
  const auto& labels = endpoints.metadata.labels;
  auto skip = labels.find(kSkipMirror);
  if (skip != labels.end() && skip->second == "true") return false;
  if (endpoints.metadata.annotations.count(kLeader) > 0) return false;
  return service != nullptr && service->spec.selector.empty();
}

MirrorPlan plan_mirror(const Endpoints& endpoints) {
  MirrorPlan plan;
  for (size_t index = 0; index < endpoints.subsets.size(); ++index) {
    const auto& subset = endpoints.subsets[index];
    std::map<std::string, std::vector<Endpoint>> by_family;
    size_t count = 0;
    const auto add = [&](const std::vector<EndpointAddress>& addresses, bool ready) {
      for (const auto& address : addresses) {
        const std::string family = family_of(address.ip);
        if (family.empty()) {
          ++plan.invalid;
        } else if (++count > kAddressesMax) {
          ++plan.skipped;
        } else {
          by_family[family].push_back(endpoint_of(address, ready));
        }
      }
    };
    add(subset.addresses, true);
    add(subset.notReadyAddresses, false);
    for (const auto& [family, all] : by_family) {
      for (size_t begin = 0; begin < all.size(); begin += kEndpointsPerSlice) {
        auto slice = slice_of(
            endpoints, subset, family,
            fmt::format("{}/mirror/{}/{}/{}", endpoints.metadata.uid, index, family, begin));
        const size_t end = std::min(all.size(), begin + kEndpointsPerSlice);
        slice.endpoints.assign(all.begin() + static_cast<ptrdiff_t>(begin),
                               all.begin() + static_cast<ptrdiff_t>(end));
        plan.slices.push_back(std::move(slice));
      }
    }
  }
  return plan;
}

}  // namespace orch::server
