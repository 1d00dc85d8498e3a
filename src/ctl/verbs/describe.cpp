// describe: one object in many words, with its events.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/describe.h"
#include "ctl/printers/elastic.h"
#include "ctl/session.h"
#include "orch/base/clock.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<std::vector<JsonValue>> list(Session& session, const std::string& target) {
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.target = target;
  ORCH_TRY(const JsonValue found, client->json(call));
  return found.get("items").items();
}

// What belongs to the object is best effort: without the right to list it the rest is still told.
Described gather(Session& session, const Target& target, JsonValue object) {
  Described out;
  const std::string name = object.at("metadata.name").text();
  const std::string ns = object.at("metadata.namespace").text();
  const std::string uid = object.at("metadata.uid").text();
  const std::string kind = target.resource->kind;
  out.now = system_clock().now();
  out.object = std::move(object);
  if (session.flags.on("show-events")) {
    // Events of nodes carry the node's name as their uid.
    const std::string fields =
        fmt::format("involvedObject.name={},involvedObject.kind={}{}", name, kind,
                    kind == "Node" ? "" : ",involvedObject.uid=" + uid);
    const std::string path =
        ns.empty() ? "/api/v1/events" : "/api/v1/namespaces/" + net::url_encode(ns) + "/events";
    out.events = list(session, path + query_text({{"fieldSelector", fields}, {"limit", "500"}}))
                     .value_or(std::vector<JsonValue>{});
    std::stable_sort(out.events.begin(), out.events.end(),
                     [](const JsonValue& a, const JsonValue& b) {
                       return a.get("lastTimestamp").text() < b.get("lastTimestamp").text();
                     });
  }
  const bool has_pods = kind == "ReplicaSet" || kind == "StatefulSet" || kind == "DaemonSet";
  if (has_pods) {
    for (JsonValue& pod :
         list(session, fmt::format("/api/v1/namespaces/{}/pods", net::url_encode(ns)))
             .value_or(std::vector<JsonValue>{})) {
      for (const JsonValue& owner : pod.at("metadata.ownerReferences").items()) {
        if (owner.get("uid").text() != uid) continue;
        out.pods.push_back(std::move(pod));
        break;
      }
    }
  } else if (kind == "Node") {
    const std::string fields =
        fmt::format("spec.nodeName={},status.phase!=Failed,status.phase!=Succeeded", name);
    Call lease;
    lease.target =
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/" + net::url_encode(name);
    if (auto client = session.api()) {
      auto found = (*client)->json(lease);
      if (found) {
        out.lease = std::move(*found);
      } else {
        out.lease_failure = found.error().message;
        const size_t at = out.lease_failure.find("): ");
        if (at != std::string::npos) out.lease_failure.erase(0, at + 3);
      }
    }
    out.pods = list(session, "/api/v1/pods" + query_text({{"fieldSelector", fields}}))
                   .value_or(std::vector<JsonValue>{});
  } else if (kind == "Namespace") {
    const std::string path = "/api/v1/namespaces/" + net::url_encode(name);
    out.quotas = list(session, path + "/resourcequotas").value_or(std::vector<JsonValue>{});
    out.limit_ranges = list(session, path + "/limitranges").value_or(std::vector<JsonValue>{});
  } else if (kind == "Service") {
    out.endpoints =
        list(session,
             fmt::format("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices{}",
                         net::url_encode(ns),
                         query_text({{"labelSelector", "kubernetes.io/service-name=" + name}})))
            .value_or(std::vector<JsonValue>{});
  } else if (kind == "Deployment") {
    for (JsonValue& set :
         list(session, fmt::format("/apis/apps/v1/namespaces/{}/replicasets", net::url_encode(ns)))
             .value_or(std::vector<JsonValue>{})) {
      const auto owners = set.at("metadata.ownerReferences").items();
      if (std::any_of(owners.begin(), owners.end(),
                      [&](const JsonValue& owner) { return owner.get("uid").text() == uid; })) {
        out.replica_sets.push_back(std::move(set));
      }
    }
    std::stable_sort(out.replica_sets.begin(), out.replica_sets.end(),
                     [](const JsonValue& a, const JsonValue& b) {
                       return a.at("metadata.creationTimestamp").text() <
                              b.at("metadata.creationTimestamp").text();
                     });
  }
  return out;
}

// "TYPE" means all of them, "TYPE NAME" those of this name.
Outcome<std::vector<Target>> targets_of(Session& session) {
  std::vector<std::string> args = session.flags.args();
  if (session.flags.given("filename") || args.size() != 1 ||
      args[0].find('/') != std::string::npos || session.flags.given("selector") ||
      session.flags.on("all-namespaces")) {
    return session.targets(args);
  }
  ORCH_TRY(const auto selections, session.selections(args));
  ORCH_TRY(const std::string ns, session.namespace_());
  std::vector<Target> out;
  for (const Selection& selection : selections) {
    ORCH_TRY(const auto items, list(session, selection.resource->path(ns)));
    for (const JsonValue& item : items) {
      Target target;
      target.resource = selection.resource;
      target.namespace_ = item.at("metadata.namespace").text();
      target.name = item.at("metadata.name").text();
      out.push_back(std::move(target));
    }
  }
  return out;
}

Outcome<int> run(Session& session) {
  if (session.flags.args().empty() && !session.flags.given("filename")) {
    return Err(Failure{"error: You must specify the type of resource to describe. Use \"" +
                           session.program +
                           " api-resources\" for a complete list of supported resources.",
                       1, ""});
  }
  ORCH_TRY(const auto targets, targets_of(session));
  if (targets.empty()) {
    ORCH_TRY(const std::string ns, session.namespace_());
    fmt::print(stderr, "No resources found in {} namespace.\n", ns);
    return 0;
  }
  bool first = true;
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    ORCH_TRY(JsonValue object, session.fetch(target));
    const Described what = gather(session, target, std::move(object));
    fmt::print("{}{}", first ? "" : "\n\n",
               elastic(describe(what, target.resource->group, target.resource->kind)));
    first = false;
    return Unit{};
  });
}

}  // namespace

Verb describe_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"show-events", 0, Kind::kBool, "true", "events of the object, at the end"}};
  return {"describe", "Show objects in detail, with their events",
          "describe (TYPE [NAME... | -l SELECTOR] | TYPE/NAME... | -f FILE)",
          flags + file_flags() + selector_flags(), run};
}

}  // namespace orch::ctl
