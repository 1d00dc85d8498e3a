// The one JSON scanner: what every layer cuts texts apart with.
#include <catch2/catch.hpp>

#include "orch/base/json_scan.h"

namespace orch {

TEST_CASE("paths, strings and maps are read out of JSON text") {
  const std::string text =
      R"({"metadata":{"name":"a\u00e9","labels":{"x":"1","n":2,"q\"":"\n"}},"n":7})";
  CHECK(json_string_at(text, "metadata.name") == "a\xc3\xa9");
  CHECK_FALSE(json_string_at(text, "n"));
  CHECK_FALSE(json_string_at(text, "metadata.uid"));
  CHECK(json_path(text, "n") == "7");
  const auto labels = json_string_map(*json_path(text, "metadata.labels"));
  CHECK(labels == std::map<std::string, std::string>{{"x", "1"}, {"q\"", "\n"}});
}

TEST_CASE("surrogates are joined, lone ones replaced, bad escapes refused") {
  CHECK(json_string(R"("\ud83d\ude00")") == "\xf0\x9f\x98\x80");
  CHECK(json_string(R"("\ud83d")") == "\xef\xbf\xbd");
  CHECK(json_string(R"("\ude00x")") == "\xef\xbf\xbdx");
  CHECK(json_string(R"("\ud83d\u0041")") ==
        "\xef\xbf\xbd"
        "A");
  CHECK_FALSE(json_string(R"("\u00g0")"));
  CHECK_FALSE(json_string(R"("\u12")"));
  CHECK_FALSE(json_string("7"));
  CHECK_FALSE(json_string("\""));
}

TEST_CASE("what is quoted reads back, whatever the bytes") {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  CHECK(json_string(json_quote(all)) == all);
  CHECK(json_quote("a\x01\"\\\n") == R"("a\u0001\"\\\n")");
  CHECK(json_quote("") == R"("")");
}

TEST_CASE("deep and broken texts neither overrun nor recurse") {
  const std::string deep(3'000'000, '[');
  CHECK_FALSE(json_elements(deep, [](std::string_view) { return true; }));
  CHECK_FALSE(json_member("{\"a\":" + deep, "b"));
  CHECK_FALSE(json_elements("[1,]", [](std::string_view) { return true; }));
  CHECK_FALSE(json_elements("[1 2]", [](std::string_view) { return true; }));
  CHECK_FALSE(json_elements("{}", [](std::string_view) { return true; }));
  int seen = 0;
  CHECK_FALSE(json_elements("[1,2,3]", [&](std::string_view) { return ++seen < 2; }));
  CHECK(seen == 2);
  CHECK(json_elements(" [ ] ", [](std::string_view) { return false; }));
}

TEST_CASE("pretty text is indented by two and keeps strings as they are") {
  CHECK(json_pretty(R"({"a":[1,{}],"b":"x{,}"})") ==
        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x{,}\"\n}\n");
}

TEST_CASE("strings end at their quote, wherever it lies") {
  for (size_t before = 0; before < 20; ++before) {
    for (size_t after = 0; after < 20; ++after) {
      const std::string left(before, 'a'), right(after, '\x22' + 1);  // '#', one above the quote
      for (const char* odd : {"", "\\\"", "\\\\", "\\\\\\\"", "\xa2\xdc", "!]"}) {
        const std::string text = "\"" + left + odd + right + "\"";
        INFO(text);
        CHECK(json_value_end(text + ",\"x\"", 0) == text.size());
        CHECK(json_value_end(text.substr(0, text.size() - 1), 0) == std::string::npos);
        CHECK(json_value_end("[" + text + "]", 0) == text.size() + 2);
      }
    }
  }
  CHECK(json_value_end("\"a\\", 0) == std::string::npos);
}

}  // namespace orch
