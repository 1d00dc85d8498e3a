#include "orch/base/time_zone.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "orch/base/file.h"

namespace orch {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr int64_t kDay = 86400;

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

int64_t day_number(int y, unsigned month, unsigned day) {
  return sys_days{year{y} / std::chrono::month{month} / std::chrono::day{day}}
      .time_since_epoch()
      .count();
}

int year_of(int64_t local_seconds) {
  const year_month_day date{sys_days{days{floor_div(local_seconds, kDay)}}};
  return static_cast<int>(date.year());
}

bool is_leap(int y) { return year{y}.is_leap(); }

// Local seconds at which the change happens in this year.
int64_t change_at(const ZoneRule::Change& change, int y) {
  int64_t day = 0;
  switch (change.kind) {
    case ZoneRule::Change::Kind::kZeroBased:
      day = day_number(y, 1, 1) + change.day;
      break;
    case ZoneRule::Change::Kind::kJulianNoLeap:
      day = day_number(y, 1, 1) + change.day - 1 + (is_leap(y) && change.day >= 60 ? 1 : 0);
      break;
    case ZoneRule::Change::Kind::kMonthWeekDay: {
      const auto month = static_cast<unsigned>(change.month);
      const int64_t first = day_number(y, month, 1);
      const int64_t weekday = ((first + 4) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
      day = first + (change.day - weekday + 7) % 7 + (change.week - 1) * int64_t{7};
      const int64_t next_month =
          month == 12 ? day_number(y + 1, 1, 1) : day_number(y, month + 1, 1);
      if (day >= next_month) day -= 7;
      break;
    }
  }
  return day * kDay + change.seconds;
}

// Reads a POSIX TZ text from the left.
class RuleReader {
 public:
  explicit RuleReader(std::string_view text) : text_(text) {}
  bool done() const { return at_ == text_.size(); }
  bool take(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // "CET" or "<+03>".
  bool name() {
    const size_t start = at_;
    if (take('<')) {
      while (!done() && text_[at_] != '>') ++at_;
      return take('>') && at_ - start >= 3;
    }
    while (!done() && is_letter(text_[at_])) ++at_;
    return at_ - start >= 3;
  }
  std::optional<int32_t> number(int32_t max) {
    const size_t start = at_;
    int32_t value = 0;
    while (!done() && text_[at_] >= '0' && text_[at_] <= '9' && at_ - start < 5) {
      value = value * 10 + (text_[at_++] - '0');
    }
    if (at_ == start || value > max) return std::nullopt;
    return value;
  }
  // "[+-]hh[:mm[:ss]]" in seconds.
  std::optional<int32_t> time() {
    const bool negative = take('-');
    if (!negative) take('+');
    auto hours = number(167);
    if (!hours) return std::nullopt;
    int32_t total = *hours * 3600;
    for (int32_t unit : {60, 1}) {
      if (!take(':')) break;
      auto part = number(59);
      if (!part) return std::nullopt;
      total += *part * unit;
    }
    return negative ? -total : total;
  }
  std::optional<ZoneRule::Change> change() {
    ZoneRule::Change out;
    using Kind = ZoneRule::Change::Kind;
    if (take('M')) {
      auto month = number(12);
      if (!month || *month < 1 || !take('.')) return std::nullopt;
      auto week = number(5);
      if (!week || *week < 1 || !take('.')) return std::nullopt;
      auto day = number(6);
      if (!day) return std::nullopt;
      out.kind = Kind::kMonthWeekDay;
      out.month = *month;
      out.week = *week;
      out.day = *day;
    } else {
      out.kind = take('J') ? Kind::kJulianNoLeap : Kind::kZeroBased;
      auto day = number(365);
      if (!day || (out.kind == Kind::kJulianNoLeap && *day < 1)) return std::nullopt;
      out.day = *day;
    }
    if (take('/')) {
      auto seconds = time();
      if (!seconds) return std::nullopt;
      out.seconds = *seconds;
    }
    return out;
  }
  char peek() const { return done() ? '\0' : text_[at_]; }

 private:
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
  std::string_view text_;
  size_t at_ = 0;
};

int64_t big_endian(std::string_view bytes) {
  uint64_t value = (static_cast<unsigned char>(bytes[0]) & 0x80) != 0 ? ~uint64_t{0} : 0;
  for (unsigned char c : bytes) value = (value << 8) | c;
  return static_cast<int64_t>(value);
}

constexpr size_t kHeader = 44;

struct Counts {
  size_t ut_flags, std_flags, leaps, times, types, chars;
  // Length of the data block with times of this width.
  size_t block(size_t width) const {
    return times * width + times + types * 6 + chars + leaps * (width + 4) + std_flags + ut_flags;
  }
};

std::optional<Counts> read_header(std::string_view data) {
  if (data.size() < kHeader || data.substr(0, 4) != "TZif") return std::nullopt;
  size_t counts[6];
  for (size_t i = 0; i < 6; ++i) {
    const int64_t count = big_endian(data.substr(20 + 4 * i, 4));
    if (count < 0 || count > 100000) return std::nullopt;
    counts[i] = static_cast<size_t>(count);
  }
  return Counts{counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]};
}

bool is_zone_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '/' || name.front() == '.') return false;
  if (name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '+' || c == '.';
  });
}

}  // namespace

Result<ZoneRule, std::string> ZoneRule::parse(std::string_view text) {
  const auto bad = [&] { return Err(fmt::format("bad TZ rule: {}", text)); };
  RuleReader in(text);
  ZoneRule rule;
  if (!in.name()) return bad();
  auto west = in.time();
  if (!west) return bad();
  rule.standard = -*west;
  if (in.done()) return rule;
  if (!in.name()) return bad();
  rule.has_daylight = true;
  rule.daylight = rule.standard + 3600;
  if (in.peek() != ',' && !in.done()) {
    auto daylight = in.time();
    if (!daylight) return bad();
    rule.daylight = -*daylight;
  }
  if (!in.take(',')) return bad();
  auto start = in.change();
  if (!start || !in.take(',')) return bad();
  auto end = in.change();
  if (!end || !in.done()) return bad();
  rule.start = *start;
  rule.end = *end;
  return rule;
}

int32_t ZoneRule::offset_at(int64_t unix_seconds) const {
  if (!has_daylight) return standard;
  const int y = year_of(unix_seconds + standard);
  const int64_t from = change_at(start, y) - standard;
  const int64_t until = change_at(end, y) - daylight;
  // South of the equator the summer spans the turn of the year.
  const bool summer = from < until ? unix_seconds >= from && unix_seconds < until
                                   : unix_seconds >= from || unix_seconds < until;
  return summer ? daylight : standard;
}

Result<TimeZone, std::string> TimeZone::parse(std::string_view data) {
  const auto bad = [] { return Err(std::string("malformed time zone information")); };
  auto counts = read_header(data);
  if (!counts) return bad();
  size_t width = 4;
  if (data[4] != '\0') {  // version 2 and above: the same again with 64-bit times, and a rule
    const size_t skip = kHeader + counts->block(4);
    if (data.size() < skip) return bad();
    data.remove_prefix(skip);
    counts = read_header(data);
    if (!counts) return bad();
    width = 8;
  }
  if (counts->types == 0 || data.size() < kHeader + counts->block(width)) return bad();
  const std::string_view times = data.substr(kHeader, counts->times * width);
  const std::string_view indexes = data.substr(kHeader + times.size(), counts->times);
  const std::string_view types = data.substr(kHeader + times.size() + indexes.size());
  const auto offset = [&](size_t type) {
    return static_cast<int32_t>(big_endian(types.substr(type * 6, 4)));
  };
  TimeZone zone;
  zone.first_offset_ = offset(0);
  for (size_t i = 0; i < counts->times; ++i) {
    const size_t type = static_cast<unsigned char>(indexes[i]);
    const int64_t at = big_endian(times.substr(i * width, width));
    if (type >= counts->types) return bad();
    if (!zone.transitions_.empty() && at <= zone.transitions_.back()) return bad();
    zone.transitions_.push_back(at);
    zone.offsets_.push_back(offset(type));
  }
  std::string_view footer = data.substr(kHeader + counts->block(width));
  if (width == 8 && footer.size() > 2 && footer.front() == '\n') {
    footer.remove_prefix(1);
    footer = footer.substr(0, footer.find('\n'));
    if (!footer.empty()) {
      ORCH_TRY(zone.rule_, ZoneRule::parse(footer));
    }
  }
  return zone;
}

Result<TimeZone, std::string> TimeZone::load(std::string_view name, const std::string& directory) {
  if (name.empty() || name == "UTC") return TimeZone{};
  const auto unknown = [&] { return Err(fmt::format("unknown time zone {}", name)); };
  if (!is_zone_name(name)) return unknown();
  auto bytes = read_file(directory + "/" + std::string(name));
  if (!bytes) return unknown();
  auto zone = parse(*bytes);
  if (!zone) return unknown();
  return zone;
}

TimeZone TimeZone::local() {
  auto bytes = read_file("/etc/localtime");
  if (!bytes) return {};
  return parse(*bytes).value_or(TimeZone{});
}

int32_t TimeZone::offset_at(int64_t unix_seconds) const {
  if (transitions_.empty()) return rule_ ? rule_->offset_at(unix_seconds) : first_offset_;
  if (unix_seconds >= transitions_.back()) {
    return rule_ ? rule_->offset_at(unix_seconds) : offsets_.back();
  }
  const auto after = std::upper_bound(transitions_.begin(), transitions_.end(), unix_seconds);
  if (after == transitions_.begin()) return first_offset_;
  return offsets_[static_cast<size_t>(after - transitions_.begin()) - 1];
}

int64_t TimeZone::from_local(int64_t local_seconds) const {
  // Offsets change at most once within the two days around any instant that matters here.
  const int32_t before = offset_at(local_seconds - kDay);
  const int32_t after = offset_at(local_seconds + kDay);
  const int64_t early = local_seconds - std::max(before, after);
  const int64_t late = local_seconds - std::min(before, after);
  for (const int64_t candidate : {early, late}) {
    if (candidate + offset_at(candidate) == local_seconds) return candidate;
  }
  // In a gap: the change lies between the two candidates.
  int64_t low = early, high = late;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (offset_at(middle) == before ? low : high) = middle;
  }
  return high;
}

std::string TimeZone::rfc3339(int64_t unix_seconds) const {
  const int32_t offset = offset_at(unix_seconds);
  const int64_t local = unix_seconds + offset;
  const int64_t day = floor_div(local, kDay);
  const int64_t in_day = local - day * kDay;
  const year_month_day date{sys_days{days{day}}};
  std::string text =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  in_day / 3600, in_day / 60 % 60, in_day % 60);
  if (offset == 0) return text + "Z";
  const int32_t minutes = std::abs(offset) / 60;
  return text + fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

}  // namespace orch
