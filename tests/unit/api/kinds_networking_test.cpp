#include "kinds_support.h"
#include "orch/api/networkingv1.h"

namespace orch::api::test {
namespace {

using networkingv1::Ingress;
using networkingv1::IngressClass;
using networkingv1::NetworkPolicy;

TEST_CASE("network policies: defaults, rules and rows") {
  const std::string json = R"({"metadata":{"name":"n","namespace":"default"},"spec":{
      "podSelector":{"matchLabels":{"a":"b"}},"ingress":[{"ports":[{"port":80}]}],"egress":[{}]}})";
  const auto policy = made<NetworkPolicy>(json);
  CHECK(policy.spec.policyTypes == Texts{"Ingress", "Egress"});
  CHECK(policy.spec.ingress[0].ports[0].protocol == "TCP");
  CHECK(policy.metadata.generation == 1);
  CHECK(cells(policy) == Texts{"n", "a=b", "<unknown>"});
  const std::string port = "spec.ingress[0].ports[0]";
  const std::string from = "spec.ingress[0].from[0]";
  check_rules<NetworkPolicy>(
      json,
      {{"/spec/ingress/0/ports/0",
        R"({"protocol":"X","port":0})",
        {port + ".protocol: Unsupported value: \"X\": supported values: \"TCP\", \"UDP\", "
                "\"SCTP\"",
         port + ".port: Invalid value: 0: must be between 1 and 65535, inclusive"}},
       {"/spec/ingress/0/ports/0",
        R"({"port":80,"endPort":70})",
        {port + ".endPort: Invalid value: 80: must be greater than or equal to `port`"}},
       {"/spec/ingress/0/ports/0",
        R"({"port":"a--b","endPort":70})",
        {port + ".endPort: Invalid value: 70: may not be specified when `port` is non-numeric",
         port + ".port: Invalid value: \"a--b\": must not contain consecutive hyphens"}},
       {"/spec/ingress/0/ports/0",
        R"({"endPort":70})",
        {port + ".endPort: Invalid value: 70: may not be specified when `port` is not specified"}},
       {"/spec/ingress/0/from", "[{}]", {from + ": Required value: must specify a peer"}},
       {"/spec/ingress/0/from",
        R"([{"podSelector":{},"ipBlock":{"cidr":"10.0.0.0/8"}}])",
        {from + ": Forbidden: may not specify both ipBlock and another peer"}},
       {"/spec/ingress/0/from", R"([{"podSelector":{},"namespaceSelector":{}}])", {}},
       {"/spec/ingress/0/from",
        R"([{"ipBlock":{"cidr":"10.0.0.0"}}])",
        {from + ".ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. "
                "10.9.8.0/24 or 2001:db8::/64)"}},
       {"/spec/ingress/0/from",
        R"([{"ipBlock":{"cidr":"10.0.0.0/8",
          "except":["10.1.0.0/16","11.0.0.0/16","10.0.0.0/8","::/64"]}}])",
        {from + ".ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of "
                "`cidr`",
         from + ".ipBlock.except[2]: Invalid value: \"10.0.0.0/8\": must be a strict subset of "
                "`cidr`",
         from + ".ipBlock.except[3]: Invalid value: \"::/64\": must be a strict subset of `cidr`"}},
       {"/spec/policyTypes",
        R"(["x"])",
        {"spec.policyTypes[0]: Unsupported value: \"x\": supported values: \"Ingress\", "
         "\"Egress\""}},
       {"/spec/policyTypes",
        R"(["Egress","Egress","Egress"])",
        {"spec.policyTypes: Invalid value: []string{\"Egress\", \"Egress\", \"Egress\"}: may not "
         "specify more than two policyTypes"}}});
}

constexpr const char* kIngress = R"({"metadata":{"name":"i","namespace":"default"},"spec":{"rules":[
    {"host":"a.example.com","http":{"paths":[{"path":"/","pathType":"Prefix","backend":
    {"service":{"name":"s","port":{"number":80}}}}]}}]}})";

TEST_CASE("ingresses: rules") {
  const std::string path = "spec.rules[0].http.paths[0]";
  check_rules<Ingress>(
      kIngress,
      {{"/spec/rules",
        "[]",
        {"spec: Invalid value: []networking.IngressRule(nil): either `defaultBackend` or `rules` "
         "must be specified"}},
       {"/spec/rules/0/host",
        "\"10.0.0.1\"",
        {"spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP "
         "address"}},
       {"/spec/rules/0/host", "\"*.example.com\"", {}},
       {"/spec/rules/0/http/paths", "[]", {"spec.rules[0].http.paths: Required value"}},
       {"/spec/rules/0/http/paths/0/pathType",
        "",
        {path + ".pathType: Required value: pathType must be specified"}},
       {"/spec/rules/0/http/paths/0/pathType",
        "\"x\"",
        {path + ".pathType: Unsupported value: \"x\": supported values: \"Exact\", "
                "\"ImplementationSpecific\", \"Prefix\""}},
       {"/spec/rules/0/http/paths/0/path",
        "\"a//%2f/..\"",
        {path + ".path: Invalid value: \"a//%2f/..\": must be an absolute path",
         path + ".path: Invalid value: \"a//%2f/..\": must not contain '//'",
         path + ".path: Invalid value: \"a//%2f/..\": must not contain '%2f'",
         path + ".path: Invalid value: \"a//%2f/..\": cannot end with '/..'"}},
       {"/spec/rules/0/http/paths/0/backend",
        "{}",
        {path + ".backend: Invalid value: \"\": resource or service backend is required"}},
       {"/spec/rules/0/http/paths/0/backend",
        R"({"service":{"name":""}})",
        {path + ".backend.service.name: Required value",
         path + ".backend: Required value: port name or number is required"}},
       {"/spec/rules/0/http/paths/0/backend",
        R"({"service":{"name":"s","port":{"name":"x","number":1}}})",
        {path + ".backend: Invalid value: \"\": cannot set both port name & port number"}},
       {"/spec/defaultBackend",
        R"({"resource":{"kind":"","name":"a/b"}})",
        {"spec.defaultBackend.resource.kind: Required value: kind is required",
         "spec.defaultBackend.resource.name: Invalid value: \"a/b\": may not contain '/'"}},
       {"/spec/tls", R"([{"hosts":["x.example.com"],"secretName":"s"}])", {}}});
  auto both = made<Ingress>(kIngress);
  both.metadata.annotations["kubernetes.io/ingress.class"] = "a";
  both.spec.ingressClassName = "b";
  CHECK(complaints(both) == Texts{"annotations.kubernetes.io/ingress.class: Invalid value: \"a\": "
                                  "must match `ingressClassName` when both are specified"});
  CHECK(complaints(both, &both).empty());
}

TEST_CASE("ingresses: rows") {
  auto ingress = made<Ingress>(kIngress);
  CHECK(cells(ingress) == Texts{"i", "<none>", "a.example.com", "", "80", "<unknown>"});
  ingress.spec.ingressClassName = "nginx";
  ingress.spec.rules.resize(5, ingress.spec.rules[0]);
  ingress.spec.tls.emplace_back();
  ingress.status.loadBalancer.ingress.resize(2);
  ingress.status.loadBalancer.ingress[0].hostname = "lb";
  ingress.status.loadBalancer.ingress[1].ip = "1.2.3.4";
  CHECK(cells(ingress) == Texts{"i", "nginx",
                                "a.example.com,a.example.com,a.example.com + 2 "
                                "more...",
                                "1.2.3.4,lb", "80, 443", "<unknown>"});
  ingress.spec.rules.clear();
  CHECK(cells(ingress)[2] == "*");
}

TEST_CASE("ingress classes: defaults, rules and rows") {
  const std::string json = R"({"metadata":{"name":"c"},"spec":{"controller":"a.b/c",
      "parameters":{"apiGroup":"k.example.com","kind":"P","name":"n"}}})";
  const auto made_class = made<IngressClass>(json);
  CHECK(made_class.spec.parameters->scope == "Cluster");
  CHECK(cells(made_class) == Texts{"c", "a.b/c", "P.k.example.com/n", "<unknown>"});
  check_rules<IngressClass>(
      json, {{"/spec/controller",
              "\"x\"",
              {"spec.controller: Invalid value: \"x\": must be a domain-prefixed path (such as "
               "\"acme.io/foo\")"}},
             {"/spec/parameters/scope",
              "\"x\"",
              {"spec.parameters.scope: Unsupported value: \"x\": supported values: \"Cluster\", "
               "\"Namespace\""}},
             {"/spec/parameters/scope",
              "\"Namespace\"",
              {"spec.parameters.namespace: Required value: `parameters.scope` is set to "
               "'Namespace'"}},
             {"/spec/parameters/namespace",
              "\"n\"",
              {"spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"}}});
  check_changes<IngressClass>(
      json, {{"/spec/controller",
              "\"a.b/d\"",
              {"spec.controller: Invalid value: \"a.b/d\": field is immutable"}}});
}

}  // namespace
}  // namespace orch::api::test
