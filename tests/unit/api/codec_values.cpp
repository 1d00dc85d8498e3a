// Quantity, Time, MicroTime and Duration: Go's texts, upstream's rounding.
#include <catch2/catch.hpp>
#include <limits>

#include "orch/api/value.h"

using namespace orch;
using namespace orch::api;

namespace {

std::string canonical(std::string_view text) {
  const auto parsed = Quantity::parse(text);
  return parsed ? parsed->str() : "error: " + parsed.error();
}

}  // namespace

TEST_CASE("quantities show their canonical form", "[api][value]") {
  const std::pair<const char*, const char*> cases[] = {
      {"0", "0"},           {"-0", "0"},
      {"0Ki", "0"},         {"1", "1"},
      {"100m", "100m"},     {"1000m", "1"},
      {"1500m", "1500m"},   {"0.5", "500m"},
      {"1.5", "1500m"},     {"1k", "1k"},
      {"1000", "1k"},       {"1000k", "1M"},
      {"1500k", "1500k"},   {"12e6", "12e6"},
      {"1e3", "1e3"},       {"1000e0", "1e3"},
      {"1E", "1E"},         {"1E3", "1e3"},
      {"100e-3", "100e-3"}, {"1Ki", "1Ki"},
      {"1024", "1024"},     {"1024Ki", "1Mi"},
      {"1536Mi", "1536Mi"}, {"1.5Gi", "1536Mi"},
      {"0.5Ki", "512"},     {"0.5Mi", "512Ki"},
      {"1Ei", "1Ei"},       {"100u", "100u"},
      {"1000u", "1m"},      {"1n", "1n"},
      {"0.1n", "1n"},       {"-1500m", "-1500m"},
      {"-0.1n", "-1n"},     {".5", "500m"},
      {"5.", "5"},          {"+1", "1"},
      {"00012", "12"},      {"1.0000000001", "1000000001n"},
      {"0.3Ki", "307200m"}, {"1e-10", "1e-9"},
      {"129M", "129M"},     {"9Ei", "9223372036854775807"},
  };
  for (const auto& [text, expected] : cases) {
    INFO(text);
    CHECK(canonical(text) == expected);
  }
}

TEST_CASE("what is no quantity is refused in upstream's words", "[api][value]") {
  const std::string format =
      "error: quantities must match the regular expression "
      "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  for (const char* text : {"", "abc", "-", ".", "1x", "1 ", " 1", "1Mb", "--1"}) {
    INFO(text);
    CHECK(canonical(text) == format);
  }
  for (const char* text : {"1kk", "1K", "1mi", "1e", "1e3i", "1.2.3", "1e99999", "1ee3"}) {
    INFO(text);
    CHECK_FALSE(Quantity::parse(text));
  }
}

TEST_CASE("quantities are capped, compared, added and rounded up", "[api][value]") {
  constexpr int64_t max = std::numeric_limits<int64_t>::max();
  CHECK(Quantity::parse("1e30")->value() == max);
  CHECK(Quantity::parse(std::string(500, '9'))->value() == max);
  CHECK(Quantity::parse("0." + std::string(500, '0') + "1")->str() == "1n");
  CHECK(Quantity::parse("100m")->value() == 1);
  CHECK(Quantity::parse("1001u")->milli() == 2);
  CHECK(Quantity::parse("-100m")->value() == -1);
  CHECK(Quantity::of_bytes(1 << 20).str() == "1Mi");
  CHECK(Quantity::of_milli(2500).str() == "2500m");
  CHECK(*Quantity::parse("1024Mi") == *Quantity::parse("1Gi"));
  CHECK(*Quantity::parse("1G") < *Quantity::parse("1Gi"));
  Quantity sum;
  sum += *Quantity::parse("512Mi");
  sum += *Quantity::parse("512Mi");
  CHECK(sum.str() == "1Gi");
  sum -= *Quantity::parse("1Gi");
  CHECK(sum.is_zero());
  CHECK(sum.str() == "0");
}

TEST_CASE("times are RFC 3339 in UTC", "[api][value]") {
  CHECK(Time::parse("2024-02-29T12:30:45Z")->str() == "2024-02-29T12:30:45Z");
  CHECK(Time::parse("2024-02-29T12:30:45.987+02:00")->str() == "2024-02-29T10:30:45Z");
  CHECK(Time::parse("1969-12-31T23:59:59.5Z")->unix_seconds == -1);
  CHECK_FALSE(Time::parse("0001-01-01T00:00:00Z")->is_set);
  CHECK(Time{}.str() == "");
  for (const char* text : {"", "2024-02-30T00:00:00Z", "2024-02-29", "2024-02-29T12:30:45",
                           "2024-02-29T24:00:00Z", "2024-02-29T12:30:45Zx", "x"}) {
    INFO(text);
    CHECK_FALSE(Time::parse(text));
  }
  CHECK(MicroTime::parse("2024-02-29T12:30:45.000001Z")->str() == "2024-02-29T12:30:45.000001Z");
  CHECK(MicroTime::parse("2024-02-29T12:30:45Z")->str() == "2024-02-29T12:30:45.000000Z");
  CHECK(MicroTime::parse("1969-12-31T23:59:59.999999Z")->str() == "1969-12-31T23:59:59.999999Z");
  CHECK(Time::parse("bad").error() ==
        "parsing time \"bad\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"bad\" as \"2006\"");
}

TEST_CASE("durations have Go's notation", "[api][value]") {
  const std::pair<const char*, const char*> cases[] = {
      {"1h", "1h0m0s"},        {"90m", "1h30m0s"},           {"1.5s", "1.5s"},
      {"100ms", "100ms"},      {"1500us", "1.5ms"},          {"0", "0s"},
      {"-2m", "-2m0s"},        {"1h2m3.004s", "1h2m3.004s"}, {"10ns", "10ns"},
      {"1\u00b5s", "1\u00b5s"}};
  for (const auto& [text, expected] : cases) {
    INFO(text);
    const auto parsed = Duration::parse(text);
    REQUIRE(parsed);
    CHECK(parsed->str() == expected);
  }
  CHECK(Duration::parse("1").error() == "time: missing unit in duration \"1\"");
  CHECK(Duration::parse("1x").error() == "time: unknown unit \"x\" in duration \"1x\"");
  CHECK(Duration::parse("").error() == "time: invalid duration \"\"");
  CHECK_FALSE(Duration::parse("99999999999999h"));
}
