// core/v1 Endpoints and discovery.k8s.io/v1 EndpointSlice.
#include <arpa/inet.h>
#include <fmt/format.h>

#include "api/kinds/common.h"
#include "orch/api/discoveryv1.h"

namespace orch::api {
namespace {

using corev1::Endpoints;
using discoveryv1::EndpointSlice;

// Addresses that must never be an endpoint: loopback, link-local, unspecified, multicast
// (CVE-2021-25737). "" = fine.
std::string check_endpoint_ip(const std::string& ip) {
  in6_addr v6{};
  in_addr v4{};
  if (inet_pton(AF_INET, ip.c_str(), &v4) == 1) {
    const uint32_t address = ntohl(v4.s_addr);
    if (address == 0) return "may not be unspecified (0.0.0.0 or ::)";
    if (address >> 24 == 127) return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
    if (address >> 16 == 0xa9fe)
      return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
    if (address >> 8 == 0xe00000) {
      return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
    }
    return "";
  }
  if (inet_pton(AF_INET6, ip.c_str(), &v6) == 1) {
    if (IN6_IS_ADDR_UNSPECIFIED(&v6)) return "may not be unspecified (0.0.0.0 or ::)";
    if (IN6_IS_ADDR_LOOPBACK(&v6)) return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
    if (IN6_IS_ADDR_LINKLOCAL(&v6)) {
      return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
    }
    if (IN6_IS_ADDR_MC_LINKLOCAL(&v6)) {
      return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
    }
    return "";
  }
  return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

void endpoints_defaults(Object& object) {
  for (auto& subset : static_cast<Endpoints&>(object).subsets) {
    for (auto& port : subset.ports) {
      if (port.protocol.empty()) port.protocol = "TCP";
    }
  }
}

void validate_endpoints(const Object& object, const Object*, FieldErrors& errors) {
  const auto& endpoints = static_cast<const Endpoints&>(object);
  for (size_t i = 0; i < endpoints.subsets.size(); ++i) {
    const auto& subset = endpoints.subsets[i];
    const std::string at = indexed("subsets", i);
    if (subset.addresses.empty() && subset.notReadyAddresses.empty()) {
      errors.required(at, "must specify `addresses` or `notReadyAddresses`");
    }
    const auto check = [&](const auto& addresses, const std::string& field) {
      for (size_t j = 0; j < addresses.size(); ++j) {
        if (auto why = check_endpoint_ip(addresses[j].ip); !why.empty()) {
          errors.invalid(indexed(at + "." + field, j) + ".ip", quoted(addresses[j].ip), why);
        }
      }
    };
    check(subset.addresses, "addresses");
    check(subset.notReadyAddresses, "notReadyAddresses");
    for (size_t j = 0; j < subset.ports.size(); ++j) {
      const auto& port = subset.ports[j];
      const std::string where = indexed(at + ".ports", j);
      if (subset.ports.size() > 1 && port.name.empty()) errors.required(where + ".name");
      if (port.port < 1 || port.port > 65535) {
        errors.invalid(where + ".port", std::to_string(port.port),
                       "must be between 1 and 65535, inclusive");
      }
    }
  }
}

std::vector<Cell> endpoints_row(const Object& object, WallTime now) {
  constexpr size_t kShown = 3;
  std::vector<std::string> all;
  for (const auto& subset : static_cast<const Endpoints&>(object).subsets) {
    if (subset.ports.empty()) {
      for (const auto& address : subset.addresses) all.push_back(address.ip);
    }
    for (const auto& port : subset.ports) {
      for (const auto& address : subset.addresses) {
        all.push_back(fmt::format("{}:{}", address.ip, port.port));
      }
    }
  }
  std::string shown;
  for (size_t i = 0; i < all.size() && i < kShown; ++i) shown += (i ? "," : "") + all[i];
  if (all.size() > kShown) shown += fmt::format(" + {} more...", all.size() - kShown);
  return {name_cell(object), text(all.empty() ? "<none>" : shown), age_cell(object, now)};
}

void slice_defaults(Object& object) {
  for (auto& port : static_cast<EndpointSlice&>(object).ports) {
    if (!port.name) port.name = "";
    if (!port.protocol) port.protocol = "TCP";
  }
}

void validate_slice(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& slice = static_cast<const EndpointSlice&>(object);
  if (slice.addressType.empty()) {
    errors.required("addressType");
  } else if (slice.addressType != "IPv4" && slice.addressType != "IPv6" &&
             slice.addressType != "FQDN") {
    errors.not_supported("addressType", slice.addressType, {"FQDN", "IPv4", "IPv6"});
  }
  if (slice.endpoints.size() > 1000) {
    errors.too_many("endpoints", static_cast<int64_t>(slice.endpoints.size()), 1000);
  }
  for (size_t i = 0; i < slice.endpoints.size(); ++i) {
    const auto& endpoint = slice.endpoints[i];
    const std::string at = indexed("endpoints", i) + ".addresses";
    if (endpoint.addresses.empty()) errors.required(at, "must contain at least 1 address");
    for (size_t j = 0; j < endpoint.addresses.size() && slice.addressType != "FQDN"; ++j) {
      if (auto why = check_endpoint_ip(endpoint.addresses[j]); !why.empty()) {
        errors.invalid(indexed(at, j), quoted(endpoint.addresses[j]), why);
      }
    }
  }
  if (old_object == nullptr) return;
  if (slice.addressType != static_cast<const EndpointSlice&>(*old_object).addressType) {
    errors.invalid("addressType", quoted(slice.addressType), kImmutable);
  }
}

std::vector<Cell> slice_row(const Object& object, WallTime now) {
  const auto& slice = static_cast<const EndpointSlice&>(object);
  constexpr size_t kShown = 3;
  std::string ports, addresses;
  size_t count = 0;
  for (const auto& port : slice.ports) {
    if (count++ < kShown) {
      ports += (ports.empty() ? "" : ",") + (port.port ? std::to_string(*port.port) : "*");
    }
  }
  if (count > kShown) ports += fmt::format(" + {} more...", count - kShown);
  count = 0;
  for (const auto& endpoint : slice.endpoints) {
    for (const auto& address : endpoint.addresses) {
      if (count++ < kShown) addresses += (addresses.empty() ? "" : ",") + address;
    }
  }
  if (count > kShown) addresses += fmt::format(" + {} more...", count - kShown);
  return {name_cell(object), text(slice.addressType), text(ports.empty() ? "<unset>" : ports),
          text(addresses.empty() ? "<unset>" : addresses), age_cell(object, now)};
}

}  // namespace

ResourceInfo endpoints_resource() {
  auto info = stored_resource<Endpoints>("endpoints", "endpoints", true);
  info.short_names = {"ep"};
  info.set_defaults = endpoints_defaults;
  info.validate = validate_endpoints;
  info.columns = {name_column(), column("Endpoints", "string", "Addresses and ports."),
                  age_column()};
  info.row = endpoints_row;
  return info;
}

ResourceInfo endpoint_slices_resource() {
  auto info = stored_resource<EndpointSlice>("endpointslices", "endpointslice", true);
  info.set_defaults = slice_defaults;
  info.prepare = [](Object& now, const Object* old, const StrategyContext&) {
    auto& slice = static_cast<EndpointSlice&>(now);
    if (old == nullptr) {
      slice.metadata.generation = 1;
      return;
    }
    const auto& before = static_cast<const EndpointSlice&>(*old);
    slice.metadata.generation = before.metadata.generation;
    auto unversioned = slice;
    unversioned.metadata = before.metadata;
    if (!equal(unversioned, before)) ++slice.metadata.generation;
  };
  info.validate = validate_slice;
  info.columns = {name_column(), column("AddressType", "string", "IPv4, IPv6 or FQDN."),
                  column("Ports", "string", "Its ports."),
                  column("Endpoints", "string", "Its addresses."), age_column()};
  info.row = slice_row;
  return info;
}

}  // namespace orch::api
