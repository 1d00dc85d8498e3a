// ResourceQuota and LimitRange: the arithmetic alone, then admission and recount together.
#include "orch/api/quota.h"
#include "server/admission/admission.h"
#include "unit/controllers/cluster.h"

namespace orch::server {
namespace {

using namespace test;
using api::Quantity;
using api::resource_of;
using corev1::Pod;

Quantity amount(const std::string& text) { return *Quantity::parse(text); }

corev1::Container container(const std::string& name, const std::string& cpu,
                            const std::string& limit = "") {
  corev1::Container out;
  out.name = name;
  if (!cpu.empty()) out.resources.requests["cpu"] = amount(cpu);
  if (!limit.empty()) out.resources.limits["cpu"] = amount(limit);
  return out;
}

TEST_CASE("quota: a pod takes what it may take at its most") {
  Pod pod;
  pod.spec.containers = {container("a", "1"), container("b", "500m", "2")};
  pod.spec.initContainers = {container("first", "3"), container("sidecar", "250m"),
                             container("second", "2500m")};
  pod.spec.initContainers[1].restartPolicy = "Always";
  CHECK(api::pod_requests(pod.spec)["cpu"] == amount("3"));
  pod.spec.initContainers[2].resources.requests["cpu"] = amount("2900m");
  CHECK(api::pod_requests(pod.spec)["cpu"] == amount("3150m"));  // beside the sidecar
  pod.spec.overhead["cpu"] = amount("100m");
  CHECK(api::pod_requests(pod.spec)["cpu"] == amount("3250m"));
  CHECK(api::pod_limits(pod.spec)["cpu"] == amount("2100m"));
  CHECK(api::pod_limits(pod.spec, false)["cpu"] == amount("2"));
}

TEST_CASE("quota: names that objects are counted under") {
  const auto& pods = resource_of<Pod>();
  for (const char* name : {"pods", "count/pods", "requests.cpu", "limits.memory", "cpu",
                           "requests.nvidia.com/gpu", "requests.hugepages-2Mi"}) {
    CHECK(api::quota_counts(pods, name));
  }
  for (const char* name : {"services", "requests.storage", "count/jobs.batch", "nvidia.com/gpu"}) {
    CHECK_FALSE(api::quota_counts(pods, name));
  }
  const auto& claims = resource_of<corev1::PersistentVolumeClaim>();
  CHECK(api::quota_counts(claims, "fast.storageclass.storage.k8s.io/requests.storage"));
  CHECK(api::quota_counts(resource_of<appsv1::Deployment>(), "count/deployments.apps"));
  CHECK(api::quota_counts(resource_of<corev1::Secret>(), "secrets"));

  corev1::PersistentVolumeClaim claim;
  claim.spec.storageClassName = "fast";
  claim.spec.resources.requests["storage"] = amount("5Gi");
  const auto usage = api::quota_usage(claims, claim, WallTime{});
  CHECK(usage.at("requests.storage").str() == "5Gi");
  CHECK(usage.at("fast.storageclass.storage.k8s.io/persistentvolumeclaims").value() == 1);

  corev1::Service service;
  service.spec.type = "LoadBalancer";
  service.spec.ports.resize(2);
  const auto exposed = api::quota_usage(resource_of<corev1::Service>(), service, WallTime{});
  CHECK(exposed.at("services.nodeports").value() == 2);
  CHECK(exposed.at("services.loadbalancers").value() == 1);

  Pod done;
  done.status.phase = "Failed";
  const auto ended = api::quota_usage(pods, done, WallTime{});
  CHECK(ended.count("pods") == 0);
  CHECK(ended.at("count/pods").value() == 1);
}

TEST_CASE("quota: scopes") {
  const auto& pods = resource_of<Pod>();
  Pod pod;
  pod.spec.containers = {container("a", "")};
  const auto in = [&](const std::string& scope) {
    corev1::ResourceQuotaSpec spec;
    spec.scopes = {scope};
    return api::in_quota_scope(spec, pods, pod);
  };
  CHECK(in("BestEffort"));
  CHECK(in("NotTerminating"));
  CHECK_FALSE(in("PriorityClass"));
  CHECK_FALSE(in("CrossNamespacePodAffinity"));
  pod.spec.containers[0].resources.limits["memory"] = amount("1");
  pod.spec.activeDeadlineSeconds = 0;
  CHECK(in("NotBestEffort"));
  CHECK(in("Terminating"));
  pod.spec.priorityClassName = "high";
  corev1::ResourceQuotaSpec spec;
  auto& scope = spec.scopeSelector.ensure().matchExpressions.emplace_back();
  scope.scopeName = "PriorityClass";
  scope.operator_ = "In";
  scope.values = {"low", "high"};
  CHECK(api::in_quota_scope(spec, pods, pod));
  scope.operator_ = "NotIn";
  CHECK_FALSE(api::in_quota_scope(spec, pods, pod));
  // Only pods are within any scope.
  CHECK_FALSE(api::in_quota_scope(spec, resource_of<corev1::Service>(), corev1::Service{}));
  CHECK(api::in_quota_scope({}, resource_of<corev1::Service>(), corev1::Service{}));
}

struct AdmittedCluster : Cluster {
  PluginChain chain{AdmissionContext{.informers = informers, .random = *random, .client = client},
                    {"ServiceAccount"}};
  AdmittedCluster() {
    Hooks hooks;
    hooks.admission = &chain;
    server->set_hooks(hooks);
    settle();
  }
  ~AdmittedCluster() { server->set_hooks({}); }

  void quota(const std::string& name, const std::string& hard, const std::string& more = "") {
    must_post("/api/v1/namespaces/default/resourcequotas",
              R"({"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":")" + name +
                  R"("},"spec":{"hard":{)" + hard + "}" + more + "}}");
    settle();
  }
  std::string used(const std::string& name, const std::string& resource) {
    auto found = client.get<corev1::ResourceQuota>("default", name);
    REQUIRE(found);
    const auto at = found->status.used.find(resource);
    return at == found->status.used.end() ? "none" : at->second.str();
  }
  Answer post_pod(const std::string& name, const std::string& resources = "") {
    return post(kPods, R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                           R"("},"spec":{"containers":[{"name":"c","image":"i","resources":{)" +
                           resources + "}}]}}");
  }
};

TEST_CASE("quota: charged at once, refused beyond, freed by what goes") {
  AdmittedCluster c;
  c.quota("small", R"("pods":"2","requests.cpu":"1","count/configmaps":"2")");
  CHECK(c.used("small", "pods") == "0");
  CHECK(c.used("small", "count/configmaps") == "1");  // the root CA
  const std::string half = R"("requests":{"cpu":"600m"})";
  REQUIRE(c.post_pod("a", half).status == 201);
  CHECK(c.used("small", "pods") == "1");
  CHECK(c.used("small", "requests.cpu") == "600m");
  auto refused = c.post_pod("b", half);
  CHECK(refused.status == 403);
  CHECK(refused.at("message") ==
        "pods \"b\" is forbidden: exceeded quota: small, requested: requests.cpu=600m, used: "
        "requests.cpu=600m, limited: requests.cpu=1");
  refused = c.post_pod("b");
  CHECK(refused.at("message") ==
        "pods \"b\" is forbidden: failed quota: small: must specify requests.cpu for: c");
  REQUIRE(c.post_pod("b", R"("requests":{"cpu":"100m"})").status == 201);
  CHECK(c.post_pod("d", R"("requests":{"cpu":"100m"})").status == 403);
  c.must_delete(std::string(kPods) + "/a?gracePeriodSeconds=0");
  CHECK(c.used("small", "pods") == "1");
  CHECK(c.used("small", "requests.cpu") == "100m");
  c.run_pod(std::string(kPods) + "/b");
  c.patch(std::string(kPods) + "/b/status", "application/merge-patch+json",
          R"({"status":{"phase":"Succeeded"}})");
  c.settle();
  CHECK(c.used("small", "pods") == "0");

  REQUIRE(c.post(kConfigMaps, config_map("one")).status == 201);
  refused = c.post(kConfigMaps, config_map("two"));
  CHECK(refused.at("message") ==
        "configmaps \"two\" is forbidden: exceeded quota: small, requested: count/configmaps=1, "
        "used: count/configmaps=2, limited: count/configmaps=2");
  c.check_quiet();
}

TEST_CASE("quota: of many requests at once no more get through than may; a dry run takes nothing") {
  AdmittedCluster c;
  c.quota("five", R"("count/configmaps":"6")");
  CHECK(c.post(std::string(kConfigMaps) + "?dryRun=All", config_map("dry")).status == 201);
  int made = 0;
  for (int i = 0; i < 20; ++i) {
    // Without settling between: the cache does not know yet.
    if (c.send("POST", kConfigMaps, config_map("m" + std::to_string(i))).status == 201) ++made;
  }
  c.settle();
  CHECK(made == 5);
  CHECK(c.used("five", "count/configmaps") == "6");
}

TEST_CASE("quota: what was charged for nothing is found within five minutes") {
  AdmittedCluster c;
  c.quota("few", R"("count/configmaps":"9")");
  REQUIRE(c.post(kConfigMaps, config_map("one")).status == 201);
  CHECK(c.post(kConfigMaps, config_map("one")).status == 409);
  CHECK(c.used("few", "count/configmaps") == "3");
  c.advance(Seconds{301});
  CHECK(c.used("few", "count/configmaps") == "2");
}

TEST_CASE("quota: an exposed Service is charged for what it becomes") {
  AdmittedCluster c;
  c.quota("net", R"("services.nodeports":"1")");
  c.must_post(kServices, R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},)"
                         R"("spec":{"ports":[{"name":"a","port":80},{"name":"b","port":81}]}})");
  const auto answer = c.patch(std::string(kServices) + "/web", "application/merge-patch+json",
                              R"({"spec":{"type":"NodePort"}})");
  CHECK(answer.at("message") ==
        "services \"web\" is forbidden: exceeded quota: net, requested: services.nodeports=2, "
        "used: services.nodeports=0, limited: services.nodeports=1");
}

TEST_CASE("limit ranges: defaults are filled in, bounds hold") {
  AdmittedCluster c;
  c.must_post("/api/v1/namespaces/default/limitranges",
              R"({"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"sane"},"spec":)"
              R"({"limits":[{"type":"Container","default":{"cpu":"500m","memory":"64Mi"},)"
              R"("defaultRequest":{"cpu":"100m"},"max":{"cpu":"2"},"min":{"cpu":"50m"},)"
              R"("maxLimitRequestRatio":{"cpu":"10"}},{"type":"Pod","max":{"memory":"128Mi"}}]}})");
  c.settle();
  REQUIRE(c.post_pod("plain").status == 201);
  const auto pod = c.client.get<Pod>("default", "plain");
  REQUIRE(pod);
  const auto& resources = pod->spec.containers[0].resources;
  CHECK(resources.limits.at("cpu").str() == "500m");
  CHECK(resources.limits.at("memory").str() == "64Mi");
  CHECK(resources.requests.at("cpu").str() == "100m");
  CHECK(resources.requests.at("memory").str() == "64Mi");
  CHECK(pod->metadata.annotations.at("kubernetes.io/limit-ranger") ==
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for "
        "container c");
  const auto refused = [&](const std::string& resources_text) {
    const auto answer = c.post_pod("bad", resources_text);
    CHECK(answer.status == 403);
    return answer.at("message");
  };
  CHECK(refused(R"("limits":{"cpu":"3"},"requests":{"cpu":"1"})") ==
        "pods \"bad\" is forbidden: maximum cpu usage per Container is 2, but limit is 3");
  CHECK(refused(R"("requests":{"cpu":"10m"})") ==
        "pods \"bad\" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, "
        "cpu max limit to request ratio per Container is 10, but provided ratio is 50.000000]");
  CHECK(refused(R"("limits":{"memory":"1Gi"})") ==
        "pods \"bad\" is forbidden: maximum memory usage per Pod is 128Mi, but limit is 1Gi");
}

}  // namespace
}  // namespace orch::server
