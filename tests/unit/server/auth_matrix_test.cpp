// Who may do what, completely: every default role against every verb of every resource that is
// discovered or that upstream names a right for. What is expected is written down by resource (the
// roles' own table is by role) and compared with what the authorizer decides for somebody bound to
// that one role, in both directions: a guard against change. The table was made from orch's own roles
// and read against upstream's.
#include <algorithm>
#include <set>

#include "orch/base/strings.h"
#include "server/auth/default_roles.h"
#include "unit/server/auth_fixture.h"

namespace orch::server {
namespace {

using namespace test;
using Names = std::set<std::string>;

// One resource a line: GROUP/RESOURCE[=NAME] and who may what of it: ROLE(VERBS), where g l w c u p
// d D are get, list, watch, create, update, patch, delete, deletecollection; others in words; "*"
// is every verb there is. "view" stands for the role, what is aggregated to it, and the roles that
// hold it (edit, admin); "edit" for edit and admin alike; "c:" for "system:controller:".
// "recorders" are those who write events by events.k8s.io too.
const char* const kExpected = R"(
*/* cluster-admin(*) c:generic-garbage-collector(glwupd) c:namespace-controller(glwdD)\
  c:resourcequota-controller(lw) system:kube-controller-manager(lw)
*/*/scale c:disruption-controller(g) c:horizontal-pod-autoscaler(gu)
admissionregistration.k8s.io/validatingadmissionpolicies\
  c:validatingadmissionpolicy-status-controller(glw)
admissionregistration.k8s.io/validatingadmissionpolicies/status\
  c:validatingadmissionpolicy-status-controller(gup)
apps/controllerrevisions view(glw) c:daemon-set-controller(glwcupd)\
  c:statefulset-controller(glwcupd)
apps/daemonsets view(glw) edit(cupdD) c:daemon-set-controller(glw)
apps/daemonsets/finalizers c:daemon-set-controller(u)
apps/daemonsets/status view(glw) c:daemon-set-controller(u)
apps/deployments view(glw) edit(cupdD) c:deployment-controller(glwu) c:disruption-controller(glw)
apps/deployments/finalizers c:deployment-controller(u)
apps/deployments/rollback edit(cupdD)
apps/deployments/scale view(glw) edit(cupdD)
apps/deployments/status view(glw) c:deployment-controller(u)
apps/replicasets view(glw) edit(cupdD) c:deployment-controller(glwcupd)\
  c:disruption-controller(glw) c:replicaset-controller(glwu) system:kube-scheduler(glw)
apps/replicasets/finalizers c:replicaset-controller(u)
apps/replicasets/scale view(glw) edit(cupdD)
apps/replicasets/status view(glw) c:replicaset-controller(u)
apps/statefulsets view(glw) edit(cupdD) c:disruption-controller(glw)\
  c:statefulset-controller(glw) system:kube-scheduler(glw)
apps/statefulsets/finalizers c:statefulset-controller(u)
apps/statefulsets/scale view(glw) edit(cupdD)
apps/statefulsets/status view(glw) c:statefulset-controller(u)
authentication.k8s.io/selfsubjectreviews system:basic-user(c)
authentication.k8s.io/tokenreviews system:auth-delegator(c) system:kube-controller-manager(c)\
  system:kube-scheduler(c) system:node(c)
authorization.k8s.io/localsubjectaccessreviews admin(c) system:node(c)
authorization.k8s.io/selfsubjectaccessreviews system:basic-user(c)
authorization.k8s.io/selfsubjectrulesreviews system:basic-user(c)
authorization.k8s.io/subjectaccessreviews system:auth-delegator(c) c:certificate-controller(c)\
  system:kube-controller-manager(c) system:kube-scheduler(c) system:node(c)
autoscaling/horizontalpodautoscalers view(glw) edit(cupdD) c:horizontal-pod-autoscaler(glw)
autoscaling/horizontalpodautoscalers/status view(glw) c:horizontal-pod-autoscaler(u)
batch/cronjobs view(glw) edit(cupdD) c:cronjob-controller(glwu)
batch/cronjobs/finalizers c:cronjob-controller(u)
batch/cronjobs/status view(glw) c:cronjob-controller(u)
batch/jobs view(glw) edit(cupdD) c:cronjob-controller(glwcupd) c:job-controller(glwup)\
  c:ttl-after-finished-controller(glwd)
batch/jobs/finalizers c:job-controller(u)
batch/jobs/status view(glw) c:job-controller(u)
certificates.k8s.io/certificatesigningrequests c:certificate-controller(glwd) system:node(glwc)\
  system:node-bootstrapper(glwc)
certificates.k8s.io/certificatesigningrequests/approval c:certificate-controller(u)
certificates.k8s.io/certificatesigningrequests/nodeclient\
  system:certificates.k8s.io:certificatesigningrequests:nodeclient(c)
certificates.k8s.io/certificatesigningrequests/selfnodeclient\
  system:certificates.k8s.io:certificatesigningrequests:selfnodeclient(c)
certificates.k8s.io/certificatesigningrequests/status c:certificate-controller(u)
certificates.k8s.io/signers=kubernetes.io/kube-apiserver-client\
  system:certificates.k8s.io:kube-apiserver-client-approver(approve)\
  c:certificate-controller(sign)
certificates.k8s.io/signers=kubernetes.io/kube-apiserver-client-kubelet\
  system:certificates.k8s.io:kube-apiserver-client-kubelet-approver(approve)\
  c:certificate-controller(approve,sign)
certificates.k8s.io/signers=kubernetes.io/kubelet-serving\
  system:certificates.k8s.io:kubelet-serving-approver(approve) c:certificate-controller(sign)
certificates.k8s.io/signers=kubernetes.io/legacy-unknown\
  system:certificates.k8s.io:legacy-unknown-approver(approve) c:certificate-controller(sign)
coordination.k8s.io/leases edit(glwcupdD) system:kube-controller-manager(c)\
  system:kube-scheduler(c) system:node(gcupd)
coordination.k8s.io/leases=kube-controller-manager system:kube-controller-manager(gu)
coordination.k8s.io/leases=kube-scheduler system:kube-scheduler(gu)
core/bindings view(glw) system:kube-scheduler(c)
core/configmaps view(glw) edit(cupdD) kube-public/system:controller:bootstrap-signer(glw)\
  kube-system/system::leader-locking-kube-controller-manager(w)\
  kube-system/system::leader-locking-kube-scheduler(w)\
  kube-system/system:controller:cloud-provider(glwc) c:root-ca-cert-publisher(cu)\
  system:kube-controller-manager(g) system:node(glw)
core/configmaps=cluster-info kube-public/system:controller:bootstrap-signer(u)
core/configmaps=extension-apiserver-authentication\
  kube-system/extension-apiserver-authentication-reader(glw)
core/configmaps=kube-apiserver-legacy-service-account-token-tracking\
  c:legacy-service-account-token-cleaner(g)
core/configmaps=kube-controller-manager\
  kube-system/system::leader-locking-kube-controller-manager(gu)
core/configmaps=kube-scheduler kube-system/system::leader-locking-kube-scheduler(gu)
core/endpoints view(glw) c:endpoint-controller(glwcud) c:endpointslicemirroring-controller(glw)\
  system:kube-aggregator(glw) system:kube-dns(lw) system:node(g) system:node-proxier(lw)
core/endpoints/finalizers c:endpointslicemirroring-controller(u)
core/endpoints/restricted c:endpoint-controller(c)
core/events view(glw) edit(cupdD) recorders(cup) c:persistent-volume-binder(w)\
  system:heapster(glw) system:node(cup) system:persistent-volume-provisioner(w)
core/limitranges view(glw)
core/namespaces view(glw) c:namespace-controller(glwd) system:heapster(glw)\
  system:kube-controller-manager(g) system:kube-scheduler(glw)
core/namespaces/finalize c:namespace-controller(u)
core/namespaces/status view(glw) c:namespace-controller(u)
core/nodes c:attachdetach-controller(glw) c:daemon-set-controller(lw)\
  c:endpointslice-controller(glw) c:node-controller(glwupd) c:persistent-volume-binder(lw)\
  c:pod-garbage-collector(glw) c:route-controller(lw) c:service-controller(lw)\
  c:ttl-controller(lwup) system:heapster(glw) system:kube-scheduler(glw)\
  system:kubelet-api-admin(glw,proxy) system:node(glwcup) system:node-problem-detector(g)\
  system:node-proxier(glw)
core/nodes/log system:kubelet-api-admin(*)
core/nodes/metrics system:kubelet-api-admin(*)
core/nodes/proxy system:kubelet-api-admin(*)
core/nodes/stats system:kubelet-api-admin(*)
core/nodes/status c:attachdetach-controller(up) c:node-controller(up) c:route-controller(p)\
  system:node(up) system:node-problem-detector(p)
core/persistentvolumeclaims view(glw) edit(cupdD) c:attachdetach-controller(lw)\
  c:ephemeral-volume-controller(glwc) c:expand-controller(glw) c:persistent-volume-binder(glwu)\
  c:pvc-protection-controller(glwu) c:statefulset-controller(glwcud) system:kube-scheduler(glw)\
  system:node(g) system:persistent-volume-provisioner(glwu) system:volume-scheduler(glwup)
core/persistentvolumeclaims/status view(glw) c:expand-controller(up)\
  c:persistent-volume-binder(u) system:node(gup)
core/persistentvolumes c:attachdetach-controller(lw) c:expand-controller(glwup)\
  c:persistent-volume-binder(glwcud) c:pv-protection-controller(glwu) system:kube-scheduler(glw)\
  system:node(g) system:persistent-volume-provisioner(glwcd) system:volume-scheduler(glwup)
core/persistentvolumes/status c:persistent-volume-binder(u)
core/pods view(glw) edit(cupdD) c:attachdetach-controller(lw) c:cronjob-controller(lwd)\
  c:daemon-set-controller(lwcpd) c:deployment-controller(glwu) c:endpoint-controller(glw)\
  c:endpointslice-controller(glw) c:ephemeral-volume-controller(glw)\
  c:horizontal-pod-autoscaler(lw) c:job-controller(lwcpd) c:node-controller(glwd)\
  c:persistent-volume-binder(glwcd) c:pod-garbage-collector(lwd) c:pvc-protection-controller(glw)\
  c:replicaset-controller(lwcpd) c:replication-controller(lwcpd)\
  c:statefulset-controller(glwcupd) system:heapster(glw) system:kube-scheduler(glwd)\
  system:node(glwcd)
core/pods/attach edit(glwcupdD)
core/pods/binding c:daemon-set-controller(c) system:kube-scheduler(c)
core/pods/eviction edit(c) system:node(c)
core/pods/exec edit(glwcupdD)
core/pods/finalizers c:ephemeral-volume-controller(u) c:statefulset-controller(u)
core/pods/log view(glw)
core/pods/portforward edit(glwcupdD)
core/pods/proxy edit(glwcupdD)
core/pods/status view(glw) c:disruption-controller(up) c:node-controller(up)\
  c:pod-garbage-collector(p) system:kube-scheduler(up) system:node(up)
core/replicationcontrollers view(glw) edit(cupdD) c:disruption-controller(glw)\
  c:replication-controller(glwu) system:kube-scheduler(glw)
core/replicationcontrollers/finalizers c:replication-controller(u)
core/replicationcontrollers/scale view(glw) edit(cupdD)
core/replicationcontrollers/status view(glw) c:replication-controller(u)
core/resourcequotas view(glw)
core/resourcequotas/status view(glw) c:resourcequota-controller(u)
core/secrets edit(glwcupdD) kube-system/system:controller:bootstrap-signer(glw)\
  kube-system/system:controller:token-cleaner(glwd) c:legacy-service-account-token-cleaner(pd)\
  system:kube-controller-manager(gcud) system:node(glw)
core/serviceaccounts view(glw) edit(cupdD,impersonate) c:service-account-controller(c)\
  system:kube-controller-manager(gcu)
core/serviceaccounts/token edit(c) system:kube-controller-manager(c) system:node(c)
core/services view(glw) edit(cupdD) c:endpoint-controller(glw) c:endpointslice-controller(glw)\
  c:endpointslicemirroring-controller(glw) c:expand-controller(g) c:persistent-volume-binder(g)\
  c:service-controller(glw) system:kube-aggregator(glw) system:kube-dns(lw)\
  system:kube-scheduler(glw) system:node(glw) system:node-proxier(lw)
core/services/finalizers c:endpointslice-controller(u) c:endpointslicemirroring-controller(u)
core/services/proxy edit(glwcupdD)
core/services/status view(glw) c:service-controller(up)
custom.metrics.k8s.io/* c:horizontal-pod-autoscaler(glw)
discovery.k8s.io/endpointslices view(glw) c:endpointslice-controller(glwcud)\
  c:endpointslicemirroring-controller(glwcud) system:node-proxier(lw)
events.k8s.io/events recorders(cup)
extensions/daemonsets view(glw) edit(cupdD) c:daemon-set-controller(glw)
extensions/daemonsets/finalizers c:daemon-set-controller(u)
extensions/daemonsets/status view(glw) c:daemon-set-controller(u)
extensions/deployments view(glw) edit(cupdD) c:deployment-controller(glwu)\
  c:disruption-controller(glw) system:heapster(glw)
extensions/deployments/finalizers c:deployment-controller(u)
extensions/deployments/rollback edit(cupdD)
extensions/deployments/scale view(glw) edit(cupdD)
extensions/deployments/status view(glw) c:deployment-controller(u)
extensions/ingresses view(glw) edit(cupdD)
extensions/ingresses/status view(glw)
extensions/networkpolicies view(glw) edit(cupdD)
extensions/replicasets view(glw) edit(cupdD) c:deployment-controller(glwcupd)\
  c:disruption-controller(glw) c:replicaset-controller(glwu) system:kube-scheduler(glw)
extensions/replicasets/finalizers c:replicaset-controller(u)
extensions/replicasets/scale view(glw) edit(cupdD)
extensions/replicasets/status view(glw) c:replicaset-controller(u)
extensions/replicationcontrollers/scale view(glw) edit(cupdD)
external.metrics.k8s.io/* c:horizontal-pod-autoscaler(glw)
metrics.k8s.io/pods c:horizontal-pod-autoscaler(lw)
networking.k8s.io/ingresses view(glw) edit(cupdD)
networking.k8s.io/ingresses/status view(glw)
networking.k8s.io/networkpolicies view(glw) edit(cupdD)
node.k8s.io/runtimeclasses system:node(glw)
policy/poddisruptionbudgets view(glw) edit(cupdD) c:disruption-controller(glw)\
  system:kube-scheduler(glw)
policy/poddisruptionbudgets/status view(glw) c:disruption-controller(u)
rbac.authorization.k8s.io/clusterroles c:clusterrole-aggregation-controller(glwup,escalate)
rbac.authorization.k8s.io/rolebindings admin(glwcupdD)
rbac.authorization.k8s.io/roles admin(glwcupdD)
storage.k8s.io/csidrivers c:attachdetach-controller(glw) system:kube-scheduler(glw)\
  system:node(glw)
storage.k8s.io/csinodes c:attachdetach-controller(glw) system:kube-scheduler(glw)\
  system:node(gcupd)
storage.k8s.io/csistoragecapacities system:kube-scheduler(glw)
storage.k8s.io/storageclasses c:persistent-volume-binder(glw)\
  system:persistent-volume-provisioner(glw) system:volume-scheduler(glw)
storage.k8s.io/volumeattachments c:attachdetach-controller(glwcd) system:kube-scheduler(glw)\
  system:node(g)
)";

const char* const kRecorders =
    R"(
c:attachdetach-controller c:certificate-controller c:cronjob-controller\
 c:daemon-set-controller c:deployment-controller c:disruption-controller c:endpoint-controller\
 c:endpointslice-controller c:endpointslicemirroring-controller c:ephemeral-volume-controller\
 c:expand-controller c:generic-garbage-collector c:horizontal-pod-autoscaler c:job-controller\
 c:node-controller c:persistent-volume-binder c:pv-protection-controller\
 c:pvc-protection-controller c:replicaset-controller c:replication-controller\
 c:resourcequota-controller c:root-ca-cert-publisher c:route-controller\
 c:service-account-controller c:service-controller c:statefulset-controller\
 c:ttl-after-finished-controller c:ttl-controller c:validatingadmissionpolicy-status-controller\
 kube-public/system:controller:bootstrap-signer kube-system/system:controller:token-cleaner\
 system:kube-controller-manager system:kube-scheduler system:node-problem-detector\
 system:node-proxier system:persistent-volume-provisioner
)";

// Paths, each as it is asked for; every one is for "get" alone.
const char* const kPaths = R"(
/ -
/api system:discovery
/api/v1 system:discovery
/apis system:discovery
/apis/apps/v1 system:discovery
/openapi system:discovery
/openapi/v2 system:discovery
/openapi/v3 system:discovery
/version system:discovery system:public-info-viewer
/version/ system:discovery system:public-info-viewer
/version/more -
/healthz system:discovery system:monitoring system:public-info-viewer
/healthz/etcd system:monitoring
/livez system:discovery system:monitoring system:public-info-viewer
/livez/etcd system:monitoring
/readyz system:discovery system:monitoring system:public-info-viewer
/readyz/etcd system:monitoring
/healthzz -
/metrics system:monitoring
/metrics/slis system:monitoring
/metrics/cadvisor -
/.well-known/openid-configuration system:service-account-issuer-discovery
/.well-known/openid-configuration/ system:service-account-issuer-discovery
/openid/v1/jwks system:service-account-issuer-discovery
/openid/v1/jwks/ system:service-account-issuer-discovery
/openid/v1 -
/logs -
/logs/ -
/debug/pprof -
/debug/pprof/profile -
/configz -
/flagz -
/statusz -
//api -
/api/../metrics system:discovery
/metrics/../api -
)";

const std::vector<std::string> kVerbs = {
    "get",         "list", "watch",    "create",  "update", "patch",  "delete", "deletecollection",
    "impersonate", "bind", "escalate", "approve", "sign",   "attest", "proxy",  "use"};
constexpr std::string_view kLetters = "glwcupdD";

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  for (auto& word : split(text, ' ')) {
    if (!word.empty()) out.push_back(std::move(word));
  }
  return out;
}

// Lines, those that end with a backslash joined with the next.
std::vector<std::string> lines(std::string text) {
  for (size_t at; (at = text.find("\\\n")) != std::string::npos;) text.erase(at, 2);
  std::vector<std::string> out;
  for (auto& line : split(text, '\n')) {
    if (!line.empty()) out.push_back(std::move(line));
  }
  return out;
}

Names meant(std::string word) {
  if (word == "view") return {"view", "edit", "admin", "system:aggregate-to-view"};
  if (word == "edit") return {"edit", "admin", "system:aggregate-to-edit"};
  if (word == "admin") return {"admin", "system:aggregate-to-admin"};
  if (word == "recorders") {
    Names out;
    for (const auto& name : words(lines(kRecorders).at(0))) out.merge(meant(name));
    return out;
  }
  if (word.starts_with("c:")) word = "system:controller:" + word.substr(2);
  return {word};
}

Names verbs_of(const std::string& text) {
  if (text == "*") return Names(kVerbs.begin(), kVerbs.end());
  Names out;
  for (const auto& word : split(text, ',')) {
    if (word.find_first_not_of(kLetters) != std::string::npos) {
      out.insert(word);
      continue;
    }
    for (const char letter : word) out.insert(kVerbs[kLetters.find(letter)]);
  }
  return out;
}

struct Resource {
  std::string group, resource, name;  // resource with its subresource
  bool operator<(const Resource& other) const {
    return std::tie(group, resource, name) < std::tie(other.group, other.resource, other.name);
  }
};
Resource resource_of_text(const std::string& text) {
  const size_t slash = text.find('/'), equals = text.find('=');
  Resource out{text.substr(0, slash), text.substr(slash + 1, equals - slash - 1), ""};
  if (equals != std::string::npos) out.name = text.substr(equals + 1);
  if (out.group == "core") out.group.clear();
  return out;
}

using Cells = std::map<Resource, std::map<std::string, Names>>;  // resource, verb: roles

Cells read_table() {
  Cells out;
  for (const auto& line : lines(kExpected)) {
    const auto parts = words(line);
    auto& verbs = out[resource_of_text(parts[0])];
    for (size_t i = 1; i < parts.size(); ++i) {
      const size_t open = parts[i].find('(');
      const auto roles = meant(parts[i].substr(0, open));
      for (const auto& verb : verbs_of(parts[i].substr(open + 1, parts[i].size() - open - 2))) {
        verbs[verb].insert(roles.begin(), roles.end());
      }
    }
  }
  return out;
}

// The rows that speak of a resource: its own, without its name, and those with wildcards.
Names expected(const Cells& table, const Resource& asked, const std::string& verb) {
  std::vector<Resource> rows = {asked, {"*", "*", ""}, {asked.group, "*", ""}};
  if (!asked.name.empty()) rows.push_back({asked.group, asked.resource, ""});
  if (asked.resource.ends_with("/scale")) rows.push_back({"*", "*/scale", ""});
  Names out;
  for (const auto& row : rows) {
    const auto at = table.find(row);
    if (at == table.end()) continue;
    const auto roles = at->second.find(verb);
    if (roles != at->second.end()) out.insert(roles->second.begin(), roles->second.end());
  }
  return out;
}

// Every resource that is asked for: discovered ones, those of the table, and some of nobody.
std::set<Resource> all_asked(const Cells& table) {
  std::set<Resource> out = {{"example.com", "things", ""},
                            {"example.com", "things/scale", ""},
                            {"", "users", ""},
                            {"", "groups", ""},
                            {"authentication.k8s.io", "uids", ""},
                            {"authentication.k8s.io", "userextras/scopes", ""},
                            {"", "nodes/configz", ""},
                            {"", "nodes/healthz", ""},
                            {"", "nodes/pods", ""},
                            {"", "pods/ephemeralcontainers", ""},
                            {"", "pods/resize", ""},
                            {"certificates.k8s.io", "signers", "example.com/mine"},
                            {"custom.metrics.k8s.io", "pods/requests", ""},
                            {"external.metrics.k8s.io", "queue", ""},
                            {"", "configmaps", "another"}};
  for (const auto* info : api::all_resources()) {
    const std::string group(info->group), plural(info->plural);
    out.insert({group, plural, ""});
    if (info->has_status) out.insert({group, plural + "/status", ""});
    if (info->has_scale) out.insert({group, plural + "/scale", ""});
  }
  for (const auto& [row, verbs] : table) {
    if (row.resource.find('*') == std::string::npos) out.insert(row);
  }
  return out;
}

// Somebody for each role, bound to it and to nothing else.
struct Matrix : AuthFixture {
  Matrix() {
    for (const auto& role : bootstrap_roles()) {
      bind<api::rbacv1::ClusterRoleBinding>(role.metadata.name, "ClusterRole", "",
                                            role.metadata.name);
    }
    for (const auto& role : bootstrap_namespace_roles()) {
      const auto& meta = role.metadata;
      bind<api::rbacv1::RoleBinding>(meta.namespace_ + "/" + meta.name, "Role", meta.namespace_,
                                     meta.name);
    }
    executor->run_until_idle();
  }
  template <class Binding>
  void bind(const std::string& role, const char* kind, const std::string& ns,
            const std::string& name) {
    Binding binding;
    binding.metadata.name = "only-" + std::to_string(holders.size());
    binding.metadata.namespace_ = ns;
    binding.roleRef.apiGroup = "rbac.authorization.k8s.io";
    binding.roleRef.kind = kind;
    binding.roleRef.name = name;
    auto& subject = binding.subjects.emplace_back();
    subject.kind = "User";
    subject.apiGroup = "rbac.authorization.k8s.io";
    subject.name = "holder of " + role;
    const auto made = client.create(binding);
    INFO((made ? "" : made.error().message));
    REQUIRE(made);
    holders[role] = {UserInfo{.name = subject.name}, ns};
  }
  Names allowed(const Attributes& question) {
    Names out;
    for (const auto& [role, holder] : holders) {
      Attributes asked = question;
      asked.user = &holder.first;
      if (asked.resource_request) asked.namespace_ = holder.second;
      if (authorizer.authorize(asked).decision == Decision::kAllow) out.insert(role);
    }
    return out;
  }
  std::map<std::string, std::pair<UserInfo, std::string>> holders;  // by role; their namespace
};

std::string differences(const Names& expected, const Names& decided) {
  std::string out;
  for (const auto& role : expected) {
    if (decided.count(role) == 0) out += " lacks:" + role;
  }
  for (const auto& role : decided) {
    if (expected.count(role) == 0) out += " must not:" + role;
  }
  return out;
}

bool is_ours(const std::string& role) { return role.starts_with("orch:"); }

Names without_ours(Names roles) {
  std::erase_if(roles, is_ours);
  return roles;
}

TEST_CASE("who may do what: every default role, every resource, every verb") {
  Matrix f;
  const Cells table = read_table();
  REQUIRE(f.holders.size() > 70);
  for (const auto& [row, verbs] : table) {
    for (const auto& [verb, roles] : verbs) {
      for (const auto& role : roles) {
        INFO(row.group << "/" << row.resource << ": " << role);
        REQUIRE(f.holders.count(role) == 1);  // the table speaks of roles that are there
      }
    }
  }
  const auto resources = all_asked(table);
  CHECK(resources.size() > 150);
  std::vector<std::string> wrong;
  for (const auto& asked : resources) {
    for (const auto& verb : kVerbs) {
      Attributes question;
      question.verb = verb;
      question.group = asked.group;
      const size_t slash = asked.resource.find('/');
      question.resource = asked.resource.substr(0, slash);
      if (slash != std::string::npos) question.subresource = asked.resource.substr(slash + 1);
      question.name = asked.name;
      const auto why = differences(expected(table, asked, verb), without_ours(f.allowed(question)));
      if (!why.empty()) {
        wrong.push_back(verb + " " + asked.group + "/" + asked.resource + " " + asked.name + ":" +
                        why);
      }
    }
  }
  CHECK(wrong == std::vector<std::string>{});
}

TEST_CASE("who may do what: every default role, paths") {
  Matrix f;
  for (const auto& line : lines(kPaths)) {
    auto roles = words(line);
    Attributes question;
    question.resource_request = false;
    question.path = roles[0];
    Names wanted(roles.begin() + 1, roles.end());
    wanted.erase("-");
    wanted.insert("cluster-admin");
    for (const char* verb : {"get", "head", "post", "put", "delete", "list"}) {
      INFO(verb << " " << question.path);
      question.verb = verb;
      const Names may = question.verb == "get" ? wanted : Names{"cluster-admin"};
      CHECK(differences(may, f.allowed(question)) == "");
    }
  }
}

}  // namespace
}  // namespace orch::server
