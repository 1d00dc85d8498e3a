#include "server/bootstrap_objects.h"

#include <algorithm>
#include <set>

#include "orch/api/apiregistrationv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/flow_defaults.h"
#include "orch/api/scheme.h"
#include "orch/base/json_scan.h"
#include "orch/base/log.h"

namespace orch::server {
namespace {

using namespace api;
using Outcome = BootstrapOutcome;

// ---- flow control ----

const std::string kAuto(kAutoUpdateSpec);

// Whether the server keeps the object's spec: as the annotation says, else while nobody changed it.
bool auto_updated(const metav1::ObjectMeta& meta) {
  const auto it = meta.annotations.find(kAuto);
  if (it != meta.annotations.end()) {
    for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
      if (it->second == yes) return true;
    }
    for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
      if (it->second == no) return false;
    }
  }
  return meta.generation == 1;
}

template <class T>
Outcome ensure_flow_object(const client::Client& client, T wanted, bool mandatory) {
  wanted.metadata.annotations[kAuto] = "true";
  return reconcile(client, wanted, [&](T& to, const T& from) {
    const bool keeps = mandatory || auto_updated(to.metadata);
    to.metadata.annotations[kAuto] = keeps ? "true" : "false";
    if (!keeps) return;
    const auto given = to.spec;
    to.spec = from.spec;
    // What an administrator may set of the exempt level.
    if constexpr (requires { to.spec.exempt; }) {
      if (mandatory && to.spec.exempt && given.exempt) to.spec.exempt = given.exempt;
    }
  });
}

template <class T>
Outcome ensure_flow_kind(const client::Client& client, const std::vector<T>& mandatory,
                         const std::vector<T>& suggested) {
  std::set<std::string> names;
  for (const auto& object : mandatory) {
    names.insert(object.metadata.name);
    ORCH_CHECK(ensure_flow_object(client, object, true));
  }
  for (const auto& object : suggested) {
    names.insert(object.metadata.name);
    ORCH_CHECK(ensure_flow_object(client, object, false));
  }
  const auto listed = client.list<T>("");
  if (!listed) return Err(listed.error().message);
  for (const auto& object : listed->items) {
    const auto& meta = object->metadata;
    const auto mark = meta.annotations.find(kAuto);
    const bool ours = mark != meta.annotations.end() && mark->second == "true";
    if (!ours || names.count(meta.name) != 0) continue;
    if (auto gone = client.remove<T>("", meta.name); !gone && !gone.error().is("NotFound")) {
      return Err(gone.error().message);
    }
  }
  return Unit{};
}

// ---- API services ----

constexpr const char* kManaged = "kube-aggregator.kubernetes.io/automanaged";

struct Priority {
  std::string_view group, version;  // version "": any
  int32_t group_minimum, version_priority;
};
// Upstream's order of groups for clients that discover the API. Another group comes last.
constexpr Priority kPriorities[] = {
    {"", "v1", 18000, 1},
    {"apps", "", 17800, 15},
    {"events.k8s.io", "", 17750, 15},
    {"authentication.k8s.io", "", 17700, 15},
    {"authorization.k8s.io", "", 17600, 15},
    {"autoscaling", "v2", 17500, 30},
    {"autoscaling", "", 17500, 15},
    {"batch", "", 17400, 15},
    {"certificates.k8s.io", "", 17300, 15},
    {"networking.k8s.io", "", 17200, 15},
    {"policy", "", 17100, 15},
    {"rbac.authorization.k8s.io", "", 17000, 15},
    {"storage.k8s.io", "", 16800, 15},
    {"apiextensions.k8s.io", "", 16700, 15},
    {"admissionregistration.k8s.io", "", 16700, 15},
    {"scheduling.k8s.io", "", 16600, 15},
    {"coordination.k8s.io", "", 16500, 15},
    {"node.k8s.io", "", 16300, 15},
    {"discovery.k8s.io", "", 16200, 15},
    {"flowcontrol.apiserver.k8s.io", "", 16100, 21},
};

constexpr const char* kAuthenticationFacts = "extension-apiserver-authentication";

std::string json_list(const std::vector<std::string>& values) {
  std::string out;
  for (const auto& value : values) {
    if (!out.empty()) out += ',';
    append_json_string(out, value);
  }
  return "[" + out + "]";
}

apiregistrationv1::APIService api_service(std::string_view group, std::string_view version) {
  apiregistrationv1::APIService out;
  out.metadata.name = fmt::format("{}.{}", version, group);
  out.metadata.labels[kManaged] = "onstart";
  out.spec.group = group;
  out.spec.version = version;
  out.spec.groupPriorityMinimum = 100;
  out.spec.versionPriority = 100;
  for (const auto& p : kPriorities) {
    if (p.group != group || (!p.version.empty() && p.version != version)) continue;
    out.spec.groupPriorityMinimum = p.group_minimum;
    out.spec.versionPriority = p.version_priority;
    break;
  }
  return out;
}

bool managed(const metav1::ObjectMeta& meta) {
  const auto label = meta.labels.find(kManaged);
  return label != meta.labels.end() && (label->second == "true" || label->second == "onstart");
}

}  // namespace

BootstrapOutcome ensure_flow_control(const client::Client& client) {
  ORCH_CHECK(ensure_flow_kind(client, mandatory_priority_levels(), suggested_priority_levels()));
  return ensure_flow_kind(client, mandatory_flow_schemas(), suggested_flow_schemas());
}

BootstrapOutcome ensure_api_services(const client::Client& client) {
  using apiregistrationv1::APIService;
  std::set<std::string> names;
  for (const ResourceInfo* resource : all_resources()) {
    if (resource->group == "apiregistration.k8s.io") continue;  // the list itself
    const auto wanted = api_service(resource->group, resource->version);
    if (!names.insert(wanted.metadata.name).second) continue;
    ORCH_CHECK(reconcile(client, wanted, [](APIService& to, const APIService& from) {
      if (managed(to.metadata)) to.spec = from.spec;
    }));
  }
  const auto listed = client.list<APIService>("");
  if (!listed) return Err(listed.error().message);
  for (const auto& object : listed->items) {
    const auto& meta = object->metadata;
    const auto label = meta.labels.find(kManaged);
    const bool ours = label != meta.labels.end() && label->second == "onstart";
    if (!ours || names.count(meta.name) != 0) continue;
    auto gone = client.remove<APIService>("", meta.name);
    if (!gone && !gone.error().is("NotFound")) return Err(gone.error().message);
  }
  return Unit{};
}

BootstrapOutcome ensure_authentication_facts(const client::Client& client,
                                             const BootstrapFacts& facts) {
  corev1::ConfigMap map;
  map.metadata.name = kAuthenticationFacts;
  map.metadata.namespace_ = "kube-system";
  if (!facts.client_ca_pem.empty()) map.data["client-ca-file"] = facts.client_ca_pem;
  if (!facts.request_header_ca_pem.empty()) {
    const RequestHeaderOptions& headers = facts.request_header;
    map.data["requestheader-client-ca-file"] = facts.request_header_ca_pem;
    map.data["requestheader-allowed-names"] = json_list(headers.allowed_names);
    map.data["requestheader-username-headers"] = json_list(headers.username_headers);
    map.data["requestheader-group-headers"] = json_list(headers.group_headers);
    map.data["requestheader-extra-headers-prefix"] = json_list(headers.extra_headers_prefix);
    if (!headers.uid_headers.empty()) {
      map.data["requestheader-uid-headers"] = json_list(headers.uid_headers);
    }
  }
  if (map.data.empty()) return Unit{};
  return reconcile(client, map, [](corev1::ConfigMap& to, const corev1::ConfigMap& from) {
    for (const auto& [key, value] : from.data) to.data[key] = value;
  });
}

void keep_authentication_facts(Env& env, const client::Client& client,
                               client::InformerSet& informers, BootstrapFacts facts) {
  auto strand = env.executor.make_strand("authentication-facts");
  informers.get<corev1::ConfigMap>().add_handler(
      [strand, &client, facts = std::move(facts)](const ObjectPtr& was, const ObjectPtr& now) {
        const auto& meta = (now ? now : was)->metadata;
        if (meta.name != kAuthenticationFacts || meta.namespace_ != "kube-system") return;
        strand->post([&client, facts] {
          auto kept = ensure_authentication_facts(client, facts);
          if (!kept) log::warn("server", "{}: {}", kAuthenticationFacts, kept.error());
        });
      });
}

}  // namespace orch::server
