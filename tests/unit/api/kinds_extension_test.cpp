// The kinds by which the API is extended, as objects: webhook configurations, admission policies,
// APIServices, CustomResourceDefinitions; and CertificateSigningRequests.
#include <algorithm>

#include "kinds_support.h"
#include "orch/api/admissionregistrationv1.h"
#include "orch/api/apiextensionsv1.h"
#include "orch/api/apiregistrationv1.h"
#include "orch/api/certificate_decision.h"

namespace orch::api {
namespace {

using namespace test;
using admissionregistrationv1::MutatingWebhookConfiguration;
using admissionregistrationv1::ValidatingAdmissionPolicy;
using admissionregistrationv1::ValidatingAdmissionPolicyBinding;
using admissionregistrationv1::ValidatingWebhookConfiguration;
using apiextensionsv1::CustomResourceDefinition;
using apiregistrationv1::APIService;
using certificatesv1::CertificateSigningRequest;

constexpr const char* kHooks =
    R"({"metadata":{"name":"w"},"webhooks":[{"name":"a.example.com","sideEffects":"None",)"
    R"("admissionReviewVersions":["v1"],"clientConfig":{"service":{"name":"s","namespace":"n",)"
    R"("path":"/check"}},"rules":[{"operations":["CREATE"],"apiGroups":[""],)"
    R"("apiVersions":["v1"],"resources":["pods"]}]}]})";

TEST_CASE("webhook configurations: defaults, generation, row") {
  auto now = made<MutatingWebhookConfiguration>(kHooks);
  const auto& hook = now.webhooks[0];
  CHECK(hook.failurePolicy == "Fail");
  CHECK(hook.matchPolicy == "Equivalent");
  CHECK(hook.timeoutSeconds == 10);
  CHECK(hook.reinvocationPolicy == "Never");
  CHECK(hook.namespaceSelector.has_value());
  CHECK(hook.objectSelector.has_value());
  CHECK(hook.clientConfig.service->port == 443);
  CHECK(hook.rules[0].scope == "*");
  CHECK(now.metadata.generation == 1);
  CHECK(cells(now) == Texts{"w", "1", "<unknown>"});
  const auto old = now;
  now.metadata.labels["a"] = "b";
  resource_of<MutatingWebhookConfiguration>().prepare(now, &old, {});
  CHECK(now.metadata.generation == 1);
  now.webhooks[0].timeoutSeconds = 3;
  resource_of<MutatingWebhookConfiguration>().prepare(now, &old, {});
  CHECK(now.metadata.generation == 2);
}

TEST_CASE("webhook configurations: what may be created") {
  check_rules<ValidatingWebhookConfiguration>(
      kHooks,
      {{"/webhooks/0/name",
        "\"a.b\"",
        {R"(webhooks[0].name: Invalid value: "a.b": should be a domain with at least three )"
         R"(segments separated by dots)"}},
       {"/webhooks/0/sideEffects",
        "",
        {"webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"}},
       {"/webhooks/0/sideEffects",
        "\"Some\"",
        {R"(webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", )"
         R"("NoneOnDryRun")"}},
       {"/webhooks/0/timeoutSeconds",
        "31",
        {"webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and "
         "30 seconds"}},
       {"/webhooks/0/admissionReviewVersions",
        R"(["v2"])",
        {R"(webhooks[0].admissionReviewVersions: Invalid value: []string{"v2"}: must include at )"
         R"(least one of v1, v1beta1)"}},
       {"/webhooks/0/clientConfig",
        "{}",
        {"webhooks[0].clientConfig: Required value: exactly one of url or service is required"}},
       {"/webhooks/0/clientConfig",
        R"({"url":"http://u@h/?q#f"})",
        {R"(webhooks[0].clientConfig.url: Invalid value: "http": 'https' is the only allowed URL )"
         R"(scheme; desired format: https://host[/path])",
         R"(webhooks[0].clientConfig.url: Invalid value: "u": user information is not permitted )"
         R"(in the URL)",
         R"(webhooks[0].clientConfig.url: Invalid value: "f": fragments are not permitted in the )"
         R"(URL)",
         R"(webhooks[0].clientConfig.url: Invalid value: "q": query parameters are not permitted )"
         R"(in the URL)"}},
       {"/webhooks/0/clientConfig/service/path",
        "\"/a//b\"",
        {R"(webhooks[0].clientConfig.service.path: Invalid value: "/a//b": segment[1] may not be )"
         R"(empty)"}},
       {"/webhooks/0/rules/0/resources",
        R"(["*/*","pods"])",
        {R"(webhooks[0].rules[0].resources: Invalid value: []string{"*/*", "pods"}: if '*/*' is )"
         R"(present, must not specify other resources)"}},
       {"/webhooks/0/rules/0/resources",
        R"(["pods/*","pods/log"])",
        {R"(webhooks[0].rules[0].resources[1]: Invalid value: "pods/log": if 'pods/*' is present, )"
         R"(must not specify pods/log)"}},
       {"/webhooks/0/rules/0/operations",
        R"(["LOOK"])",
        {R"(webhooks[0].rules[0].operations[0]: Unsupported value: "LOOK": supported values: "*", )"
         R"("CONNECT", "CREATE", "DELETE", "UPDATE")"}},
       {"/webhooks/0/matchConditions",
        R"([{"name":"a","expression":" "},{"name":"a","expression":"true"}])",
        {"webhooks[0].matchConditions[0].expression: Required value",
         R"(webhooks[0].matchConditions[1].name: Duplicate value: "a")"}}});
}

TEST_CASE("admission policies and bindings") {
  const std::string policy =
      R"({"metadata":{"name":"p"},"spec":{"matchConstraints":{"resourceRules":[{"operations":["*"],)"
      R"("apiGroups":["*"],"apiVersions":["*"],"resources":["*"]}]},)"
      R"("validations":[{"expression":"true"}]}})";
  CHECK(cells(made<ValidatingAdmissionPolicy>(policy)) == Texts{"p", "1", "<unset>", "<unknown>"});
  check_rules<ValidatingAdmissionPolicy>(
      policy,
      {{"/spec/matchConstraints", "", {"spec.matchConstraints: Required value"}},
       {"/spec/validations",
        "[]",
        {"spec.validations: Required value: validations or auditAnnotations must contain at least "
         "one item",
         "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at "
         "least one item"}},
       {"/spec/paramKind",
        R"({"apiVersion":"v1","kind":""})",
        {"spec.paramKind.kind: Required value"}},
       {"/spec/variables",
        R"([{"name":"for","expression":"1"}])",
        {R"(spec.variables[0].name: Invalid value: "for": name is not a valid CEL identifier)"}},
       {"/spec/validations/0/message",
        R"("a\nb")",
        {R"(spec.validations[0].message: Invalid value: "a\nb": message must not contain line )"
         R"(breaks)"}}});
  const std::string binding = R"({"metadata":{"name":"b"},"spec":{"policyName":"p",)"
                              R"("validationActions":["Deny"],"paramRef":{"name":"x"}}})";
  const auto bound = made<ValidatingAdmissionPolicyBinding>(binding);
  CHECK(bound.spec.paramRef->parameterNotFoundAction == "Deny");
  CHECK(cells(bound) == Texts{"b", "p", "*/x", "<unknown>"});
  check_rules<ValidatingAdmissionPolicyBinding>(
      binding,
      {{"/spec/validationActions",
        "[]",
        {"spec.validationActions: Required value: at least one validation action is required"}},
       {"/spec/paramRef/selector",
        "{}",
        {"spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
         "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive"}},
       {"/spec/policyName", "\"\"", {"spec.policyName: Required value"}}});
}

TEST_CASE("API services") {
  const std::string json =
      R"({"metadata":{"name":"v1.example.com"},"spec":{"group":"example.com","version":"v1",)"
      R"("groupPriorityMinimum":100,"versionPriority":10,)"
      R"("service":{"name":"s","namespace":"n"}}})";
  auto remote = made<APIService>(json);
  CHECK(remote.spec.service->port == 443);
  CHECK(cells(remote) == Texts{"v1.example.com", "n/s", "Unknown", "<unknown>"});
  remote.status.conditions.emplace_back();
  remote.status.conditions[0].type = "Available";
  remote.status.conditions[0].status = "False";
  remote.status.conditions[0].reason = "ServiceNotFound";
  CHECK(cells(remote)[2] == "False (ServiceNotFound)");
  const auto local = made<APIService>(changed(json, {"/spec/service", "", {}}));
  CHECK(cells(local) == Texts{"v1.example.com", "Local", "True", "<unknown>"});
  check_rules<APIService>(
      json,
      {{"/metadata/name",
        "\"v2.example.com\"",
        {R"(metadata.name: Invalid value: "v2.example.com": must be `spec.version+"."+spec.group`: )"
         R"("v1.example.com")"}},
       {"/spec/versionPriority",
        "0",
        {"spec.versionPriority: Invalid value: 0: must be positive and less than 1000"}},
       {"/spec/insecureSkipTLSVerify", "true", {}},
       {"/spec/service/name", "\"\"", {"spec.service.name: Required value"}}});
}

constexpr const char* kDefinition =
    R"({"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com",)"
    R"("names":{"plural":"widgets","kind":"Widget"},"scope":"Namespaced","versions":[{"name":"v1",)"
    R"("served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":)"
    R"({"spec":{"type":"object"}}}}}]}})";

TEST_CASE("custom resource definitions") {
  auto now = made<CustomResourceDefinition>(kDefinition);
  CHECK(now.spec.names.singular == "widget");
  CHECK(now.spec.names.listKind == "WidgetList");
  CHECK(now.spec.conversion->strategy == "None");
  CHECK(now.status.storedVersions == Texts{"v1"});
  CHECK(now.metadata.generation == 1);
  check_rules<CustomResourceDefinition>(
      kDefinition,
      {{"/metadata/name",
        "\"w.example.com\"",
        {R"(metadata.name: Invalid value: "w.example.com": must be spec.names.plural+"."+)"
         R"(spec.group)"}},
       {"/spec/scope",
        "\"Everywhere\"",
        {R"(spec.scope: Unsupported value: "Everywhere": supported values: "Cluster", )"
         R"("Namespaced")"}},
       {"/spec/versions/0/storage",
        "false",
        {R"(spec.versions: Invalid value: []apiextensions.CustomResourceDefinitionVersion{"v1"}: )"
         R"(must have exactly one version marked as storage version)"}},
       {"/spec/versions/0/schema",
        "",
        {"spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"}},
       {"/spec/versions/0/schema/openAPIV3Schema/type",
        "\"string\"",
        {R"(spec.versions[0].schema.openAPIV3Schema.type: Invalid value: "string": must be object )"
         R"(at the root)"}},
       {"/spec/versions/0/schema/openAPIV3Schema/properties/a",
        R"({"type":"array"})",
        {"spec.versions[0].schema.openAPIV3Schema.properties[a].items: Required value: must be "
         "specified"}},
       {"/spec/versions/0/schema/openAPIV3Schema/properties/a",
        "{}",
        {"spec.versions[0].schema.openAPIV3Schema.properties[a].type: Required value: must not be "
         "empty for specified object fields"}},
       {"/spec/preserveUnknownFields",
        "true",
        {"spec.preserveUnknownFields: Invalid value: true: cannot set to true, set "
         "x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"}},
       {"/spec/conversion",
        R"({"strategy":"Webhook"})",
        {"spec.conversion.webhookClientConfig: Required value: required when strategy is set to "
         "Webhook",
         "spec.conversion.conversionReviewVersions: Required value"}}});
  auto guarded = now;
  guarded.metadata.name = "widgets.x.k8s.io";
  guarded.spec.group = "x.k8s.io";
  const auto missing = complaints(guarded);
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].starts_with("metadata.annotations[api-approved.kubernetes.io]: Required value"));
  guarded.metadata.annotations["api-approved.kubernetes.io"] = "maybe";
  CHECK(complaints(guarded).size() == 1);
  guarded.metadata.annotations["api-approved.kubernetes.io"] = "unapproved, an experiment";
  CHECK(complaints(guarded) == Texts{});
  auto old = now;
  now.spec.group = "example.org";
  now.metadata.name = "widgets.example.org";
  const auto said = complaints(now, &old);
  CHECK(std::find(said.begin(), said.end(),
                  R"(spec.group: Invalid value: "example.org": field is immutable)") != said.end());
}

TEST_CASE("certificate signing requests: what may be created") {
  const std::string json =
      R"({"metadata":{"name":"node-csr-A_b"},"spec":{"request":)"
      R"("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K","signerName":"example.com/s",)"
      R"("usages":["client auth"]}})";
  const auto made_one = made<CertificateSigningRequest>(json);
  CHECK(cells(made_one) ==
        Texts{"node-csr-A_b", "<unknown>", "example.com/s", "", "<none>", "Pending"});
  check_rules<CertificateSigningRequest>(
      json,
      {{"/spec/usages", "[]", {"spec.usages: Required value"}},
       {"/spec/usages",
        R"(["signing","signing"])",
        {R"(spec.usages[1]: Duplicate value: "signing")"}},
       {"/spec/request",
        "\"eA==\"",
        {"spec.request: Invalid value: []byte{0x78}: PEM block type must be CERTIFICATE REQUEST"}},
       {"/spec/signerName",
        "\"kubernetes.io/legacy-unknown\"",
        {R"(spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName )"
         R"(is not allowed via this API version)"}},
       {"/spec/signerName",
        "\"s\"",
        {R"(spec.signerName: Invalid value: "s": must be a fully qualified domain and path of the )"
         R"(form 'example.com/signer-name')"}},
       {"/spec/expirationSeconds",
        "599",
        {"spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 "
         "seconds (10 minutes)"}}});
}

TEST_CASE("certificate signing requests: decisions") {
  CertificateSigningRequest old;
  old.spec.signerName = "example.com/s";
  auto now = old;
  now.spec.signerName = "example.com/other";
  now.status.certificate = "-----BEGIN CERTIFICATE-----";
  now.status.conditions.resize(1);
  now.status.conditions[0].type = "Approved";
  now.status.conditions[0].status = "True";
  const auto said = [&](bool approving) {
    FieldErrors errors;
    validate_certificate_decision(now, old, approving, errors);
    Texts out;
    for (const auto& cause : errors.take()) out.push_back(cause.field + ": " + cause.message);
    return out;
  };
  prepare_certificate_decision(now, old, true, WallTime{std::chrono::seconds{5}});
  CHECK(now.spec.signerName == "example.com/s");
  CHECK(now.status.certificate.empty());
  CHECK(now.status.conditions[0].lastUpdateTime.unix_seconds == 5);
  CHECK(now.status.conditions[0].lastTransitionTime.unix_seconds == 5);
  CHECK(said(true) == Texts{});
  CHECK(said(false) == Texts{R"(status.conditions: Forbidden: updates may not add a condition of )"
                             R"(type "Approved")"});
  old = now;
  CHECK(said(false) == Texts{});
  now.status.conditions.clear();
  CHECK(said(true) == Texts{R"(status.conditions: Forbidden: updates may not remove a condition )"
                            R"(of type "Approved")"});
  now = old;
  now.status.conditions.push_back(now.status.conditions[0]);
  now.status.conditions[1].type = "Denied";
  CHECK(said(true) == Texts{R"(status.conditions[1].type: Invalid value: "Denied": Approved and )"
                            R"(Denied conditions are mutually exclusive)"});
  now = old;
  now.status.certificate = "none";
  CHECK(said(false) ==
        Texts{R"(status.certificate: Invalid value: []byte{0x6e, 0x6f, 0x6e, 0x65}: )"
              R"(must contain at least one CERTIFICATE PEM block)"});
}

}  // namespace
}  // namespace orch::api
