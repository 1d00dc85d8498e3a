#include "ctl/jsonpath.h"

#include <catch2/catch.hpp>

using namespace orch;
using api::JsonValue;
using ctl::JsonPath;

namespace {

constexpr char kList[] = R"({"kind":"List","items":[
  {"metadata":{"name":"a","labels":{"app.kubernetes.io/x":"1"}},"n":1,"ok":true,
   "status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Other","status":"False"}]}},
  {"metadata":{"name":"b"},"n":12,"ok":false}]})";

std::string print(std::string_view path) {
  auto parsed = JsonPath::parse(path, true);
  INFO((parsed ? "" : parsed.error()));
  REQUIRE(parsed);
  return parsed->print(*JsonValue::parse(kList));
}

}  // namespace

TEST_CASE("fields, wildcards, indices and slices") {
  CHECK(print("{.kind}") == "List");
  CHECK(print("{.items[*].metadata.name}") == "a b");
  CHECK(print("{.items[0].metadata.name}{'-'}{.items[-1].n}") == "a-12");
  CHECK(print("{.items[0:1].n}") == "1");
  CHECK(print("{.items[1:].n}") == "12");
  CHECK(print("{.items[*]['n','ok']}") == "1 true 12 false");
  CHECK(print("{..name}") == "a b");
}

TEST_CASE("keys with dots") {
  CHECK(print(R"({.items[0].metadata.labels.app\.kubernetes\.io/x})") == "1");
  CHECK(print("{.items[0].metadata.labels['app.kubernetes.io/x']}") == "1");
}

TEST_CASE("filters") {
  CHECK(print(R"({.items[0].status.conditions[?(@.type=="Ready")].status})") == "True");
  CHECK(print("{.items[?(@.n>2)].metadata.name}") == "b");
  CHECK(print("{.items[?(@.n<=1)].metadata.name}") == "a");
  CHECK(print("{.items[?(@.ok==true)].metadata.name}") == "a");
  CHECK(print("{.items[?(@.n!=1)].metadata.name}") == "b");
  CHECK(print("{.items[?(@.status)].metadata.name}") == "a");
}

TEST_CASE("range and quoted text") {
  CHECK(print(R"({range .items[*]}{.metadata.name}{"\t"}{.n}{"\n"}{end})") == "a\t1\nb\t12\n");
  CHECK(print("name: {.items[1].metadata.name}!") == "name: b!");
}

TEST_CASE("what is not there prints nothing") {
  CHECK(print("{.nothing.at.all}") == "");
  CHECK(print("{.items[7].n}") == "");
  CHECK(print("{.kind[0].x}") == "");
}

TEST_CASE("objects print as JSON, keys sorted") {
  CHECK(print("{.items[0].status.conditions[1]}") == R"({"status":"False","type":"Other"})");
}

TEST_CASE("a bare path is a template too") {
  CHECK(print(".kind") == "List");
  CHECK(print("kind") == "List");
}

TEST_CASE("broken templates are refused, whatever they are") {
  for (const char* text : {"{", "{.a[}", "{.a[0}", "{range .a}", "{end}", "{.a[?(@.b=1)]}",
                           "{.a[1:2:0]}", "{.a[?(@.x=='y)]}", "{.a b}", "{.a[1:2:3:4]}"}) {
    INFO(text);
    CHECK_FALSE(JsonPath::parse(text));
  }
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{range .a}";
  CHECK_FALSE(JsonPath::parse(deep));
}
