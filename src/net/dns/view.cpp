#include "net/dns/view.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"
#include "orch/net/netlink.h"

namespace orch::net {

namespace {

using Index = DnsView::Index;

std::string without_dots_around(std::string_view text) {
  while (text.starts_with('.')) text.remove_prefix(1);
  while (text.ends_with('.')) text.remove_suffix(1);
  return to_lower(text);
}

// RFC 1035 3.5 and RFC 3596 2.5.
std::string reverse_name(const Index::Address& address) {
  if (address.v6.empty()) {
    uint32_t ip = address.v4;
    return fmt::format("{}.{}.{}.{}.in-addr.arpa", ip & 255, ip >> 8 & 255, ip >> 16 & 255,
                       ip >> 24);
  }
  std::string name;
  for (size_t i = address.v6.size(); i-- > 0;) {
    auto byte = static_cast<uint8_t>(address.v6[i]);
    name += fmt::format("{:x}.{:x}.", byte & 15, byte >> 4);
  }
  return name + "ip6.arpa";
}

std::string dashed(std::string text) {
  std::replace(text.begin(), text.end(), '.', '-');
  std::replace(text.begin(), text.end(), ':', '-');
  return text;
}

void add_endpoints(const DnsService& from, Index::Service& to, Index& index) {
  for (const DnsEndpoint& endpoint : from.endpoints) {
    if (!endpoint.ready && !from.publish_not_ready_addresses) continue;
    auto address = parse_dns_address(endpoint.address);
    if (!address) continue;
    std::string host =
        endpoint.hostname.empty() ? dashed(endpoint.address) : to_lower(endpoint.hostname);
    index.pointers[reverse_name(*address)].push_back(host + "." + to.fqdn);
    to.endpoints.push_back({*address, std::move(host), endpoint.ports});
  }
}

}  // namespace

std::optional<Index::Address> parse_dns_address(const std::string& text) {
  Index::Address address;
  if (auto v4 = parse_ipv4(text)) {
    address.v4 = *v4;
    return address;
  }
  char bytes[16];
  if (inet_pton(AF_INET6, text.c_str(), bytes) != 1) return std::nullopt;
  address.v6.assign(bytes, sizeof bytes);
  return address;
}

std::shared_ptr<const DnsView> DnsView::build(std::string domain,
                                              const std::set<std::string>& namespaces,
                                              const std::vector<DnsService>& services) {
  auto index = std::make_shared<Index>();
  index->domain = without_dots_around(domain);
  index->namespaces.insert(namespaces.begin(), namespaces.end());
  for (const DnsService& from : services) {
    Index::Service to;
    to.fqdn = fmt::format("{}.{}.svc.{}", from.name, from.namespace_, index->domain);
    to.ports = from.ports;
    if (!from.external_name.empty()) {
      to.external_name = without_dots_around(from.external_name);
    } else {
      for (const std::string& text : from.cluster_ips) {
        if (auto address = parse_dns_address(text)) to.addresses.push_back(*address);
      }
      to.headless = to.addresses.empty();
      for (const Index::Address& address : to.addresses) {
        index->pointers[reverse_name(address)].push_back(to.fqdn);
      }
      if (to.headless) add_endpoints(from, to, *index);
    }
    index->services.insert_or_assign(from.name + "." + from.namespace_, std::move(to));
  }
  return std::make_shared<const DnsView>(std::move(index));
}

}  // namespace orch::net
