// NodeRestriction: attacks of a node, each with its answer.
#include "orch/base/strings.h"
#include "orch/net/tls.h"
#include "server/admission/admission.h"
#include "unit/server/auth_fixture.h"

namespace orch::server {
namespace {

using namespace test;

// Nodes n1 and n2, a pod on each; requests come from n1, authorised for everything, so that what is
// refused is refused by admission.
struct NodeFixture : AuthFixture {
  PluginChain chain{AdmissionContext{informers, *random, client}, {"ServiceAccount"}};
  std::string uid;

  NodeFixture() : AuthFixture(false) {
    uid = post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})").at("metadata.uid");
    post("/api/v1/nodes", R"({"metadata":{"name":"n2"}})");
    for (const std::string node : {"1", "2"}) {
      REQUIRE(post(kPods, R"({"metadata":{"name":"p)" + node + R"("},"spec":{"nodeName":"n)" +
                              node +
                              R"(","serviceAccountName":"sa","containers":[{"name":"c",)"
                              R"("image":"i"}],"volumes":[{"name":"t","projected":{"sources":)"
                              R"([{"serviceAccountToken":{"path":"a"}},{"serviceAccountToken":)"
                              R"({"path":"b","audience":"vault"}}]}}]}})")
                  .status == 201);
    }
    post("/api/v1/namespaces/default/serviceaccounts", R"({"metadata":{"name":"sa"}})");
    user("system:node:n1", {"system:nodes"});
    user("system:node:", {"system:nodes"});
    Hooks hooks;
    hooks.authenticator = &authenticator;
    hooks.admission = &chain;
    server->set_hooks(hooks);
  }
  Answer node(const std::string& method, const std::string& path, const std::string& body = "") {
    return as("system:node:n1", method, path, body);
  }
  std::string mirror(const std::string& name, const std::string& spec = "",
                     const std::string& owner = "", const std::string& bound = "n1") const {
    const std::string own = R"({"apiVersion":"v1","kind":"Node","name":"n1","controller":true,)"
                            R"("uid":")" +
                            uid + "\"}";
    return R"({"metadata":{"name":")" + name +
           R"(","annotations":{"kubernetes.io/config.mirror":"x"},"ownerReferences":[)" +
           (owner.empty() ? own : owner) + R"(]},"spec":{"nodeName":")" + bound +
           R"(","containers":[{"name":"c","image":"i"}])" + spec + "}}";
  }
};

void check(const Answer& answer, int status, const std::string& text = "") {
  INFO(answer.body);
  CHECK(answer.status == status);
  if (!text.empty()) CHECK(answer.at("message").find(text) != std::string::npos);
}

TEST_CASE("node restriction: its own Node, and of that not everything") {
  NodeFixture f;
  const std::string own = "/api/v1/nodes/n1", other = "/api/v1/nodes/n2";
  check(f.node("PATCH", own, R"({"metadata":{"annotations":{"a":"b"}}})"), 200);
  check(f.node("PATCH", own, R"({"metadata":{"labels":{"example.com/a":"b"}}})"), 200);
  check(f.node("PATCH", own,
               R"({"metadata":{"labels":{"kubernetes.io/hostname":"h",)"
               R"("x.node.kubernetes.io/a":"b"}}})"),
        200);
  check(f.node("PATCH", own + "/status", R"({"status":{"phase":"Running"}})"), 200);
  check(f.node("PATCH", other, R"({"metadata":{"annotations":{"a":"b"}}})"), 403,
        R"(nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2")");
  check(f.node("PATCH", other + "/status", R"({"status":{"phase":"Running"}})"), 403);
  check(f.node("DELETE", other), 403);
  for (const char* label : {"node-restriction.kubernetes.io/x", "node-role.kubernetes.io/master",
                            "a.node-restriction.kubernetes.io/x", "k8s.io/x", "foo.k8s.io/y"}) {
    check(f.node("PATCH", own, std::string(R"({"metadata":{"labels":{")") + label + R"(":"b"}}})"),
          403, std::string("is not allowed to modify labels: ") + label);
  }
  check(f.node("PATCH", own, R"({"spec":{"taints":[{"key":"a","effect":"NoExecute"}]}})"), 403,
        R"(node "n1" is not allowed to modify taints)");
  check(f.node("PATCH", own,
               R"({"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":)"
               R"("ConfigMap","name":"x","uid":"u"}]}})"),
        403, "is not allowed to modify ownerReferences");
  check(f.node("POST", "/api/v1/nodes", R"({"metadata":{"name":"n3"}})"), 403,
        R"(node "n1" is not allowed to modify node "n3")");
  check(f.as("system:node:", "PATCH", own, R"({"metadata":{"annotations":{"a":"c"}}})"), 403,
        R"(could not determine node from user "system:node:")");
}

TEST_CASE("node restriction: registers with the labels of a kubelet only") {
  NodeFixture f;
  f.server->set_hooks({});
  f.del("/api/v1/nodes/n1");
  Hooks hooks;
  hooks.authenticator = &f.authenticator;
  hooks.admission = &f.chain;
  f.server->set_hooks(hooks);
  check(f.node("POST", "/api/v1/nodes",
               R"({"metadata":{"name":"n1","labels":{"node-role.kubernetes.io/control-plane":)"
               R"("true","kubernetes.io/os":"linux"}}})"),
        403,
        R"(node "n1" is not allowed to set the following labels: )"
        "node-role.kubernetes.io/control-plane");
  check(f.node("POST", "/api/v1/nodes",
               R"({"metadata":{"name":"n1","labels":{"kubernetes.io/os":"linux"}}})"),
        201);
}

TEST_CASE("node restriction: pods it may create, change and end") {
  NodeFixture f;
  const auto post = [&](const std::string& body) { return f.node("POST", kPods, body); };
  check(post(f.mirror("m")), 201);
  check(post(R"({"metadata":{"name":"x"},"spec":{"nodeName":"n1","containers":[{"name":"c",)"
             R"("image":"i"}]}})"),
        403,
        R"(pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create )"
        "mirror pods");
  check(post(f.mirror("x", "", "", "n2")), 403,
        R"(node "n1" can only create pods with spec.nodeName set to itself)");
  const auto owner = [&](const std::string& name, const std::string& uid, const char* more) {
    return R"({"apiVersion":"v1","kind":"Node","name":")" + name + R"(","uid":")" + uid + "\"" +
           more + "}";
  };
  const char* controls = R"(,"controller":true)";
  check(post(f.mirror("x", "", owner("n2", f.uid, controls))), 403,
        "can only create pods with an owner reference set to itself");
  check(post(f.mirror("x", "", owner("n1", f.uid, ""))), 403,
        "can only create pods with a controller owner reference set to itself");
  check(post(f.mirror("x", "", owner("n1", "other", controls))), 403, "UID mismatch");
  check(post(f.mirror("x", "",
                      owner("n1", f.uid, R"(,"controller":true,"blockOwnerDeletion":true)"))),
        403, "must not set blockOwnerDeletion on an owner reference");
  check(post(f.mirror("x", R"(,"serviceAccountName":"sa")")), 403,
        "can not create pods that reference a service account");
  check(post(f.mirror("x", R"(,"imagePullSecrets":[{"name":"s"}])")), 403,
        "can not create pods that reference secrets");
  check(post(f.mirror("x", R"(,"volumes":[{"name":"v","configMap":{"name":"c"}}])")), 403,
        "can not create pods that reference configmaps");
  check(post(f.mirror("x", R"(,"volumes":[{"name":"v","persistentVolumeClaim":)"
                           R"({"claimName":"c"}}])")),
        403, "can not create pods that reference persistentvolumeclaims");
  check(post(f.mirror("x", R"(,"resourceClaims":[{"name":"r","resourceClaimName":"c"}])")), 403,
        "can not create pods that reference resourceclaims");

  const std::string mine = std::string(kPods) + "/p1", other = std::string(kPods) + "/p2";
  check(f.node("PATCH", mine + "/status", R"({"status":{"message":"m"}})"), 200);
  check(f.node("PATCH", other + "/status", R"({"status":{"message":"m"}})"), 403,
        R"(node "n1" can only update pod status for pods with spec.nodeName set to itself)");
  check(f.node("PATCH", mine + "/status", R"({"metadata":{"labels":{"a":"b"}}})"), 403,
        R"(node "n1" cannot update labels through pod status)");
  check(f.node("PATCH", mine, R"({"metadata":{"labels":{"a":"b"}}})"), 403, "unexpected operation");
  check(f.node("POST", other + "/eviction",
               R"({"apiVersion":"policy/v1","kind":"Eviction",)"
               R"("metadata":{"name":"p2"}})"),
        403, "can only evict pods with spec.nodeName set to itself");
  check(f.node("DELETE", other), 403, "can only delete pods with spec.nodeName set to itself");
  check(f.node("DELETE", mine), 200);
}

TEST_CASE("node restriction: leases, tokens, claims, certificates") {
  NodeFixture f;
  const std::string leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
  f.server->set_hooks({});
  f.post("/api/v1/namespaces", R"({"metadata":{"name":"kube-node-lease"}})");
  const std::string pod_uid = f.get(std::string(kPods) + "/p1").at("metadata.uid");
  const std::string other_uid = f.get(std::string(kPods) + "/p2").at("metadata.uid");
  Hooks hooks;
  hooks.authenticator = &f.authenticator;
  hooks.admission = &f.chain;
  f.server->set_hooks(hooks);
  check(f.node("POST", leases, R"({"metadata":{"name":"n1"}})"), 201);
  check(f.node("POST", leases, R"({"metadata":{"name":"n2"}})"), 403,
        "can only access node lease with the same name as the requesting node");
  check(f.node("POST", "/apis/coordination.k8s.io/v1/namespaces/default/leases",
               R"({"metadata":{"name":"n1"}})"),
        403, R"(can only access leases in the "kube-node-lease" system namespace)");

  const std::string tokens = "/api/v1/namespaces/default/serviceaccounts/sa/token";
  const auto request = [](const std::string& pod, const std::string& uid,
                          const std::string& more = "") {
    return R"({"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":")" + pod +
           R"(","uid":")" + uid + "\"}" + more + "}}";
  };
  check(f.node("POST", tokens, R"({"spec":{}})"), 403, "node requested token not bound to a pod");
  check(f.node("POST", tokens, request("p1", "")), 403,
        "node requested token with a pod binding without a uid");
  check(f.node("POST", tokens, request("p1", "wrong")), 403, "does not match the UID in record");
  check(f.node("POST", tokens, request("p2", other_uid)), 403,
        "node requested token bound to a pod scheduled on a different node");
  check(f.node("POST", tokens, request("p1", pod_uid, R"(,"audiences":["evil"])")), 403,
        R"(audience "evil" not found in pod spec volume)");
  check(f.node("POST", tokens, request("p1", pod_uid, R"(,"audiences":["vault","evil"])")), 403,
        "node may only request 0 or 1 audiences");
  // Past admission: this server of the test issues none.
  check(f.node("POST", tokens, request("p1", pod_uid, R"(,"audiences":["vault"])")), 500,
        "no token issuer is configured");
  check(f.node("POST", tokens, request("p1", pod_uid)), 500, "no token issuer is configured");

  auto csr = net::make_csr({.common_name = "system:node:n2", .organizations = {"system:nodes"}});
  REQUIRE(csr);
  check(f.node("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests",
               R"({"metadata":{"name":"c"},"spec":{"signerName":"kubernetes.io/kubelet-serving",)"
               R"("usages":["digital signature","server auth"],"request":")" +
                   base64_encode(csr->csr_pem) + "\"}}"),
        403, "can only create a node CSR with CN=system:node:n1");
}

}  // namespace
}  // namespace orch::server
