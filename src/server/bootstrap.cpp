#include "server/bootstrap.h"

#include <fmt/format.h>

#include "orch/api/corev1.h"
#include "orch/api/schedulingv1.h"
#include "orch/api/token_claims.h"
#include "server/bootstrap_ensure.h"
#include "server/bootstrap_objects.h"
#include "server/bootstrap_roles.h"
#include "server/kubernetes_endpoints.h"

namespace orch::server {
namespace {

using namespace api;
using Outcome = BootstrapOutcome;

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
  return reconcile(client, service,
                   [](auto& to, const auto& from) { to.spec.ports = from.spec.ports; });
}

// Since when the use of tokens in Secrets is noted.
Outcome token_tracking(const client::Client& client, WallTime now) {
  corev1::ConfigMap tracking;
  tracking.metadata.name = kTokenTracking;
  tracking.metadata.namespace_ = "kube-system";
  tracking.data["since"] = Time(now).str().substr(0, 10);
  return ensure(client, tracking);
}

}  // namespace

Result<Unit, std::string> bootstrap_objects(const client::Client& client,
                                            const BootstrapFacts& facts) {
  ORCH_CHECK(namespaces(client));
  ORCH_CHECK(kubernetes_service(client, facts));
  if (!facts.advertise_address.empty()) {
    ORCH_CHECK(write_kubernetes_endpoints(client, {{facts.advertise_address, facts.port}}));
  }
  ORCH_CHECK(priority_class(client, "system-node-critical", 2000001000,
                            "Used for system critical pods that must not be moved from their "
                            "current node."));
  ORCH_CHECK(priority_class(client, "system-cluster-critical", 2000000000,
                            "Used for system critical pods that must run in the cluster, but can "
                            "be moved to another node if necessary."));
  ORCH_CHECK(ensure_flow_control(client));
  ORCH_CHECK(ensure_api_services(client));
  ORCH_CHECK(ensure_authentication_facts(client, facts));
  ORCH_CHECK(token_tracking(client, facts.now));
  return reconcile_bootstrap_roles(client);
}

}  // namespace orch::server
