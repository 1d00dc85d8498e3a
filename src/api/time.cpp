// Time, MicroTime and Duration: Go's texts.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <limits>

#include "orch/api/value.h"

namespace orch::api {

namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
// 0001-01-01T00:00:00Z, Go's zero time, which stands for "unset".
constexpr int64_t kGoZeroSeconds = -62'135'596'800;

std::string date_text(int64_t unix_seconds) {
  const std::chrono::sys_seconds at{std::chrono::seconds{unix_seconds}};
  const auto days = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{days};
  const std::chrono::hh_mm_ss time{at - days};
  const int year = int(date.year());
  if (year < 0 || year > 9999) {
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", year, unsigned(date.month()),
                       unsigned(date.day()), time.hours().count(), time.minutes().count(),
                       time.seconds().count());
  }
  // Every object has a few of them, and printf() takes longer than all else here.
  std::string text = "0000-00-00T00:00:00";
  const auto put = [&](size_t end, int64_t value) {
    for (; value > 0; value /= 10) text[--end] = static_cast<char>('0' + value % 10);
  };
  put(4, year);
  put(7, unsigned(date.month()));
  put(10, unsigned(date.day()));
  put(13, time.hours().count());
  put(16, time.minutes().count());
  put(19, time.seconds().count());
  return text;
}

// Reads exactly `digits` digits of `text` at `at`.
bool number_at(std::string_view text, size_t& at, size_t digits, int& out) {
  if (at + digits > text.size()) return false;
  out = 0;
  for (size_t i = 0; i < digits; i++) {
    const char c = text[at + i];
    if (c < '0' || c > '9') return false;
    out = out * 10 + (c - '0');
  }
  at += digits;
  return true;
}

bool sign_at(std::string_view text, size_t& at, char c) {
  if (at >= text.size() || text[at] != c) return false;
  at++;
  return true;
}

// Micros since the epoch; nullopt-like false when it is no RFC 3339 text.
bool parse_rfc3339(std::string_view text, int64_t& micros) {
  size_t at = 0;
  int year, month, day, hour, minute, second;
  if (!number_at(text, at, 4, year) || !sign_at(text, at, '-') || !number_at(text, at, 2, month) ||
      !sign_at(text, at, '-') || !number_at(text, at, 2, day) || !sign_at(text, at, 'T') ||
      !number_at(text, at, 2, hour) || !sign_at(text, at, ':') || !number_at(text, at, 2, minute) ||
      !sign_at(text, at, ':') || !number_at(text, at, 2, second))
    return false;
  int64_t fraction = 0;
  if (at < text.size() && (text[at] == '.' || text[at] == ',')) {
    int64_t unit = kMicrosPerSecond;
    const size_t begin = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; at++) {
      unit /= 10;
      fraction += (text[at] - '0') * unit;
    }
    if (at == begin) return false;
  }
  int offset_seconds = 0;
  if (!sign_at(text, at, 'Z')) {
    if (at >= text.size() || (text[at] != '+' && text[at] != '-')) return false;
    const int sign = text[at++] == '-' ? -1 : 1;
    int hours, minutes;
    if (!number_at(text, at, 2, hours) || !sign_at(text, at, ':') ||
        !number_at(text, at, 2, minutes) || hours > 24 || minutes > 60)
      return false;
    offset_seconds = sign * (hours * 3600 + minutes * 60);
  }
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (at != text.size() || !date.ok() || hour > 23 || minute > 59 || second > 59) return false;
  const int64_t seconds = std::chrono::sys_days{date}.time_since_epoch() / std::chrono::seconds{1} +
                          hour * 3600 + minute * 60 + second - offset_seconds;
  micros = seconds * kMicrosPerSecond + fraction;
  return true;
}

std::string parse_error(std::string_view text, std::string_view layout) {
  return "parsing time \"" + std::string(text) + "\" as \"" + std::string(layout) +
         "\": cannot parse \"" + std::string(text) + "\" as \"2006\"";
}

int64_t floor_divide(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

}  // namespace

std::string Time::str() const { return is_set ? date_text(unix_seconds) + "Z" : ""; }

Result<Time, std::string> Time::parse(std::string_view rfc3339) {
  int64_t micros = 0;
  if (!parse_rfc3339(rfc3339, micros))
    return Err(parse_error(rfc3339, "2006-01-02T15:04:05Z07:00"));
  Time out;
  out.unix_seconds = floor_divide(micros, kMicrosPerSecond);
  out.is_set = out.unix_seconds != kGoZeroSeconds;
  if (!out.is_set) out.unix_seconds = 0;
  return out;
}

std::string MicroTime::str() const {
  if (!is_set) return "";
  const int64_t seconds = floor_divide(unix_micros, kMicrosPerSecond);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%06dZ",
                static_cast<int>(unix_micros - seconds * kMicrosPerSecond));
  return date_text(seconds) + fraction;
}

Result<MicroTime, std::string> MicroTime::parse(std::string_view rfc3339) {
  MicroTime out;
  if (!parse_rfc3339(rfc3339, out.unix_micros))
    return Err(parse_error(rfc3339, "2006-01-02T15:04:05.000000Z07:00"));
  out.is_set = out.unix_micros != kGoZeroSeconds * kMicrosPerSecond;
  if (!out.is_set) out.unix_micros = 0;
  return out;
}

namespace {

// `value` / `unit` with the digits that are needed: "1.5".
std::string decimal(uint64_t value, uint64_t unit) {
  std::string out = std::to_string(value / unit);
  uint64_t rest = value % unit;
  if (rest == 0) return out;
  out += '.';
  for (uint64_t digit = unit / 10; rest != 0; digit /= 10) {
    out += static_cast<char>('0' + rest / digit);
    rest %= digit;
  }
  return out;
}

struct DurationUnit {
  std::string_view name;
  uint64_t nanos;
};
constexpr DurationUnit kDurationUnits[] = {
    {"ns", 1},         {"us", 1000},         {"\u00b5s", 1000},     {"\u03bcs", 1000},
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};

}  // namespace

std::string Duration::str() const {
  if (nanos == 0) return "0s";
  const bool negative = nanos < 0;
  const uint64_t value = negative ? 0 - static_cast<uint64_t>(nanos) : static_cast<uint64_t>(nanos);
  std::string out = negative ? "-" : "";
  if (value < 1000) return out + std::to_string(value) + "ns";
  if (value < 1'000'000) return out + decimal(value, 1000) + "\u00b5s";
  if (value < 1'000'000'000) return out + decimal(value, 1'000'000) + "ms";
  const uint64_t minutes = value / 60'000'000'000;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  return out + decimal(value % 60'000'000'000, 1'000'000'000) + "s";
}

Result<Duration, std::string> Duration::parse(std::string_view text) {
  const std::string invalid = "time: invalid duration \"" + std::string(text) + "\"";
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return Duration{};
  if (rest.empty()) return Err(invalid);
  __int128 total = 0;
  while (!rest.empty()) {
    __int128 whole = 0, fraction = 0, unit = 1;
    size_t at = 0;
    for (; at < rest.size() && rest[at] >= '0' && rest[at] <= '9'; at++) {
      whole = whole * 10 + (rest[at] - '0');
      if (whole > std::numeric_limits<int64_t>::max()) return Err(invalid);
    }
    bool digits = at > 0;
    if (at < rest.size() && rest[at] == '.') {
      for (at++; at < rest.size() && rest[at] >= '0' && rest[at] <= '9'; at++) {
        digits = true;
        if (unit >= 1'000'000'000'000'000) continue;
        fraction = fraction * 10 + (rest[at] - '0');
        unit *= 10;
      }
    }
    if (!digits) return Err(invalid);
    rest.remove_prefix(at);
    size_t length = 0;
    while (length < rest.size() && rest[length] != '.' &&
           (rest[length] < '0' || rest[length] > '9'))
      length++;
    const std::string_view name = rest.substr(0, length);
    if (name.empty()) return Err("time: missing unit in duration \"" + std::string(text) + "\"");
    uint64_t nanos_per_unit = 0;
    for (const DurationUnit& known : kDurationUnits)
      if (known.name == name) nanos_per_unit = known.nanos;
    if (nanos_per_unit == 0)
      return Err("time: unknown unit \"" + std::string(name) + "\" in duration \"" +
                 std::string(text) + "\"");
    total += whole * nanos_per_unit + fraction * nanos_per_unit / unit;
    if (total > std::numeric_limits<int64_t>::max()) return Err(invalid);
    rest.remove_prefix(length);
  }
  return Duration{static_cast<int64_t>(negative ? -total : total)};
}

}  // namespace orch::api
