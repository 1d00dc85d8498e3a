// expose: a Service for the pods of an object.
#include <fmt/format.h>

#include "ctl/write.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<JsonValue> selector_of(const JsonValue& object, const std::string& given) {
  if (!given.empty()) return map_of(split(given, ','), "selector");
  const std::string kind = object.get("kind").text();
  if (kind == "Pod") {
    const JsonValue labels = object.at("metadata.labels");
    if (labels.size() != 0) return labels;
    return Err(
        error("couldn't retrieve selectors via --selector flag or introspection: the pod "
              "has no labels and cannot be exposed"));
  }
  const JsonValue selector = object.at("spec.selector");
  if (kind == "Service" || kind == "ReplicationController") return selector;
  if (selector.get("matchExpressions").size() != 0) {
    return Err(
        error("couldn't retrieve selectors via --selector flag or introspection: couldn't "
              "convert expressions - \"" +
              selector.get("matchExpressions").dump() + "\" to map-based selector format"));
  }
  return selector.get("matchLabels");
}

// Ports of the object's containers (or of the Service), as port and protocol.
std::vector<std::pair<int64_t, std::string>> ports_of(const JsonValue& object) {
  std::vector<std::pair<int64_t, std::string>> out;
  auto add = [&](const JsonValue& ports, std::string_view key) {
    for (const JsonValue& port : ports.items()) {
      const std::string protocol = port.get("protocol").text();
      out.emplace_back(port.get(key).number(), protocol.empty() ? "TCP" : protocol);
    }
  };
  if (object.get("kind").text() == "Service") {
    add(object.at("spec.ports"), "port");
    return out;
  }
  for (const JsonValue& container : object.at(pod_spec_path(object) + ".containers").items()) {
    add(container.get("ports"), "containerPort");
  }
  return out;
}

Outcome<JsonValue> service_ports(const Flags& flags, const JsonValue& object) {
  auto ports = ports_of(object);
  if (flags.given("port")) {
    std::vector<std::pair<int64_t, std::string>> asked;
    for (const std::string& text : flags.comma_list("port")) {
      const auto number = parse_int(text);
      if (!number) return Err(error(fmt::format("invalid port: {}", text)));
      std::string protocol = "TCP";
      for (const auto& [known, its] : ports) {
        if (known == *number) protocol = its;
      }
      asked.emplace_back(*number, protocol);
    }
    ports = std::move(asked);
  }
  if (ports.empty()) return Err(error("couldn't find port via --port flag or introspection"));
  const std::string target = flags.text("target-port");
  JsonValue out = JsonValue::array();
  for (size_t i = 0; i < ports.size(); ++i) {
    JsonValue port = JsonValue::object();
    if (ports.size() > 1) port.set("name", fmt::format("port-{}", i + 1));
    port.set("port", ports[i].first);
    port.set("protocol", flags.given("protocol") ? flags.text("protocol") : ports[i].second);
    const auto number = parse_int(target);
    port.set("targetPort", target.empty() ? JsonValue(ports[i].first)
                           : number       ? JsonValue(*number)
                                          : JsonValue(target));
    out.push_back(std::move(port));
  }
  return out;
}

Outcome<JsonValue> service_of(const Flags& flags, const Target& target, const JsonValue& object) {
  const std::string kind = object.get("kind").text();
  if (template_path(object) == nullptr && kind != "Service") {
    return Err(error(fmt::format("cannot expose a {}", kind)));
  }
  ORCH_TRY(const JsonValue selector, selector_of(object, flags.text("selector")));
  ORCH_TRY(JsonValue ports, service_ports(flags, object));
  const std::string name = flags.given("name") ? flags.text("name") : target.name;
  JsonValue out = new_object("v1", "Service", name);
  out.set_at("metadata.namespace", target.namespace_);
  JsonValue labels = object.at("metadata.labels");
  if (flags.given("labels")) {
    ORCH_TRY(labels, map_of(flags.comma_list("labels"), "label"));
  }
  if (labels.size() != 0) out.set_at("metadata.labels", std::move(labels));
  out.set_at("spec.ports", std::move(ports));
  out.set_at("spec.selector", selector);
  for (const auto& [flag, field] : {std::pair{"type", "spec.type"},
                                    {"cluster-ip", "spec.clusterIP"},
                                    {"load-balancer-ip", "spec.loadBalancerIP"},
                                    {"session-affinity", "spec.sessionAffinity"}}) {
    if (flags.given(flag)) out.set_at(field, flags.text(flag));
  }
  if (flags.given("external-ip")) {
    out.set_at("spec.externalIPs", list_of(flags.comma_list("external-ip")));
  }
  return out;
}

Outcome<int> run(Session& session) {
  session.own_flags.push_back("selector");  // the service's, not that of what is exposed
  ORCH_TRY(const auto targets, session.targets(session.flags.args()));
  ORCH_TRY(Writer writer, Writer::of(session, "kubectl-expose"));
  writer.output.keep_order();
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    ORCH_TRY(const JsonValue object, session.fetch(target));
    ORCH_TRY(JsonValue service, service_of(session.flags, target, object));
    ORCH_TRY(const Target made, session.target_of({std::move(service), ""}));
    ORCH_TRY(const JsonValue created, writer.create(made));
    // kubectl's word for a Service made here, without its group.
    writer.print(made, "exposed", created);
    return Unit{};
  });
}

}  // namespace

Verb expose_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"port", 0, Kind::kList, "", "the service's port; default the containers'"},
      {"target-port", 0, Kind::kText, "", "number or name of the port at the pods"},
      {"protocol", 0, Kind::kText, "", "TCP, UDP or SCTP"},
      {"name", 0, Kind::kText, "", "the service's name; default the object's"},
      {"type", 0, Kind::kText, "", "ClusterIP, NodePort, LoadBalancer or ExternalName"},
      {"labels", 'l', Kind::kList, "", "labels of the service; default the object's"},
      {"selector", 0, Kind::kText, "", "labels of the pods; default the object's selector"},
      {"external-ip", 0, Kind::kList, "", "addresses that lead to the service"},
      {"cluster-ip", 0, Kind::kText, "", "the address, or None"},
      {"load-balancer-ip", 0, Kind::kText, "", "the address to ask a load balancer for"},
      {"session-affinity", 0, Kind::kText, "", "None or ClientIP"},
      {"field-manager", 0, Kind::kText, "", "who is said to have set the fields"}};
  return {"expose", "Make a Service for the pods of an object",
          "expose (TYPE NAME | TYPE/NAME | -f FILE) [--port=PORT]",
          flags + file_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
