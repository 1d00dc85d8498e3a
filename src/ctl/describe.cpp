#include "ctl/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "orch/api/value.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

std::string or_none(const std::string& text) { return text.empty() ? "<none>" : text; }

}  // namespace

std::string describe_head(const JsonValue& object, bool namespaced) {
  std::string out = fmt::format("Name:\t{}\n", object.at("metadata.name").text());
  if (namespaced) out += fmt::format("Namespace:\t{}\n", object.at("metadata.namespace").text());
  return out;
}

std::string describe_labels(const JsonValue& object) {
  return describe_map("Labels", object.at("metadata.labels"), "=") +
         describe_map("Annotations", object.at("metadata.annotations"), ": ");
}

std::string describe_selector(const JsonValue& selector) {
  std::vector<std::string> parts;
  const JsonValue map = selector.has("matchLabels") || selector.has("matchExpressions")
                            ? selector.get("matchLabels")
                            : selector;
  for (const auto& [key, value] : map.members()) parts.push_back(key + "=" + value.text());
  std::sort(parts.begin(), parts.end());
  for (const JsonValue& rule : selector.get("matchExpressions").items()) {
    std::vector<std::string> values;
    for (const JsonValue& value : rule.get("values").items()) values.push_back(value.text());
    parts.push_back(fmt::format("{} {} ({})", rule.get("key").text(),
                                to_lower(rule.get("operator").text()), join(values, ",")));
  }
  return or_none(join(parts, ","));
}

std::string describe_controller(const JsonValue& object) {
  for (const JsonValue& owner : object.at("metadata.ownerReferences").items()) {
    if (owner.get("controller").boolean()) {
      return fmt::format("Controlled By:\t{}/{}\n", owner.get("kind").text(),
                         owner.get("name").text());
    }
  }
  return "";
}

namespace {

std::string toleration_text(const JsonValue& toleration) {
  std::string out = toleration.get("key").text();
  if (const std::string value = toleration.get("value").text(); !value.empty()) out += "=" + value;
  if (const std::string effect = toleration.get("effect").text(); !effect.empty()) {
    out += ":" + effect;
  }
  if (toleration.get("operator").text() == "Exists" && toleration.get("value").text().empty()) {
    out += out.empty() ? "op=Exists" : " op=Exists";
  }
  if (toleration.has("tolerationSeconds")) {
    out += fmt::format(" for {}s", toleration.get("tolerationSeconds").number());
  }
  return out;
}

}  // namespace

std::string describe_tolerations(const JsonValue& list) {
  std::string out, before = "Tolerations:\t";
  std::vector<std::string> texts;
  for (const JsonValue& toleration : list.items()) texts.push_back(toleration_text(toleration));
  std::sort(texts.begin(), texts.end());
  for (const std::string& text : texts) {
    out += before + text + "\n";
    before = "\t";
  }
  return out.empty() ? "Tolerations:\t<none>\n" : out;
}

namespace {

// Sum of the containers' requests or limits; the largest init container if that is more.
api::Quantity total_of(const JsonValue& pod, std::string_view kind, std::string_view resource) {
  auto amount = [&](const JsonValue& container) {
    const std::string text = container.get("resources").get(kind).get(resource).text();
    return text.empty() ? api::Quantity() : api::Quantity::parse(text).value_or(api::Quantity());
  };
  api::Quantity sum;
  for (const JsonValue& container : pod.at("spec.containers").items()) sum += amount(container);
  for (const JsonValue& container : pod.at("spec.initContainers").items()) {
    if (const auto one = amount(container); one > sum) sum = one;
  }
  return sum;
}

std::string percent(const api::Quantity& part, const JsonValue& whole) {
  const auto all = api::Quantity::parse(whole.text()).value_or(api::Quantity());
  const double share =
      all.is_zero() ? 0
                    : 100.0 * static_cast<double>(part.milli()) / static_cast<double>(all.milli());
  return fmt::format("{} ({}%)", part.str(), static_cast<int64_t>(share));
}

std::string node_pods(const Described& what) {
  const JsonValue allocatable = what.object.at("status.allocatable");
  std::string out = fmt::format(
      "Non-terminated Pods:\t({} in total)\n"
      "  Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge\n"
      "  ---------\t----\t\t------------\t----------\t---------------\t-------------\t---\n",
      what.pods.size());
  std::map<std::pair<std::string, std::string>, api::Quantity> totals;
  for (const JsonValue& pod : what.pods) {
    out += fmt::format("  {}\t{}\t", pod.at("metadata.namespace").text(),
                       pod.at("metadata.name").text());
    for (const std::string resource : {"cpu", "memory", "ephemeral-storage"}) {
      for (const char* kind : {"requests", "limits"}) {
        const auto sum = total_of(pod, kind, resource);
        totals[{resource, kind}] += sum;
        if (resource.size() <= 6) out += "\t" + percent(sum, allocatable.get(resource));
      }
    }
    out += "\t" + age_of(pod.at("metadata.creationTimestamp").text(), what.now) + "\n";
  }
  out +=
      "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n"
      "  Resource\tRequests\tLimits\n  --------\t--------\t------\n";
  for (const char* resource : {"cpu", "memory", "ephemeral-storage"}) {
    out += fmt::format("  {}\t{}\t{}\n", resource,
                       percent(totals[{resource, "requests"}], allocatable.get(resource)),
                       percent(totals[{resource, "limits"}], allocatable.get(resource)));
  }
  return out;
}

std::string amounts(const std::string& title, const JsonValue& map) {
  auto members = map.members();
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out = members.empty() ? "" : title + ":\n";
  for (const auto& [name, value] : members) out += fmt::format("  {}:\t{}\n", name, value.text());
  return out;
}

std::string replica_sets(const Described& what, bool newest) {
  constexpr char kRevision[] = "deployment.kubernetes.io/revision";
  const std::string now = what.object.at("metadata.annotations").get(kRevision).text();
  std::vector<std::string> out;
  for (const JsonValue& set : what.replica_sets) {
    const bool is_new = set.at("metadata.annotations").get(kRevision).text() == now;
    if (is_new != newest) continue;
    out.push_back(fmt::format("{} ({}/{} replicas created)", set.at("metadata.name").text(),
                              set.at("status.replicas").number(),
                              set.at("spec.replicas").number()));
  }
  return or_none(join(out, ", "));
}

// Any value as indented "Key: value" lines, for kinds without a text of their own.
void describe_value(const std::string& key, const JsonValue& value, size_t indent,
                    std::string& out) {
  const std::string pad(indent, ' ');
  std::string title;
  for (size_t i = 0; i < key.size(); ++i) {  // "podCIDRs" -> "Pod CID Rs" as kubectl's smart label
    const bool upper = key[i] >= 'A' && key[i] <= 'Z';
    if (i > 0 && upper && !(key[i - 1] >= 'A' && key[i - 1] <= 'Z')) title += ' ';
    title += i == 0 && key[i] >= 'a' && key[i] <= 'z' ? static_cast<char>(key[i] - 32) : key[i];
  }
  if (value.is_object()) {
    out += fmt::format("{}{}:\n", pad, title);
    for (const auto& [name, member] : value.members()) {
      describe_value(name, member, indent + 2, out);
    }
  } else if (value.is_array()) {
    out += fmt::format("{}{}:\n", pad, title);
    for (const JsonValue& item : value.items()) {
      if (!item.is_object()) {
        out += fmt::format("{}  {}\n", pad, item.is_array() ? item.dump() : item.text());
        continue;
      }
      for (const auto& [name, member] : item.members()) {
        describe_value(name, member, indent + 2, out);
      }
    }
  } else {
    out += fmt::format("{}{}:\t{}\n", pad, title, value.is_null() ? "<nil>" : value.text());
  }
}

}  // namespace

std::string describe_pod(const Described& what) {
  const JsonValue& pod = what.object;
  const JsonValue spec = pod.get("spec"), status = pod.get("status");
  std::string out = describe_head(pod, true);
  out += fmt::format("Priority:\t{}\n", spec.get("priority").number());
  if (const std::string name = spec.get("priorityClassName").text(); !name.empty()) {
    out += fmt::format("Priority Class Name:\t{}\n", name);
  }
  out += fmt::format("Service Account:\t{}\n", spec.get("serviceAccountName").text());
  const std::string node = spec.get("nodeName").text();
  out += node.empty() ? "Node:\t<none>\n"
                      : fmt::format("Node:\t{}/{}\n", node, status.get("hostIP").text());
  if (status.has("startTime")) {
    out += fmt::format("Start Time:\t{}\n", time_text(status.get("startTime")));
  }
  out += describe_labels(pod);
  if (pod.get("metadata").has("deletionTimestamp")) {
    out += fmt::format("Status:\tTerminating (lasts {})\n",
                       age_of(pod.at("metadata.deletionTimestamp").text(), what.now));
    out += fmt::format("Termination Grace Period:\t{}s\n",
                       pod.at("metadata.deletionGracePeriodSeconds").number());
  } else {
    out += fmt::format("Status:\t{}\n", status.get("phase").text());
  }
  for (const auto& [key, title] : {std::pair{"reason", "Reason"}, {"message", "Message"}}) {
    if (const std::string text = status.get(key).text(); !text.empty()) {
      out += fmt::format("{}:\t{}\n", title, text);
    }
  }
  out += fmt::format("IP:\t{}\n", status.get("podIP").text());
  out += status.get("podIPs").size() == 0 ? "IPs:\t<none>\n" : "IPs:\n";
  for (const JsonValue& ip : status.get("podIPs").items()) {
    out += fmt::format("  IP:\t{}\n", ip.get("ip").text());
  }
  out += describe_controller(pod);
  out += describe_containers("Init Containers", spec.get("initContainers"),
                             status.get("initContainerStatuses"), 0);
  out +=
      describe_containers("Containers", spec.get("containers"), status.get("containerStatuses"), 0);
  if (status.get("conditions").size() != 0) {
    out += "Conditions:\n  Type\tStatus\n";
    for (const JsonValue& condition : status.get("conditions").items()) {
      out +=
          fmt::format("  {} \t{} \n", condition.get("type").text(), condition.get("status").text());
    }
  }
  out += describe_volumes(spec.get("volumes"), 0);
  out += fmt::format("QoS Class:\t{}\n", status.get("qosClass").text());
  out += describe_map("Node-Selectors", spec.get("nodeSelector"), "=");
  return out + describe_tolerations(spec.get("tolerations")) + describe_events(what);
}

std::string describe_node(const Described& what) {
  const JsonValue& node = what.object;
  const JsonValue spec = node.get("spec"), status = node.get("status");
  std::vector<std::string> roles;
  constexpr std::string_view kRole = "node-role.kubernetes.io/";
  for (const auto& [key, value] : node.at("metadata.labels").members()) {
    if (key.starts_with(kRole)) roles.push_back(key.substr(kRole.size()));
  }
  std::string out = describe_head(node, false);
  out += fmt::format("Roles:\t{}\n", or_none(join(roles, ","))) + describe_labels(node);
  out += fmt::format("CreationTimestamp:\t{}\n", time_text(node.at("metadata.creationTimestamp")));
  std::string before = "Taints:\t";
  auto taints = spec.get("taints").items();
  std::stable_sort(taints.begin(), taints.end(), [](const JsonValue& a, const JsonValue& b) {
    return std::pair(a.get("effect").text(), a.get("key").text()) <
           std::pair(b.get("effect").text(), b.get("key").text());
  });
  for (const JsonValue& taint : taints) {
    const std::string value = taint.get("value").text();
    out += fmt::format("{}{}{}:{}\n", before, taint.get("key").text(),
                       value.empty() ? "" : "=" + value, taint.get("effect").text());
    before = "\t";
  }
  if (before != "\t") out += "Taints:\t<none>\n";
  out += fmt::format("Unschedulable:\t{}\n", spec.get("unschedulable").boolean());
  if (what.lease.is_null()) {
    out += fmt::format("Lease:\tFailed to get lease: {}\n", what.lease_failure);
  } else {
    const JsonValue lease = what.lease.get("spec");
    auto time = [&](std::string_view key) {
      return lease.has(key) ? time_text(lease.get(key)) : std::string("<unset>");
    };
    const std::string holder = lease.get("holderIdentity").text();
    out += fmt::format("Lease:\n  HolderIdentity:\t{}\n  AcquireTime:\t{}\n  RenewTime:\t{}\n",
                       holder.empty() ? "<unset>" : holder, time("acquireTime"), time("renewTime"));
  }
  out +=
      "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n"
      "  ----\t------\t-----------------\t------------------\t------\t-------\n";
  for (const JsonValue& condition : status.get("conditions").items()) {
    out +=
        fmt::format("  {} \t{} \t{} \t{} \t{} \t{}\n", condition.get("type").text(),
                    condition.get("status").text(), time_text(condition.get("lastHeartbeatTime")),
                    time_text(condition.get("lastTransitionTime")), condition.get("reason").text(),
                    condition.get("message").text());
  }
  out += "Addresses:\n";
  for (const JsonValue& address : status.get("addresses").items()) {
    out += fmt::format("  {}:\t{}\n", address.get("type").text(), address.get("address").text());
  }
  out += amounts("Capacity", status.get("capacity"));
  out += amounts("Allocatable", status.get("allocatable"));
  const JsonValue info = status.get("nodeInfo");
  out += "System Info:\n";
  for (const auto& [key, title] : {std::pair{"machineID", "Machine ID"},
                                   {"systemUUID", "System UUID"},
                                   {"bootID", "Boot ID"},
                                   {"kernelVersion", "Kernel Version"},
                                   {"osImage", "OS Image"},
                                   {"operatingSystem", "Operating System"},
                                   {"architecture", "Architecture"},
                                   {"containerRuntimeVersion", "Container Runtime Version"},
                                   {"kubeletVersion", "Kubelet Version"},
                                   {"kubeProxyVersion", "Kube-Proxy Version"}}) {
    out += fmt::format("  {}:\t{}\n", title, info.get(key).text());
  }
  if (spec.has("podCIDR")) {
    out += fmt::format("PodCIDR:\t{}\n", spec.get("podCIDR").text());
  }
  if (spec.get("podCIDRs").size() != 0) {
    std::vector<std::string> ranges;
    for (const JsonValue& range : spec.get("podCIDRs").items()) ranges.push_back(range.text());
    out += fmt::format("PodCIDRs:\t{}\n", join(ranges, ","));
  }
  return out + node_pods(what) + describe_events(what);
}

std::string describe_deployment(const Described& what) {
  const JsonValue& object = what.object;
  const JsonValue spec = object.get("spec"), status = object.get("status");
  std::string out = describe_head(object, true);
  out +=
      fmt::format("CreationTimestamp:\t{}\n", time_text(object.at("metadata.creationTimestamp")));
  out += describe_labels(object);
  out += fmt::format("Selector:\t{}\n", describe_selector(spec.get("selector")));
  out +=
      fmt::format("Replicas:\t{} desired | {} updated | {} total | {} available | {} unavailable\n",
                  spec.get("replicas").number(), status.get("updatedReplicas").number(),
                  status.get("replicas").number(), status.get("availableReplicas").number(),
                  status.get("unavailableReplicas").number());
  out += fmt::format("StrategyType:\t{}\nMinReadySeconds:\t{}\n", spec.at("strategy.type").text(),
                     spec.get("minReadySeconds").number());
  if (const JsonValue rolling = spec.at("strategy.rollingUpdate"); !rolling.is_null()) {
    out += fmt::format("RollingUpdateStrategy:\t{} max unavailable, {} max surge\n",
                       rolling.get("maxUnavailable").text(), rolling.get("maxSurge").text());
  }
  out += describe_template(spec.get("template"));
  if (status.get("conditions").size() != 0) {
    out += "Conditions:\n  Type\tStatus\tReason\n  ----\t------\t------\n";
    for (const JsonValue& condition : status.get("conditions").items()) {
      out += fmt::format("  {} \t{}\t{}\n", condition.get("type").text(),
                         condition.get("status").text(), condition.get("reason").text());
    }
  }
  out += fmt::format("OldReplicaSets:\t{}\nNewReplicaSet:\t{}\n", replica_sets(what, false),
                     replica_sets(what, true));
  return out + describe_events(what);
}

std::string describe_service(const Described& what) {
  const JsonValue& object = what.object;
  const JsonValue spec = object.get("spec");
  auto texts = [](const JsonValue& list) {
    std::vector<std::string> out;
    for (const JsonValue& item : list.items()) out.push_back(item.text());
    return out;
  };
  std::string out = describe_head(object, true) + describe_labels(object);
  out += fmt::format("Selector:\t{}\n", describe_selector(spec.get("selector")));
  out += fmt::format("Type:\t{}\n", spec.get("type").text());
  out += fmt::format("IP Family Policy:\t{}\n", spec.get("ipFamilyPolicy").text());
  out += fmt::format("IP Families:\t{}\n", or_none(join(texts(spec.get("ipFamilies")), ",")));
  out += fmt::format("IP:\t{}\n", spec.get("clusterIP").text());
  out += fmt::format("IPs:\t{}\n", or_none(join(texts(spec.get("clusterIPs")), ",")));
  if (spec.get("externalIPs").size() != 0) {
    out += fmt::format("External IPs:\t{}\n", join(texts(spec.get("externalIPs")), ","));
  }
  std::vector<std::string> ingress;
  for (const JsonValue& one : object.at("status.loadBalancer.ingress").items()) {
    const std::string ip = one.get("ip").text();
    ingress.push_back(ip.empty() ? one.get("hostname").text() : ip);
  }
  if (!ingress.empty()) out += fmt::format("LoadBalancer Ingress:\t{}\n", join(ingress, ", "));
  if (spec.has("externalName")) {
    out += fmt::format("External Name:\t{}\n", spec.get("externalName").text());
  }
  for (const JsonValue& port : spec.get("ports").items()) {
    const std::string name = port.get("name").text().empty() ? "<unset>" : port.get("name").text();
    const std::string protocol = port.get("protocol").text();
    out += fmt::format("Port:\t{}\t{}/{}\n", name, port.get("port").number(), protocol);
    out += fmt::format("TargetPort:\t{}/{}\n", port.get("targetPort").text(), protocol);
    if (port.get("nodePort").number() != 0) {
      out += fmt::format("NodePort:\t{}\t{}/{}\n", name, port.get("nodePort").number(), protocol);
    }
    std::vector<std::string> addresses;
    for (const JsonValue& slice : what.endpoints) {
      for (const JsonValue& slice_port : slice.get("ports").items()) {
        if (slice_port.get("name").text() != port.get("name").text()) continue;
        for (const JsonValue& endpoint : slice.get("endpoints").items()) {
          if (endpoint.at("conditions").has("ready") &&
              !endpoint.at("conditions.ready").boolean()) {
            continue;
          }
          for (const JsonValue& address : endpoint.get("addresses").items()) {
            addresses.push_back(
                fmt::format("{}:{}", address.text(), slice_port.get("port").number()));
          }
        }
      }
    }
    const size_t more = addresses.size() > 3 ? addresses.size() - 3 : 0;
    addresses.resize(addresses.size() - more);
    out += fmt::format("Endpoints:\t{}{}\n", join(addresses, ","),
                       more == 0 ? "" : fmt::format(" + {} more...", more));
  }
  out += fmt::format("Session Affinity:\t{}\n", spec.get("sessionAffinity").text());
  for (const auto& [key, title] : {std::pair{"externalTrafficPolicy", "External Traffic Policy"},
                                   {"internalTrafficPolicy", "Internal Traffic Policy"}}) {
    if (spec.has(key)) out += fmt::format("{}:\t{}\n", title, spec.get(key).text());
  }
  return out + describe_events(what);
}

std::string describe_config_map(const Described& what) {
  std::string out =
      describe_head(what.object, true) + describe_labels(what.object) + "\nData\n====\n";
  for (const auto& [key, value] : what.object.get("data").members()) {
    out += fmt::format("{}:\n----\n{}\n\n", key, value.text());
  }
  out += "\nBinaryData\n====\n";
  for (const auto& [key, value] : what.object.get("binaryData").members()) {
    const auto bytes = base64_decode(value.text());
    out += fmt::format("{}: {} bytes\n", key, bytes ? bytes->size() : 0);
  }
  return out + "\n" + describe_events(what);
}

std::string describe_secret(const Described& what) {
  std::string out = describe_head(what.object, true) + describe_labels(what.object);
  out += fmt::format("\nType:  {}\n\nData\n====\n", what.object.get("type").text());
  for (const auto& [key, value] : what.object.get("data").members()) {
    const auto bytes = base64_decode(value.text());
    out += fmt::format("{}:\t{} bytes\n", key, bytes ? bytes->size() : 0);
  }
  return out;
}

std::string describe_any(const Described& what) {
  const JsonValue& object = what.object;
  std::string out =
      describe_head(object, object.get("metadata").has("namespace")) + describe_labels(object);
  out += fmt::format("API Version:\t{}\nKind:\t{}\n", object.get("apiVersion").text(),
                     object.get("kind").text());
  JsonValue metadata = object.get("metadata");
  for (std::string_view shown : {"name", "namespace", "labels", "annotations", "managedFields"}) {
    metadata.erase(shown);
  }
  describe_value("metadata", metadata, 0, out);
  for (const auto& [key, value] : object.members()) {
    if (key == "apiVersion" || key == "kind" || key == "metadata") continue;
    describe_value(key, value, 0, out);
  }
  return out + describe_events(what);
}

std::string describe(const Described& what, std::string_view group, std::string_view kind) {
  DescribeFunction text = find_workload_text(group, kind);
  if (text == nullptr) text = find_other_text(group, kind);
  return text == nullptr ? describe_any(what) : text(what);
}

}  // namespace orch::ctl
