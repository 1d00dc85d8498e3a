// Input made to hurt, against the whole handler: each a quick 4xx with a Status, and the server
// goes on. What needs sockets (half-sent bodies, slow clients, smuggling) is in
// tests/unit/net_http.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>

#include "orch/base/strings.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";
constexpr size_t kBodyMax = 3 * 1024 * 1024;
const std::string kOne = std::string(kConfigMaps) + "/a";

std::string repeat(std::string_view text, size_t bytes) {
  std::string out;
  out.reserve(bytes + text.size());
  while (out.size() < bytes) out += text;
  return out;
}

// The answer is a Status of one of these codes, and came soon.
void refused(const Answer& answer, std::initializer_list<int> codes) {
  INFO(answer.status << " " << answer.body.substr(0, 300));
  CHECK(std::find(codes.begin(), codes.end(), answer.status) != codes.end());
  CHECK(answer.at("kind") == "Status");
  CHECK(answer.at("status") == "Failure");
  CHECK(answer.at("code") == std::to_string(answer.status));
  CHECK(answer.body.size() < 64 * 1024);
}

struct Timed {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  ~Timed() {
    // Generous: the machine may be busy. A quadratic parser takes minutes.
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  }
};

}  // namespace

TEST_CASE("nested patches of every kind are refused at their depth") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  const std::string arrays(kBodyMax - 100, '[');
  const std::string objects = repeat("{\"a\":", kBodyMax - 100);
  for (const char* type :
       {"application/json-patch+json", "application/merge-patch+json",
        "application/strategic-merge-patch+json", "application/apply-patch+yaml"}) {
    Timed timed;
    refused(api.patch(kOne + "?fieldManager=m", type, arrays), {400});
    refused(api.patch(kOne + "?fieldManager=m", type, objects), {400});
  }
  Timed timed;
  refused(api.post(kConfigMaps, arrays), {400});
  refused(api.post(kConfigMaps, objects), {400});
  refused(api.put(kOne, R"({"metadata":{"name":"a"},"x":)" + arrays), {400});
  CHECK(api.get(kOne).status == 200);
}

TEST_CASE("json patches: too many, copies that grow, and operations that are none") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a", R"(,"data":{"k":")" + std::string(10'000, 'x') + "\"}"));
  const char* type = "application/json-patch+json";
  const std::string test = R"({"op":"test","path":"/kind","value":"ConfigMap"})";
  std::string many = "[" + test;
  for (int i = 0; i < 10'000; ++i) many += "," + test;
  {
    Timed timed;
    const Answer answer = api.patch(kOne, type, many + "]");
    refused(answer, {413});
    CHECK(answer.at("message").find("The allowed maximum operations in a JSON patch is 10000, got "
                                    "10001") != std::string::npos);
    // Each copies what the one before made: doubling, ten thousand times.
    std::string bomb = R"([{"op":"add","path":"/data/a","value":"x"})";
    for (int i = 0; i < 5'000; ++i) {
      bomb += R"(,{"op":"copy","from":"/data","path":"/data/)" + std::to_string(i) + "\"}";
    }
    refused(api.patch(kOne, type, bomb + "]"), {413, 422});
    std::string deep = "[";
    for (int i = 0; i < 2'000; ++i) {
      deep += std::string(i ? "," : "") + R"({"op":"move","from":"/data","path":"/data/x"})";
    }
    refused(api.patch(kOne, type, deep + "]"), {422});
  }
  for (const char* bad :
       {R"([{"op":"grow","path":"/data"}])", R"([{"op":"add","path":"data","value":1}])",
        R"([{"op":"add","path":"/data/x"}])", R"([{"op":"remove","path":""}])",
        R"([{"op":"remove","path":"/data/none"}])", R"([{"op":"copy","path":"/data/x"}])",
        R"([{"op":"copy","from":"/none","path":"/data/x"}])",
        R"([{"op":"replace","path":"/metadata/finalizers/7","value":"a"}])",
        R"([{"op":"test","path":"/kind","value":"Pod"}])", R"([{"path":"/data"}])"}) {
    refused(api.patch(kOne, type, bad), {422});
  }
  for (const char* bad : {"", "1", "\"x\"", "null", "[1]", "[null]", "[[]]", "[{}", "[{]}"}) {
    refused(api.patch(kOne, type, bad), {400});
  }
}

TEST_CASE("merge patches may be huge, not endless") {
  ApiFixture api;
  api.post(kConfigMaps, config_map("a"));
  Timed timed;
  std::string wide = "{\"data\":{";
  for (int i = 0; i < 200'000; ++i)
    wide += std::string(i ? "," : "") + "\"k" + std::to_string(i) + "\":null";
  CHECK(api.patch(kOne, "application/merge-patch+json", wide + "}}").status == 200);
  refused(api.patch(kOne, "application/merge-patch+json",
                    "{\"data\":{\"k\":\"" + std::string(1'100'000, 'x') + "\"}}"),
          {422});
  refused(api.patch(kOne, "application/merge-patch+json", repeat("[],", kBodyMax - 10)), {400});
  // A million values would take a hundred times their text.
  for (const char* type : {"application/merge-patch+json", "application/strategic-merge-patch+json",
                           "application/apply-patch+yaml"}) {
    const Answer many =
        api.patch(kOne + "?fieldManager=m", type,
                  R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"x":[)" +
                      repeat("0,", kBodyMax - 200) + "0]}");
    refused(many, {400});
    CHECK(many.at("message").find("more than 250000 values") != std::string::npos);
  }
  refused(
      api.patch(kOne, "application/merge-patch+json", "[" + repeat("{},", kBodyMax - 10) + "{}]"),
      {400});
  refused(api.patch(kOne, "application/merge-patch+json", R"({"metadata":null})"), {400, 422});
  refused(api.patch(kOne, "application/merge-patch+json", R"({"metadata":[]})"), {422});
  refused(api.patch(kOne, "application/merge-patch+json", R"({"kind":"Pod"})"), {400, 422});
}

TEST_CASE("strategic patches with bad directives say what is wrong") {
  ApiFixture api;
  const std::string made =
      R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":)"
      R"({"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
  REQUIRE(api.post(kDeployments, made).status == 201);
  const std::string one = std::string(kDeployments) + "/d";
  const auto patch = [&](const std::string& body) {
    return api.patch(one, "application/strategic-merge-patch+json", body);
  };
  const auto in_pod = [](const std::string& spec) {
    return R"({"spec":{"template":{"spec":{)" + spec + "}}}}";
  };
  CHECK(patch(R"({"spec":{"$patch":"explode"}})").at("message") ==
        "unknown patch type: explode in map: map[$patch:explode]");
  CHECK(patch(in_pod(R"("containers":[{"image":"x"}])")).at("message") ==
        "map: map[image:x] does not contain declared merge key: name");
  CHECK(patch(in_pod(R"("containers":[{"$patch":"delete"}])")).at("message") ==
        "map: map[$patch:delete] does not contain declared merge key: name");
  refused(patch(in_pod(R"("containers":[{"$patch":7,"name":"c"}])")), {400, 500});
  refused(patch(in_pod(R"("containers":["c"])")), {400, 422, 500});
  refused(patch(in_pod(R"("$setElementOrder/containers":"c")")), {400});
  refused(patch(in_pod(R"("$setElementOrder/containers":[{"x":1}],"containers":[{"name":"c"}])")),
          {400, 500});
  refused(patch(in_pod(R"("$retainKeys":"x")")), {400});
  refused(patch(in_pod(R"("$deleteFromPrimitiveList/tolerations":7)")), {400});
  refused(patch(R"({"spec":{"$setElementOrder/nothing":[]},"$patch":["replace"]})"), {400, 500});
  refused(patch(in_pod(R"("containers":)" + repeat("[", 100'000))), {400});
  // Forty thousand items with one key: no quadratic search.
  Timed timed;
  std::string many;
  for (int i = 0; i < 40'000; ++i) {
    many += (many.empty() ? "{\"name\":\"" : ",{\"name\":\"") + std::to_string(i) + "\"}";
  }
  CHECK(patch(in_pod("\"containers\":[" + many + "]")).status == 422);
  CHECK(api.get(one).status == 200);
}

TEST_CASE("YAML that explodes is refused before it costs memory") {
  ApiFixture api;
  const std::vector<std::pair<std::string, std::string>> yaml{{"Content-Type", "application/yaml"}};
  for (const char* leaf : {"\"lol\"", "[]", "{}", "null", "1", "1.5", "true"}) {
    Timed timed;
    std::string bomb = std::string("a: &a [") + leaf + "]\n";
    for (char level = 'b'; level <= 'j'; ++level) {
      bomb += std::string(1, level) + ": &" + level + " [";
      for (int i = 0; i < 9; ++i)
        bomb += std::string(i ? ",*" : "*") + static_cast<char>(level - 1);
      bomb += "]\n";
    }
    const Answer answer = api.send("POST", kConfigMaps, bomb, yaml);
    refused(answer, {400});
    CHECK(answer.at("message").find("excessive aliasing") != std::string::npos);
    refused(api.send("PATCH", kOne + "?fieldManager=m", bomb,
                     {{"Content-Type", "application/apply-patch+yaml"}}),
            {400});
  }
  refused(api.send("POST", kConfigMaps, "a: &a [*a]", yaml), {400});
  refused(api.send("POST", kConfigMaps, std::string(kBodyMax - 10, '['), yaml), {400});
  refused(api.send("POST", kConfigMaps, "a: *nothing", yaml), {400});
  refused(api.send("POST", kConfigMaps, "a: \x01", yaml), {400, 422});
  refused(api.send("POST", kConfigMaps, "- 1\n- 2\n", yaml), {400});
}

TEST_CASE("names that are no step of a path are refused, wherever they stand") {
  ApiFixture api;
  const std::string maps = "/api/v1/namespaces/default/configmaps/";
  for (const char* method : {"GET", "PUT", "PATCH", "DELETE"}) {
    const std::vector<std::pair<std::string, std::string>> merge{
        {"Content-Type", "application/merge-patch+json"}};
    const auto send = [&](const std::string& target) {
      return api.send(method, target, std::string(method) == "GET" ? "" : "{}",
                      std::string(method) == "PATCH" ? merge : decltype(merge){});
    };
    INFO(method);
    CHECK(send(maps + "..").at("message") == "Name parameter invalid: \"..\": may not be '..'");
    CHECK(send(maps + ".").at("message") == "Name parameter invalid: \".\": may not be '.'");
    CHECK(send(maps + "a%25b").at("message") ==
          "Name parameter invalid: \"a%b\": may not contain '%'");
    refused(send(maps + ".."), {400});
    refused(send("/api/v1/namespaces/../configmaps/a"), {400});
    refused(send("/api/v1/namespaces/default%25/configmaps/a"), {400});
    refused(send(maps + "..%2f..%2fsecrets%2fother"), {400, 404, 405});
  }
  refused(api.get("/api/v1/namespaces/../secrets"), {400});
  refused(api.get(maps + std::string(5000, 'a')), {404});
  refused(api.get(maps + "%00"), {400, 404});
  refused(api.get("/api/v1/namespaces/default/pods/../log"), {400});
  for (const char* name : {"..", "UPPER", "a b", "a/b", "\xc3\xa9", "-a", "a_b"}) {
    refused(api.post(kPods, pod(name)), {422});
  }
  refused(api.post(kConfigMaps, config_map(std::string(254, 'a'))), {422});
  CHECK(api.post(kConfigMaps, config_map(std::string(253, 'a'))).status == 201);
  // Selectors name objects, not paths.
  CHECK(api.get(std::string(kConfigMaps) + "?fieldSelector=metadata.name%3D../../secrets/x")
            .at("items") == "[]");
}

TEST_CASE("unknown resources of a known version have a Status, unknown paths have none") {
  ApiFixture api;
  const Answer unknown = api.get("/api/v1/nothings");
  refused(unknown, {404});
  CHECK(unknown.at("details") == "{}");
  CHECK(unknown.at("reason") == "NotFound");
  CHECK(unknown.at("message") == "the server could not find the requested resource");
  refused(api.get("/api/v1/namespaces/default/nodes"), {404});
  refused(api.get("/api/v1/namespaces/default/pods/a/nothing"), {404});
  const Answer path = api.get("/apis/nothing.io/v1/things");
  CHECK(path.status == 404);
  CHECK(path.body == "404 page not found\n");
  const Answer method = api.put(kConfigMaps, "{}");
  refused(method, {405});
  CHECK(method.at("reason") == "MethodNotAllowed");
  CHECK(method.at("message") == "the server does not allow this method on the requested resource");
  refused(api.send("BREW", kConfigMaps), {405});
  refused(api.post(kOne, "{}"), {405});
}

TEST_CASE("selectors and labels are bounded and checked") {
  ApiFixture api;
  Timed timed;
  const auto list = [&](const std::string& query) {
    return api.get(std::string(kConfigMaps) + "?" + query);
  };
  for (const char* bad : {"a%20in%20(", "a=b=c", "=,=", "a%20in", "!", "a%20notin%20()x", "(((",
                          "%00", "a%3E%3Eb", "-a", "a%3D-b"}) {
    refused(list(std::string("labelSelector=") + bad), {400});
  }
  std::string many = "labelSelector=a%20in%20(x";
  for (int i = 0; i < 20'000; ++i) many += ",x" + std::to_string(i);
  CHECK(list(many + ")").status == 200);
  for (const char* bad : {"metadata.name", "metadata.name%3D%3D%3Da%5C", "=a", "a%3Db%3Dc"}) {
    refused(list(std::string("fieldSelector=") + bad), {400});
  }
  refused(api.post(kConfigMaps, R"({"metadata":{"name":"a","labels":{")" + std::string(400, 'k') +
                                    R"(":"v"}}})"),
          {422});
  refused(api.post(kConfigMaps,
                   R"({"metadata":{"name":"a","labels":{"k":")" + std::string(64, 'v') + "\"}}}"),
          {422});
  refused(api.post(kConfigMaps, R"({"metadata":{"name":"a","annotations":{"k":")" +
                                    std::string(262'145, 'v') + "\"}}}"),
          {422});
  refused(api.post(kConfigMaps, R"({"metadata":{"name":"a","labels":[]}})"), {400});
  refused(api.post(kConfigMaps, R"({"metadata":{"name":"a","labels":{"k":{"deep":1}}}})"), {400});
  refused(api.post(kConfigMaps, R"({"metadata":{"name":"a","finalizers":["no slash!"]}})"), {422});
}

TEST_CASE("megabytes of nothing much are answered in bounded time") {
  ApiFixture api;
  const std::vector<std::string> units{"[],", "{},", "0,", "\"\",", "null,"};
  for (const std::string& unit : units) {
    Timed timed;
    const std::string list = "[" + repeat(unit, kBodyMax - 200) + "0]";
    refused(api.post(kConfigMaps, list), {400});
    refused(api.post(kConfigMaps, R"({"metadata":{"name":"a"},"data":)" + list + "}"), {400});
    // Unknown parts are passed over.
    const Answer passed = api.post(kConfigMaps + std::string("?dryRun=All"),
                                   R"({"metadata":{"name":"a"},"unknown":)" + list + "}");
    CHECK(passed.status == 201);
  }
  Timed timed;
  refused(api.post(kConfigMaps,
                   R"({"metadata":{"name":"a"},"unknown":)" + repeat("{\"\":", kBodyMax - 100)),
          {400});
  std::string keys = R"({"metadata":{"name":"a"},"x":{)";
  while (keys.size() < kBodyMax - 100) keys += "\"" + std::to_string(keys.size()) + "\":0,";
  const Answer many = api.post(kConfigMaps + std::string("?dryRun=All"), keys + "\"\":0}}");
  CHECK(many.status == 201);
}

TEST_CASE("bodies in codings nobody asked to understand are not inflated") {
  ApiFixture api;
  const Answer zipped =
      api.send("POST", kConfigMaps, "\x1f\x8b\x08", {{"Content-Encoding", "gzip"}});
  refused(zipped, {415});
  refused(api.send("POST", kConfigMaps, "{}",
                   {{"Content-Type", "application/json;;\x01"}, {"Accept", ";;;,,q=1;=,"}}),
          {406, 415, 422});
  refused(api.send("GET", kConfigMaps, "", {{"Accept", repeat("a/b;q=0.1,", 100'000)}}), {406});
}

}  // namespace orch::server::test
