// Rules of the small core kinds: nodes, namespaces, endpoints, events, access control and more.
#include "kinds_support.h"
#include "orch/api/appsv1.h"
#include "orch/api/authorizationv1.h"
#include "orch/api/coordinationv1.h"
#include "orch/api/corev1.h"
#include "orch/api/discoveryv1.h"
#include "orch/api/pod_update.h"
#include "orch/api/policyv1.h"
#include "orch/api/rbacv1.h"

namespace orch::api::test {
namespace {

using corev1::Endpoints;
using corev1::Namespace;
using corev1::Node;
using corev1::Pod;
using discoveryv1::EndpointSlice;

// "field: message" of an update of the status.
template <class T>
Texts status_complaints(const T& old, const Rule& rule) {
  T now = decoded<T>(changed(to_json(static_cast<const Object&>(old)), rule));
  resource_of<T>().prepare_status(now, old);
  FieldErrors errors;
  resource_of<T>().validate_status(now, old, errors);
  Texts out;
  for (const auto& cause : errors.take()) out.push_back(cause.field + ": " + cause.message);
  return out;
}

constexpr const char* kLabel =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr const char* kSubdomain =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

TEST_CASE("object metadata: owners and finalizers") {
  check_rules<corev1::ConfigMap>(
      R"({"metadata":{"name":"a","namespace":"default"}})",
      {{"/metadata/ownerReferences",
        R"([{"apiVersion":"","kind":"","name":"","uid":""}])",
        {"metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
         "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty",
         "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
         "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"}},
       {"/metadata/ownerReferences",
        R"([{"apiVersion":"v1","kind":"Pod","name":"a","uid":"1","controller":true},)"
        R"({"apiVersion":"v1","kind":"Pod","name":"b","uid":"2","controller":true},)"
        R"({"apiVersion":"v1","kind":"Pod","name":"c","uid":"3","controller":true}])",
        {"metadata.ownerReferences: Invalid value: \"Pod/b\": Only one reference can have "
         "Controller set to true. Found \"true\" in references for Pod/a and Pod/b",
         "metadata.ownerReferences: Invalid value: \"Pod/c\": Only one reference can have "
         "Controller set to true. Found \"true\" in references for Pod/a and Pod/c"}},
       {"/metadata/finalizers",
        R"(["odd"])",
        {"metadata.finalizers[0]: Invalid value: \"odd\": name is neither a standard finalizer "
         "name nor is it fully qualified"}},
       {"/metadata/finalizers",
        R"(["orphan","foregroundDeletion"])",
        {"metadata.finalizers: Invalid value: []string{\"orphan\", \"foregroundDeletion\"}: "
         "finalizer orphan and foregroundDeletion cannot be both set"}}});
  const auto owned = complaints(
      made<corev1::ConfigMap>(R"({"metadata":{"name":"a","namespace":"default","ownerReferences":[)"
                              R"({"apiVersion":"v1","kind":"Event","name":"e","uid":"1"}]}})"));
  REQUIRE(owned.size() == 1);
  CHECK(owned[0].ends_with("}: /v1, Kind=Event is disallowed from being an owner"));
  auto old = made<corev1::ConfigMap>(
      R"({"metadata":{"name":"a","namespace":"default","finalizers":["a.io/x"]}})");
  old.metadata.deletionTimestamp = Time(WallTime{Seconds{5}});
  auto now = old;
  now.metadata.finalizers = {"a.io/x", "c.io/x", "b.io/x"};
  CHECK(complaints(now, &old) ==
        Texts{"metadata.finalizers: Forbidden: no new finalizers can be added if the object is "
              "being deleted, found new finalizers []string{\"b.io/x\", \"c.io/x\"}"});
}

TEST_CASE("nodes: rules") {
  const std::string json = R"({"metadata":{"name":"n"},"spec":{"podCIDR":"10.0.0.0/24"}})";
  CHECK(made<Node>(json).spec.podCIDRs == Texts{"10.0.0.0/24"});
  CHECK(
      made<Node>(R"({"metadata":{"name":"n"},"spec":{"podCIDRs":["10.0.1.0/24"]}})").spec.podCIDR ==
      "10.0.1.0/24");
  check_rules<Node>(
      json,
      {{"/spec/taints",
        R"([{"key":"a","effect":"NoSchedule"},{"key":"a","effect":"NoSchedule"}])",
        {"metadata.taints[1]: Duplicate value: core.Taint{Key:\"a\", Value:\"\", "
         "Effect:\"NoSchedule\", TimeAdded:(*v1.Time)(nil)}: taints must be unique by key and "
         "effect pair"}},
       {"/spec/taints",
        R"([{"key":"a"},{"key":"b","effect":"Odd"}])",
        {"metadata.taints[0].effect: Required value",
         "metadata.taints[1].effect: Unsupported value: \"Odd\": supported values: "
         "\"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""}},
       {"/spec/podCIDRs",
        R"(["10.0.0.0/24","10.0.1.0/24"])",
        {"spec.podCIDRs: Invalid value: []string{\"10.0.0.0/24\", \"10.0.1.0/24\"}: may specify "
         "no more than one CIDR for each IP family"}},
       {"/spec/podCIDRs", R"(["10.0.0.0/24","fd00::/64"])", {}},
       {"/spec/podCIDR",
        R"("10.0.0.0")",
        {"spec.podCIDRs[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. "
         "10.9.8.0/24 or 2001:db8::/64)"}},
       {"/status",
        R"({"capacity":{"pods":"1.5"}})",
        {"status.capacity.pods: Invalid value: \"1500m\": must be an integer"}}});
  auto old = made<Node>(json);
  old.spec.providerID = "a://1";
  check_changes(old,
                {{"/spec/podCIDR",
                  R"("10.9.0.0/24")",
                  {"spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "
                   "\"\" to valid"}},
                 {"/spec/providerID",
                  R"("a://2")",
                  {"spec.providerID: Forbidden: node updates may not change providerID except "
                   "from \"\" to valid"}},
                 {"/spec/externalID", R"("x")", {"spec.externalID: Forbidden: may not be updated"}},
                 {"/spec/unschedulable", "true", {}}});
  CHECK(status_complaints(
            old, {"/status",
                  R"({"addresses":[{"type":"InternalIP","address":"1.2.3.4"},)"
                  R"({"type":"InternalIP","address":"1.2.3.4"}],"allocatable":{"cpu":"-1"}})",
                  {}}) ==
        Texts{"status.allocatable.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
              "status.addresses[1]: Duplicate value: core.NodeAddress{Type:\"InternalIP\", "
              "Address:\"1.2.3.4\"}"});
}

TEST_CASE("namespaces: finalizers and phases") {
  check_rules<Namespace>(R"({"metadata":{"name":"n"}})",
                         {{"/spec",
                           R"({"finalizers":["odd"]})",
                           {"spec.finalizers: Invalid value: \"odd\": name is neither a standard "
                            "finalizer name nor is it fully qualified"}}});
  auto old = made<Namespace>(R"({"metadata":{"name":"n"}})");
  CHECK(status_complaints(old, {"/status/phase", R"("Terminating")", {}}) ==
        Texts{"status.Phase: Invalid value: \"Terminating\": may only be 'Active' if "
              "`deletionTimestamp` is empty"});
  old.metadata.deletionTimestamp = Time(WallTime{Seconds{5}});
  CHECK(status_complaints(old, {"/status/phase", R"("Active")", {}}) ==
        Texts{"status.Phase: Invalid value: \"Active\": may only be 'Terminating' if "
              "`deletionTimestamp` is not empty"});
}

TEST_CASE("endpoints: rules") {
  const std::string json = R"({"metadata":{"name":"e","namespace":"default"},"subsets":[{)"
                           R"("addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":80}]}]})";
  check_rules<Endpoints>(
      json,
      {{"/subsets/0/addresses/0/ip",
        R"("nope")",
        {"subsets[0].addresses[0].ip: Invalid value: \"nope\": must be a valid IP address, (e.g. "
         "10.9.8.7 or 2001:db8::ffff)",
         "subsets[0].addresses[0].ip: Invalid value: \"nope\": must be a valid IP address"}},
       {"/subsets/0/addresses/0/ip",
        R"("0.0.0.0")",
        {"subsets[0].addresses[0].ip: Invalid value: \"0.0.0.0\": may not be unspecified "
         "(0.0.0.0)"}},
       {"/subsets/0/addresses/0/ip",
        R"("127.0.0.1")",
        {"subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback "
         "range (127.0.0.0/8, ::1/128)"}},
       {"/subsets/0/addresses/0/ip",
        R"("fe80::1")",
        {"subsets[0].addresses[0].ip: Invalid value: \"fe80::1\": may not be in the link-local "
         "range (169.254.0.0/16, fe80::/10)"}},
       {"/subsets/0/addresses/0/ip",
        R"("224.0.0.9")",
        {"subsets[0].addresses[0].ip: Invalid value: \"224.0.0.9\": may not be in the link-local "
         "multicast range (224.0.0.0/24, ff02::/10)"}},
       {"/subsets/0/addresses/0/hostname",
        R"("A")",
        {std::string("subsets[0].addresses[0].hostname: Invalid value: \"A\": ") + kLabel}},
       {"/subsets/0/addresses/0/nodeName",
        R"("A")",
        {std::string("subsets[0].addresses[0].nodeName: Invalid value: \"A\": ") + kSubdomain}},
       {"/subsets/0/addresses",
        "[]",
        {"subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"}},
       {"/subsets/0/ports",
        R"([{"port":0,"name":"a"},{"port":1,"protocol":"X"}])",
        {"subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
         "subsets[0].ports[1].name: Required value",
         "subsets[0].ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", "
         "\"TCP\", \"UDP\""}}});
  // What was wrong before a rule came may stay.
  auto old = decoded<Endpoints>(json);
  old.subsets[0].addresses[0].ip = "127.0.0.1";
  auto now = old;
  now.metadata.labels["a"] = "b";
  CHECK(complaints(now, &old).empty());
  now.subsets[0].ports.clear();
  CHECK(complaints(now, &old).size() == 1);
}

TEST_CASE("endpoint slices: rules") {
  const std::string json = R"({"metadata":{"name":"e","namespace":"default"},"addressType":"IPv4",)"
                           R"("endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"port":80}]})";
  check_rules<EndpointSlice>(
      json,
      {{"/addressType", R"("")", {"addressType: Required value"}},
       {"/addressType",
        R"("Odd")",
        {"addressType: Unsupported value: \"Odd\": supported values: \"FQDN\", \"IPv4\", "
         "\"IPv6\""}},
       {"/addressType",
        R"("IPv6")",
        {"endpoints[0].addresses[0]: Invalid value: \"10.0.0.1\": must be a valid IPv6 address"}},
       {"/endpoints/0/addresses",
        "[]",
        {"endpoints[0].addresses: Required value: must contain at least 1 address"}},
       {"/endpoints/0/addresses",
        R"(["::1"])",
        {"endpoints[0].addresses[0]: Invalid value: \"::1\": must be a valid IPv4 address",
         "endpoints[0].addresses[0]: Invalid value: \"::1\": may not be in the loopback range "
         "(127.0.0.0/8, ::1/128)"}},
       {"/endpoints/0/hostname",
        R"("A")",
        {std::string("endpoints[0].hostname: Invalid value: \"A\": ") + kLabel}},
       {"/endpoints/0/nodeName",
        R"("A")",
        {std::string("endpoints[0].nodeName: Invalid value: \"A\": ") + kSubdomain}},
       {"/endpoints/0/hints",
        R"({"forZones":[{"name":"a"},{"name":"a"}]})",
        {"endpoints[0].hints.forZones[1].name: Duplicate value: \"a\""}},
       {"/endpoints/0/hints",
        R"({"forZones":[{"name":"1"},{"name":"2"},{"name":"3"},{"name":"4"},{"name":"5"},)"
        R"({"name":"6"},{"name":"7"},{"name":"8"},{"name":"9"}]})",
        {"endpoints[0].hints.forZones: Too many: 9: must have at most 8 items"}},
       {"/ports",
        R"([{"name":"A"},{"name":"a"},{"name":"a","protocol":"X"}])",
        {std::string("ports[0].name: Invalid value: \"A\": ") + kLabel,
         "ports[2].name: Duplicate value: \"a\"",
         "ports[2].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", "
         "\"UDP\""}}});
  check_rules<EndpointSlice>(
      R"({"metadata":{"name":"e","namespace":"default"},"addressType":"FQDN",)"
      R"("endpoints":[{"addresses":["a.example.com."]}]})",
      {{"/endpoints/0/addresses/0",
        R"("single")",
        {"endpoints[0].addresses[0]: Invalid value: \"single\": should be a domain with at least "
         "two segments separated by dots"}}});
  auto old = made<EndpointSlice>(json);
  auto now = old;
  now.addressType = "FQDN";
  now.endpoints[0].addresses = {"a.example.com"};
  CHECK(complaints(now, &old) == Texts{"addressType: Invalid value: \"FQDN\": field is immutable"});
  now = old;
  now.endpoints[0].deprecatedTopology["kubernetes.io/hostname"] = "n";
  resource_of<EndpointSlice>().prepare(now, &old, {});
  CHECK(now.endpoints[0].deprecatedTopology.empty());
}

TEST_CASE("access control: roles and bindings") {
  check_rules<rbacv1::Role>(
      R"({"metadata":{"name":"a:b","namespace":"default"},"rules":[{"verbs":["get"],)"
      R"("apiGroups":[""],"resources":["pods"]}]})",
      {{"/metadata/name",
        R"("a/b")",
        {"metadata.name: Invalid value: \"a/b\": may not contain '/'"}},
       {"/rules/0/nonResourceURLs",
        R"(["/x"])",
        {"rules[0].nonResourceURLs: Invalid value: []string{\"/x\"}: namespaced rules cannot apply "
         "to non-resource URLs",
         "rules[0].nonResourceURLs: Invalid value: []string{\"/x\"}: rules cannot apply to both "
         "regular resources and non-resource URLs"}},
       {"/rules/0",
        "{}",
        {"rules[0].verbs: Required value: verbs must contain at least one value",
         "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
         "rules[0].resources: Required value: resource rules must supply at least one "
         "resource"}}});
  const auto role = complaints(made<rbacv1::ClusterRole>(
      R"({"metadata":{"name":"a"},"aggregationRule":{"clusterRoleSelectors":[]}})"));
  CHECK(role == Texts{"aggregationRule.clusterRoleSelectors: Required value: at least one "
                      "clusterRoleSelector required if aggregationRule is non-nil"});

  const std::string group = R"("apiGroup":"rbac.authorization.k8s.io")";
  const std::string json = R"({"metadata":{"name":"b"},"roleRef":{)" + group +
                           R"(,"kind":"ClusterRole","name":"r"},"subjects":[{)" + group +
                           R"(,"kind":"User","name":"u"}]})";
  check_rules<rbacv1::ClusterRoleBinding>(
      json,
      {{"/roleRef/kind",
        R"("Role")",
        {"roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""}},
       {"/roleRef/apiGroup",
        R"("x")",
        {"roleRef.apiGroup: Unsupported value: \"x\": supported values: "
         "\"rbac.authorization.k8s.io\""}},
       {"/roleRef/name", R"("")", {"roleRef.name: Required value"}},
       {"/roleRef/name", R"("..")", {"roleRef.name: Invalid value: \"..\": may not be '..'"}},
       {"/subjects/0/apiGroup",
        R"("x")",
        {"subjects[0].apiGroup: Unsupported value: \"x\": supported values: "
         "\"rbac.authorization.k8s.io\""}},
       {"/subjects/0/name", R"("")", {"subjects[0].name: Required value"}},
       {"/subjects/0/kind",
        R"("Odd")",
        {"subjects[0].kind: Unsupported value: \"Odd\": supported values: \"ServiceAccount\", "
         "\"User\", \"Group\""}},
       {"/subjects/0",
        R"({"kind":"ServiceAccount","name":"A","apiGroup":"x"})",
        {std::string("subjects[0].name: Invalid value: \"A\": ") + kSubdomain,
         "subjects[0].apiGroup: Unsupported value: \"x\": supported values: \"\"",
         "subjects[0].namespace: Required value"}}});
  check_changes<rbacv1::ClusterRoleBinding>(
      json, {{"/roleRef/name",
              R"("other")",
              {"roleRef: Invalid value: rbac.RoleRef{APIGroup:\"rbac.authorization.k8s.io\", "
               "Kind:\"ClusterRole\", Name:\"other\"}: cannot change roleRef"}}});
}

TEST_CASE("local access reviews stay in their namespace") {
  const auto review = [](const std::string& spec) {
    return complaints(decoded<authorizationv1::LocalSubjectAccessReview>(
        R"({"metadata":{"name":"x","namespace":"default"},"spec":{"user":"u",)" + spec + "}}"));
  };
  CHECK(review(R"("resourceAttributes":{"namespace":"default","verb":"get"})").empty());
  CHECK(review(R"("resourceAttributes":{"namespace":"other","verb":"get"})") ==
        Texts{"spec.resourceAttributes.namespace: Invalid value: \"other\": must match "
              "metadata.namespace"});
  CHECK(review(R"("nonResourceAttributes":{"path":"/x","verb":"get"})") ==
        Texts{"spec.nonResourceAttributes: Invalid value: "
              "authorization.NonResourceAttributes{Path:\"/x\", Verb:\"get\"}: disallowed on this "
              "kind of request"});
}

TEST_CASE("leases, service accounts, revisions, templates") {
  check_rules<coordinationv1::Lease>(
      R"({"metadata":{"name":"l","namespace":"default"},"spec":{"strategy":"x","preferredHolder":)"
      R"("y"}})",
      {{"/spec/leaseDurationSeconds",
        "0",
        {"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"}},
       {"/spec/leaseTransitions",
        "-1",
        {"spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"}}});
  CHECK_FALSE(made<coordinationv1::Lease>(
                  R"({"metadata":{"name":"l","namespace":"default"},"spec":{"strategy":"x"}})")
                  .spec.strategy);
  const auto account = made<corev1::ServiceAccount>(
      R"({"metadata":{"name":"a","namespace":"default"},"secrets":[{"name":"s","kind":"Secret",)"
      R"("uid":"1"}]})");
  CHECK(account.secrets[0].name == "s");
  CHECK(account.secrets[0].kind.empty());
  CHECK(account.secrets[0].uid.empty());
  const std::string revision =
      R"({"metadata":{"name":"r","namespace":"default"},"data":{"a":1},"revision":1})";
  check_rules<appsv1::ControllerRevision>(
      revision,
      {{"/data", "", {"data: Required value: data is mandatory"}},
       {"/revision", "-1", {"revision: Invalid value: -1: must be greater than or equal to 0"}}});
  check_changes<appsv1::ControllerRevision>(
      revision, {{"/data", R"({"a":2})", {"data: Invalid value: {\"a\":2}: field is immutable"}},
                 {"/revision", "2", {}}});
}

TEST_CASE("config maps: a key may be in one place only") {
  const auto both = complaints(decoded<corev1::ConfigMap>(
      R"({"metadata":{"name":"a","namespace":"default"},"data":{"k":""},"binaryData":{"k":""}})"));
  CHECK(both == Texts{"data[k]: Invalid value: \"k\": duplicate of key present in binaryData",
                      "binaryData[k]: Invalid value: \"k\": duplicate of key present in data"});
}

TEST_CASE("disruption budgets: conditions of the status") {
  const auto budget = made<policyv1::PodDisruptionBudget>(
      R"({"metadata":{"name":"b","namespace":"default"},"spec":{"minAvailable":1}})");
  CHECK(status_complaints(budget, {"/status",
                                   R"({"conditions":[{"type":"A","status":"True","reason":"Good",)"
                                   R"("lastTransitionTime":"2020-01-01T00:00:00Z"},)"
                                   R"({"type":"A","status":"Odd","reason":""}],)"
                                   R"("disruptionsAllowed":-1})",
                                   {}}) ==
        Texts{"status.conditions[1].type: Duplicate value: \"A\"",
              "status.conditions[1].status: Unsupported value: \"Odd\": supported values: "
              "\"False\", \"True\", \"Unknown\"",
              "status.conditions[1].lastTransitionTime: Required value: must be set",
              "status.conditions[1].reason: Required value: must be set",
              "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0"});
}

TEST_CASE("service status: addresses of load balancers only") {
  auto service = made<corev1::Service>(
      R"({"metadata":{"name":"s","namespace":"default"},"spec":{"ports":[{"port":80}]}})");
  const Rule address{"/status", R"({"loadBalancer":{"ingress":[{"ip":"10.0.0.1"}]}})", {}};
  CHECK(status_complaints(service, address) ==
        Texts{"status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is "
              "\"LoadBalancer\""});
  service.spec.type = "LoadBalancer";
  CHECK(status_complaints(service, address).empty());
  CHECK(status_complaints(
            service,
            {"/status", R"({"loadBalancer":{"ingress":[{"hostname":"a","ipMode":"VIP"}]}})", {}}) ==
        Texts{"status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is "
              "not set"});
}

Pod running(const std::string& policy) {
  return made<Pod>(R"({"metadata":{"name":"p","namespace":"default"},"spec":{"restartPolicy":")" +
                   policy + R"(","containers":[{"name":"c","image":"i"}]}})");
}

TEST_CASE("pod status: containers that ended for good stay ended") {
  const struct {
    const char *policy, *list;
    int code;
    bool refused;
  } cases[] = {{"Always", "containerStatuses", 0, false},
               {"OnFailure", "containerStatuses", 1, false},
               {"OnFailure", "containerStatuses", 0, true},
               {"OnFailure", "initContainerStatuses", 0, true},
               {"Never", "containerStatuses", 1, true},
               {"Always", "ephemeralContainerStatuses", 1, true}};
  for (const auto& c : cases) {
    INFO(c.policy << " " << c.list << " " << c.code);
    const std::string path = std::string("/status/") + c.list;
    auto old = decoded<Pod>(changed(
        to_json(static_cast<const Object&>(running(c.policy))),
        {path.c_str(),
         (R"([{"name":"c","state":{"terminated":{"exitCode":)" + std::to_string(c.code) + "}}}]")
             .c_str(),
         {}}));
    const auto said =
        status_complaints(old, {path.c_str(), R"([{"name":"c","state":{"running":{}}}])", {}});
    const Texts wanted = {std::string("status.") + c.list +
                          "[0].state: Forbidden: may not be transitioned to non-terminated state"};
    CHECK(said == (c.refused ? wanted : Texts{}));
  }
  const auto pod = running("Always");
  CHECK(status_complaints(
            pod, {"/status", R"({"hostIP":"10.0.0.1","hostIPs":[{"ip":"10.0.0.2"}]})", {}}) ==
        Texts{"status.hostIPs[0].ip: Invalid value: \"10.0.0.2\": must be equal to `hostIP`"});
}

TEST_CASE("ephemeral containers: the rules of containers, and none goes or changes") {
  auto old = running("Always");
  const auto said = [&](const std::string& containers) {
    const auto now = decoded<Pod>(changed(to_json(static_cast<const Object&>(old)),
                                          {"/spec/ephemeralContainers", containers.c_str(), {}}));
    FieldErrors errors;
    validate_ephemeral_update(now, old, errors);
    Texts out;
    for (const auto& cause : errors.take()) out.push_back(cause.field + ": " + cause.message);
    return out;
  };
  CHECK(said(R"([{"name":"d","image":"i"}])").empty());
  CHECK(said(R"([{"name":"c","image":"i"}])") ==
        Texts{"spec.ephemeralContainers[0].name: Duplicate value: \"c\""});
  CHECK(said(R"([{"name":"d","image":"i","targetContainerName":"x","ports":[{"containerPort":1}],)"
             R"("env":[{"name":"="}]}])") ==
        Texts{"spec.ephemeralContainers[0].env[0].name: Invalid value: \"=\": a valid environment "
              "variable name must consist only of printable ASCII characters other than '='",
              "spec.ephemeralContainers[0].targetContainerName: Not found: \"x\"",
              "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral "
              "Container"});
  old = decoded<Pod>(changed(to_json(static_cast<const Object&>(old)),
                             {"/spec/ephemeralContainers", R"([{"name":"d","image":"i"}])", {}}));
  CHECK(said("[]") == Texts{"spec.ephemeralContainers: Forbidden: existing ephemeral containers "
                            "\"d\" may not be removed\n"});
  const auto other = said(R"([{"name":"d","image":"j"}])");
  REQUIRE(other.size() == 1);
  CHECK(
      other[0].starts_with("spec.ephemeralContainers: Forbidden: existing ephemeral containers "
                           "\"d\" may not be changed\n"));
  old.metadata.annotations["kubernetes.io/config.mirror"] = "x";
  CHECK(said("[]") == Texts{": Forbidden: static pods do not support ephemeral containers"});
}

}  // namespace
}  // namespace orch::api::test
