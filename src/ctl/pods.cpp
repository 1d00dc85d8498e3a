#include "ctl/pods.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr char kDefaultContainer[] = "kubectl.kubernetes.io/default-container";

// "a=b,c in (d)" of a workload's or Service's selector; "" if it has none.
std::string selector_text(const JsonValue& object) {
  JsonValue selector = object.at("spec.selector");
  std::vector<std::string> parts;
  for (const JsonValue& rule : selector.get("matchExpressions").items()) {
    const std::string key = rule.get("key").text(), op = rule.get("operator").text();
    std::vector<std::string> values;
    for (const JsonValue& value : rule.get("values").items()) values.push_back(value.text());
    if (op == "Exists") parts.push_back(key);
    if (op == "DoesNotExist") parts.push_back("!" + key);
    if (op == "In") parts.push_back(fmt::format("{} in ({})", key, join(values, ",")));
    if (op == "NotIn") parts.push_back(fmt::format("{} notin ({})", key, join(values, ",")));
  }
  const bool plain = !selector.has("matchLabels") && !selector.has("matchExpressions");
  for (const auto& [key, value] : (plain ? selector : selector.get("matchLabels")).members()) {
    parts.push_back(key + "=" + value.text());
  }
  return join(parts, ",");
}

int rank(const JsonValue& pod) {
  if (pod.at("metadata").has("deletionTimestamp")) return 3;
  const std::string phase = pod.at("status.phase").text();
  return phase == "Running" ? 0 : phase == "Pending" ? 1 : 2;
}

}  // namespace

Outcome<std::vector<JsonValue>> pods_matching(Session& session, const std::string& selector) {
  ORCH_TRY(ApiClient * client, session.api());
  ORCH_TRY(const std::string ns, session.namespace_());
  Call call;
  call.target = fmt::format("/api/v1/namespaces/{}/pods{}", net::url_encode(ns),
                            query_text({{"labelSelector", selector}}));
  ORCH_TRY(const JsonValue list, client->json(call));
  return list.get("items").items();
}

Outcome<JsonValue> pick_pod(Session& session, const std::string& named) {
  const bool typed = named.find('/') != std::string::npos;
  ORCH_TRY(const auto targets, session.targets(typed ? std::vector<std::string>{named}
                                                     : std::vector<std::string>{"pods", named}));
  ORCH_TRY(JsonValue object, session.fetch(targets[0]));
  if (targets[0].resource->kind == "Pod") return object;
  const std::string selector = selector_text(object);
  if (selector.empty()) {
    return Err(
        error(fmt::format("cannot find pods of {}: it has no selector", targets[0].label())));
  }
  ORCH_TRY(auto pods, pods_matching(session, selector));
  if (pods.empty()) {
    return Err(error("timed out waiting for the condition"));
  }
  std::stable_sort(pods.begin(), pods.end(),
                   [](const JsonValue& a, const JsonValue& b) { return rank(a) < rank(b); });
  if (pods.size() > 1) {
    fmt::print(stderr, "Found {} pods, using pod/{}\n", pods.size(),
               pods[0].at("metadata.name").text());
  }
  return std::move(pods[0]);
}

std::vector<std::string> container_names(const JsonValue& pod) {
  std::vector<std::string> out;
  for (std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (const JsonValue& container : pod.get("spec").get(list).items()) {
      out.push_back(container.get("name").text());
    }
  }
  return out;
}

Outcome<std::string> pick_container(const JsonValue& pod, const std::string& given, bool quiet) {
  const std::string pod_name = pod.at("metadata.name").text();
  const auto names = container_names(pod);
  if (!given.empty()) {
    if (std::find(names.begin(), names.end(), given) != names.end()) return given;
    return Err(error(fmt::format("container {} is not valid for pod {}", given, pod_name)));
  }
  const auto containers = pod.at("spec.containers").items();
  if (containers.empty()) return Err(error(fmt::format("pod {} has no containers", pod_name)));
  if (const std::string marked = pod.at("metadata.annotations").get(kDefaultContainer).text();
      std::find(names.begin(), names.end(), marked) != names.end()) {
    return marked;
  }
  std::string first = containers[0].get("name").text();
  if (names.size() > 1 && !quiet) {
    std::vector<std::string> shown;
    for (const JsonValue& c : containers) shown.push_back(c.get("name").text());
    for (const JsonValue& c : pod.at("spec.ephemeralContainers").items()) {
      shown.push_back(c.get("name").text() + " (ephem)");
    }
    for (const JsonValue& c : pod.at("spec.initContainers").items()) {
      shown.push_back(c.get("name").text() + " (init)");
    }
    fmt::print(stderr, "Defaulted container \"{}\" out of: {}\n", first, join(shown, ", "));
  }
  return first;
}

}  // namespace orch::ctl
