#include "net/cni/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace orch::net {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kVersions = {"0.3.1", "0.4.0", "1.0.0"};
constexpr std::string_view kNewest = "1.0.0";

CniError invalid(std::string message) { return {CniCode::kInvalidConfig, std::move(message)}; }

// containerd writes port mappings with the names of Go's fields (HostPort), others as the
// specification does (hostPort): readers are expected to ignore the case.
Json::const_iterator find_any_case(const Json& object, std::string_view key) {
  auto same = [](char a, char b) { return ::tolower(a) == ::tolower(b); };
  for (auto it = object.begin(); it != object.end(); ++it) {
    if (std::equal(key.begin(), key.end(), it.key().begin(), it.key().end(), same)) return it;
  }
  return object.end();
}

std::string text_of(const Json& object, const char* key) {
  auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

std::string text_any_case(const Json& object, const char* key) {
  auto at = find_any_case(object, key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

Result<uint16_t, CniError> port_of(const Json& mapping, const char* key) {
  auto at = find_any_case(mapping, key);
  if (at == mapping.end() || !at->is_number_integer()) {
    return Err(invalid(fmt::format("runtimeConfig.portMappings: {} is missing", key)));
  }
  int64_t value = at->get<int64_t>();
  if (value < 0 || value > 65535) {
    return Err(invalid(fmt::format("runtimeConfig.portMappings: {} {} is no port", key, value)));
  }
  return static_cast<uint16_t>(value);
}

Result<PortMapping, CniError> parse_mapping(const Json& json) {
  if (!json.is_object()) return Err(invalid("runtimeConfig.portMappings: not a list of objects"));
  PortMapping mapping;
  ORCH_TRY(mapping.host_port, port_of(json, "hostPort"));
  ORCH_TRY(mapping.container_port, port_of(json, "containerPort"));
  std::string protocol = text_any_case(json, "protocol");
  std::transform(protocol.begin(), protocol.end(), protocol.begin(), ::tolower);
  if (protocol.empty() || protocol == "tcp") {
    mapping.protocol = 6;
  } else if (protocol == "udp") {
    mapping.protocol = 17;
  } else if (protocol == "sctp") {
    mapping.protocol = 132;
  } else {
    return Err(
        invalid(fmt::format("runtimeConfig.portMappings: protocol \"{}\" is not known", protocol)));
  }
  std::string host_ip = text_any_case(json, "hostIP");
  // Dual-stack clusters ask for "::" too: there is nothing to map for IPv4 then.
  if (host_ip.find(':') != std::string::npos) host_ip.clear();
  if (!host_ip.empty()) {
    auto ip = parse_ipv4(host_ip);
    if (!ip) {
      return Err(
          invalid(fmt::format("runtimeConfig.portMappings: invalid hostIP \"{}\"", host_ip)));
    }
    mapping.host_ip = *ip;
  }
  return mapping;
}

Result<Unit, CniError> parse_ports(const Json& json, std::vector<PortMapping>& ports) {
  auto runtime = json.find("runtimeConfig");
  if (runtime == json.end() || !runtime->is_object()) return Unit{};
  auto mappings = runtime->find("portMappings");
  if (mappings == runtime->end() || !mappings->is_array()) return Unit{};
  for (const Json& mapping : *mappings) {
    ORCH_TRY(PortMapping one, parse_mapping(mapping));
    bool known = std::find(ports.begin(), ports.end(), one) != ports.end();
    if (one.host_port != 0 && !known) ports.push_back(one);
  }
  return Unit{};
}

Json parse(std::string_view text) { return Json::parse(text, nullptr, false); }

}  // namespace

std::string parse_version(std::string_view text) {
  Json json = parse(text);
  return json.is_object() ? text_of(json, "cniVersion") : "";
}

std::string parse_type(std::string_view text) {
  Json json = parse(text);
  return json.is_object() ? text_of(json, "type") : "";
}

std::string render_loopback_result(std::string_view cni_version, const std::string& netns) {
  Json interface = {{"name", "lo"}, {"mac", "00:00:00:00:00:00"}, {"sandbox", netns}};
  Json json = {{"cniVersion", cni_version},
               {"interfaces", Json::array({std::move(interface)})},
               {"ips", Json::array()},
               {"routes", Json::array()},
               {"dns", Json::object()}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<CniNetwork, CniError> parse_network(std::string_view text) {
  Json json = parse(text);
  if (!json.is_object()) {
    return Err(CniError{CniCode::kDecodeFailure, "network configuration is not a JSON object"});
  }
  CniNetwork network;
  network.cni_version = text_of(json, "cniVersion");
  if (std::find(kVersions.begin(), kVersions.end(), network.cni_version) == kVersions.end()) {
    return Err(CniError{CniCode::kIncompatibleVersion,
                        fmt::format("cniVersion \"{}\" is not supported (0.3.1, 0.4.0, 1.0.0)",
                                    network.cni_version)});
  }
  network.name = text_of(json, "name");
  network.bridge = text_of(json, "bridge");
  network.state_dir = text_of(json, "stateDir");
  network.hostport_table = text_of(json, "hostPortTable");
  for (auto [field, value] : {std::pair{"name", &network.name},
                              {"bridge", &network.bridge},
                              {"stateDir", &network.state_dir}}) {
    if (value->empty()) return Err(invalid(fmt::format("field {} is missing", field)));
  }
  std::string cidr = text_of(json, "podCIDR");
  auto prefix = parse_prefix(cidr);
  if (!prefix || prefix->length < 8 || prefix->length > 30) {
    return Err(
        invalid(fmt::format("field podCIDR: \"{}\" is no IPv4 prefix of 8 to 30 bits", cidr)));
  }
  network.pod_cidr = {prefix->network(), prefix->length};
  if (auto mtu = json.find("mtu"); mtu != json.end()) {
    if (!mtu->is_number_integer() || mtu->get<int64_t>() < 576 || mtu->get<int64_t>() > 65535) {
      return Err(invalid("field mtu: not a number from 576 to 65535"));
    }
    network.mtu = mtu->get<uint32_t>();
  }
  ORCH_CHECK(parse_ports(json, network.ports));
  return network;
}

std::string render_result(const CniNetwork& network, const CniAttachment& at) {
  Json ip = {{"address", format_ipv4(at.address) + "/32"},
             {"gateway", format_ipv4(at.gateway)},
             {"interface", 2}};
  if (network.cni_version != "1.0.0") ip["version"] = "4";
  Json result = {{"cniVersion", network.cni_version},
                 {"interfaces",
                  {{{"name", at.bridge}, {"mac", at.bridge_mac}},
                   {{"name", at.host_link}, {"mac", at.host_mac}},
                   {{"name", at.pod_link}, {"mac", at.pod_mac}, {"sandbox", at.netns}}}},
                 {"ips", Json::array({ip})},
                 {"routes", Json::array({{{"dst", "0.0.0.0/0"}, {"gw", format_ipv4(at.gateway)}}})},
                 {"dns", Json::object()}};
  return result.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string render_error(std::string_view cni_version, const CniError& error) {
  Json json = {{"cniVersion", cni_version.empty() ? kNewest : cni_version},
               {"code", static_cast<int>(error.code)},
               {"msg", error.message}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string render_versions(std::string_view cni_version) {
  Json json = {{"cniVersion", cni_version.empty() ? kNewest : cni_version},
               {"supportedVersions", kVersions}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string render_conflist(const CniConfig& config) {
  Json plugin = {{"type", kCniPluginName},
                 {"bridge", config.bridge},
                 {"podCIDR", config.pod_cidr},
                 {"stateDir", config.state_dir},
                 {"hostPortTable", config.hostport_table},
                 {"mtu", config.mtu},
                 {"capabilities", {{"portMappings", true}}}};
  Json list = {
      {"cniVersion", kNewest}, {"name", config.network_name}, {"plugins", Json::array({plugin})}};
  return list.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace orch::net
