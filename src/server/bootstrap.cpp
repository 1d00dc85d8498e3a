#include "server/bootstrap.h"

#include <fmt/format.h>

#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "orch/api/rbacv1.h"
#include "orch/api/schedulingv1.h"

namespace orch::server {
namespace {

using namespace api;
using Outcome = Result<Unit, std::string>;

// Creates the object unless one of its name is there.
template <class T>
Outcome ensure(const client::Client& client, const T& object) {
  auto existing = client.get<T>(object.metadata.namespace_, object.metadata.name);
  if (existing) return Unit{};
  auto created = client.create(object);
  if (created || created.error().is("AlreadyExists")) return Unit{};
  return Err(fmt::format("creating {} {}: {}", T::type_info().kind, object.metadata.name,
                         created.error().message));
}

// Creates the object, or makes the existing one's content as wanted (`adopt` copies it over).
template <class T, class Adopt>
Outcome reconcile(const client::Client& client, const T& wanted, const Adopt& adopt) {
  auto existing = client.get<T>(wanted.metadata.namespace_, wanted.metadata.name);
  if (!existing) return ensure(client, wanted);
  T changed = *existing;
  adopt(changed, wanted);
  if (equal(changed, *existing)) return Unit{};
  auto updated = client.update(changed);
  if (updated || updated.error().is("Conflict")) return Unit{};
  return Err(fmt::format("updating {} {}: {}", T::type_info().kind, wanted.metadata.name,
                         updated.error().message));
}

Outcome namespaces(const client::Client& client) {
  for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    corev1::Namespace ns;
    ns.metadata.name = name;
    ORCH_CHECK(ensure(client, ns));
  }
  return Unit{};
}

Outcome priority_class(const client::Client& client, const std::string& name, int32_t value,
                       const std::string& description) {
  schedulingv1::PriorityClass object;
  object.metadata.name = name;
  object.value = value;
  object.description = description;
  return ensure(client, object);
}

// ---- the Service by which pods reach the API server ----

Outcome kubernetes_service(const client::Client& client, const BootstrapFacts& facts) {
  corev1::Service service;
  service.metadata.name = "kubernetes";
  service.metadata.namespace_ = "default";
  service.metadata.labels = {{"component", "apiserver"}, {"provider", "kubernetes"}};
  service.spec.type = "ClusterIP";
  service.spec.clusterIP = facts.kubernetes_ip;
  service.spec.clusterIPs = {facts.kubernetes_ip};
  auto& port = service.spec.ports.emplace_back();
  port.name = "https";
  port.port = 443;
  port.protocol = "TCP";
  port.targetPort = IntOrString(facts.port);
  return ensure(client, service);
}

Outcome kubernetes_endpoints(const client::Client& client, const BootstrapFacts& facts) {
  corev1::Endpoints endpoints;
  endpoints.metadata.name = "kubernetes";
  endpoints.metadata.namespace_ = "default";
  endpoints.metadata.labels = {{"endpointslice.kubernetes.io/skip-mirror", "true"}};
  auto& subset = endpoints.subsets.emplace_back();
  subset.addresses.emplace_back().ip = facts.advertise_address;
  auto& port = subset.ports.emplace_back();
  port.name = "https";
  port.port = facts.port;
  port.protocol = "TCP";
  ORCH_CHECK(
      reconcile(client, endpoints, [](auto& to, const auto& from) { to.subsets = from.subsets; }));

  discoveryv1::EndpointSlice slice;
  slice.metadata.name = "kubernetes";
  slice.metadata.namespace_ = "default";
  slice.metadata.labels = {{"kubernetes.io/service-name", "kubernetes"}};
  slice.addressType = "IPv4";
  auto& endpoint = slice.endpoints.emplace_back();
  endpoint.addresses = {facts.advertise_address};
  endpoint.conditions.ready = true;
  auto& slice_port = slice.ports.emplace_back();
  slice_port.name = "https";
  slice_port.port = facts.port;
  slice_port.protocol = "TCP";
  return reconcile(client, slice, [](auto& to, const auto& from) {
    to.endpoints = from.endpoints;
    to.ports = from.ports;
  });
}

// ---- RBAC's basic roles (upstream's bootstrap policy) ----

rbacv1::PolicyRule rule(std::vector<std::string> verbs, std::vector<std::string> groups,
                        std::vector<std::string> resources, std::vector<std::string> urls = {}) {
  rbacv1::PolicyRule out;
  out.verbs = std::move(verbs);
  out.apiGroups = std::move(groups);
  out.resources = std::move(resources);
  out.nonResourceURLs = std::move(urls);
  return out;
}

const std::map<std::string, std::string> kBootstrapLabels = {
    {"kubernetes.io/bootstrapping", "rbac-defaults"}};
const std::map<std::string, std::string> kAutoUpdate = {
    {"rbac.authorization.kubernetes.io/autoupdate", "true"}};

Outcome cluster_role(const client::Client& client, const std::string& name,
                     std::vector<rbacv1::PolicyRule> rules) {
  rbacv1::ClusterRole role;
  role.metadata.name = name;
  role.metadata.labels = kBootstrapLabels;
  role.metadata.annotations = kAutoUpdate;
  role.rules = std::move(rules);
  return reconcile(client, role, [](auto& to, const auto& from) {
    auto wanted = to.metadata.annotations.find("rbac.authorization.kubernetes.io/autoupdate");
    if (wanted != to.metadata.annotations.end() && wanted->second == "true") to.rules = from.rules;
  });
}

Outcome bind_groups(const client::Client& client, const std::string& name,
                    const std::vector<std::string>& groups) {
  rbacv1::ClusterRoleBinding binding;
  binding.metadata.name = name;
  binding.metadata.labels = kBootstrapLabels;
  binding.metadata.annotations = kAutoUpdate;
  binding.roleRef.apiGroup = "rbac.authorization.k8s.io";
  binding.roleRef.kind = "ClusterRole";
  binding.roleRef.name = name;
  for (const auto& group : groups) {
    auto& subject = binding.subjects.emplace_back();
    subject.kind = "Group";
    subject.apiGroup = "rbac.authorization.k8s.io";
    subject.name = group;
  }
  return ensure(client, binding);
}

Outcome basic_roles(const client::Client& client) {
  const std::vector<std::string> health = {"/healthz", "/livez", "/readyz", "/version",
                                           "/version/"};
  const std::vector<std::string> discovery = {"/api",     "/api/*",   "/apis",    "/apis/*",
                                              "/healthz", "/livez",   "/openapi", "/openapi/*",
                                              "/readyz",  "/version", "/version/"};
  ORCH_CHECK(cluster_role(client, "cluster-admin",
                          {rule({"*"}, {"*"}, {"*"}), rule({"*"}, {}, {}, {"*"})}));
  ORCH_CHECK(cluster_role(client, "system:discovery", {rule({"get"}, {}, {}, discovery)}));
  ORCH_CHECK(cluster_role(client, "system:public-info-viewer", {rule({"get"}, {}, {}, health)}));
  ORCH_CHECK(cluster_role(client, "system:basic-user",
                          {rule({"create"}, {"authorization.k8s.io"},
                                {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}),
                           rule({"create"}, {"authentication.k8s.io"}, {"selfsubjectreviews"})}));
  ORCH_CHECK(bind_groups(client, "cluster-admin", {"system:masters"}));
  ORCH_CHECK(bind_groups(client, "system:discovery", {"system:authenticated"}));
  ORCH_CHECK(bind_groups(client, "system:basic-user", {"system:authenticated"}));
  return bind_groups(client, "system:public-info-viewer",
                     {"system:authenticated", "system:unauthenticated"});
}

}  // namespace

Result<Unit, std::string> bootstrap_objects(const client::Client& client,
                                            const BootstrapFacts& facts) {
  ORCH_CHECK(namespaces(client));
  ORCH_CHECK(kubernetes_service(client, facts));
  ORCH_CHECK(kubernetes_endpoints(client, facts));
  ORCH_CHECK(priority_class(client, "system-node-critical", 2000001000,
                            "Used for system critical pods that must not be moved from their "
                            "current node."));
  ORCH_CHECK(priority_class(client, "system-cluster-critical", 2000000000,
                            "Used for system critical pods that must run in the cluster, but can "
                            "be moved to another node if necessary."));
  return basic_roles(client);
}

}  // namespace orch::server
