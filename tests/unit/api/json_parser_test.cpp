// The parser against another one, nlohmann's: same events for whatever both take, and both refuse
// the same texts but for what is named below.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>

#include "api/codec/json_parser.h"

using namespace orch::api::codec;
using Json = nlohmann::json;

namespace {

// Events as one text.
struct Recorder {
  std::string seen;
  bool put(std::string_view what, std::string_view text = {}) {
    ((seen += what) += text) += '\n';
    return true;
  }
  bool null() { return put("null"); }
  bool boolean(bool value) { return put(value ? "true" : "false"); }
  bool number(std::string_view text, const int64_t* integer) {
    return put("number ", std::string(text) + (integer ? " " + std::to_string(*integer) : ""));
  }
  bool string(std::string_view text) { return put("string ", text); }
  bool begin(bool is_array) { return put(is_array ? "[" : "{"); }
  bool key(std::string_view name) { return put("key ", name); }
  bool end() { return put("end"); }
};

struct Peer final : Json::json_sax_t {
  Recorder to;
  bool null() override { return to.null(); }
  bool boolean(bool value) override { return to.boolean(value); }
  bool number_integer(number_integer_t value) override {
    const int64_t integer = value;
    return to.number(std::to_string(value), &integer);
  }
  bool number_unsigned(number_unsigned_t value) override {
    const auto integer = static_cast<int64_t>(value);
    return to.number(std::to_string(value), integer >= 0 ? &integer : nullptr);
  }
  bool number_float(number_float_t, const std::string& text) override {
    return to.number(text, nullptr);
  }
  bool string(std::string& value) override { return to.string(value); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return to.begin(false); }
  bool key(std::string& name) override { return to.key(name); }
  bool end_object() override { return to.end(); }
  bool start_array(size_t) override { return to.begin(true); }
  bool end_array() override { return to.end(); }
  bool parse_error(size_t, const std::string&, const Json::exception&) override { return false; }
};

// The peer takes a byte order mark and lets a NUL end the text. Go does neither.
bool peer_is_lax(const std::string& text) {
  return text.find('\0') != std::string::npos || text.starts_with("\xef\xbb\xbf");
}

void compare(const std::string& text) {
  Recorder ours;
  JsonParser<Recorder> parser(text, ours);
  const bool ok = parser.parse();
  if (!ok) REQUIRE_FALSE(parser.error().empty());
  REQUIRE(ok == json_syntax_error(text).empty());
  if (peer_is_lax(text)) return;
  Peer peer;
  const bool peer_ok = Json::sax_parse(text, &peer);
  INFO(Json(text).dump(-1, ' ', true, Json::error_handler_t::replace));
  INFO(parser.error());
  REQUIRE(ok == peer_ok);
  if (ok) REQUIRE(ours.seen == peer.to.seen);
}

const std::vector<std::string> kTexts = {
    R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","labels":{"x":"y"}},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}]}]}})",
    R"([0,-0,1,-1,10,1.5,1e5,1E+5,1e-5,-0.0,9223372036854775807,9223372036854775808,-9223372036854775808,-9223372036854775809,18446744073709551615,18446744073709551616,123456789012345678901234567890])",
    R"(["","\"\\\/\b\f\n\r\t","\u0041\u00e9\u20ac\ud83d\ude00","ä€😀","\u0000","a\u0041b"])",
    R"( { "a" : [ ] , "b" : { } , "c" : [ { } , [ ] ] , "a" : null , "" : [ true , false , null ] } )",
    R"([1e308,1e309,-1e309,1e-999,0e999,1.7976931348623157e308])",
    R"("\ud800")",
    R"("\ud800\u0041")",
    R"("\ude00\ud83d")",
    R"("\u12g4")",
    R"(01)",
    R"(-)",
    R"(+1)",
    R"(.5)",
    R"(1.)",
    R"(1e)",
    R"({"a":1,})",
    R"([1,])",
    R"([1 2])",
    R"({"a" 1})",
    R"({a:1})",
    R"({"a":1 "b":2})",
    R"({} {})",
    R"(nul)",
    R"(truely)",
    R"([NaN,Infinity])",
    R"(// comment
1)",
    "",
    " ",
    "\"a\nb\"",
    "\"a\x7f\"",
    "\"\xc3\xa9\"",
    "\"\xc3\"",
    "\"\xc0\x80\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xff\"",
    "\"open",
    "\"open\\",
    "\xef\xbb\xbf{}",
    std::string("{}\0x", 4),
};

}  // namespace

TEST_CASE("the JSON parser agrees with another one", "[api][codec]") {
  for (const std::string& text : kTexts) compare(text);
}

TEST_CASE("the JSON parser agrees with another one about damaged texts", "[api][codec]") {
  std::mt19937 random(7);
  const std::string bytes = "{}[]\",:\\/u0189aeE+-.tfn \n\x01\x80\xc3\xe2\xf0\xff";
  const auto pick = [&](size_t below) { return random() % below; };
  for (int round = 0; round < 40'000; ++round) {
    std::string text = kTexts[pick(kTexts.size())];
    for (size_t n = 1 + pick(3); n > 0; --n) {
      const size_t at = pick(text.size() + 1);
      const char c = bytes[pick(bytes.size())];
      switch (pick(3)) {
        case 0:
          text.insert(at, 1, c);
          break;
        case 1:
          if (at < text.size()) text[at] = c;
          break;
        default:
          if (at < text.size()) text.erase(at, 1 + pick(4));
      }
    }
    compare(text);
  }
}

TEST_CASE("syntax errors have Go's texts", "[api][codec]") {
  const std::pair<const char*, const char*> cases[] = {
      {"", "unexpected end of JSON input"},
      {"{", "unexpected end of JSON input"},
      {"{\"a\"", "unexpected end of JSON input"},
      {"[1,", "unexpected end of JSON input"},
      {"\"a", "unexpected end of JSON input"},
      {"-", "unexpected end of JSON input"},
      {"tru", "unexpected end of JSON input"},
      {"x", "invalid character 'x' looking for beginning of value"},
      {"[1,]", "invalid character ']' looking for beginning of value"},
      {"{'a':1}", "invalid character '\\'' looking for beginning of object key string"},
      {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
      {"{\"a\" \"b\"}", "invalid character '\"' after object key"},
      {"{\"a\":1\n2}", "invalid character '2' after object key:value pair"},
      {"[1 2]", "invalid character '2' after array element"},
      {"01", "invalid character '1' after top-level value"},
      {"{}\xc3\xa4", "invalid character '\xc3\x83' after top-level value"},
      {"\"\t\"", "invalid character '\\t' in string literal"},
      {"\"\x01\"", "invalid character '\\x01' in string literal"},
      {"\"\\x\"", "invalid character 'x' in string escape code"},
      {"\"\\u00g\"", "invalid character 'g' in \\u hexadecimal character escape"},
      {"-a", "invalid character 'a' in numeric literal"},
      {"1.x", "invalid character 'x' after decimal point in numeric literal"},
      {"1e+x", "invalid character 'x' in exponent of numeric literal"},
      {"trux", "invalid character 'x' in literal true (expecting 'e')"},
      {"nil", "invalid character 'i' in literal null (expecting 'u')"},
  };
  for (const auto& [text, why] : cases) CHECK(json_syntax_error(text) == why);
}
