// Time zones of the system's tz database (TZif, RFC 8536): gcc 12 has no std::chrono zones. Values,
// constant after loading; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch {

// A POSIX TZ rule ("CET-1CEST,M3.5.0,M10.5.0/3"): what a zone does after its last transition.
struct ZoneRule {
  struct Change {
    enum class Kind : uint8_t { kMonthWeekDay, kJulianNoLeap, kZeroBased };
    Kind kind = Kind::kMonthWeekDay;
    int32_t month = 0, week = 0, day = 0;
    int32_t seconds = 7200;  // local time of the change, may be negative or above a day
  };
  int32_t standard = 0;  // seconds east of UTC
  bool has_daylight = false;
  int32_t daylight = 0;
  Change start, end;

  static Result<ZoneRule, std::string> parse(std::string_view text);
  int32_t offset_at(int64_t unix_seconds) const;
};

class TimeZone {
 public:
  TimeZone() = default;  // UTC
  // By name ("Europe/Berlin"; "" and "UTC" need no database). Error: "unknown time zone NAME".
  static Result<TimeZone, std::string> load(std::string_view name,
                                            const std::string& directory = "/usr/share/zoneinfo");
  // The machine's own (/etc/localtime), UTC where it has none.
  static TimeZone local();
  static Result<TimeZone, std::string> parse(std::string_view tzif);

  // Seconds east of UTC at this instant.
  int32_t offset_at(int64_t unix_seconds) const;
  // The instant that local clocks show as `local_seconds` (counted as if they were UTC): the first
  // of two; in a gap, the first instant after it.
  int64_t from_local(int64_t local_seconds) const;
  // RFC 3339 with the zone's offset: "2024-03-31T03:00:00+02:00", "...Z" for offset 0.
  std::string rfc3339(int64_t unix_seconds) const;

 private:
  std::vector<int64_t> transitions_;  // ascending
  std::vector<int32_t> offsets_;      // after each transition
  int32_t first_offset_ = 0;          // before the first
  std::optional<ZoneRule> rule_;      // after the last
};

}  // namespace orch
