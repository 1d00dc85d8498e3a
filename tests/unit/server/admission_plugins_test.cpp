// The admission chain in front of the real API server.
#include <catch2/catch.hpp>

#include "orch/api/corev1.h"
#include "server/admission/admission.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using namespace test;
namespace corev1 = api::corev1;

struct AdmissionFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  PluginChain chain;

  explicit AdmissionFixture(const std::vector<std::string>& disabled = {})
      : chain(AdmissionContext{.informers = informers, .random = *random, .client = client},
              disabled) {
    Hooks hooks;
    hooks.admission = &chain;
    server->set_hooks(hooks);
    informers.start_all();
    executor->run_until_idle();
  }
  ~AdmissionFixture() {
    informers.stop();
    executor->run_until_idle();
  }
  void account(const std::string& name, const std::string& more = "") {
    REQUIRE(post("/api/v1/namespaces/default/serviceaccounts",
                 R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":")" + name +
                     "\"}" + more + "}")
                .status == 201);
  }
  corev1::Pod make(const std::string& name, const std::string& spec_more = "",
                   const std::string& meta_more = "") {
    const auto answer = post(kPods, test::pod(name, spec_more, meta_more));
    INFO(answer.body);
    REQUIRE(answer.status == 201);
    return *client.get<corev1::Pod>("default", name);
  }
};

TEST_CASE("a pod gets its service account, token, CA and namespace mounted") {
  AdmissionFixture f;
  f.account("default", R"(,"imagePullSecrets":[{"name":"registry"}])");
  const auto pod = f.make("web", R"(,"initContainers":[{"name":"i","image":"i"}])");
  CHECK(pod.spec.serviceAccountName == "default");
  CHECK(pod.spec.serviceAccount == "default");
  REQUIRE(pod.spec.imagePullSecrets.size() == 1);
  CHECK(pod.spec.imagePullSecrets[0].name == "registry");
  REQUIRE(pod.spec.volumes.size() == 1);
  const auto& volume = pod.spec.volumes[0];
  CHECK(volume.name.starts_with("kube-api-access-"));
  CHECK(volume.name.size() == std::string("kube-api-access-").size() + 5);
  REQUIRE(volume.projected);
  CHECK(volume.projected->defaultMode == 0644);
  REQUIRE(volume.projected->sources.size() == 3);
  CHECK(volume.projected->sources[0].serviceAccountToken->path == "token");
  CHECK(volume.projected->sources[0].serviceAccountToken->expirationSeconds == 3607);
  CHECK(volume.projected->sources[1].configMap->name == "kube-root-ca.crt");
  CHECK(volume.projected->sources[2].downwardAPI->items[0].fieldRef->fieldPath ==
        "metadata.namespace");
  for (const auto* containers : {&pod.spec.containers, &pod.spec.initContainers}) {
    REQUIRE((*containers)[0].volumeMounts.size() == 1);
    const auto& mount = (*containers)[0].volumeMounts[0];
    CHECK(mount.name == volume.name);
    CHECK(mount.mountPath == "/var/run/secrets/kubernetes.io/serviceaccount");
    CHECK(mount.readOnly);
  }
}

TEST_CASE("no token where pod or account do not want one, or a mount is there already") {
  AdmissionFixture f;
  f.account("default");
  f.account("shy", R"(,"automountServiceAccountToken":false)");
  CHECK(f.make("a", R"(,"automountServiceAccountToken":false)").spec.volumes.empty());
  CHECK(f.make("b", R"(,"serviceAccountName":"shy")").spec.volumes.empty());
  CHECK(f.make("c", R"(,"serviceAccountName":"shy","automountServiceAccountToken":true)")
            .spec.volumes.size() == 1);
  const auto own = f.post(
      kPods,
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"d"},"spec":{"volumes":[{"name":"v",)"
      R"("emptyDir":{}}],"containers":[{"name":"c","image":"i","volumeMounts":[{"name":"v",)"
      R"("mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]}]}})");
  REQUIRE(own.status == 201);
  CHECK(f.client.get<corev1::Pod>("default", "d")->spec.volumes.size() == 1);
}

TEST_CASE("an account that does not exist refuses the pod, by upstream's text") {
  AdmissionFixture f;
  const auto answer = f.post(kPods, test::pod("web", R"(,"serviceAccountName":"none")"));
  CHECK(answer.status == 403);
  CHECK(answer.at("message") ==
        "pods \"web\" is forbidden: error looking up service account default/none: "
        "serviceaccount \"none\" not found");
}

TEST_CASE("an account may limit its pods to the secrets that it lists") {
  AdmissionFixture f;
  const std::string accounts = "/api/v1/namespaces/default/serviceaccounts";
  f.post(accounts, R"({"metadata":{"name":"strict","annotations":)"
                   R"({"kubernetes.io/enforce-mountable-secrets":"true"}},)"
                   R"("secrets":[{"name":"mine"}],"imagePullSecrets":[{"name":"registry"}]})");
  f.account("free");
  const auto container = [](const std::string& more) {
    return R"(,"containers":[{"name":"c","image":"i")" + more + "}]";
  };
  const auto key = [](const std::string& secret) {
    return R"(,"env":[{"name":"E","valueFrom":{"secretKeyRef":{"name":")" + secret +
           R"(","key":"k"}}}])";
  };
  const auto from = [](const std::string& secret) {
    return R"(,"envFrom":[{"secretRef":{"name":")" + secret + R"("}}])";
  };
  const auto volume = [](const std::string& secret) {
    return R"(,"volumes":[{"name":"v","secret":{"secretName":")" + secret + R"("}}])";
  };
  const auto init = [](const std::string& more) {
    return R"(,"initContainers":[{"name":"n","image":"i")" + more + "}]";
  };
  const std::string tail =
      " is not allowed because service account strict does not reference that ";
  struct Case {
    std::string spec, refusal;
  };
  const Case cases[] = {
      {volume("mine") + container(key("mine")) + init(from("mine")), ""},
      {R"(,"imagePullSecrets":[{"name":"registry"}])", ""},
      {volume("other"), R"(volume with secret.secretName="other")" + tail + "secret"},
      {container(key("other")),
       R"(container c with envVar E referencing secret.secretName="other")" + tail + "secret"},
      {container(from("other")),
       R"(container c with envFrom referencing secret.secretName="other")" + tail + "secret"},
      {init(key("other")),
       R"(init container n with envVar E referencing secret.secretName="other")" + tail + "secret"},
      {init(from("other")),
       R"(init container n with envFrom referencing secret.secretName="other")" + tail + "secret"},
      {R"(,"imagePullSecrets":[{"name":"other"}])",
       R"(imagePullSecrets[0].name="other")" + tail + "imagePullSecret"},
  };
  int n = 0;
  for (const auto& c : cases) {
    const std::string name = "p" + std::to_string(n++);
    const auto spec = [&](const std::string& account) {
      return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
             R"("},"spec":{"serviceAccountName":")" + account + "\"" +
             (c.spec.find("\"containers\"") == std::string::npos ? container("") : "") + c.spec +
             "}}";
    };
    INFO(c.spec);
    const auto answer = f.post(kPods, spec("strict"));
    CHECK(answer.status == (c.refusal.empty() ? 201 : 403));
    if (!c.refusal.empty()) {
      CHECK(answer.at("message") == "pods \"" + name + "\" is forbidden: " + c.refusal);
      CHECK(f.post(kPods, spec("free")).status == 201);
    }
  }
  // Nor by a container that joins later.
  const auto debug = [&](const std::string& more) {
    return f.patch(std::string(kPods) + "/p0/ephemeralcontainers",
                   "application/strategic-merge-patch+json",
                   R"({"spec":{"ephemeralContainers":[{"name":"d","image":"i")" + more + "}]}}");
  };
  auto refused = debug(key("other"));
  CHECK(refused.status == 403);
  CHECK(refused.at("message") ==
        R"(pods "p0" is forbidden: ephemeral container d with envVar E referencing )"
        R"(secret.secretName="other")" +
            tail + "secret");
  refused = debug(from("other"));
  CHECK(refused.at("message").find("ephemeral container d with envFrom referencing") !=
        std::string::npos);
  // Pod Security looks at such containers as at all others.
  const std::string ns = "/api/v1/namespaces/default", merge = "application/merge-patch+json";
  f.patch(ns, merge,
          R"({"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}})");
  refused = debug(R"(,"securityContext":{"privileged":true})");
  CHECK(refused.status == 403);
  CHECK(refused.at("message").find("violates PodSecurity \"baseline:latest\": privileged") !=
        std::string::npos);
  CHECK(debug(from("mine")).status == 200);
  CHECK(f.get(std::string(kPods) + "/p0").at("spec.ephemeralContainers").find("\"d\"") !=
        std::string::npos);
}

TEST_CASE("a mirror pod gets nothing from the API") {
  AdmissionFixture f;
  f.account("default");
  const auto mirror = [&](const std::string& more) {
    return f.post(kPods, R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"m","annotations":)"
                         R"({"kubernetes.io/config.mirror":"h"}},"spec":{"nodeName":"n1",)"
                         R"("containers":[{"name":"c","image":"i"}])" +
                             more + "}}");
  };
  const auto refusal = [](const char* why) {
    return std::string("pods \"m\" is forbidden: a mirror pod may not ") + why;
  };
  CHECK(mirror(R"(,"serviceAccountName":"default")").at("message") ==
        refusal("reference service accounts"));
  CHECK(mirror(R"(,"volumes":[{"name":"v","secret":{"secretName":"s"}}])").at("message") ==
        refusal("reference secrets"));
  CHECK(mirror(R"(,"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"s"}}]}}])")
            .at("message") == refusal("reference secrets"));
  CHECK(mirror(R"(,"volumes":[{"name":"v","projected":{"sources":[{"serviceAccountToken":)"
               R"({"path":"t"}}]}}])")
            .at("message") == refusal("use service account token volume projections"));
  const auto unbound =
      f.post(kPods, R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"m","annotations":)"
                    R"({"kubernetes.io/config.mirror":"h"}},"spec":{"containers":)"
                    R"([{"name":"c","image":"i"}]}})");
  CHECK(unbound.status == 422);
  CHECK(unbound.at("message") ==
        "Pod \"m\" is invalid: metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "
        "\"h\": must set spec.nodeName if mirror pod annotation is set");
  CHECK(mirror("").status == 201);
  CHECK(f.client.get<corev1::Pod>("default", "m")->spec.serviceAccountName.empty());
}

TEST_CASE("pods stay 300 s on nodes that are not ready, unless they say otherwise") {
  AdmissionFixture f;
  f.account("default");
  const auto plain = f.make("plain");
  REQUIRE(plain.spec.tolerations.size() == 2);
  CHECK(plain.spec.tolerations[0].key == "node.kubernetes.io/not-ready");
  CHECK(plain.spec.tolerations[1].key == "node.kubernetes.io/unreachable");
  for (const auto& t : plain.spec.tolerations) {
    CHECK(t.operator_ == "Exists");
    CHECK(t.effect == "NoExecute");
    CHECK(t.tolerationSeconds == 300);
  }
  const auto own = f.make("own", R"(,"tolerations":[{"key":"node.kubernetes.io/not-ready",)"
                                 R"("operator":"Exists","effect":"NoExecute",)"
                                 R"("tolerationSeconds":5}])");
  REQUIRE(own.spec.tolerations.size() == 2);
  CHECK(own.spec.tolerations[0].tolerationSeconds == 5);
  CHECK(f.make("all", R"(,"tolerations":[{"operator":"Exists"}])").spec.tolerations.size() == 1);
}

TEST_CASE("priority comes from the class") {
  AdmissionFixture f;
  f.account("default");
  const std::string classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
  CHECK(f.make("none").spec.priority == 0);
  CHECK(f.make("none2").spec.preemptionPolicy == "PreemptLowerPriority");
  f.post(classes, R"({"metadata":{"name":"high"},"value":1000,"preemptionPolicy":"Never"})");
  const auto high = f.make("high", R"(,"priorityClassName":"high")");
  CHECK(high.spec.priority == 1000);
  CHECK(high.spec.preemptionPolicy == "Never");
  f.post(classes, R"({"metadata":{"name":"usual"},"value":7,"globalDefault":true})");
  const auto usual = f.make("usual");
  CHECK(usual.spec.priorityClassName == "usual");
  CHECK(usual.spec.priority == 7);

  auto refused = f.post(kPods, test::pod("x", R"(,"priorityClassName":"none")"));
  CHECK(refused.status == 403);
  CHECK(refused.at("message") ==
        "pods \"x\" is forbidden: no PriorityClass with name none was found");
  refused = f.post(kPods, test::pod("x", R"(,"priorityClassName":"high","priority":5)"));
  CHECK(refused.at("message") ==
        "pods \"x\" is forbidden: the integer value of priority (5) must not be provided in pod "
        "spec; priority admission controller computed 1000 from the given PriorityClass name");
  refused = f.post(kPods, test::pod("x", R"(,"priorityClassName":"high",)"
                                         R"("preemptionPolicy":"PreemptLowerPriority")"));
  CHECK(refused.at("message") ==
        "pods \"x\" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must "
        "not be provided in pod spec; priority admission controller computed Never from the given "
        "PriorityClass name");

  // A client that leaves both out on update keeps them.
  auto changed = *f.client.get<corev1::Pod>("default", "high");
  changed.metadata.labels["a"] = "b";
  changed.spec.priority.reset();
  changed.spec.preemptionPolicy.reset();
  auto updated = f.client.update(changed);
  INFO((updated ? "" : updated.error().message));
  REQUIRE(updated);
  CHECK(updated->spec.priority == 1000);
  CHECK(updated->spec.preemptionPolicy == "Never");
}

TEST_CASE("a new node starts tainted; a plugin that is disabled does nothing") {
  const char* node = R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}})";
  AdmissionFixture f;
  f.post("/api/v1/nodes", node);
  const auto made = *f.client.get<corev1::Node>("", "n1");
  REQUIRE(made.spec.taints.size() == 1);
  CHECK(made.spec.taints[0].key == "node.kubernetes.io/not-ready");
  CHECK(made.spec.taints[0].effect == "NoSchedule");

  AdmissionFixture without({"TaintNodesByCondition", "ServiceAccount"});
  without.post("/api/v1/nodes", node);
  CHECK(without.client.get<corev1::Node>("", "n1")->spec.taints.empty());
  CHECK(without.make("web").spec.volumes.empty());
}

}  // namespace
}  // namespace orch::server
