// service clusterip, nodeport, loadbalancer, externalname; ingress.
#include <fmt/format.h>

#include "ctl/generate/generate.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

// A number if it is one, else a name.
JsonValue int_or_text(const std::string& text) {
  if (const auto number = parse_int(text)) return JsonValue(*number);
  return JsonValue(text);
}

Outcome<JsonValue> service_of(Session& session, const std::string& name, const char* type) {
  const Flags& flags = session.flags;
  const bool headless = flags.text("clusterip") == "None";
  const bool external = std::string_view(type) == "ExternalName";
  if (external) ORCH_CHECK(need_flag(flags, "external-name"));
  const auto listed = flags.comma_list("tcp");
  if (listed.empty() && !headless && !external) {
    return Err(error("at least one tcp port specifier must be provided"));
  }
  JsonValue ports = JsonValue::array();
  for (const std::string& text : listed) {
    const size_t colon = text.find(':');
    const auto number = parse_int(text.substr(0, colon));
    if (!number || *number < 1 || *number > 65535) {
      return Err(
          error(fmt::format("invalid port format '{}'. Must be port or port:targetPort", text)));
    }
    JsonValue port = JsonValue::object();
    std::string shown = text;
    if (colon != std::string::npos) shown[colon] = '-';
    port.set("name", shown);
    port.set("port", *number);
    port.set("protocol", "TCP");
    port.set("targetPort", int_or_text(colon == std::string::npos ? text : text.substr(colon + 1)));
    if (flags.given("node-port") && std::string_view(type) == "NodePort") {
      ORCH_TRY(const int64_t node_port, flags.number("node-port"));
      port.set("nodePort", node_port);
    }
    ports.push_back(std::move(port));
  }
  JsonValue out = new_object("v1", "Service", name), labels = JsonValue::object();
  labels.set("app", name);
  out.set_at("metadata.labels", labels);
  out.set_at("spec.type", type);
  out.set_at("spec.selector", labels);
  if (ports.size() != 0) out.set_at("spec.ports", std::move(ports));
  if (flags.given("clusterip")) out.set_at("spec.clusterIP", flags.text("clusterip"));
  if (external) out.set_at("spec.externalName", flags.text("external-name"));
  return out;
}

Outcome<JsonValue> cluster_ip(Session& session, const std::string& name) {
  return service_of(session, name, "ClusterIP");
}
Outcome<JsonValue> node_port(Session& session, const std::string& name) {
  return service_of(session, name, "NodePort");
}
Outcome<JsonValue> load_balancer(Session& session, const std::string& name) {
  return service_of(session, name, "LoadBalancer");
}
Outcome<JsonValue> external_name(Session& session, const std::string& name) {
  return service_of(session, name, "ExternalName");
}

// "svc:80" or "svc:http".
Outcome<JsonValue> backend_of(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    return Err(error(fmt::format("default backend should be in format servicename:serviceport")));
  }
  JsonValue out = JsonValue::object();
  const JsonValue port = int_or_text(text.substr(colon + 1));
  out.set_at("service.name", text.substr(0, colon));
  out.set_at(port.is_number() ? "service.port.number" : "service.port.name", port);
  return out;
}

// One --rule: HOST/PATH=SVC:PORT[,tls[=SECRET]]; several of one host share its rule.
struct Rules {
  std::vector<std::pair<std::string, JsonValue>> paths;  // by host, in order
  JsonValue tls = JsonValue::array();
};

Outcome<Unit> add_rule(Rules& rules, const std::string& text) {
  const auto parts = split(text, ',');
  const std::string& first = parts[0];
  const size_t slash = first.find('/'), equals = first.find('=');
  if (slash == std::string::npos || equals == std::string::npos || slash > equals) {
    return Err(error(fmt::format(
        "rule {} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]",
        text)));
  }
  const std::string host = first.substr(0, slash);
  std::string path = first.substr(slash, equals - slash);
  const bool prefix = path.ends_with("*");
  if (prefix) path.pop_back();
  ORCH_TRY(JsonValue backend, backend_of(first.substr(equals + 1)));
  JsonValue entry = JsonValue::object();
  entry.set("path", path);
  entry.set("pathType", prefix ? "Prefix" : "Exact");
  entry.set("backend", std::move(backend));
  size_t at = 0;
  while (at < rules.paths.size() && rules.paths[at].first != host) ++at;
  if (at == rules.paths.size()) rules.paths.emplace_back(host, JsonValue::array());
  rules.paths[at].second.push_back(std::move(entry));
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i] != "tls" && !parts[i].starts_with("tls=")) continue;
    JsonValue tls = JsonValue::object();
    if (!host.empty()) tls.set("hosts", list_of({host}));
    if (parts[i].size() > 4) tls.set("secretName", parts[i].substr(4));
    rules.tls.push_back(std::move(tls));
  }
  return Unit{};
}

Outcome<JsonValue> ingress(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  if (!flags.given("rule") && !flags.given("default-backend")) {
    return Err(
        error("not enough information provided: every ingress has to either specify a "
              "default-backend (which catches all traffic) or a list of rules (which catch "
              "specific paths)"));
  }
  JsonValue out = new_object("networking.k8s.io/v1", "Ingress", name);
  if (flags.given("annotation")) {
    ORCH_TRY(JsonValue annotations, map_of(flags.list("annotation"), "annotation"));
    out.set_at("metadata.annotations", std::move(annotations));
  }
  if (flags.given("class")) out.set_at("spec.ingressClassName", flags.text("class"));
  if (flags.given("default-backend")) {
    ORCH_TRY(JsonValue backend, backend_of(flags.text("default-backend")));
    out.set_at("spec.defaultBackend", std::move(backend));
  }
  Rules rules;
  for (const std::string& text : flags.list("rule")) ORCH_CHECK(add_rule(rules, text));
  JsonValue list = JsonValue::array();
  for (auto& [host, paths] : rules.paths) {
    JsonValue rule = JsonValue::object();
    if (!host.empty()) rule.set("host", host);
    rule.set_at("http.paths", std::move(paths));
    list.push_back(std::move(rule));
  }
  if (list.size() != 0) out.set_at("spec.rules", std::move(list));
  if (rules.tls.size() != 0) out.set_at("spec.tls", std::move(rules.tls));
  return out;
}

}  // namespace

std::vector<Generated> generated_network() {
  return {{"service clusterip", "", "failed to create ClusterIP service: ", cluster_ip},
          {"service nodeport", "", "failed to create NodePort service: ", node_port},
          {"service loadbalancer", "", "failed to create LoadBalancer service: ", load_balancer},
          {"service externalname", "", "failed to create ExternalName service: ", external_name},
          {"ingress", "ing", "failed to create ingress: ", ingress}};
}

}  // namespace orch::ctl
