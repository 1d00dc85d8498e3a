// core/v1 Endpoints and discovery.k8s.io/v1 EndpointSlice.
#include <fmt/format.h>

#include <set>

#include "api/kinds/checks.h"
#include "orch/api/discoveryv1.h"

namespace orch::api {
namespace {

using corev1::Endpoints;
using discoveryv1::EndpointSlice;

constexpr size_t kEndpointsMax = 1000;
constexpr size_t kAddressesMax = 100;
constexpr size_t kPortsMax = 20000;
constexpr size_t kZoneHintsMax = 8;

void endpoints_defaults(Object& object) {
  for (auto& subset : static_cast<Endpoints&>(object).subsets) {
    for (auto& port : subset.ports) {
      if (port.protocol.empty()) port.protocol = "TCP";
    }
  }
}

void validate_protocol(const std::string& protocol, const std::string& path, FieldErrors& errors) {
  if (protocol.empty()) return errors.required(path);
  check_one_of(protocol, path, {"SCTP", "TCP", "UDP"}, errors);
}

void validate_addresses(const std::vector<corev1::EndpointAddress>& addresses,
                        const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < addresses.size(); ++i) {
    const auto& address = addresses[i];
    const std::string at = indexed(path, i);
    validate_by(check_ip, address.ip, at + ".ip", errors);
    if (!address.hostname.empty()) {
      validate_by(check_dns1123_label, address.hostname, at + ".hostname", errors);
    }
    if (address.nodeName) {
      validate_by(check_dns1123_subdomain, *address.nodeName, at + ".nodeName", errors);
    }
    // Never loopback or link-local: an endpoint there would lead to what only hosts may reach
    // (CVE-2021-25737).
    validate_non_special_ip(address.ip, at + ".ip", errors);
  }
}

void validate_subset_ports(const std::vector<corev1::EndpointPort>& ports, const std::string& path,
                           FieldErrors& errors) {
  for (size_t i = 0; i < ports.size(); ++i) {
    const auto& port = ports[i];
    const std::string at = indexed(path, i);
    if (!port.name.empty()) {
      validate_by(check_dns1123_label, port.name, at + ".name", errors);
    } else if (ports.size() > 1) {
      errors.required(at + ".name");
    }
    validate_port_number(port.port, at + ".port", errors);
    validate_protocol(port.protocol, at + ".protocol", errors);
    if (port.appProtocol) {
      validate_qualified_name(*port.appProtocol, at + ".appProtocol", errors);
    }
  }
}

void validate_endpoints(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& subsets = static_cast<const Endpoints&>(object).subsets;
  // Endpoints from before a rule may stay as they are.
  if (old_object != nullptr &&
      same_list(subsets, static_cast<const Endpoints&>(*old_object).subsets)) {
    return;
  }
  for (size_t i = 0; i < subsets.size(); ++i) {
    const auto& subset = subsets[i];
    const std::string at = indexed("subsets", i);
    if (subset.addresses.empty() && subset.notReadyAddresses.empty()) {
      errors.required(at, "must specify `addresses` or `notReadyAddresses`");
    }
    validate_addresses(subset.addresses, at + ".addresses", errors);
    validate_addresses(subset.notReadyAddresses, at + ".notReadyAddresses", errors);
    validate_subset_ports(subset.ports, at + ".ports", errors);
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

void validate_slice_address(const std::string& type, const std::string& address,
                            const std::string& path, FieldErrors& errors) {
  if (type == "FQDN") return validate_domain_name(address, path, errors);
  if (type != "IPv4" && type != "IPv6") return;
  if (!is_ip(address) || is_ipv6(address) != (type == "IPv6")) {
    errors.invalid(path, quoted(address), fmt::format("must be a valid {} address", type));
  }
  validate_non_special_ip(address, path, errors);
}

void validate_hints(const discoveryv1::EndpointHints& hints, const std::string& path,
                    FieldErrors& errors) {
  const auto& zones = hints.forZones;
  if (zones.size() > kZoneHintsMax) {
    return errors.too_many(path, static_cast<int64_t>(zones.size()), kZoneHintsMax);
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < zones.size(); ++i) {
    const std::string at = indexed(path, i) + ".name";
    if (!seen.insert(zones[i].name).second) errors.duplicate(at, quoted(zones[i].name));
    validate_by(check_label_value, zones[i].name, at, errors);
  }
}

void validate_slice_endpoints(const EndpointSlice& slice, FieldErrors& errors) {
  if (slice.endpoints.size() > kEndpointsMax) {
    return errors.too_many("endpoints", static_cast<int64_t>(slice.endpoints.size()),
                           kEndpointsMax);
  }
  for (size_t i = 0; i < slice.endpoints.size(); ++i) {
    const auto& endpoint = slice.endpoints[i];
    const std::string path = indexed("endpoints", i), at = path + ".addresses";
    if (endpoint.addresses.empty()) {
      errors.required(at, "must contain at least 1 address");
    } else if (endpoint.addresses.size() > kAddressesMax) {
      errors.too_many(at, static_cast<int64_t>(endpoint.addresses.size()), kAddressesMax);
    }
    for (size_t j = 0; j < endpoint.addresses.size(); ++j) {
      validate_slice_address(slice.addressType, endpoint.addresses[j], indexed(at, j), errors);
    }
    if (endpoint.nodeName) {
      validate_by(check_dns1123_subdomain, *endpoint.nodeName, path + ".nodeName", errors);
    }
    if (endpoint.hostname) {
      validate_by(check_dns1123_label, *endpoint.hostname, path + ".hostname", errors);
    }
    if (endpoint.hints) validate_hints(*endpoint.hints, path + ".hints.forZones", errors);
  }
}

void validate_slice_ports(const EndpointSlice& slice, FieldErrors& errors) {
  if (slice.ports.size() > kPortsMax) {
    return errors.too_many("ports", static_cast<int64_t>(slice.ports.size()), kPortsMax);
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < slice.ports.size(); ++i) {
    const auto& port = slice.ports[i];
    const std::string at = indexed("ports", i), name = port.name.value_or("");
    if (!name.empty()) validate_by(check_dns1123_label, name, at + ".name", errors);
    if (!seen.insert(name).second) errors.duplicate(at + ".name", quoted(name));
    if (port.port) validate_port_number(*port.port, at + ".port", errors);
    validate_protocol(port.protocol.value_or(""), at + ".protocol", errors);
    if (port.appProtocol) {
      validate_qualified_name(*port.appProtocol, at + ".appProtocol", errors);
    }
  }
}

void validate_slice(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& slice = static_cast<const EndpointSlice&>(object);
  if (slice.addressType.empty()) {
    errors.required("addressType");
  } else {
    check_one_of(slice.addressType, "addressType", {"FQDN", "IPv4", "IPv6"}, errors);
  }
  validate_slice_endpoints(slice, errors);
  validate_slice_ports(slice, errors);
  if (old_object == nullptr) return;
  check_unchanged(slice.addressType == static_cast<const EndpointSlice&>(*old_object).addressType,
                  "addressType", quoted(slice.addressType), errors);
}

void prepare_slice(Object& object, const Object* old, const StrategyContext&) {
  auto& slice = static_cast<EndpointSlice&>(object);
  const auto* before = static_cast<const EndpointSlice*>(old);
  // Topology is from before v1; objects that have it keep it while their endpoints stay the same.
  if (before == nullptr || !same_list(slice.endpoints, before->endpoints)) {
    for (auto& endpoint : slice.endpoints) endpoint.deprecatedTopology.clear();
  }
  if (before == nullptr) {
    slice.metadata.generation = 1;
    return;
  }
  slice.metadata.generation = before->metadata.generation;
  auto unversioned = slice;
  unversioned.metadata = before->metadata;
  if (!equal(unversioned, *before)) ++slice.metadata.generation;
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
  info.prepare = prepare_slice;
  info.validate = validate_slice;
  info.columns = {name_column(), column("AddressType", "string", "IPv4, IPv6 or FQDN."),
                  column("Ports", "string", "Its ports."),
                  column("Endpoints", "string", "Its addresses."), age_column()};
  info.row = slice_row;
  return info;
}

}  // namespace orch::api
