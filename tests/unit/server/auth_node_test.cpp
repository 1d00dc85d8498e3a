// The Node authorizer: a node reaches what its own pods need.
#include "server/auth/node_authorizer.h"

#include "unit/server/auth_fixture.h"

namespace orch::server {
namespace {

using namespace test;

const UserInfo kNode{.name = "system:node:n1", .groups = {"system:nodes", "system:authenticated"}};

struct NodeFixture : AuthFixture {
  NodeFixture() : AuthFixture(false) {
    for (const char* name : {"n1", "n2"}) {
      post("/api/v1/nodes", std::string(R"({"metadata":{"name":")") + name + "\"}}");
    }
    add_pod("here", "n1",
            R"(,"serviceAccountName":"bot","imagePullSecrets":[{"name":"pull"}],)"
            R"("volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"data"}},)"
            R"({"name":"p","projected":{"sources":[{"secret":{"name":"part"}},)"
            R"({"configMap":{"name":"part"}}]}},{"name":"e","ephemeral":)"
            R"({"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],)"
            R"("resources":{"requests":{"storage":"1Gi"}}}}}}])");
    add_pod("there", "n2",
            R"(,"serviceAccountName":"other","volumes":[{"name":"s","secret":)"
            R"({"secretName":"there"}}])");
    must(post("/api/v1/persistentvolumes",
              R"({"metadata":{"name":"pv"},"spec":{"capacity":{"storage":"1Gi"},)"
              R"("accessModes":["ReadWriteOnce"],"claimRef":{"namespace":"default",)"
              R"("name":"data"},"csi":{"driver":"d","volumeHandle":"h","nodeStageSecretRef":)"
              R"({"namespace":"other","name":"stage"}}}})"));
    must(post("/api/v1/namespaces/default/persistentvolumeclaims",
              R"({"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],)"
              R"("volumeName":"pv","resources":{"requests":{"storage":"1Gi"}}}})"));
    for (const char* node : {"n1", "n2"}) {
      must(post("/apis/storage.k8s.io/v1/volumeattachments",
                std::string(R"({"metadata":{"name":"on-)") + node +
                    R"("},"spec":{"attacher":"d","nodeName":")" + node +
                    R"(","source":{"persistentVolumeName":"pv"}}})"));
    }
  }
  static void must(const Answer& answer) {
    INFO(answer.body);
    REQUIRE(answer.status == 201);
  }
  void add_pod(const std::string& name, const std::string& node, const std::string& more) {
    must(
        post(kPods, R"({"metadata":{"name":")" + name + R"("},"spec":{"nodeName":")" + node +
                        R"(","containers":[{"name":"c","image":"i","env":[{"name":"K","valueFrom":)"
                        R"({"secretKeyRef":{"name":"env-)" +
                        node + R"(","key":"k"}}}],"envFrom":[{"configMapRef":{"name":"env-)" +
                        node + R"("}}]}])" + more + "}}"));
  }
};

TEST_CASE("node authorizer: what a node may, and what not, with upstream's reasons") {
  NodeFixture f;
  const std::string unrelated = "no relationship found between node 'n1' and this object";
  const std::string lease = "can only access node lease with the same name as the requesting node";
  struct Case {
    const char *verb, *group, *resource, *ns, *name, *selector;
    std::string why;  // "" = allowed, "-" = no without a word
  };
  const std::vector<Case> cases = {
      // Secrets and config maps of its pods, one by one.
      {"get", "", "secrets", "default", "env-n1", "", ""},
      {"watch", "", "secrets", "default", "env-n1", "", ""},
      {"list", "", "secrets", "default", "pull", "", ""},
      {"get", "", "secrets", "default", "part", "", ""},
      {"get", "", "configmaps", "default", "part", "", ""},
      {"get", "", "configmaps", "default", "env-n1", "", ""},
      {"get", "", "secrets", "other", "stage", "", ""},
      {"get", "", "secrets", "default", "stage", "", unrelated},
      {"get", "", "secrets", "default", "env-n2", "", unrelated},
      {"get", "", "secrets", "default", "there", "", unrelated},
      {"get", "", "secrets", "other", "env-n1", "", unrelated},
      {"list", "", "secrets", "default", "", "", "No Object name found"},
      {"list", "", "secrets", "", "", "", "can only read namespaced object of this type"},
      {"update", "", "secrets", "default", "env-n1", "", "can only read resources of this type"},
      {"get", "", "configmaps", "default", "env-n2", "", unrelated},
      {"create", "", "configmaps", "default", "", "", "can only read resources of this type"},
      // Volumes.
      {"get", "", "persistentvolumeclaims", "default", "data", "", ""},
      {"get", "", "persistentvolumeclaims", "default", "here-e", "", ""},
      {"patch", "", "persistentvolumeclaims/status", "default", "data", "", ""},
      {"delete", "", "persistentvolumeclaims/status", "default", "data", "",
       "can only get/update/patch this type"},
      {"update", "", "persistentvolumeclaims", "default", "data", "",
       "can only get individual resources of this type"},
      {"get", "", "persistentvolumeclaims", "default", "else", "", unrelated},
      {"get", "", "persistentvolumes", "", "pv", "", ""},
      {"get", "", "persistentvolumes", "", "pv2", "", unrelated},
      {"list", "", "persistentvolumes", "", "", "",
       "can only get individual resources of this type"},
      {"get", "storage.k8s.io", "volumeattachments", "", "on-n1", "", ""},
      {"get", "storage.k8s.io", "volumeattachments", "", "on-n2", "", unrelated},
      // Tokens of its pods' accounts.
      {"create", "", "serviceaccounts/token", "default", "bot", "", ""},
      {"create", "", "serviceaccounts/token", "default", "other", "", unrelated},
      {"create", "", "serviceaccounts/token", "kube-system", "bot", "", unrelated},
      {"get", "", "serviceaccounts", "default", "bot", "",
       "can only create tokens for individual service accounts"},
      {"create", "", "serviceaccounts", "default", "x", "",
       "can only create token subresource of service account"},
      // Itself.
      {"get", "coordination.k8s.io", "leases", "kube-node-lease", "n1", "", ""},
      {"create", "coordination.k8s.io", "leases", "kube-node-lease", "", "", ""},
      {"update", "coordination.k8s.io", "leases", "kube-node-lease", "n2", "", lease},
      {"get", "coordination.k8s.io", "leases", "kube-system", "n1", "",
       "can only access leases in the \"kube-node-lease\" system namespace"},
      {"list", "coordination.k8s.io", "leases", "kube-node-lease", "", "",
       "can only get, create, update, patch, or delete a node lease"},
      {"patch", "storage.k8s.io", "csinodes", "", "n1", "", ""},
      {"patch", "storage.k8s.io", "csinodes", "", "n2", "",
       "can only access CSINode with the same name as the requesting node"},
      {"list", "storage.k8s.io", "csinodes", "", "", "",
       "can only get, create, update, patch, or delete a CSINode"},
      {"get", "", "nodes", "", "n1", "", ""},
      {"watch", "", "nodes", "", "", "metadata.name=n1", ""},
      {"patch", "", "nodes/status", "", "n1", "", ""},
      {"get", "", "nodes", "", "n2", "", "node 'n1' cannot read 'n2', only its own Node object"},
      {"list", "", "nodes", "", "", "",
       "node 'n1' cannot read all nodes, only its own Node object"},
      {"delete", "", "nodes", "", "n1", "", "-"},
      {"get", "", "nodes/proxy", "", "n1", "", "-"},
      // Pods.
      {"get", "", "pods", "default", "here", "", ""},
      {"get", "", "pods", "default", "gone", "", ""},
      {"get", "", "pods", "default", "there", "", unrelated},
      {"watch", "", "pods", "", "", "spec.nodeName=n1", ""},
      {"list", "", "pods", "", "", "status.phase!=Failed,spec.nodeName==n1", ""},
      {"list", "", "pods", "", "", "spec.nodeName=n2",
       "can only list/watch pods with spec.nodeName field selector"},
      {"list", "", "pods", "", "", "spec.nodeName!=n1",
       "can only list/watch pods with spec.nodeName field selector"},
      {"list", "", "pods", "default", "", "",
       "can only list/watch pods with spec.nodeName field selector"},
      {"update", "", "pods/status", "default", "here", "", ""},
      {"create", "", "pods/eviction", "default", "here", "", ""},
      {"create", "", "pods", "default", "", "", ""},
      {"update", "", "pods", "default", "here", "", "-"},
      {"create", "", "pods/exec", "default", "here", "", "-"},
      {"create", "", "pods/binding", "default", "here", "", "-"},
      // Everything else by the rules of system:node.
      {"create", "authentication.k8s.io", "tokenreviews", "", "", "", ""},
      {"create", "authorization.k8s.io", "subjectaccessreviews", "", "", "", ""},
      {"list", "", "services", "", "", "", ""},
      {"create", "", "events", "default", "", "", ""},
      {"list", "", "events", "default", "", "", "-"},
      {"create", "apps", "deployments", "default", "", "", "-"},
      {"update", "rbac.authorization.k8s.io", "clusterroles", "", "x", "", "-"},
      {"create", "certificates.k8s.io", "certificatesigningrequests", "", "", "", ""},
      {"update", "certificates.k8s.io", "certificatesigningrequests/approval", "", "x", "", "-"},
  };
  for (const auto& c : cases) {
    INFO(c.verb << " " << c.resource << " " << c.ns << "/" << c.name << " " << c.selector);
    const auto said = f.ask(kNode, c.verb, c.group, c.resource, c.ns, c.name, c.selector);
    CHECK((said.decision == Decision::kAllow) == c.why.empty());
    CHECK(said.reason == (c.why == "-" ? "" : c.why));
  }
}

TEST_CASE("node authorizer: only nodes are nodes, and what is gone is reached no more") {
  NodeFixture f;
  const UserInfo no_group{.name = "system:node:n1", .groups = {"system:authenticated"}};
  const UserInfo no_name{.name = "jane", .groups = {"system:nodes"}};
  const UserInfo unnamed{.name = "system:node:", .groups = {"system:nodes"}};
  for (const auto* user : {&no_group, &no_name, &unnamed}) {
    CHECK_FALSE(f.may(*user, "get", "", "secrets", "default", "env-n1"));
    CHECK_FALSE(f.may(*user, "list", "", "services"));
  }
  CHECK(f.ask(unnamed, "get", "", "nodes", "", "n1").reason ==
        R"(unknown node for user "system:node:")");
  CHECK(f.may(kNode, "get", "", "secrets", "default", "env-n1"));
  f.del(std::string(kPods) + "/here", R"({"gracePeriodSeconds":0})");
  CHECK_FALSE(f.may(kNode, "get", "", "secrets", "default", "env-n1"));
  CHECK_FALSE(f.may(kNode, "create", "", "serviceaccounts/token", "default", "bot"));
  CHECK_FALSE(f.may(kNode, "get", "", "persistentvolumes", "", "pv"));
}

TEST_CASE("node authorizer: a mirror pod opens no secrets") {
  NodeFixture f;
  NodeFixture::must(f.post(
      kPods, R"({"metadata":{"name":"mirror","annotations":{"kubernetes.io/config.mirror":"x",)"
             R"("kubernetes.io/config.source":"file"}},"spec":{"nodeName":"n1","containers":)"
             R"([{"name":"c","image":"i"}],"imagePullSecrets":[{"name":"crown-jewels"}]}})"));
  CHECK_FALSE(f.may(kNode, "get", "", "secrets", "default", "crown-jewels"));
}

}  // namespace
}  // namespace orch::server
