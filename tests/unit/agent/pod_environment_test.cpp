// Environment, command lines, downward API, DNS, hosts file, resources.
#include <catch2/catch.hpp>

#include "agent/pod/dns.h"
#include "agent/pod/environment.h"
#include "agent/pod/image_auth.h"
#include "agent/pod/leftovers.h"
#include "agent/pod/resources.h"
#include "agent/pod/termination_message.h"
#include "orch/base/strings.h"
#include "unit/agent/pod_support.h"

using namespace orch;
using namespace orch::agent;
using namespace orch::agent::test;

namespace {

class Objects final : public ObjectSource {
 public:
  std::map<std::string, std::map<std::string, std::string>> maps, secrets;
  Result<std::shared_ptr<const corev1::ConfigMap>, Error> config_map(
      const std::string&, const std::string& name) override {
    if (!maps.contains(name)) {
      return Err(Error{Error::Code::kNotFound, "configmap \"" + name + "\" not found"});
    }
    auto out = std::make_shared<corev1::ConfigMap>();
    out->data = maps[name];
    return std::shared_ptr<const corev1::ConfigMap>(out);
  }
  Result<std::shared_ptr<const corev1::Secret>, Error> secret(const std::string&,
                                                              const std::string& name) override {
    if (!secrets.contains(name)) {
      return Err(Error{Error::Code::kNotFound, "secret \"" + name + "\" not found"});
    }
    auto out = std::make_shared<corev1::Secret>();
    out->data = secrets[name];
    return std::shared_ptr<const corev1::Secret>(out);
  }
  Result<std::shared_ptr<const corev1::PersistentVolumeClaim>, Error> claim(
      const std::string&, const std::string& name) override {
    return Err(
        Error{Error::Code::kNotFound, "persistentvolumeclaims \"" + name + "\" not found"});
  }
  Result<std::shared_ptr<const corev1::PersistentVolume>, Error> persistent_volume(
      const std::string& name) override {
    return Err(Error{Error::Code::kNotFound, "persistentvolumes \"" + name + "\" not found"});
  }
  Result<std::string, Error> service_account_token(const corev1::Pod&, const std::string&,
                                                   int64_t) override {
    return std::string("token");
  }
};

std::string value(const Variables& env, const std::string& name) {
  for (const auto& [n, v] : env) {
    if (n == name) return v;
  }
  return "<unset>";
}

Result<Environment, Error> environment(const corev1::Pod& pod, Objects& objects,
                                       std::vector<std::shared_ptr<const corev1::Service>> s = {}) {
  return make_environment({.pod = pod,
                           .container = pod.spec.containers.at(0),
                           .addresses = {{"10.42.0.7"}, {"192.0.2.1"}},
                           .allocatable = {{"cpu", api::Quantity::of(4)}},
                           .services = std::move(s)},
                          objects);
}

}  // namespace

TEST_CASE("environment: sources, order, expansion") {
  Objects objects;
  objects.maps["cm"] = {{"A", "from-map"}, {"k", "v"}};
  objects.secrets["sec"] = {{"A", "from-secret"}, {"=bad", "x"}};
  auto pod = pod_of(R"j({"nodeName":"n1","containers":[{"name":"c",
    "resources":{"limits":{"memory":"64Mi"},"requests":{"cpu":"250m"}},
    "envFrom":[{"configMapRef":{"name":"cm"}},{"prefix":"S_","secretRef":{"name":"sec"}},
               {"configMapRef":{"name":"none","optional":true}}],
    "env":[{"name":"B","value":"$(A)/$(k)/$$(A)/$(NO)"
},
           {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
           {"name":"NODE","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}},
           {"name":"K","valueFrom":{"configMapKeyRef":{"name":"cm","key":"k"}}},
           {"name":"MEM","valueFrom":{"resourceFieldRef":{"resource":"limits.memory","divisor":"1Mi"}}},
           {"name":"CPU","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}},
           {"name":"REQ","valueFrom":{"resourceFieldRef":{"resource":"requests.cpu","divisor":"1m"}}},
           {"name":"OPT","valueFrom":{"secretKeyRef":{"name":"sec","key":"none","optional":true}}}]
}]
})j");
  auto env = environment(pod, objects);
REQUIRE(env);
const auto& v = env->variables;
CHECK(value(v, "A") == "from-map");
CHECK(value(v, "S_A") == "from-secret");
CHECK(value(v, "B") == "from-map/v/$(A)/$(NO)");
CHECK(value(v, "IP") == "10.42.0.7");
CHECK(value(v, "NODE") == "n1");
CHECK(value(v, "K") == "v");
CHECK(value(v, "MEM") == "64");
CHECK(value(v, "CPU") == "4");
CHECK(value(v, "REQ") == "250");
CHECK(value(v, "OPT") == "<unset>");
REQUIRE(env->warnings.size() == 1);
CHECK(env->warnings[0].find("Keys [S_=bad]") == 0);
CHECK(expand_all({"x$(A)y"}, v) == std::vector<std::string>{"xfrom-mapy"});
}

TEST_CASE("environment: what is missing is a configuration error") {
  Objects objects;
  objects.maps["cm"] = {};
  auto pod = pod_of(R"({"containers":[{"name":"c","env":[
      {"name":"K","valueFrom":{"configMapKeyRef":{"name":"cm","key":"k"}}}]}]})");
  auto env = environment(pod, objects);
  REQUIRE_FALSE(env);
  CHECK(env.error().message == "couldn't find key k in ConfigMap default/cm");
  pod.spec.containers[0].env[0].valueFrom->configMapKeyRef->name = "none";
  env = environment(pod, objects);
  REQUIRE_FALSE(env);
  CHECK(env.error().message == "configmap \"none\" not found");
}

TEST_CASE("service environment: own namespace, and the API server's always") {
  auto service = [](const char* ns, const char* name, const char* ip, int port, const char* pname) {
    auto s = std::make_shared<corev1::Service>();
    s->metadata.namespace_ = ns;
    s->metadata.name = name;
    s->spec.clusterIP = ip;
    auto& p = s->spec.ports.emplace_back();
    p.port = port;
    p.name = pname;
    return std::shared_ptr<const corev1::Service>(s);
  };
  std::vector<std::shared_ptr<const corev1::Service>> all = {
      service("default", "kubernetes", "10.43.0.1", 443, "https"),
      service("app", "my-db", "10.43.0.9", 5432, ""), service("app", "headless", "None", 1, ""),
      service("other", "x", "10.43.0.8", 1, "")};
  auto pod = pod_of(R"({"containers":[{"name":"c"}]})");
  pod.metadata.namespace_ = "app";
  auto env = service_environment(pod, all);
  CHECK(env["MY_DB_SERVICE_HOST"] == "10.43.0.9");
  CHECK(env["MY_DB_PORT_5432_TCP"] == "tcp://10.43.0.9:5432");
  CHECK(env["KUBERNETES_SERVICE_PORT_HTTPS"] == "443");
  CHECK_FALSE(env.contains("HEADLESS_SERVICE_HOST"));
  CHECK_FALSE(env.contains("X_SERVICE_HOST"));
  pod.spec.enableServiceLinks = false;
  env = service_environment(pod, all);
  CHECK_FALSE(env.contains("MY_DB_SERVICE_HOST"));
  CHECK(env["KUBERNETES_SERVICE_HOST"] == "10.43.0.1");
}

TEST_CASE("downward maps are quoted as Go does") {
  CHECK(format_map({{"a", "x\"y\n"}, {"b", ""}}) == "a=\"x\\\"y\\n\"\nb=\"\"");
  auto pod = pod_of(R"({"containers":[{"name":"c"}]})");
  pod.metadata.labels = {{"app", "web"}};
  CHECK(*field_value(pod, "metadata.labels['app']", {}) == "web");
  CHECK_FALSE(field_value(pod, "spec.secret", {}));
}

TEST_CASE("resolv.conf by policy") {
  auto pod = pod_of(R"({"containers":[{"name":"c"}],"dnsConfig":{"nameservers":["9.9.9.9"],
      "searches":["x.test"],"options":[{"name":"ndots","value":"2"},{"name":"edns0"}]}})");
  DnsInput in{pod, {"10.43.0.10"}, "cluster.local", "nameserver 192.0.2.53\nsearch corp.test\n"};
  auto dns = pod_dns(in);
  CHECK(join(dns.servers, " ") == "10.43.0.10 9.9.9.9");
  CHECK(join(dns.searches, " ") ==
        "default.svc.cluster.local svc.cluster.local cluster.local corp.test x.test");
  CHECK(join(dns.options, " ") == "ndots:2 edns0");
  pod.spec.dnsPolicy = "None";
  CHECK(join(pod_dns(in).servers, " ") == "9.9.9.9");
  pod.spec.dnsPolicy = "ClusterFirst";
  pod.spec.hostNetwork = true;
  CHECK(join(pod_dns(in).servers, " ") == "192.0.2.53 9.9.9.9");
  pod.spec.dnsPolicy = "ClusterFirstWithHostNet";
  CHECK(pod_dns(in).servers[0] == "10.43.0.10");
}

TEST_CASE("hosts file and host name") {
  auto pod = pod_of(R"({"containers":[{"name":"c"}],"hostname":"h","subdomain":"sub",
      "hostAliases":[{"ip":"1.2.3.4","hostnames":["a","b"]}]})");
  auto text = hosts_file(pod, {"10.42.0.7"}, "cluster.local", "");
  CHECK(text.find("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n") == 0);
  CHECK(text.find("10.42.0.7\th.sub.default.svc.cluster.local\th\n") != std::string::npos);
  CHECK(text.find("1.2.3.4\ta\tb\n") != std::string::npos);
  pod.spec.hostname.clear();
  pod.metadata.name = std::string(62, 'a') + "-" + "bcd";
  CHECK(pod_hostname(pod) == std::string(62, 'a'));
}

TEST_CASE("quality of service and cgroup values") {
  auto pod = pod_of(R"({"containers":[{"name":"c","resources":{
      "requests":{"cpu":"100m","memory":"64Mi"},"limits":{"cpu":"100m","memory":"64Mi"}}}]})");
  CHECK(qos_class(pod) == "Guaranteed");
  CHECK(pod_cgroup_path("/orch/x", pod) == "/orch/x/kubepods/podu1");
  auto r = container_resources(pod, pod.spec.containers[0], 1 << 30, false);
  CHECK(r.cpu_shares == 102);
  CHECK(r.cpu_quota_us == 10'000);
  CHECK(r.memory_limit_bytes == 64 << 20);
  CHECK(r.oom_score_adj == -997);
  auto limits = pod_cgroup_limits(pod);
  CHECK(limits.memory_max_bytes == 64 << 20);
  pod.spec.containers[0].resources.limits.erase("cpu");
  CHECK(qos_class(pod) == "Burstable");
  CHECK(pod_cgroup_path("/orch/x", pod) == "/orch/x/kubepods/burstable/podu1");
  CHECK_FALSE(pod_cgroup_limits(pod).cpu_quota_us);
  CHECK(container_resources(pod, pod.spec.containers[0], 1 << 30, false).oom_score_adj == 938);
  pod.spec.containers[0].resources = {};
  CHECK(qos_class(pod) == "BestEffort");
  CHECK(container_resources(pod, pod.spec.containers[0], 1 << 30, false).oom_score_adj == 1000);
  CHECK(cpu_weight_of_shares(2) == 1);
  CHECK(cpu_weight_of_shares(262144) == 10000);
}

TEST_CASE("leftover names and log text") {
  const std::string id(64, 'a');
  CHECK(reserved_by("failed to reserve sandbox name \"x\": name \"x\" is reserved for \"" + id +
                    "\"") == id);
  CHECK(reserved_by("something else").empty());
  CHECK(plain_log_text("2026-01-01T00:00:00Z stdout P ab\n2026-01-01T00:00:00Z stdout F c\ncut") ==
        "abc\n");
}

TEST_CASE("registry credentials") {
  const std::string config =
      R"({"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"r.test:5000":{"username":"a\"b","password":"c","x":[1,{"y":null}]}}})";
  auto auth = find_auth(config, "busybox");
  REQUIRE(auth);
  CHECK(auth->username == "u");
  CHECK(auth->password == "p");
  auth = find_auth(config, "r.test:5000/team/app:1");
  REQUIRE(auth);
  CHECK(auth->username == "a\"b");
  CHECK_FALSE(find_auth(config, "other.test/x"));
  CHECK_FALSE(find_auth("{\"auths\":{", "busybox"));
}
