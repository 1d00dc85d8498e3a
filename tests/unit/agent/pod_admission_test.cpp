// What a node refuses of the pods bound to it.
#include <catch2/catch.hpp>

#include "agent/pod/admission.h"
#include "unit/agent/pod_support.h"

using namespace orch;
using namespace orch::agent;
using test::pod_of;

namespace {

api::corev1::Node node_of(const std::string& json) {
  auto node = api::from_json<api::corev1::Node>(json);
  return node ? *node : api::corev1::Node{};
}

const api::corev1::Node kNode = node_of(R"({"metadata":{"name":"n1","labels":{"zone":"a"}},
  "spec":{"taints":[{"key":"k","effect":"NoSchedule"}]},
  "status":{"allocatable":{"cpu":"2","memory":"1Gi","pods":"3"}}})");

struct Case {
  const char* spec;
  const char* reason;
  const char* message;
};

}  // namespace

TEST_CASE("a pod that does not fit beside the others is refused with the kubelet's words") {
  const auto other = pod_of(
      R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"1500m"}},
          "ports":[{"containerPort":80,"hostPort":80}]}]})");
  const Case cases[] = {
      {R"({"containers":[{"name":"c"}]})", "", ""},
      {R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"500m","example.com/x":"1"}}}]})",
       "", ""},
      {R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"501m"}}}]})", "OutOfcpu",
       "Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000"},
      {R"({"containers":[{"name":"c","resources":{"requests":{"memory":"2Gi"}}}]})", "OutOfmemory",
       "Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: "
       "1073741824"},
      {R"({"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":80}]}]})", "NodePorts",
       "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"},
      {R"({"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":80,"protocol":"UDP"}]}]})",
       "", ""},
      {R"({"nodeSelector":{"zone":"b"},"containers":[{"name":"c"}]})", "NodeAffinity",
       "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"},
      {R"({"nodeSelector":{"zone":"a"},"containers":[{"name":"c"}]})", "", ""},
      {R"({"os":{"name":"windows"},"containers":[{"name":"c"}]})", "PodOSNotSupported",
       "Failed to admit pod as the OS field doesn't match node OS"},
      {R"({"securityContext":{"sysctls":[{"name":"kernel.msgmax","value":"1"}]},
           "containers":[{"name":"c"}]})",
       "SysctlForbidden", "forbidden sysctl: \"kernel.msgmax\" not allowlisted"},
      {R"({"hostNetwork":true,"securityContext":{"sysctls":[{"name":"net/ipv4/tcp_syncookies",
           "value":"1"}]},"containers":[{"name":"c"}]})",
       "SysctlForbidden",
       "forbidden sysctl: \"net.ipv4.tcp_syncookies\" not allowed with host net enabled"},
      {R"({"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_syncookies","value":"1"}]},
           "containers":[{"name":"c"}]})",
       "", ""},
  };
  for (const Case& c : cases) {
    INFO(c.spec);
    const auto no = check_admission(pod_of(c.spec), kNode, {&other});
    CHECK((no ? no->reason : "") == c.reason);
    CHECK((no ? no->message : "") == c.message);
  }
}

TEST_CASE("a full node, an evicting taint, a node that is not known yet") {
  const auto pod = pod_of(R"({"containers":[{"name":"c","resources":{"requests":{"cpu":"9"}}}]})");
  const auto small = pod_of(R"({"containers":[{"name":"c"}]})");
  const auto full = check_admission(small, kNode, {&small, &small, &small});
  REQUIRE(full);
  CHECK(full->message ==
        "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3");
  CHECK(full->reason == "OutOfpods");
  auto tainted = kNode;
  tainted.spec.taints[0].effect = "NoExecute";
  const auto taint = check_admission(small, tainted, {});
  REQUIRE(taint);
  CHECK(taint->reason == "TaintToleration");
  CHECK_FALSE(check_admission(pod, node_of(R"({"metadata":{"name":"n1"}})"), {}));
}
