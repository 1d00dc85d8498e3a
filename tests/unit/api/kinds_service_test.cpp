#include "kinds_support.h"
#include "orch/api/corev1.h"

namespace orch::api::test {
namespace {

using corev1::Secret;
using corev1::Service;

constexpr const char* kService = R"({"metadata":{"name":"s","namespace":"default"},
    "spec":{"ports":[{"port":80}]}})";

TEST_CASE("services: rules") {
  check_rules<Service>(
      kService,
      {{"/spec/ports/0/targetPort",
        "\"-\"",
        {"spec.ports[0].targetPort: Invalid value: \"-\": must contain at least one letter (a-z)",
         "spec.ports[0].targetPort: Invalid value: \"-\": must not begin or end with a hyphen"}},
       {"/spec/ports",
        R"([{"name":"a","port":80},{"name":"b","port":80}])",
        {"spec.ports[1]: Duplicate value: core.ServicePort{Name:\"\", Protocol:\"TCP\", "
         "AppProtocol:(*string)(nil), Port:80, TargetPort:intstr.IntOrString{Type:0, IntVal:0, "
         "StrVal:\"\"}, NodePort:0}"}},
       {"/spec/ports/0/nodePort",
        "30000",
        {"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"}},
       {"/spec/externalTrafficPolicy",
        "\"Local\"",
        {"spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for "
         "externally-accessible services"}},
       {"/spec/externalIPs", R"(["1.2.3.4"])", {}},
       {"/spec/externalIPs",
        R"(["x","127.0.0.2","::","169.254.1.1","224.0.0.5"])",
        {"spec.externalIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
         "2001:db8::ffff)",
         "spec.externalIPs[1]: Invalid value: \"127.0.0.2\": may not be in the loopback range "
         "(127.0.0.0/8, ::1/128)",
         "spec.externalIPs[2]: Invalid value: \"::\": may not be unspecified (::)",
         "spec.externalIPs[3]: Invalid value: \"169.254.1.1\": may not be in the link-local range "
         "(169.254.0.0/16, fe80::/10)",
         "spec.externalIPs[4]: Invalid value: \"224.0.0.5\": may not be in the link-local "
         "multicast "
         "range (224.0.0.0/24, ff02::/10)"}},
       {"/spec/sessionAffinity",
        "\"x\"",
        {"spec.sessionAffinity: Unsupported value: \"x\": supported values: \"ClientIP\", "
         "\"None\""}},
       {"/spec/sessionAffinity", "\"ClientIP\"", {}},
       {"/spec/healthCheckNodePort",
        "30000",
        {"spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is "
         "'LoadBalancer' and `externalTrafficPolicy` is 'Local'"}},
       {"/spec/loadBalancerSourceRanges",
        R"(["10.0.0.0"])",
        {"spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
         "spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR "
         "value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"}},
       {"/spec/loadBalancerClass",
        "\"a/b\"",
        {"spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"}},
       {"/spec/ipFamilies",
        R"(["IPv5"])",
        {"spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\""}},
       {"/spec/internalTrafficPolicy",
        "\"x\"",
        {"spec.internalTrafficPolicy: Unsupported value: \"x\": supported values: \"Cluster\", "
         "\"Local\""}}});
  check_rules<Service>(
      R"({"metadata":{"name":"s","namespace":"default"},"spec":
      {"type":"ExternalName","externalName":"a.example.com."}})",
      {{"/spec/externalName", "\"\"", {"spec.externalName: Required value"}},
       {"/spec/clusterIP",
        "\"10.0.0.1\"",
        {"spec.clusterIPs: Forbidden: may not be set for ExternalName services"}}});
}

TEST_CASE("services: what another type has no use for goes") {
  auto balanced = decoded<Service>(kService);
  balanced.spec.type = "LoadBalancer";
  balanced.spec.loadBalancerClass = "a/b";
  set_defaults(resource_of<Service>(), balanced);
  CHECK(balanced.spec.allocateLoadBalancerNodePorts == true);
  balanced.spec.ports[0].nodePort = 30001;
  check_changes<Service>(
      balanced, {{"/spec/type", "\"ClusterIP\"", {}},
                 {"/spec/type", "\"NodePort\"", {}},
                 {"/spec/loadBalancerClass",
                  "\"a/c\"",
                  {"spec.loadBalancerClass: Invalid value: \"a/c\": may not change once set"}}});
  auto now = balanced;
  now.spec.type = "ClusterIP";
  resource_of<Service>().prepare(now, &balanced, {});
  CHECK(now.spec.externalTrafficPolicy.empty());
  CHECK_FALSE(now.spec.loadBalancerClass);
  CHECK_FALSE(now.spec.allocateLoadBalancerNodePorts);
  CHECK(now.spec.ports[0].nodePort == 0);
}

TEST_CASE("secrets: keys of the types") {
  const auto secret = [](const std::string& type, const std::string& data) {
    return complaints(made<Secret>(R"({"metadata":{"name":"s","namespace":"default"},"type":")" +
                                   type + R"(","data":{)" + data + "}}"));
  };
  CHECK(secret("kubernetes.io/tls", "") ==
        Texts{"data[tls.crt]: Required value", "data[tls.key]: Required value"});
  CHECK(secret("kubernetes.io/basic-auth", "") ==
        Texts{"data[username]: Required value", "data[password]: Required value"});
  CHECK(secret("kubernetes.io/basic-auth", R"("password":"eA==")").empty());
  CHECK(secret("kubernetes.io/dockerconfigjson", R"(".dockerconfigjson":"e30=")").empty());
  const auto said = secret("kubernetes.io/dockerconfigjson", R"(".dockerconfigjson":"eA==")");
  REQUIRE(said.size() == 1);
  CHECK(said[0].starts_with(
      "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": "));
}

}  // namespace
}  // namespace orch::api::test
