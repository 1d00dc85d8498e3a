#include <catch2/catch.hpp>

#include "orch/api/appsv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/scheme.h"

namespace orch::api {
namespace {

using Texts = std::vector<std::string>;

template <class T>
T decoded(const std::string& json) {
  T out;
  auto read = decode_json(json, T::type_info(), &out);
  INFO((read ? "" : read.error().message));
  REQUIRE(read);
  set_defaults(resource_of<T>(), out);
  return out;
}
template <class T>
Texts complaints(const T& now, const T* old = nullptr) {
  Texts out;
  for (const auto& cause : validate(resource_of<T>(), now, old)) {
    out.push_back(cause.field + ": " + cause.message);
  }
  return out;
}

TEST_CASE("names: labels, subdomains, label keys and values") {
  for (const char* good : {"a", "my-name", "123-abc"}) CHECK(check_dns1123_label(good).empty());
  for (const char* bad : {"", "-a", "a-", "A", "a.b", "a_b"}) {
    INFO(bad);
    CHECK_FALSE(check_dns1123_label(bad).empty());
  }
  CHECK(check_dns1123_label(std::string(63, 'a')).empty());
  CHECK(check_dns1123_label(std::string(64, 'a')) == "must be no more than 63 characters");
  CHECK(check_dns1123_subdomain("a.b-c.d").empty());
  for (const char* bad : {"", ".a", "a.", "a..b", "a.-b"}) {
    INFO(bad);
    CHECK_FALSE(check_dns1123_subdomain(bad).empty());
  }
  CHECK(check_dns1123_subdomain(std::string(254, 'a')) == "must be no more than 253 characters");
  CHECK(check_dns1035_label("a1").empty());
  CHECK_FALSE(check_dns1035_label("1a").empty());
  CHECK_FALSE(check_dns1035_label("").empty());
  for (const char* good : {"a", "A.b_c-d", "example.com/MyName"}) {
    CHECK(check_label_key(good).empty());
  }
  CHECK(check_label_key("") == "name part must be non-empty");
  CHECK(check_label_key("/a") == "prefix part must be non-empty");
  CHECK(check_label_key("a/") == "name part must be non-empty");
  CHECK(check_label_key("a/b/c").starts_with("a qualified name must consist of"));
  CHECK(check_label_key("Ex/a").starts_with("prefix part a lowercase RFC 1123 subdomain"));
  CHECK(check_label_value("").empty());
  CHECK(check_label_value("My_Value.1").empty());
  CHECK_FALSE(check_label_value("-a").empty());
  CHECK(check_label_value(std::string(64, 'a')) == "must be no more than 63 characters");
}

template <class T>
void check_immutability(const std::string& kind) {
  INFO(kind);
  auto old = decoded<T>(R"({"metadata":{"name":"a","namespace":"default","resourceVersion":"1"},)"
                        R"("immutable":true,"data":{"k":"dg=="}})");
  CHECK(complaints(old, &old).empty());
  auto now = old;
  now.data["k"] = "other";
  CHECK(complaints(now, &old) ==
        Texts{"data: Forbidden: field is immutable when `immutable` is set"});
  now = old;
  now.immutable = false;
  CHECK(complaints(now, &old) ==
        Texts{"immutable: Forbidden: field is immutable when `immutable` is set"});
  now = old;
  now.metadata.labels["a"] = "b";
  CHECK(complaints(now, &old).empty());
}

TEST_CASE("ConfigMaps and Secrets that are immutable stay as they are") {
  check_immutability<corev1::ConfigMap>("ConfigMap");
  check_immutability<corev1::Secret>("Secret");
}

TEST_CASE("ConfigMaps and Secrets: keys, types, stringData") {
  auto map = decoded<corev1::ConfigMap>(
      R"({"metadata":{"name":"a","namespace":"default"},"data":{"a/b":"","..":"","ok.txt":""}})");
  const auto found = complaints(map);
  REQUIRE(found.size() == 2);
  CHECK(found[0] == "data[..]: Invalid value: \"..\": must not be '..'");
  CHECK(found[1].starts_with("data[a/b]: Invalid value: \"a/b\": a valid config key must consist"));
  auto secret = decoded<corev1::Secret>(
      R"({"metadata":{"name":"a","namespace":"default"},"data":{"a":"b2xk"},)"
      R"("stringData":{"a":"new"}})");
  CHECK(secret.type_ == "Opaque");
  CHECK(secret.data.at("a") == "new");
  CHECK(secret.stringData.empty());
  auto changed = secret;
  changed.metadata.resourceVersion = "1";
  changed.type_ = "kubernetes.io/tls";
  const auto refused = complaints(changed, &secret);
  REQUIRE(refused.size() == 3);
  CHECK(refused[0] == "type: Invalid value: \"kubernetes.io/tls\": field is immutable");
}

TEST_CASE("Service: defaults and texts") {
  const auto service = [](const std::string& spec) {
    return decoded<corev1::Service>(R"({"metadata":{"name":"web","namespace":"default"},"spec":{)" +
                                    spec + "}}");
  };
  const auto plain = service(R"("ports":[{"port":80}])");
  CHECK(plain.spec.type == "ClusterIP");
  CHECK(plain.spec.sessionAffinity == "None");
  CHECK(plain.spec.ports[0].protocol == "TCP");
  CHECK(plain.spec.ports[0].targetPort.int_value == 80);
  CHECK(plain.spec.internalTrafficPolicy == "Cluster");
  CHECK(plain.spec.ipFamilyPolicy == "SingleStack");
  CHECK(plain.spec.externalTrafficPolicy.empty());
  CHECK(complaints(plain).empty());
  CHECK(service(R"("type":"NodePort","ports":[{"port":80}])").spec.externalTrafficPolicy ==
        "Cluster");
  CHECK(service(R"("sessionAffinity":"ClientIP","ports":[{"port":80}])")
            .spec.sessionAffinityConfig->clientIP->timeoutSeconds == 10800);
  CHECK(complaints(service("")) == Texts{"spec.ports: Required value"});
  CHECK(complaints(service(R"("ports":[{"port":80},{"port":81,"name":"b"}])")) ==
        Texts{"spec.ports[0].name: Required value"});
  CHECK(complaints(service(R"("ports":[{"port":70000,"targetPort":1}])")) ==
        Texts{"spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"});
  CHECK(complaints(service(R"("type":"Odd","ports":[{"port":80}])")) ==
        Texts{"spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", "
              "\"ExternalName\", \"LoadBalancer\", \"NodePort\""});
  auto changed =
      service(R"("clusterIP":"10.43.0.9","clusterIPs":["10.43.0.9"],"ports":[{"port":80}])");
  auto old = changed;
  old.spec.clusterIP = "10.43.0.8";
  old.spec.clusterIPs = {"10.43.0.8"};
  changed.metadata.resourceVersion = old.metadata.resourceVersion = "1";
  CHECK(complaints(changed, &old) ==
        Texts{"spec.clusterIPs[0]: Invalid value: \"10.43.0.9\": may not change once set"});
}

appsv1::Deployment deployment(const std::string& more = "") {
  return decoded<appsv1::Deployment>(
      R"({"metadata":{"name":"web","namespace":"default"},"spec":{"selector":{"matchLabels":)"
      R"({"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":)"
      R"([{"name":"c","image":"i"}]}})" +
      more + "}}");
}

TEST_CASE("Deployment: defaults and texts") {
  const auto plain = deployment();
  CHECK(plain.spec.replicas == 1);
  CHECK(plain.spec.strategy.type == "RollingUpdate");
  CHECK(plain.spec.strategy.rollingUpdate->maxSurge->str() == "25%");
  CHECK(plain.spec.strategy.rollingUpdate->maxUnavailable->str() == "25%");
  CHECK(plain.spec.revisionHistoryLimit == 10);
  CHECK(plain.spec.progressDeadlineSeconds == 600);
  CHECK(plain.spec.template_.spec.restartPolicy == "Always");
  CHECK_FALSE(plain.spec.template_.spec.enableServiceLinks);  // only Pods get it
  CHECK(complaints(plain).empty());
  CHECK(complaints(deployment(R"(,"replicas":-1)")) ==
        Texts{"spec.replicas: Invalid value: -1: must be greater than or equal to 0"});
  const auto strategy = [](const std::string& rolling) {
    return complaints(deployment(R"(,"strategy":{"rollingUpdate":)" + rolling + "}"));
  };
  CHECK(strategy(R"({"maxSurge":0,"maxUnavailable":0})") ==
        Texts{"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "
              "intstr.IntOrString{Type:0, IntVal:0, StrVal:\"\"}: may not be 0 when `maxSurge` is "
              "0"});
  CHECK(strategy(R"({"maxUnavailable":"150%"})") ==
        Texts{"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "
              "intstr.IntOrString{Type:1, IntVal:0, StrVal:\"150%\"}: must not be greater than "
              "100%"});
  CHECK(complaints(deployment(R"(,"strategy":{"type":"Recreate","rollingUpdate":{}})")) ==
        Texts{"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` "
              "is 'Recreate'"});
  auto other = plain;
  other.spec.template_.metadata.labels = {{"app", "x"}};
  CHECK(complaints(other).size() == 1);
  auto changed = plain;
  changed.metadata.resourceVersion = "1";
  changed.spec.selector->matchLabels["more"] = "y";
  changed.spec.template_.metadata.labels["more"] = "y";
  const auto refused = complaints(changed, &plain);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].starts_with("spec.selector: Invalid value: "));
  CHECK(refused[0].ends_with("field is immutable"));
}

TEST_CASE("Deployment: generation counts spec and annotations, not labels or status") {
  const auto& resource = resource_of<appsv1::Deployment>();
  const StrategyContext context{WallTime{}};
  auto old = deployment();
  old.status.replicas = 3;
  resource.prepare(old, nullptr, context);
  CHECK(old.metadata.generation == 1);
  CHECK(old.status.replicas == 0);
  const auto generation = [&](auto change) {
    auto now = old;
    change(now);
    resource.prepare(now, &old, context);
    return now.metadata.generation;
  };
  CHECK(generation([](auto& d) { d.metadata.labels["a"] = "b"; }) == 1);
  CHECK(generation([](auto& d) { d.status.replicas = 2; }) == 1);
  CHECK(generation([](auto& d) { d.spec.replicas = 2; }) == 2);
  CHECK(generation([](auto& d) { d.metadata.annotations["a"] = "b"; }) == 2);
}

}  // namespace
}  // namespace orch::api
