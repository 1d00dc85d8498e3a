#include "orch/api/patch.h"

#include <catch2/catch.hpp>

#include "orch/api/appsv1.h"
#include "orch/api/corev1.h"

using namespace orch;
using namespace orch::api;

namespace {
std::string shown(const ApiResult<std::string>& result) {
  return result ? *result : std::to_string(result.error().code) + " " + result.error().message;
}
constexpr const char* kUnprocessable =
    "422 the server rejected our request due to an error in our request";

std::string repeated(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}
}  // namespace

TEST_CASE("JSON patch") {
  struct Row {
    const char *document, *patch, *result;
  };
  const Row rows[] = {
      {R"({"a":1})", R"([])", R"({"a":1})"},
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":[1]}])", R"({"a":1,"b":[1]})"},
      {R"({"a":1})", R"([{"op":"add","path":"/a","value":2}])", R"({"a":2})"},
      {R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":2}])", R"({"a":[1,2]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2]})"},
      {R"({"a":[1]})", R"([{"op":"add","path":"/a/2","value":2}])", kUnprocessable},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/-1","value":3}])", R"({"a":[1,2,3]})"},
      {R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/-1"}])", R"({"a":[1]})"},
      {R"({})", R"([{"op":"add","path":"/a/b","value":2}])", kUnprocessable},
      {R"({"a":1,"b":2})", R"([{"op":"remove","path":"/a"}])", R"({"b":2})"},
      {R"({"b":2})", R"([{"op":"remove","path":"/a"}])", kUnprocessable},
      {R"({"a":1})", R"([{"op":"replace","path":"/a","value":{"x":null}}])", R"({"a":{"x":null}})"},
      {R"({})", R"([{"op":"replace","path":"/a","value":1}])", kUnprocessable},
      {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a/b","path":"/c"}])", R"({"a":{},"c":1})"},
      {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/c"}])", kUnprocessable},
      {R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"}])",
       R"({"a":{"b":1},"c":{"b":1}})"},
      {R"({"a":1})", R"([{"op":"copy","from":"/x","path":"/c"}])", kUnprocessable},
      {R"({"a":{"x":1.0}})", R"([{"op":"test","path":"/a","value":{"x":1}}])",
       R"({"a":{"x":1.0}})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])", kUnprocessable},
      {R"({"a":1})", R"([{"op":"test","path":"/b","value":null}])", R"({"a":1})"},
      {R"({"a/b":1,"m~n":2})",
       R"([{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/m~0n","value":3}])",
       R"({"m~n":3})"},
      {R"({"":1})", R"([{"op":"remove","path":"/"}])", R"({})"},
      {R"({"a":1})", R"([{"op":"replace","path":"","value":{"z":1}}])", R"({"z":1})"},
      {R"({"a":1})", R"([{"op":"frob","path":"/a"}])", kUnprocessable},
      {R"({"a":1})", R"([{"op":"add","path":"a","value":1}])", kUnprocessable},
      {R"({"a":1})", R"([{"op":"add","path":"/b"}])", kUnprocessable},
      {R"({"a":1})", R"([{"op":"add","path":"/k\"\n","value":"\u00e9\ud83d\ude00"}])",
       R"({"a":1,"k\"\n":"\u00e9\ud83d\ude00"})"},
      {R"({"a":1})", R"({"op":"remove"})",
       "400 json: cannot unmarshal object into Go value of type jsonpatch.Patch"},
      {R"({"a":1})", R"([{)", "400 unexpected end of JSON input"},
      {R"({"a":1})", R"([x])", "400 invalid character 'x' looking for beginning of value"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.document, row.patch);
    CHECK(shown(json_patch(row.document, row.patch)) == row.result);
  }
}

TEST_CASE("JSON patch limits") {
  std::string op = R"({"op":"test","path":"/a","value":1},)";
  std::string many = "[" + repeated(op, 10'001);
  many.back() = ']';
  CHECK(shown(json_patch(R"({"a":1})", many)) ==
        "413 Request entity too large: The allowed maximum operations in a JSON patch is 10000, "
        "got 10001");
  many = "[" + repeated(op, 10'000);
  many.back() = ']';
  CHECK(json_patch(R"({"a":1})", many));

  std::string bomb = R"([{"op":"add","path":"/a","value":{}},)";
  for (int i = 0; i < 60; ++i) {
    bomb += R"({"op":"copy","from":"/a","path":"/a/)" + std::to_string(i) + "\"},";
  }
  bomb.back() = ']';
  CHECK(json_patch("{}", bomb).error().code == 422);

  // Additions may not build what no parser would take.
  std::string deep_value = repeated("{\"a\":", 999) + "1" + repeated("}", 999);
  std::string deep = R"([{"op":"add","path":"/a","value":)" + deep_value +
                     R"(},{"op":"add","path":")" + repeated("/a", 1000) + R"(","value":)" +
                     deep_value + "}]";
  CHECK(json_patch("{}", deep).error().code >= 400);
}

TEST_CASE("nesting beyond the limit is refused by every kind of patch") {
  for (const std::string& text :
       {repeated("[", 1'500'000), repeated("{\"\":", 700'000),
        "{\"a\":" + repeated("[", 700'000) + repeated("]", 700'000) + "}"}) {
    CHECK(json_patch("{}", text).error().code == 400);
    CHECK(merge_patch("{}", text).error().code == 400);
    CHECK(strategic_merge_patch("{}", text, corev1::Pod::type_info()).error().code == 400);
    CHECK(server_side_apply({.live = "", .applied = text, .manager = "m"}, corev1::Pod::type_info())
              .error()
              .code == 400);
  }
}

TEST_CASE("merge patch") {
  struct Row {
    const char *document, *patch, *result;
  };
  const Row rows[] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({"e":null})", R"({"a":1})", R"({"a":1,"e":null})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
      {R"({"b":1,"d":1})", R"({"a":1,"c":1,"e":1})", R"({"a":1,"b":1,"c":1,"d":1,"e":1})"},
      {R"({"a":1})", R"([1])",
       "400 error decoding patch: json: cannot unmarshal array into Go value of type "
       "map[string]interface {}"},
      {R"({"a":1})", R"({"a")", "400 error decoding patch: unexpected end of JSON input"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.document, row.patch);
    CHECK(shown(merge_patch(row.document, row.patch)) == row.result);
  }
}

TEST_CASE("large merges are linear") {
  std::string document = "{\"data\":{", patch = "{\"data\":{";
  for (int i = 0; i < 100'000; ++i) {
    document += "\"a" + std::to_string(i) + "\":\"\",";
    patch += "\"b" + std::to_string(i) + "\":\"\",";
  }
  document.back() = patch.back() = '}';
  document += "}";
  patch += "}";
  CHECK(merge_patch(document, patch)->size() > document.size());
  CHECK(strategic_merge_patch(document, patch, corev1::ConfigMap::type_info())->size() >
        document.size());
}

TEST_CASE("strategic merge patch") {
  struct Row {
    const char *what, *document, *patch, *result;
  };
  const Row rows[] = {
      {"maps merge", R"({"metadata":{"labels":{"a":"1","b":"2"}}})",
       R"({"metadata":{"labels":{"b":null,"c":"3"}}})",
       R"({"metadata":{"labels":{"a":"1","c":"3"}}})"},
      {"containers merge by name",
       R"({"spec":{"containers":[{"image":"i1","name":"a"},{"image":"i2","name":"b"}]}})",
       R"({"spec":{"containers":[{"name":"b","image":"i3"},{"name":"c","image":"i4"}]}})",
       R"({"spec":{"containers":[{"image":"i1","name":"a"},{"image":"i3","name":"b"},)"
       R"({"image":"i4","name":"c"}]}})"},
      {"new items go where the patch has them",
       R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
       R"({"spec":{"containers":[{"name":"c"},{"name":"a"}]}})",
       R"({"spec":{"containers":[{"name":"c"},{"name":"a"},{"name":"b"}]}})"},
      {"$patch: delete removes an item", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
       R"({"spec":{"containers":[{"name":"a","$patch":"delete"}]}})",
       R"({"spec":{"containers":[{"name":"b"}]}})"},
      {"$patch: replace replaces a list", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
       R"({"spec":{"containers":[{"$patch":"replace"},{"name":"c","image":null}]}})",
       R"({"spec":{"containers":[{"name":"c"}]}})"},
      {"$patch: replace replaces a map", R"({"metadata":{"labels":{"a":"1"}}})",
       R"({"metadata":{"labels":{"$patch":"replace","b":"2"}}})",
       R"({"metadata":{"labels":{"b":"2"}}})"},
      {"$patch: delete empties a map", R"({"metadata":{"labels":{"a":"1"}}})",
       R"({"metadata":{"labels":{"$patch":"delete"}}})", R"({"metadata":{"labels":{}}})"},
      {"$patch: merge is the default", R"({"metadata":{"labels":{"a":"1"}}})",
       R"({"metadata":{"labels":{"$patch":"merge","b":"2"}}})",
       R"({"metadata":{"labels":{"a":"1","b":"2"}}})"},
      {"unknown directive", R"({"metadata":{"labels":{"a":"1"}}})",
       R"({"metadata":{"labels":{"$patch":"frob"}}})",
       "500 unknown patch type: frob in map: map[$patch:frob]"},
      {"primitive lists merge as sets", R"({"metadata":{"finalizers":["a","b"]}})",
       R"({"metadata":{"finalizers":["b","c"]}})", R"({"metadata":{"finalizers":["a","b","c"]}})"},
      {"$deleteFromPrimitiveList", R"({"metadata":{"finalizers":["a","b"]}})",
       R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a","x"]}})",
       R"({"metadata":{"finalizers":["b"]}})"},
      {"$deleteFromPrimitiveList of nothing", R"({"metadata":{}})",
       R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}})", R"({"metadata":{}})"},
      {"bad $deleteFromPrimitiveList", R"({"metadata":{"finalizers":["a","b"]}})",
       R"({"metadata":{"$deleteFromPrimitiveList/finalizers":"a"}})",
       "400 invalid patch format of primitive list"},
      {"$setElementOrder reorders",
       R"({"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}})",
       R"({"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"a"}]}})",
       R"({"spec":{"containers":[{"name":"b"},{"name":"c"},{"name":"a"}]}})"},
      {"$setElementOrder with a list", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
       R"({"spec":{"$setElementOrder/containers":[{"name":"n"},{"name":"a"},{"name":"b"}],)"
       R"("containers":[{"image":"i","name":"n"}]}})",
       R"({"spec":{"containers":[{"image":"i","name":"n"},{"name":"a"},{"name":"b"}]}})"},
      {"$setElementOrder with deletion", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
       R"({"spec":{"$setElementOrder/containers":[{"name":"b"}],)"
       R"("containers":[{"name":"a","$patch":"delete"}]}})",
       R"({"spec":{"containers":[{"name":"b"}]}})"},
      {"$setElementOrder of primitives", R"({"metadata":{"finalizers":["a","b"]}})",
       R"({"metadata":{"$setElementOrder/finalizers":["c","a"],"finalizers":["c"]}})",
       R"({"metadata":{"finalizers":["c","a","b"]}})"},
      {"a patch against its own order", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
       R"({"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"z"}]}})",
       "500 The order in patch list:\n[map[name:z]]\n doesn't match $setElementOrder "
       "list:\n[map[name:a]]\n"},
      {"$retainKeys", R"({"spec":{"volumes":[{"emptyDir":{},"name":"v"}]}})",
       R"({"spec":{"volumes":[{"$retainKeys":["name","hostPath"],"name":"v",)"
       R"("hostPath":{"path":"/x"}}]}})",
       R"({"spec":{"volumes":[{"hostPath":{"path":"/x"},"name":"v"}]}})"},
      {"$retainKeys without a given key", R"({"spec":{"volumes":[{"emptyDir":{},"name":"v"}]}})",
       R"({"spec":{"volumes":[{"$retainKeys":["name"],"name":"v","hostPath":{}}]}})",
       "400 invalid patch format of retainKeys"},
      {"an item without merge key", R"({"spec":{"containers":[{"name":"a"}]}})",
       R"({"spec":{"containers":[{"image":"i"}]}})",
       "500 map: map[image:i] does not contain declared merge key: name"},
      {"atomic lists are replaced", R"({"spec":{"tolerations":[{"key":"a"}]}})",
       R"({"spec":{"tolerations":[{"key":"b"}]}})", R"({"spec":{"tolerations":[{"key":"b"}]}})"},
      {"directives in new values have done their work", R"({"spec":{}})",
       R"({"spec":{"containers":[{"name":"a","$setElementOrder/env":[{"name":"x"}],)"
       R"("env":[{"name":"x","value":null}]},{"name":"b","$patch":"delete"}]}})",
       R"({"spec":{"containers":[{"env":[{"name":"x"}],"name":"a"}]}})"},
      {"mixed lists", R"({"spec":{"containers":[{"name":"a"}]}})",
       R"({"spec":{"containers":["a"]}})", "500 list element types are not identical"},
      {"lists of lists", R"({"spec":{"containers":[{"name":"a"}]}})",
       R"({"spec":{"containers":[[]]}})", kUnprocessable},
      {"no object", R"({})", R"("x")",
       "400 json: cannot unmarshal string into Go value of type map[string]interface {}"},
      {"null deletes a list", R"({"spec":{"containers":[{"name":"a"}]}})",
       R"({"spec":{"containers":null,"$setElementOrder/containers":[]}})", R"({"spec":{}})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(shown(strategic_merge_patch(row.document, row.patch, corev1::Pod::type_info())) ==
          row.result);
  }
}

TEST_CASE("strategic merge follows the type's merge keys") {
  const TypeInfo& service = corev1::Service::type_info();
  CHECK(shown(strategic_merge_patch(
            R"({"spec":{"ports":[{"name":"a","port":80},{"name":"b","port":81}]}})",
            R"({"spec":{"ports":[{"port":81,"name":"c"}]}})", service)) ==
        R"({"spec":{"ports":[{"name":"a","port":80},{"name":"c","port":81}]}})");
  const TypeInfo& deployment = appsv1::Deployment::type_info();
  CHECK(shown(strategic_merge_patch(
            R"({"spec":{"strategy":{"rollingUpdate":{"maxSurge":1},"type":"RollingUpdate"}}})",
            R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})", deployment)) ==
        R"({"spec":{"strategy":{"type":"Recreate"}}})");
}
