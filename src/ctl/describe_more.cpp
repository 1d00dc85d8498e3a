// describe: kinds without pods of their own.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/describe.h"
#include "ctl/rbac_rules.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

std::string joined(const JsonValue& list, std::string_view separator, std::string_view nothing) {
  std::vector<std::string> texts;
  for (const JsonValue& item : list.items()) texts.push_back(item.text());
  return texts.empty() ? std::string(nothing) : join(texts, separator);
}

std::string unset(const JsonValue& value) {
  return value.text().empty() ? "<unset>" : value.text();
}

std::string service_account(const Described& what) {
  const JsonValue& object = what.object;
  std::string out = describe_head(object, true) + describe_labels(object);
  for (const auto& [title, key] :
       {std::pair{"Image pull secrets", "imagePullSecrets"}, {"Mountable secrets", "secrets"}}) {
    std::string before = fmt::format("{}:\t", title);
    for (const JsonValue& one : object.get(key).items()) {
      out += before + one.get("name").text() + "\n";
      before = "\t";
    }
    if (before != "\t") out += before + "<none>\n";
  }
  return out + "Tokens:\t<none>\n" + describe_events(what);
}

std::string short_modes(const JsonValue& modes) {
  std::vector<std::string> out;
  for (const JsonValue& mode : modes.items()) {
    const std::string text = mode.text();
    out.push_back(text == "ReadWriteOnce"   ? "RWO"
                  : text == "ReadOnlyMany"  ? "ROX"
                  : text == "ReadWriteMany" ? "RWX"
                                            : "RWOP");
  }
  return join(out, ",");
}

std::string finalizers(const JsonValue& object) {
  return fmt::format("Finalizers:\t[{}]\n", joined(object.at("metadata.finalizers"), " ", ""));
}

std::string claim(const Described& what) {
  const JsonValue &object = what.object, spec = object.get("spec"), status = object.get("status");
  const bool ends = object.get("metadata").has("deletionTimestamp");
  std::string out = describe_head(object, true);
  out += fmt::format("StorageClass:\t{}\n", spec.get("storageClassName").text());
  out += ends ? fmt::format("Status:\tTerminating (lasts {})\n",
                            age_of(object.at("metadata.deletionTimestamp").text(), what.now))
              : fmt::format("Status:\t{}\n", status.get("phase").text());
  out += fmt::format("Volume:\t{}\n", spec.get("volumeName").text());
  out += describe_labels(object) + finalizers(object);
  const bool bound = !spec.get("volumeName").text().empty();
  out += fmt::format("Capacity:\t{}\nAccess Modes:\t{}\n",
                     bound ? status.at("capacity.storage").text() : "",
                     bound ? short_modes(status.get("accessModes")) : "");
  if (spec.has("volumeMode"))
    out += fmt::format("VolumeMode:\t{}\n", spec.get("volumeMode").text());
  if (const JsonValue source = spec.get("dataSource"); !source.is_null()) {
    out += "DataSource:\n";
    if (source.has("apiGroup"))
      out += fmt::format("  APIGroup:\t{}\n", source.get("apiGroup").text());
    out += fmt::format("  Kind:\t{}\n  Name:\t{}\n", source.get("kind").text(),
                       source.get("name").text());
  }
  std::vector<std::string> users;
  for (const JsonValue& pod : what.pods) users.push_back(pod.at("metadata.name").text());
  std::string before = "Used By:\t";
  for (const std::string& user : users) {
    out += before + user + "\n";
    before = "\t";
  }
  if (users.empty()) out += before + "<none>\n";
  return out + describe_events(what);
}

std::string volume(const Described& what) {
  const JsonValue &object = what.object, spec = object.get("spec"), status = object.get("status");
  std::string out = describe_head(object, false) + describe_labels(object) + finalizers(object);
  out += fmt::format("StorageClass:\t{}\nStatus:\t{}\n", spec.get("storageClassName").text(),
                     status.get("phase").text());
  const JsonValue ref = spec.get("claimRef");
  out += ref.is_null()
             ? "Claim:\t\n"
             : fmt::format("Claim:\t{}/{}\n", ref.get("namespace").text(), ref.get("name").text());
  out += fmt::format("Reclaim Policy:\t{}\nAccess Modes:\t{}\n",
                     spec.get("persistentVolumeReclaimPolicy").text(),
                     short_modes(spec.get("accessModes")));
  if (spec.has("volumeMode"))
    out += fmt::format("VolumeMode:\t{}\n", spec.get("volumeMode").text());
  out += fmt::format("Capacity:\t{}\n", spec.at("capacity.storage").text());
  const auto terms = spec.at("nodeAffinity.required.nodeSelectorTerms").items();
  out += terms.empty() ? "Node Affinity:\t<none>\n" : "Node Affinity:\t\n  Required Terms:\t\n";
  for (size_t i = 0; i < terms.size(); ++i) {
    std::string before = fmt::format("    Term {}:\t", i);
    for (const JsonValue& rule : terms[i].get("matchExpressions").items()) {
      out +=
          fmt::format("{}{} {} [{}]\n", before, rule.get("key").text(),
                      to_lower(rule.get("operator").text()), joined(rule.get("values"), ", ", ""));
      before = "\t";
    }
  }
  out += fmt::format("Message:\t{}\nSource:\n", status.get("message").text());
  for (const auto& [key, value] : spec.members()) {
    const bool source =
        value.is_object() && key != "capacity" && key != "claimRef" && key != "nodeAffinity";
    if (source) out += describe_volume_source(key, value, "    ");
  }
  return out + describe_events(what);
}

std::string role(const Described& what) {
  std::string out = describe_head(what.object, false) + describe_labels(what.object);
  out +=
      "PolicyRule:\n  Resources\tNon-Resource URLs\tResource Names\tVerbs\n"
      "  ---------\t-----------------\t--------------\t-----\n";
  std::vector<Rule> rules;
  for (const JsonValue& rule : what.object.get("rules").items()) rules.push_back(read_rule(rule));
  rules = compacted(rules);
  std::stable_sort(rules.begin(), rules.end(),
                   [](const Rule& a, const Rule& b) { return rule_text(a) < rule_text(b); });
  for (const Rule& rule : rules) {
    out += fmt::format("  {}\t[{}]\t[{}]\t[{}]\n", rule_resource(rule), join(rule.urls, " "),
                       join(rule.names, " "), join(rule.verbs, " "));
  }
  return out;
}

std::string binding(const Described& what) {
  const JsonValue& object = what.object;
  std::string out = describe_head(object, false) + describe_labels(object);
  out += fmt::format("Role:\n  Kind:\t{}\n  Name:\t{}\n", object.at("roleRef.kind").text(),
                     object.at("roleRef.name").text());
  out += "Subjects:\n  Kind\tName\tNamespace\n  ----\t----\t---------\n";
  for (const JsonValue& subject : object.get("subjects").items()) {
    out += fmt::format("  {}\t{}\t{}\n", subject.get("kind").text(), subject.get("name").text(),
                       subject.get("namespace").text());
  }
  return out;
}

std::string priority_class(const Described& what) {
  const JsonValue& object = what.object;
  const JsonValue metadata = object.get("metadata");
  std::string out = describe_head(object, false);
  out += fmt::format("Value:\t{}\nGlobalDefault:\t{}\nPreemptionPolicy:\t{}\nDescription:\t{}\n",
                     object.get("value").number(), object.get("globalDefault").boolean(),
                     object.get("preemptionPolicy").text(), object.get("description").text());
  return out + describe_map("Annotations", metadata.get("annotations"), ": ") +
         describe_events(what);
}

std::string endpoints(const Described& what) {
  std::string out = describe_head(what.object, true) + describe_labels(what.object) + "Subsets:\n";
  for (const JsonValue& subset : what.object.get("subsets").items()) {
    for (const auto& [title, key] :
         {std::pair{"Addresses", "addresses"}, {"NotReadyAddresses", "notReadyAddresses"}}) {
      std::vector<std::string> ips;
      for (const JsonValue& address : subset.get(key).items()) {
        ips.push_back(address.get("ip").text());
      }
      out += fmt::format("  {}:\t{}\n", title, ips.empty() ? "<none>" : join(ips, ","));
    }
    if (subset.get("ports").size() != 0) {
      out += "  Ports:\n    Name\tPort\tProtocol\n    ----\t----\t--------\n";
    }
    for (const JsonValue& port : subset.get("ports").items()) {
      out += fmt::format("    {}\t{}\t{}\n", unset(port.get("name")), port.get("port").number(),
                         port.get("protocol").text());
    }
    out += "\n";
  }
  return out + describe_events(what);
}

std::string endpoint_slice(const Described& what) {
  const JsonValue& object = what.object;
  std::string out = describe_head(object, true) + describe_labels(object);
  out += fmt::format("AddressType:\t{}\n", object.get("addressType").text());
  if (object.get("ports").size() == 0) {
    out += "Ports: <unset>\n";
  } else {
    out += "Ports:\n  Name\tPort\tProtocol\n  ----\t----\t--------\n";
    for (const JsonValue& port : object.get("ports").items()) {
      out += fmt::format("  {}\t{}\t{}\n", unset(port.get("name")), port.get("port").text(),
                         port.get("protocol").text());
    }
  }
  if (object.get("endpoints").size() == 0)
    return out + "Endpoints: <none>\n" + describe_events(what);
  out += "Endpoints:\n";
  for (const JsonValue& endpoint : object.get("endpoints").items()) {
    out += fmt::format("  - Addresses:\t{}\n    Conditions:\n      Ready:\t{}\n",
                       joined(endpoint.get("addresses"), ", ", ""),
                       unset(endpoint.at("conditions.ready")));
    out += fmt::format("    Hostname:\t{}\n", unset(endpoint.get("hostname")));
    if (const JsonValue ref = endpoint.get("targetRef"); !ref.is_null()) {
      out += fmt::format("    TargetRef:\t{}/{}\n", ref.get("kind").text(), ref.get("name").text());
    }
    out += fmt::format("    NodeName:\t{}\n    Zone:\t{}\n", unset(endpoint.get("nodeName")),
                       unset(endpoint.get("zone")));
  }
  return out + describe_events(what);
}

std::string backend_text(const JsonValue& backend) {
  if (backend.is_null()) return "<default>";
  const JsonValue service = backend.get("service");
  if (service.is_null()) {
    return fmt::format("APIGroup: {}, Kind: {}, Name: {}", backend.at("resource.apiGroup").text(),
                       backend.at("resource.kind").text(), backend.at("resource.name").text());
  }
  const JsonValue port = service.get("port");
  return fmt::format("{}:{}", service.get("name").text(),
                     port.has("name") ? port.get("name").text() : port.get("number").text());
}

std::string ingress(const Described& what) {
  const JsonValue &object = what.object, spec = object.get("spec");
  std::string out = fmt::format("Name:\t{}\n", object.at("metadata.name").text());
  out += describe_map("Labels", object.at("metadata.labels"), "=");
  std::vector<std::string> addresses;
  for (const JsonValue& one : object.at("status.loadBalancer.ingress").items()) {
    addresses.push_back(one.has("ip") ? one.get("ip").text() : one.get("hostname").text());
  }
  const std::string name = spec.get("ingressClassName").text();
  out += fmt::format("Namespace:\t{}\nAddress:\t{}\nIngress Class:\t{}\nDefault backend:\t{}\n",
                     object.at("metadata.namespace").text(), join(addresses, ","),
                     name.empty() ? "<none>" : name, backend_text(spec.get("defaultBackend")));
  if (spec.get("tls").size() != 0) out += "TLS:\n";
  for (const JsonValue& tls : spec.get("tls").items()) {
    out += tls.has("secretName")
               ? fmt::format("  {} terminates {}\n", tls.get("secretName").text(),
                             joined(tls.get("hosts"), ",", ""))
               : fmt::format("  SNI routes {}\n", joined(tls.get("hosts"), ",", ""));
  }
  out += "Rules:\n  Host\tPath\tBackends\n  ----\t----\t--------\n";
  const auto rules = spec.get("rules").items();
  for (const JsonValue& rule : rules) {
    const std::string host = rule.get("host").text();
    out += fmt::format("  {}\t\n", host.empty() ? "*" : host);
    for (const JsonValue& path : rule.at("http.paths").items()) {
      out += fmt::format("    \t{} \t{} ()\n", path.get("path").text(),
                         backend_text(path.get("backend")));
    }
  }
  if (rules.empty()) {
    out += fmt::format("  *\t*\t{}\n", backend_text(spec.get("defaultBackend")));
  }
  return out + describe_map("Annotations", object.at("metadata.annotations"), ": ") +
         describe_events(what);
}

}  // namespace

DescribeFunction find_other_text(std::string_view group, std::string_view kind) {
  constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
  constexpr struct {
    std::string_view group, kind;
    DescribeFunction text;
  } kTexts[] = {{"", "Node", describe_node},
                {"", "Service", describe_service},
                {"", "ConfigMap", describe_config_map},
                {"", "Secret", describe_secret},
                {"", "Namespace", describe_namespace},
                {"", "ResourceQuota", describe_quota},
                {"", "LimitRange", describe_limit_range},
                {"", "ServiceAccount", service_account},
                {"", "PersistentVolumeClaim", claim},
                {"", "PersistentVolume", volume},
                {"", "Endpoints", endpoints},
                {"discovery.k8s.io", "EndpointSlice", endpoint_slice},
                {"networking.k8s.io", "Ingress", ingress},
                {"scheduling.k8s.io", "PriorityClass", priority_class},
                {kRbac, "Role", role},
                {kRbac, "ClusterRole", role},
                {kRbac, "RoleBinding", binding},
                {kRbac, "ClusterRoleBinding", binding}};
  for (const auto& one : kTexts) {
    if (one.group == group && one.kind == kind) return one.text;
  }
  return nullptr;
}

}  // namespace orch::ctl
