#include <catch2/catch.hpp>
#include <chrono>

#include "orch/api/appsv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/patch.h"

using namespace orch;
using namespace orch::api;

namespace {

constexpr WallTime kT0{std::chrono::seconds{1'700'000'000}};  // 2023-11-14T22:13:20Z
constexpr const char* kT0Text = "2023-11-14T22:13:20Z";

// One object under the hands of several managers; canonical after each step, as in the server.
struct Cluster {
  const TypeInfo& type;
  std::string live;
  WallTime now = kT0;

  explicit Cluster(const TypeInfo& t) : type(t) {}

  std::string canonical(const std::string& json) {
    auto object = decode_object(json, type);
    REQUIRE(object);
    return to_json(**object);
  }
  // "" or the error.
  std::string apply(std::string_view manager, std::string_view config, bool force = false,
                    std::string_view subresource = "") {
    now += std::chrono::seconds{1};
    auto result = server_side_apply({live, config, manager, subresource, force, now}, type);
    if (!result) {
      error = result.error();
      return error.message;
    }
    live = canonical(*result);
    return "";
  }
  void update(std::string_view manager, std::string_view json, std::string_view subresource = "") {
    now += std::chrono::seconds{1};
    auto result = track_update(live, canonical(std::string(json)), manager, subresource, now, type);
    REQUIRE(result);
    live = *result;
  }
  // Merges into the live object, as a client that reads, changes and writes would.
  void change(std::string_view manager, std::string_view patch, std::string_view subresource = "") {
    update(manager, *merge_patch(live, patch), subresource);
  }
  metav1::ObjectMeta meta() {
    auto object = decode_object(live, type);
    REQUIRE(object);
    return (*object)->metadata;
  }
  // "manager operation[/subresource] {fields}" a line.
  std::string managers() {
    std::string out;
    for (const auto& e : meta().managedFields) {
      out += e.manager + " " + e.operation + (e.subresource.empty() ? "" : "/" + e.subresource) +
             " " + e.fieldsV1->text + "\n";
    }
    return out;
  }
  std::string without_managers() {
    return *merge_patch(live, R"({"metadata":{"managedFields":null}})");
  }
  Error error;
};

const TypeInfo& configmap() { return corev1::ConfigMap::type_info(); }
const TypeInfo& deployment() { return appsv1::Deployment::type_info(); }

std::string config(std::string_view data) {
  return std::string(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":)") +
         std::string(data) + "}";
}

std::string web(std::string_view spec) {
  return std::string(
             R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default"},"spec":)") +
         std::string(spec) + "}";
}

}  // namespace

TEST_CASE("apply creates with one entry") {
  Cluster c(configmap());
  REQUIRE(c.apply("me", config(R"({"a":"1","b":"2"})")) == "");
  auto entries = c.meta().managedFields;
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].manager == "me");
  CHECK(entries[0].operation == "Apply");
  CHECK(entries[0].apiVersion == "v1");
  CHECK(entries[0].fieldsType == "FieldsV1");
  CHECK(entries[0].time->str() == "2023-11-14T22:13:21Z");
  CHECK(entries[0].fieldsV1->text == R"({"f:data":{"f:a":{},"f:b":{}}})");
}

TEST_CASE("apply again removes what is no longer applied, unless another owns it") {
  Cluster c(configmap());
  c.apply("one", config(R"({"a":"1","b":"2","c":"3"})"));
  c.apply("two", config(R"({"b":"2"})"));
  REQUIRE(c.apply("one", config(R"({"c":"3"})")) == "");
  CHECK(c.without_managers().find(R"("data":{"b":"2","c":"3"})") != std::string::npos);
  CHECK(c.managers() == R"(two Apply {"f:data":{"f:b":{}}}
one Apply {"f:data":{"f:c":{}}}
)");
}

TEST_CASE("apply conflicts, and force takes over") {
  Cluster c(configmap());
  c.apply("one", config(R"({"a":"1","b":"1"})"));
  c.apply("three", config(R"({"b":"1"})"));
  SECTION("one conflict") {
    CHECK(c.apply("two", config(R"({"a":"2"})")) ==
          R"(Apply failed with 1 conflict: conflict with "one": .data.a)");
    CHECK(c.error.code == 409);
    CHECK(c.error.reason == "Conflict");
    REQUIRE(c.error.causes.size() == 1);
    CHECK(c.error.causes[0].type == "FieldManagerConflict");
    CHECK(c.error.causes[0].message == R"(conflict with "one")");
    CHECK(c.error.causes[0].field == ".data.a");
  }
  SECTION("several, by manager") {
    CHECK(c.apply("two", config(R"({"a":"2","b":"2"})")) ==
          "Apply failed with 3 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b\nconflicts "
          "with \"three\":\n- .data.b");
  }
  SECTION("force") {
    REQUIRE(c.apply("two", config(R"({"a":"2","b":"2"})"), true) == "");
    CHECK(c.managers() == "two Apply {\"f:data\":{\"f:a\":{},\"f:b\":{}}}\n");
    CHECK(c.live.find(R"("data":{"a":"2","b":"2"})") != std::string::npos);
  }
  SECTION("the same value is shared") {
    REQUIRE(c.apply("two", config(R"({"a":"1"})")) == "");
    CHECK(c.managers().find("one Apply {\"f:data\":{\"f:a\":{},\"f:b\":{}}}") != std::string::npos);
    CHECK(c.managers().find("two Apply {\"f:data\":{\"f:a\":{}}}") != std::string::npos);
  }
}

TEST_CASE("an update takes ownership; applying against it conflicts") {
  Cluster c(deployment());
  c.apply("ci", web(R"({"replicas":3,"paused":true})"));
  c.change("kubectl-scale", R"({"spec":{"replicas":5}})");
  CHECK(c.managers() == R"(ci Apply {"f:spec":{"f:paused":{}}}
kubectl-scale Update {"f:spec":{"f:replicas":{}}}
)");
  CHECK(c.apply("ci", web(R"({"replicas":3,"paused":true})")) ==
        "Apply failed with 1 conflict: conflict with \"kubectl-scale\" using apps/v1: "
        ".spec.replicas");
  CHECK(c.error.causes[0].message == "conflict with \"kubectl-scale\" using apps/v1");
  REQUIRE(c.apply("ci", web(R"({"paused":true})")) == "");
  CHECK(c.live.find("\"replicas\":5") != std::string::npos);
}

TEST_CASE("subresources have entries of their own") {
  Cluster c(deployment());
  c.update("kubectl-create",
           web(R"({"replicas":3,"selector":{},"template":{"spec":{"containers":[]}}})"));
  c.change("manager", R"({"status":{"replicas":3}})", "status");
  c.change("manager", R"({"metadata":{"annotations":{"a":"b"}}})");
  c.change("hpa", R"({"spec":{"replicas":4}})", "scale");
  std::string managers = c.managers();
  CAPTURE(managers);
  CHECK(managers.find("manager Update/status {\"f:status\":{\"f:replicas\":{}}}") !=
        std::string::npos);
  CHECK(
      managers.find("manager Update {\"f:metadata\":{\"f:annotations\":{\".\":{},\"f:a\":{}}}}") !=
      std::string::npos);
  CHECK(managers.find("hpa Update/scale {\"f:spec\":{\"f:replicas\":{}}}") != std::string::npos);
  CHECK(c.apply("ci", web(R"({"replicas":1})")) ==
        "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using "
        "apps/v1: .spec.replicas");
  SECTION("a status applied to the main resource is nobody's") {
    REQUIRE(c.apply("ci", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web",
      "labels":{"x":"y"}},"status":{"readyReplicas":9}})") == "");
    CHECK(c.managers().find("ci Apply {\"f:metadata\":{\"f:labels\":{\"f:x\":{}}}}") !=
          std::string::npos);
  }
}

TEST_CASE("create tracks what kubectl create deployment sends") {
  Cluster c(deployment());
  c.update("kubectl-create", web(R"({
    "replicas":1,"selector":{"matchLabels":{"app":"web"}},"strategy":{},
    "template":{"metadata":{"creationTimestamp":null,"labels":{"app":"web"}},
      "spec":{"containers":[{"name":"nginx","image":"nginx","resources":{},
        "ports":[{"containerPort":80,"protocol":"TCP"}]}]}}})"));
  CHECK(c.managers() ==
        R"(kubectl-create Update {"f:spec":{"f:replicas":{},"f:selector":{},)"
        R"("f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},)"
        R"("f:spec":{"f:containers":{"k:{\"name\":\"nginx\"}":{".":{},"f:image":{},"f:name":{},)"
        R"("f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},)"
        R"("f:containerPort":{},"f:protocol":{}}},"f:resources":{}}}}}}}
)");
}

TEST_CASE("a write that changes nothing leaves managedFields alone") {
  Cluster c(deployment());
  c.update("a", web(R"({"replicas":1,"selector":{},"template":{"spec":{"containers":[]}}})"));
  c.apply("b", web(R"({"paused":true})"));
  std::string before = c.live;
  SECTION("update") {
    c.update("other", before);
    CHECK(c.live == before);
  }
  SECTION("update of a client that drops managedFields") {
    c.update("other", c.without_managers());
    CHECK(c.canonical(c.live) == before);
  }
  SECTION("update of what the server owns") {
    c.change("other", R"({"metadata":{"resourceVersion":"7","generation":3,"uid":"u"}})");
    CHECK(c.managers().find("other") == std::string::npos);
    CHECK(c.meta().managedFields.size() == 2);
  }
  SECTION("apply") {
    REQUIRE(c.apply("b", web(R"({"paused":true})")) == "");
    CHECK(c.live == before);
  }
  SECTION("a different manager applying the same values") {
    REQUIRE(c.apply("d", web(R"({"paused":true})")) == "");
    CHECK(c.meta().managedFields.size() == 3);
    CHECK(c.without_managers() == *merge_patch(before, R"({"metadata":{"managedFields":null}})"));
  }
}

TEST_CASE("lists merge by key and keep a sensible order") {
  Cluster c(deployment());
  auto containers = [](const char* list) {
    return web(std::string(R"({"template":{"spec":{"containers":)") + list + "}}}");
  };
  auto names = [&] {
    std::string out;
    auto d = from_json<appsv1::Deployment>(c.live);
    REQUIRE(d);
    for (const auto& container : d->spec.template_.spec.containers) {
      out += container.name + "=" + container.image + " ";
    }
    return out;
  };
  c.apply("one", containers(R"([{"name":"a","image":"1"},{"name":"b","image":"1"}])"));
  c.apply("two", containers(R"([{"name":"x","image":"1"},{"name":"b"}])"));
  CHECK(names() == "a=1 x=1 b=1 ");
  SECTION("order of the applied list wins") {
    c.apply("one", containers(R"([{"name":"b","image":"1"},{"name":"a","image":"1"}])"));
    CHECK(names() == "x=1 b=1 a=1 ");
  }
  SECTION("an item goes when its last owner drops it") {
    c.apply("one", containers(R"([{"name":"a","image":"1"}])"));
    CHECK(names() == "a=1 x=1 b= ");  // "two" still has b, but nobody its image
    c.apply("two", containers(R"([])"));
    CHECK(names() == "a=1 ");
  }
  SECTION("conflicts name the item") {
    CHECK(c.apply("two", containers(R"([{"name":"a","image":"9"}])")) ==
          "Apply failed with 1 conflict: conflict with \"one\": "
          ".spec.template.spec.containers[name=\"a\"].image");
  }
}

TEST_CASE("keys with defaults and numbers") {
  Cluster c(corev1::Service::type_info());
  auto ports = [](const char* list) {
    return std::string(
               R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":)") +
           list + "}}";
  };
  REQUIRE(c.apply("one", ports(R"([{"port":8080,"name":"b"},{"port":80,"name":"a"}])")) == "");
  CHECK(c.managers() ==
        R"(one Apply {"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":)"
        R"({".":{},"f:name":{},"f:port":{}},"k:{\"port\":8080,\"protocol\":\"TCP\"}":)"
        R"({".":{},"f:name":{},"f:port":{}}}}}
)");
  CHECK(c.apply("two", ports(R"([{"port":80,"protocol":"TCP","name":"z"}])")) ==
        "Apply failed with 1 conflict: conflict with \"one\": "
        ".spec.ports[port=80,protocol=\"TCP\"].name");
}

TEST_CASE("sets and atomic fields") {
  Cluster c(corev1::Pod::type_info());
  auto pod = [](const char* meta, const char* spec) {
    return std::string(R"({"apiVersion":"v1","kind":"Pod","metadata":)") + meta + R"(,"spec":)" +
           spec + "}";
  };
  c.apply("one", pod(R"({"name":"p","finalizers":["a/a","b/b"]})",
                     R"({"nodeSelector":{"x":"1"},"tolerations":[{"key":"k"}]})"));
  CHECK(c.managers() ==
        R"(one Apply {"f:metadata":{"f:finalizers":{"v:\"a/a\"":{},"v:\"b/b\"":{}}},)"
        R"("f:spec":{"f:nodeSelector":{},"f:tolerations":{}}}
)");
  REQUIRE(c.apply("two", pod(R"({"name":"p","finalizers":["c/c"]})", "{}")) == "");
  CHECK(c.meta().finalizers == std::vector<std::string>{"a/a", "b/b", "c/c"});
  CHECK(c.apply("two", pod(R"({"name":"p"})", R"({"nodeSelector":{"y":"1"}})")) ==
        "Apply failed with 1 conflict: conflict with \"one\": .spec.nodeSelector");
  REQUIRE(c.apply("one", pod(R"({"name":"p","finalizers":["b/b"]})", "{}")) == "");
  CHECK(c.meta().finalizers == std::vector<std::string>{"b/b", "c/c"});
  CHECK(c.live.find("nodeSelector") == std::string::npos);
}

TEST_CASE("bad configurations are named") {
  Cluster c(deployment());
  auto error_of = [&](const std::string& text) { return c.apply("m", text); };
  const std::string prefix =
      "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): ";
  CHECK(error_of(web(R"({"foo":1})")) == prefix + ".spec.foo: field not declared in schema");
  CHECK(c.error.code == 500);
  CHECK(error_of(web(R"({"replicas":"3"})")) ==
        prefix + ".spec.replicas: expected numeric (int or float), got string");
  CHECK(error_of(web(R"({"template":{"spec":{"containers":[{"name":"a","image":5}]}}})")) ==
        prefix +
            ".spec.template.spec.containers[name=\"a\"].image: expected string, got "
            "&value.valueUnstructured{Value:5}");
  CHECK(error_of(web(R"({"template":{"spec":{"containers":[{"image":"i"}]}}})")) ==
        prefix +
            ".spec.template.spec.containers: element 0: associative list with keys has an "
            "element that omits key field \"name\" (and doesn't have default value)");
  CHECK(error_of(web(R"({"template":{"spec":{"containers":[{"name":"a"},{"name":"a"}]}}})")) ==
        prefix + ".spec.template.spec.containers: duplicate entries for key [name=\"a\"]");
  CHECK(error_of(web(R"({"a":1,"b":2})")) ==
        prefix +
            "errors:\n  .spec.a: field not declared in schema\n  .spec.b: field not declared "
            "in schema");
  CHECK(error_of(R"({"apiVersion":"apps/v1beta1","kind":"Deployment","metadata":{}})") ==
        "Incorrect version specified in apply patch. Specified patch version: apps/v1beta1, "
        "expected: apps/v1");
  CHECK(c.error.code == 400);
  CHECK(
      error_of(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"managedFields":[]}})") ==
      "metadata.managedFields must be nil");
  CHECK(error_of("[]").starts_with("error decoding YAML: "));
  CHECK(error_of("{}") == "error decoding YAML: Object 'Kind' is missing in '{}'");
}

TEST_CASE("managedFields sent by the client") {
  Cluster c(configmap());
  c.apply("one", config(R"({"a":"1"})"));
  SECTION("reset, then untracked until the next apply") {
    c.change("x", R"({"metadata":{"managedFields":[{}]}})");
    CHECK(c.managers() == "");
    c.change("y", R"({"data":{"b":"2"}})");
    CHECK(c.managers() == "");
    REQUIRE(c.apply("two", config(R"({"c":"3"})")) == "");
    CHECK(c.managers() == R"(two Apply {"f:data":{"f:c":{}}}
before-first-apply Update {"f:data":{".":{},"f:a":{},"f:b":{}}}
)");
    CHECK(c.apply("two", config(R"({"a":"9"})")) ==
          "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
  }
  SECTION("rewritten entries are taken as they are") {
    c.change("x", R"({"metadata":{"managedFields":[{"manager":"new","operation":"Apply",
      "apiVersion":"v1","time":"2020-01-01T00:00:00Z","fieldsType":"FieldsV1",
      "fieldsV1":{"f:data":{"f:a":{}}}}]}})");
    CHECK(c.managers() == "new Apply {\"f:data\":{\"f:a\":{}}}\n");
    REQUIRE(c.apply("new", config(R"({})")) == "");
    CHECK(c.live.find("\"a\":\"1\"") == std::string::npos);
  }
  SECTION("what does not decode, or is empty, leaves the live entries") {
    for (const char* sent :
         {R"([])", R"([{"manager":"x","operation":"Frob"}])",
          R"([{"manager":"x","operation":"Update","time":"yesterday"}])",
          R"([{"manager":"x","operation":"Update","fieldsV1":{"nocolon":{}}}])"}) {
      CAPTURE(sent);
      auto result = track_update(
          c.live,
          *merge_patch(c.live, std::string(R"({"metadata":{"managedFields":)") + sent + "}}"), "z",
          "", c.now, c.type);
      REQUIRE(result);
      c.live = c.canonical(*result);
      CHECK(c.managers() == "one Apply {\"f:data\":{\"f:a\":{}}}\n");
    }
  }
  SECTION("a subresource cannot rewrite them") {
    c.change("x", R"({"metadata":{"managedFields":[{}]}})", "status");
    CHECK(c.managers() == "one Apply {\"f:data\":{\"f:a\":{}}}\n");
  }
}

TEST_CASE("kubectl moves from client-side to server-side apply") {
  Cluster c(configmap());
  std::string annotation =
      R"("kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"v1\",\"data\":{\"a\":\"1\",\"b\":\"1\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"c\"}}\n")";
  c.update("kubectl-client-side-apply",
           R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","annotations":{)" +
               annotation + R"(}},"data":{"a":"1","b":"1"}})");
  SECTION("its own fields are no conflict, and the annotation follows") {
    REQUIRE(c.apply("kubectl", config(R"({"a":"2","b":"1"})")) == "");
    CHECK(c.meta().annotations["kubectl.kubernetes.io/last-applied-configuration"] ==
          "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\",\"b\":\"1\"},\"kind\":\"ConfigMap\","
          "\"metadata\":{\"name\":\"c\"}}\n");
  }
  SECTION("fields that others changed since are") {
    c.change("someone", R"({"data":{"a":"7"}})");
    CHECK(c.apply("kubectl", config(R"({"a":"2","b":"2"})")) ==
          "Apply failed with 1 conflict: conflict with \"someone\" using v1: .data.a");
  }
  SECTION("another manager's apply gets no such favour") {
    CHECK(c.apply("flux", config(R"({"a":"2"})")) ==
          "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: "
          ".data.a");
  }
}

TEST_CASE("at most ten updaters; the oldest become ancient-changes") {
  Cluster c(configmap());
  c.update("m0", config(R"({"k0":"0"})"));
  for (int i = 1; i <= 11; ++i) {
    std::string n = std::to_string(i);
    c.change("m" + n, R"({"data":{"k)" + n + "\":\"" + n + "\"}}");
  }
  auto entries = c.meta().managedFields;
  REQUIRE(entries.size() == 10);
  CHECK(entries[0].manager == "ancient-changes");
  CHECK(entries[0].fieldsV1->text == R"({"f:data":{".":{},"f:k0":{},"f:k1":{},"f:k2":{}}})");
  CHECK(entries[9].manager == "m11");
}

TEST_CASE("removing fields by update takes them from everybody") {
  Cluster c(configmap());
  c.apply("one", config(R"({"a":"1","b":"1"})"));
  c.change("two", R"({"data":{"a":null}})");
  CHECK(c.managers() == "one Apply {\"f:data\":{\"f:b\":{}}}\n");
  c.change("two", R"({"data":null})");
  CHECK(c.managers() == "");
  CHECK(c.live.find("managedFields") == std::string::npos);
}

TEST_CASE("raw JSON is granular in objects and atomic in lists") {
  Cluster c(appsv1::ControllerRevision::type_info());
  auto revision = [](const char* data) {
    return std::string(
               R"({"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"r"},"data":)") +
           data + R"(,"revision":1})";
  };
  REQUIRE(c.apply("one", revision(R"({"x":{"y":1},"l":[{"a":1}]})")) == "");
  CHECK(c.managers() ==
        "one Apply {\"f:data\":{\"f:l\":{},\"f:x\":{\".\":{},\"f:y\":{}}},\"f:revision\":{}}\n");
}

TEST_CASE("the text of the object is kept but for managedFields") {
  std::string after =
      R"({ "metadata" : { "name" : "c" , "managedFields" : [ ] } , "data":{"a":"1"} })";
  auto created = track_update("", after, "m", "", kT0, configmap());
  REQUIRE(created);
  CHECK(*created == std::string(R"({ "metadata" : { "name" : "c" , "managedFields" : )") +
                        R"([{"manager":"m","operation":"Update","apiVersion":"v1","time":")" +
                        kT0Text +
                        R"(","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}}}])" +
                        R"( } , "data":{"a":"1"} })");
  // An untracked object loses the key with its comma.
  auto untracked = track_update(R"({"metadata":{"uid":"u"}})", after, "m", "", kT0, configmap());
  REQUIRE(untracked);
  CHECK(*untracked == R"({ "metadata" : { "name" : "c"  } , "data":{"a":"1"} })");
  CHECK(
      *track_update("", R"({"metadata":{},"data":{"a":""}})", "m", "", kT0, configmap()) ==
      std::string(
          R"({"metadata":{"managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1","time":")") +
          kT0Text +
          R"(","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:a":{}}}}]},"data":{"a":""}})");
}
