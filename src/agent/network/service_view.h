// What the service proxy and the DNS see of Services and EndpointSlices: API objects translated
// into net's values. Pure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "orch/net/dns.h"
#include "orch/net/proxy.h"

namespace orch::agent {

using ServicePtr = std::shared_ptr<const api::corev1::Service>;
using SlicePtr = std::shared_ptr<const api::discoveryv1::EndpointSlice>;

// `slices` are the Service's.
// The load balancer addresses of the Service that this node announces: the server's servicelb says
// so by an annotation.
inline constexpr const char* kAnnouncingNode = "orch.io/load-balancer-node";
std::vector<uint32_t> announced_addresses(const api::corev1::Service& service,
                                          const std::string& node_name);
net::ProxyService proxy_service(const api::corev1::Service& service,
                                const std::vector<SlicePtr>& slices, const std::string& node_name);
net::DnsService dns_service(const api::corev1::Service& service,
                            const std::vector<SlicePtr>& slices);
// True if the proxy and the DNS have anything to do with it: not headless resp. of this proxy.
bool is_proxied(const api::corev1::Service& service);
// "namespace/name" of the Service a slice belongs to, "" if none.
std::string service_key(const api::discoveryv1::EndpointSlice& slice);

}  // namespace orch::agent
