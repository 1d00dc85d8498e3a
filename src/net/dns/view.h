// The index behind a DnsView. Private to net/dns.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "orch/net/dns.h"

namespace orch::net {

struct DnsView::Index {
  struct Address {
    uint32_t v4 = 0;
    std::string v6;  // 16 bytes, or "" = IPv4
  };
  struct Endpoint {
    Address address;
    std::string host;  // first label of its own name
    std::vector<DnsPort> ports;
  };
  struct Service {
    std::string fqdn;                // name.ns.svc.domain
    std::vector<Address> addresses;  // cluster IPs
    std::vector<DnsPort> ports;
    std::vector<Endpoint> endpoints;  // headless
    bool headless = false;
    std::string external_name;  // lower case, no last dot
  };
  std::string domain;  // lower case, no dots around
  std::unordered_set<std::string> namespaces;
  std::unordered_map<std::string, Service> services;                   // by "name.ns"
  std::unordered_map<std::string, std::vector<std::string>> pointers;  // reverse name -> names
};

std::optional<DnsView::Index::Address> parse_dns_address(const std::string& text);

}  // namespace orch::net
