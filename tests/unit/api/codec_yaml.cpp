// YAML in as Go's yaml.v2 understands it, out as kubectl prints it.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "orch/api/codec.h"

using namespace orch;
using namespace orch::api;

namespace {

std::string json_of(std::string_view yaml) {
  const auto json = yaml_to_json(yaml);
  return json ? *json : "error: " + json.error().message;
}

std::string yaml_of(std::string_view text) {
  std::string json = "{\"k\":";
  json += text;
  json += "}";
  const std::string yaml = json_to_yaml(json);
  REQUIRE(yaml.starts_with("k:"));
  return yaml.substr(2, yaml.size() - 3);
}

// The most memory this process ever had.
size_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

TEST_CASE("plain scalars mean what YAML 1.1 says", "[api][yaml]") {
  const std::pair<const char*, const char*> cases[] = {
      {"yes", "true"},
      {"No", "false"},
      {"on", "true"},
      {"y", "true"},
      {"TRUE", "true"},
      {"tRue", "\"tRue\""},
      {"~", "null"},
      {"Null", "null"},
      {"0x1F", "31"},
      {"0o17", "15"},
      {"017", "15"},
      {"08", "8"},
      {"0b11", "3"},
      {"-0b11", "-3"},
      {"1_000", "1000"},
      {"+1", "1"},
      {"1.0", "1"},
      {"1e3", "1000"},
      {".5", "0.5"},
      {"1.", "1"},
      {"1e", "\"1e\""},
      {"0x", "\"0x\""},
      {"_1", "\"_1\""},
      {"12:30:45", "\"12:30:45\""},
      {"2001-01-01", "\"2001-01-01\""},
      {"a:b", "\"a:b\""},
      {"'yes'", "\"yes\""},
      {"\"5\"", "\"5\""},
      {"!!str 5", "\"5\""},
      {"!!int \"5\"", "5"},
      {"18446744073709551615", "18446744073709551615"},
      {"1.5e-9", "1.5e-9"},
      {"=", "\"=\""},
      {"!!binary aGk=", "\"hi\""}};
  for (const auto& [text, expected] : cases) {
    INFO(text);
    CHECK(json_of(std::string("a: ") + text) == std::string("{\"a\":") + expected + "}");
  }
  CHECK(json_of("a: .inf") == "error: json: unsupported value: .inf");
}

TEST_CASE("keys become strings", "[api][yaml]") {
  CHECK(json_of("1: a\ntrue: b\n1.50: c\nyes: d\n") ==
        "{\"1\":\"a\",\"true\":\"d\",\"1.5\":\"c\"}");
  CHECK(json_of("~: a") == "error: yaml: line 1: invalid map key");
  for (const char* control :
       {"a: \x01", "a: \x7f", "# \x08\na: 1", "a: \xc2\x80", "a: \xef\xbf\xbf"}) {
    CHECK(json_of(control) == "error: yaml: control characters are not allowed");
  }
  CHECK(json_of("a: \xff") == "error: yaml: invalid leading UTF-8 octet");
  CHECK(json_of("a: \xc3(") == "error: yaml: invalid trailing UTF-8 octet");
  CHECK(json_of("a: \xe2\x82") == "error: yaml: incomplete UTF-8 octet sequence");
  CHECK(json_of("a: \xc0\xaf") == "error: yaml: invalid length of a UTF-8 sequence");
  CHECK(json_of("a: \xed\xa0\x80") == "error: yaml: invalid Unicode character");
  CHECK(json_of("a: \xc2\x85\xf0\x9f\x98\x80") !=
        "error: yaml: control characters are not allowed");
  CHECK(json_of("[a]: b") == "error: yaml: line 1: invalid map key");
}

TEST_CASE("anchors, aliases and merges", "[api][yaml]") {
  CHECK(json_of("a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\n") ==
        "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"p\":1,\"q\":2},\"c\":{\"q\":3,\"p\":1}}");
  CHECK(json_of("a: &x [*x]") == "error: yaml: anchor value contains itself");
  CHECK(json_of("<<: 5") == "error: yaml: map merge requires map or sequence of maps as the value");
}

TEST_CASE("duplicate keys are findings", "[api][yaml]") {
  std::vector<std::string> findings;
  const auto json = yaml_to_json("a: 1\nb: {c: 1, c: 2}\na: 3\n", &findings);
  REQUIRE(json);
  CHECK(*json == "{\"a\":3,\"b\":{\"c\":2}}");
  CHECK(findings == std::vector<std::string>{"yaml: unmarshal errors:\n  line 3: key \"a\" already "
                                             "set in map\n  line 2: key \"c\" already set in map"});
}

TEST_CASE("alias bombs and depth are refused", "[api][yaml]") {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; i++) {
    const std::string name = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; j++) bomb += name + (j < 9 ? "," : "]\n");
  }
  CHECK(json_of(bomb) == "error: yaml: document contains excessive aliasing");
  // The same through merges: few lines, many members.
  std::string merges = "a0: &a0 {k0: 1}\n";
  for (int i = 1; i < 400; i++)
    merges += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " {<<: *a" +
              std::to_string(i - 1) + ", k" + std::to_string(i) + ": 1}\n";
  CHECK(json_of(merges).starts_with("error: yaml: "));
  // Few aliases of something long.
  std::string longs = "a: &a \"" + std::string(1'000'000, 'x') + "\"\nb: [";
  for (int i = 0; i < 900; i++) longs += "*a,";
  longs += "]\n";
  CHECK(json_of(longs) == "error: yaml: document contains excessive aliasing");
  CHECK(json_of(std::string(100'000, '[')) == "error: yaml: exceeded max depth");
  std::string maps;
  for (int i = 0; i < 100'000; i++) maps += "{a: ";
  CHECK(json_of(maps) == "error: yaml: exceeded max depth");
  // Ordinary use of aliases is fine.
  std::string fine = "base: &base {a: 1}\nlist:\n";
  for (int i = 0; i < 500; i++) fine += "- {x: *base, y: 1, z: 2}\n";
  CHECK_FALSE(json_of(fine).starts_with("error"));
}

TEST_CASE("syntax errors name the line", "[api][yaml]") {
  CHECK(json_of("a: 1\nb: c: d\n").starts_with("error: yaml: line 2: "));
  CHECK(json_of("a: *nope").starts_with("error: yaml: line 1: "));
  CHECK(json_of("") == "null");
}

TEST_CASE("a stream is split into its documents", "[api][yaml]") {
  const auto documents = yaml_documents_to_json(
      "# comment\n---\na: 1\n--- # next\nb: |\n  x\n  ---y\n---\n---\n{\"c\": 1}\n");
  REQUIRE(documents);
  CHECK(*documents ==
        std::vector<std::string>{"{\"a\":1}", "{\"b\":\"x\\n---y\\n\"}", "{\"c\": 1}"});
  CHECK_FALSE(yaml_documents_to_json("a: 1\n---\nb: [\n"));
}

TEST_CASE("strings are quoted when they must be", "[api][yaml]") {
  const std::pair<const char*, const char*> cases[] = {{R"("a")", " a"},
                                                       {R"("")", " \"\""},
                                                       {R"("yes")", " \"yes\""},
                                                       {R"("123")", " \"123\""},
                                                       {R"("1e3")", " \"1e3\""},
                                                       {R"("null")", " \"null\""},
                                                       {R"("12:30")", " \"12:30\""},
                                                       {R"("2001-01-01")", " \"2001-01-01\""},
                                                       {R"("a: b")", " 'a: b'"},
                                                       {R"("a:")", " 'a:'"},
                                                       {R"("a #b")", " 'a #b'"},
                                                       {R"("a#b")", " a#b"},
                                                       {R"("- a")", " '- a'"},
                                                       {R"("-a")", " -a"},
                                                       {R"("*a")", " '*a'"},
                                                       {R"("it's")", " it's"},
                                                       {R"("'a'")", " '''a'''"},
                                                       {R"(" a")", " ' a'"},
                                                       {R"("a\tb")", " \"a\\tb\""},
                                                       {R"("\u0001")", " \"\\x01\""},
                                                       {R"("a\nb\n")", " |\n  a\n  b"},
                                                       {R"("a\nb")", " |-\n  a\n  b"},
                                                       {R"("a\n\n")", " |+\n  a\n"},
                                                       {R"(" a\nb\n")", " |2\n   a\n  b"},
                                                       {R"("a \nb\n")", " \"a \\nb\\n\""},
                                                       {R"("<<")", " <<"},
                                                       {R"("\ud83d\ude00")", " \"\\U0001F600\""},
                                                       {R"("---")", " '---'"},
                                                       {"1", " 1"},
                                                       {"1.5", " 1.5"},
                                                       {"null", " null"},
                                                       {"[]", " []"},
                                                       {"{}", " {}"},
                                                       {"true", " true"}};
  for (const auto& [json, expected] : cases) {
    INFO(json);
    CHECK(yaml_of(json) == expected);
  }
}

TEST_CASE("documents look as kubectl prints them", "[api][yaml]") {
  CHECK(json_to_yaml(R"({"spec":{"containers":[{"name":"a","args":["x","y"],"env":[]}],)"
                     R"("matrix":[[1,2],[{"a":1,"b":2}]]},"b10":1,"b2":2,"B":0})") ==
        "B: 0\n"
        "b2: 2\n"
        "b10: 1\n"
        "spec:\n"
        "  containers:\n"
        "  - args:\n"
        "    - x\n"
        "    - \"y\"\n"
        "    env: []\n"
        "    name: a\n"
        "  matrix:\n"
        "  - - 1\n"
        "    - 2\n"
        "  - - a: 1\n"
        "      b: 2\n");
  CHECK(json_to_yaml("{}") == "{}\n");
  CHECK(json_to_yaml("[1,\"a\"]") == "- 1\n- a\n");
  CHECK(json_to_yaml("\"a\"") == "a\n");
}

TEST_CASE("what is nested too deep stays JSON", "[api][yaml]") {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  CHECK(json_to_yaml(deep) == deep + "\n");
  CHECK(json_to_yaml(R"({"a":"\"[[{"})") == "a: '\"[[{'\n");
}

TEST_CASE("long lines are folded after 80 columns", "[api][yaml]") {
  const std::string words =
      "The quick brown fox jumps over the lazy dog and then runs away from the very angry dog";
  CHECK(yaml_of("\"" + words + "\"") ==
        " The quick brown fox jumps over the lazy dog and then runs away from the very angry\n"
        "  dog");
  CHECK(yaml_of("\"" + words + ": x\"") ==
        " 'The quick brown fox jumps over the lazy dog and then runs away from the very angry\n"
        "  dog: x'");
}

TEST_CASE("what is written is read back the same", "[api][yaml]") {
  const std::string strings[] = {"",         " ",    "\\n", "a\\n", "\\na",    "a\\n\\n\\nb",
                                 " a\\n b ", "#",    "? x", "x: y", "\\u0000", "\\u00e9\\u2028x",
                                 "a\\r\\nb", "\\\"", "'",   "0",    "0.0",     "-",
                                 "--- a",    "%x",   "y",   "~",    "a  b",    "{",
                                 "}",        "[a]",  ",",   "!x",   "&x",      "*",
                                 "|",        ">",    "@",   "`",    "=",       "<<",
                                 ".",        "..",   "1:2"};
  for (const std::string& text : strings) {
    const std::string json = "{\"k\":\"" + text + "\",\"l\":[\"" + text + "\"]}";
    INFO(json_to_yaml(json));
    CHECK(nlohmann::json::parse(json_of(json_to_yaml(json))) == nlohmann::json::parse(json));
  }
}

TEST_CASE("what would take memory beyond measure is refused at once", "[api][yaml]") {
  const auto repeat = [](std::string_view text, size_t size) {
    std::string out;
    while (out.size() < size) out += text;
    return out;
  };
  const auto error_of = [](const std::string& text) {
    const size_t before = peak_bytes();
    auto json = yaml_to_json(text);
    CHECK(peak_bytes() < before + 10 * text.size() + 30'000'000);
    return json ? "no error" : json.error().message;
  };
  constexpr size_t kSize = 3'000'000;
  CHECK(error_of(std::string(kSize, '[')) == "yaml: exceeded max depth");
  CHECK(error_of("a: " + std::string(kSize, '[')) == "yaml: exceeded max depth");
  CHECK(error_of("a: |\n  x\n" + std::string(kSize, '[')) == "yaml: exceeded max depth");
  CHECK(error_of("a: |\n\"b: |\n\" " + std::string(kSize, '[')) == "yaml: exceeded max depth");
  CHECK(error_of("a: {b: |\n" + std::string(kSize, '[')) != "no error");
  CHECK(error_of("- [a: |\n" + std::string(kSize, '[')) != "no error");
  CHECK(error_of(repeat("{a: ", kSize)) == "yaml: exceeded max depth");
  CHECK(error_of(repeat("[\n", kSize)) == "yaml: exceeded max depth");
  const std::string too_many = "yaml: document has too many values in flow style in one place";
  for (const char* text : {"[],", "{},", "0,", "\"\",", "*a ", "!a ", "? ", "a: b,\n"}) {
    INFO(text);
    const std::string found = error_of("[" + repeat(text, kSize) + "]");
    CHECK(found != "no error");
    if (text[0] != '*' && text[0] != '!' && text[0] != '?') CHECK(found == too_many);
  }
  CHECK(error_of(repeat("- \n", kSize)) == "yaml: document has more than 250000 values");
  CHECK(error_of(repeat("- ", kSize)) == "yaml: exceeded max depth");
}

TEST_CASE("brackets in a block scalar or a short list are only text", "[api][yaml]") {
  std::string text;
  for (int i = 0; i < 60'000; i++) text += "  [[1,2],\"{\"]:\n";
  for (const char* head : {"a: |\n", "a: >-\n", "x: [1, 2]\na: |2\n", "x: |\n  [\na: |\n"}) {
    INFO(head);
    CHECK(yaml_to_json(head + text).has_value());
  }
  CHECK(json_of("a: |\n  [\nb: [1, {c: x}]\n") == R"({"a":"[\n","b":[1,{"c":"x"}]})");
  std::string list = "[";
  for (int i = 0; i < 20'000; i++) list += "{a: 1},\n";
  CHECK(yaml_to_json("x: " + list + "]\ny: " + list + "]\n").has_value());
}
