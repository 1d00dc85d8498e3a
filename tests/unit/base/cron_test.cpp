#include "orch/base/cron.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

namespace orch {
namespace {

int64_t at(int year, unsigned month, unsigned day, int hour = 0, int minute = 0, int second = 0) {
  using namespace std::chrono;
  const sys_days date{std::chrono::year{year} / std::chrono::month{month} / std::chrono::day{day}};
  return date.time_since_epoch().count() * 86400 + hour * 3600 + minute * 60 + second;
}

CronSchedule cron(const std::string& text, const TimeZone& zone = {}) {
  auto parsed = CronSchedule::parse(text, zone);
  INFO(text << ": " << (parsed ? "" : parsed.error()));
  REQUIRE(parsed);
  return *parsed;
}

// The next runs as UTC texts.
std::vector<std::string> runs(const CronSchedule& schedule, int64_t from, int count) {
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i) {
    const auto next = schedule.next(from);
    out.push_back(next ? TimeZone{}.rfc3339(*next) : "never");
    if (!next) break;
    from = *next;
  }
  return out;
}

std::string error_of(const std::string& text) {
  auto parsed = CronSchedule::parse(text);
  return parsed ? "" : parsed.error();
}

using Texts = std::vector<std::string>;

TEST_CASE("cron: steps, ranges, lists and names") {
  const int64_t start = at(2024, 2, 28, 23, 50, 30);
  CHECK(runs(cron("*/15 * * * *"), start, 2) ==
        Texts{"2024-02-29T00:00:00Z", "2024-02-29T00:15:00Z"});
  CHECK(runs(cron("5/20 3 * * *"), start, 3) ==
        Texts{"2024-02-29T03:05:00Z", "2024-02-29T03:25:00Z", "2024-02-29T03:45:00Z"});
  CHECK(runs(cron("0 0 1 jan,JUL ?"), start, 2) ==
        Texts{"2024-07-01T00:00:00Z", "2025-01-01T00:00:00Z"});
  CHECK(runs(cron("30 6-16/4 * * 1-5"), at(2024, 3, 1, 13), 3) ==
        Texts{"2024-03-01T14:30:00Z", "2024-03-04T06:30:00Z", "2024-03-04T10:30:00Z"});
  CHECK(runs(cron("0 12 29 2 *"), at(2024, 3, 1), 1) == Texts{"2028-02-29T12:00:00Z"});
  // Both day fields restricted: either. One with a star: the other.
  CHECK(runs(cron("0 0 13 * fri"), at(2024, 6, 8), 2) ==
        Texts{"2024-06-13T00:00:00Z", "2024-06-14T00:00:00Z"});
  CHECK(runs(cron("0 0 * * fri"), at(2024, 6, 8), 1) == Texts{"2024-06-14T00:00:00Z"});
  // A step turns the star into a restriction, as robfig/cron has it.
  CHECK(runs(cron("0 0 */2 * sun"), at(2024, 6, 8), 2) ==
        Texts{"2024-06-09T00:00:00Z", "2024-06-11T00:00:00Z"});
}

TEST_CASE("cron: descriptors and intervals") {
  const int64_t start = at(2024, 2, 28, 23, 50, 30);
  CHECK(runs(cron("@hourly"), start, 1) == Texts{"2024-02-29T00:00:00Z"});
  CHECK(runs(cron("@daily"), start, 2) == Texts{"2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"});
  CHECK(runs(cron("@weekly"), start, 1) == Texts{"2024-03-03T00:00:00Z"});
  CHECK(runs(cron("@monthly"), start, 1) == Texts{"2024-03-01T00:00:00Z"});
  CHECK(runs(cron("@yearly"), start, 1) == Texts{"2025-01-01T00:00:00Z"});
  CHECK(runs(cron("@every 1h30m"), start, 1) == Texts{"2024-02-29T01:20:30Z"});
  CHECK(runs(cron("@every 1ms"), start, 1) == Texts{"2024-02-28T23:50:31Z"});
}

TEST_CASE("cron: what never comes is said, not searched for ever") {
  CHECK(runs(cron("59 23 31 2 *"), at(2024, 1, 1), 1) == Texts{"never"});
  CHECK(runs(cron(", * * * *"), at(2024, 1, 1), 1) == Texts{"never"});
}

TEST_CASE("cron: time zones and their changes") {
  // New York's clocks skip 02:00 to 03:00 on 2024-03-10 and repeat 01:00 to 02:00 on 2024-11-03.
  const auto new_york = TimeZone::load("America/New_York");
  REQUIRE(new_york);
  CHECK(runs(cron("30 2 * * *", *new_york), at(2024, 3, 9, 12), 1) ==
        Texts{"2024-03-11T06:30:00Z"});
  CHECK(runs(cron("30 1 * * *", *new_york), at(2024, 11, 3, 4), 3) ==
        Texts{"2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z", "2024-11-04T06:30:00Z"});
  CHECK(runs(cron("TZ=Europe/Berlin 0 9 * * *"), at(2024, 3, 30, 9), 1) ==
        Texts{"2024-03-31T07:00:00Z"});
  CHECK(runs(cron("CRON_TZ=Asia/Kolkata 0 9 * * *"), at(2024, 3, 30, 9), 1) ==
        Texts{"2024-03-31T03:30:00Z"});
}

TEST_CASE("cron: bad texts are refused with the messages clients know") {
  CHECK(error_of("") == "empty spec string");
  CHECK(error_of("* * * *") == "expected exactly 5 fields, found 4: [* * * *]");
  CHECK(error_of("60 * * * *") == "end of range (60) above maximum (59): 60");
  CHECK(error_of("* * 0 * *") == "beginning of range (0) below minimum (1): 0");
  CHECK(error_of("* * * * 7") == "end of range (7) above maximum (6): 7");
  CHECK(error_of("9-5 * * * *") == "beginning of range (9) beyond end of range (5): 9-5");
  CHECK(error_of("*/0 * * * *") == "step of range should be a positive number: */0");
  CHECK(error_of("1-2-3 * * * *") == "too many hyphens: 1-2-3");
  CHECK(error_of("1/2/3 * * * *") == "too many slashes: 1/2/3");
  CHECK(error_of("x * * * *") ==
        "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax");
  CHECK(error_of("@never") == "unrecognized descriptor: @never");
  CHECK(error_of("@every soon") ==
        "failed to parse duration @every soon: time: invalid duration \"soon\"");
  CHECK(error_of("TZ=Nowhere/At_All 0 * * * *") ==
        "provided bad location Nowhere/At_All: unknown time zone Nowhere/At_All");
  CHECK(error_of("99999999999 * * * *") != "");
}

TEST_CASE("time zones: offsets, gaps, repetitions, rules") {
  const auto berlin = TimeZone::load("Europe/Berlin");
  REQUIRE(berlin);
  CHECK(berlin->offset_at(at(2024, 1, 1)) == 3600);
  CHECK(berlin->offset_at(at(2024, 7, 1)) == 7200);
  CHECK(berlin->offset_at(at(2024, 3, 31, 0, 59, 59)) == 3600);
  CHECK(berlin->offset_at(at(2024, 3, 31, 1)) == 7200);
  CHECK(berlin->offset_at(at(2090, 7, 1)) == 7200);  // by the rule, beyond all transitions
  CHECK(berlin->offset_at(at(1850, 1, 1)) == 3208);  // local mean time
  CHECK(berlin->from_local(at(2024, 3, 31, 2, 30)) == at(2024, 3, 31, 1));        // a gap
  CHECK(berlin->from_local(at(2024, 10, 27, 2, 30)) == at(2024, 10, 27, 0, 30));  // the first
  CHECK(berlin->rfc3339(at(2024, 7, 1)) == "2024-07-01T02:00:00+02:00");
  CHECK(TimeZone::load("Asia/Kolkata")->offset_at(0) == 19800);
  CHECK(TimeZone::load("UTC")->offset_at(0) == 0);

  // South of the equator, half an hour of daylight saving: Lord Howe.
  const auto rule = ZoneRule::parse("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");
  REQUIRE(rule);
  CHECK(rule->offset_at(at(2024, 1, 1)) == 39600);
  CHECK(rule->offset_at(at(2024, 7, 1)) == 37800);
  CHECK(ZoneRule::parse("EST5EDT,J60/0,J300/24")->offset_at(at(2024, 3, 1, 5)) == -14400);
  CHECK(ZoneRule::parse("EST5EDT,J60/0,J300/24")->offset_at(at(2024, 3, 1, 4, 59)) == -18000);
  for (const char* bad : {"", "E5", "EST", "EST5EDT", "EST5EDT,M13.1.0,M4.1.0", "EST5,",
                          "EST5EDT,M1.1.0,M4.1.0,x", "<x"}) {
    INFO(bad);
    CHECK_FALSE(ZoneRule::parse(bad));
  }
}

TEST_CASE("time zones: no other file is read, damage is an error") {
  for (const char* name : {"../../../etc/passwd", "/etc/localtime", "Europe/../UTC", "nope",
                           "Europe", "zone.tab", "."}) {
    INFO(name);
    const auto zone = TimeZone::load(name);
    REQUIRE_FALSE(zone);
    CHECK(zone.error() == "unknown time zone " + std::string(name));
  }
  CHECK_FALSE(TimeZone::parse(""));
  CHECK_FALSE(TimeZone::parse(std::string("TZif2") + std::string(39, '\0')));
  CHECK_FALSE(TimeZone::parse(std::string("TZif2") + std::string(60, '\xff')));
}

}  // namespace
}  // namespace orch
