#include "orch/base/cron.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <vector>

#include "orch/base/strings.h"

namespace orch {
namespace {

using Text = std::string_view;

struct Bounds {
  uint32_t min, max;
  const Text* names;  // of values from `first_name` on
  uint32_t name_count, first_name;
};

constexpr std::array<Text, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<Text, 7> kWeekdays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr Bounds kMinute = {0, 59, nullptr, 0, 0};
constexpr Bounds kHour = {0, 23, nullptr, 0, 0};
constexpr Bounds kDayOfMonth = {1, 31, nullptr, 0, 0};
constexpr Bounds kMonth = {1, 12, kMonths.data(), 12, 1};
constexpr Bounds kDayOfWeek = {0, 6, kWeekdays.data(), 7, 0};

Result<uint32_t, std::string> parse_number(Text text) {
  const auto value = parse_int(text);
  if (!value) {
    return Err(fmt::format(
        "failed to parse int from {}: strconv.Atoi: parsing \"{}\": invalid syntax", text, text));
  }
  if (*value < 0) return Err(fmt::format("negative number ({}) not allowed: {}", *value, text));
  // Anything this large is beyond every field; the exact value only matters to the message.
  return static_cast<uint32_t>(std::min<int64_t>(*value, 1'000'000'000));
}

Result<uint32_t, std::string> parse_number_or_name(Text text, const Bounds& bounds) {
  for (uint32_t i = 0; i < bounds.name_count; ++i) {
    if (iequals(bounds.names[i], text)) return bounds.first_name + i;
  }
  return parse_number(text);
}

// What one field allows.
struct Set {
  uint64_t bits = 0;
  bool star = false;
};

// One of: * ? N N-M, each with an optional /step.
Result<Set, std::string> parse_range(Text expression, const Bounds& bounds) {
  const auto and_step = split(expression, '/');
  const auto ends = split(and_step.empty() ? "" : and_step[0], '-');
  const Text low = ends.empty() ? Text() : Text(ends[0]);
  const bool single = ends.size() <= 1;
  Set set;
  uint32_t start = bounds.min, end = bounds.max, step = 1;
  if (low == "*" || low == "?") {
    set.star = true;
  } else {
    ORCH_TRY(start, parse_number_or_name(low, bounds));
    end = start;
    if (ends.size() == 2) {
      ORCH_TRY(end, parse_number_or_name(ends[1], bounds));
    } else if (ends.size() > 2) {
      return Err(fmt::format("too many hyphens: {}", expression));
    }
  }
  if (and_step.size() == 2) {
    ORCH_TRY(step, parse_number(and_step[1]));
    if (single) end = bounds.max;  // "N/step" is "N-max/step"
    if (step > 1) set.star = false;
  } else if (and_step.size() > 2) {
    return Err(fmt::format("too many slashes: {}", expression));
  }
  if (start < bounds.min) {
    return Err(fmt::format("beginning of range ({}) below minimum ({}): {}", start, bounds.min,
                           expression));
  }
  if (end > bounds.max) {
    return Err(
        fmt::format("end of range ({}) above maximum ({}): {}", end, bounds.max, expression));
  }
  if (start > end) {
    return Err(fmt::format("beginning of range ({}) beyond end of range ({}): {}", start, end,
                           expression));
  }
  if (step == 0) {
    return Err(fmt::format("step of range should be a positive number: {}", expression));
  }
  for (uint64_t value = start; value <= end; value += step) set.bits |= uint64_t{1} << value;
  return set;
}

Result<Set, std::string> parse_field(Text field, const Bounds& bounds) {
  Set set;
  for (const auto& expression : split(field, ',')) {
    if (expression.empty()) continue;
    ORCH_TRY(const Set range, parse_range(expression, bounds));
    set.bits |= range.bits;
    set.star = set.star || range.star;
  }
  return set;
}

std::vector<std::string> fields_of(Text text) {
  std::vector<std::string> out;
  bool inside = false;
  for (char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    if (!space && !inside) out.emplace_back();
    if (!space) out.back().push_back(c);
    inside = !space;
  }
  return out;
}

Text descriptor_fields(Text name) {
  struct Descriptor {
    Text name, fields;
  };
  static constexpr Descriptor kDescriptors[] = {
      {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
      {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
      {"@hourly", "0 * * * *"}};
  for (const auto& known : kDescriptors) {
    if (known.name == name) return known.fields;
  }
  return "";
}

// Go's notation ("1h30m", "90s", "1.5h") in whole seconds, at least one; nullopt if it is none.
std::optional<int64_t> parse_every(Text text) {
  if (text.empty()) return std::nullopt;
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    double value = 0, scale = 1;
    bool digits = false, point = false;
    size_t at = 0;
    for (; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '.' && !point) {
        point = true;
      } else if (c >= '0' && c <= '9') {
        digits = true;
        value = value * 10 + (c - '0');
        if (point) scale *= 10;
      } else {
        break;
      }
    }
    if (!digits) return std::nullopt;
    text.remove_prefix(at);
    struct UnitOf {
      Text name;
      double seconds;
    };
    // "ms" and "m" begin alike: the longer comes first.
    static constexpr UnitOf kUnits[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xC2\xB5s", 1e-6},
                                        {"ms", 1e-3}, {"s", 1},     {"m", 60},
                                        {"h", 3600}};
    bool known = false;
    for (const auto& unit : kUnits) {
      if (!text.starts_with(unit.name)) continue;
      total += value / scale * unit.seconds;
      text.remove_prefix(unit.name.size());
      known = true;
      break;
    }
    if (!known || total > 9.2e9) return std::nullopt;  // Go's durations end at 292 years
  }
  return negative || total < 1 ? 1 : static_cast<int64_t>(total);
}

}  // namespace

Result<CronSchedule, std::string> CronSchedule::parse(Text text, const TimeZone& zone) {
  if (text.empty()) return Err(std::string("empty spec string"));
  CronSchedule out;
  out.zone_ = zone;
  if (text.starts_with("TZ=") || text.starts_with("CRON_TZ=")) {
    const size_t space = text.find(' ');
    const size_t equals = text.find('=');
    const Text name = text.substr(equals + 1, space == Text::npos ? space : space - equals - 1);
    auto named = TimeZone::load(name);
    if (!named) return Err(fmt::format("provided bad location {}: {}", name, named.error()));
    out.zone_ = std::move(*named);
    text = trim(space == Text::npos ? Text() : text.substr(space));
  }
  if (text.starts_with('@')) {
    constexpr Text kEvery = "@every ";
    if (text.starts_with(kEvery)) {
      const Text duration = text.substr(kEvery.size());
      const auto seconds = parse_every(duration);
      if (!seconds) {
        return Err(fmt::format("failed to parse duration {}: time: invalid duration \"{}\"", text,
                               duration));
      }
      out.every_seconds_ = *seconds;
      return out;
    }
    const Text fields = descriptor_fields(text);
    if (fields.empty()) return Err(fmt::format("unrecognized descriptor: {}", text));
    text = fields;
  }
  const auto fields = fields_of(text);
  if (fields.size() != 5) {
    return Err(
        fmt::format("expected exactly 5 fields, found {}: [{}]", fields.size(), join(fields, " ")));
  }
  ORCH_TRY(const Set minutes, parse_field(fields[0], kMinute));
  ORCH_TRY(const Set hours, parse_field(fields[1], kHour));
  ORCH_TRY(const Set days, parse_field(fields[2], kDayOfMonth));
  ORCH_TRY(const Set months, parse_field(fields[3], kMonth));
  ORCH_TRY(const Set weekdays, parse_field(fields[4], kDayOfWeek));
  out.minutes_ = minutes.bits;
  out.hours_ = hours.bits;
  out.days_ = days.bits;
  out.months_ = months.bits;
  out.weekdays_ = weekdays.bits;
  out.any_day_ = days.star;
  out.any_weekday_ = weekdays.star;
  return out;
}

// With both fields restricted either suffices; with a star in one, both must hold, which is then
// the other alone.
bool CronSchedule::day_matches(uint32_t day, uint32_t weekday) const {
  const bool by_day = (days_ >> day & 1) != 0;
  const bool by_weekday = (weekdays_ >> weekday & 1) != 0;
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<int64_t> CronSchedule::next(int64_t after) const {
  using namespace std::chrono;
  if (every_seconds_ > 0) return after + every_seconds_;
  if (minutes_ == 0 || hours_ == 0 || months_ == 0) return std::nullopt;  // "," is an empty set
  constexpr int64_t kDay = 86400;
  int64_t t = after + 1;
  const auto civil = [](int64_t local_day) {
    return year_month_day{sys_days{std::chrono::days{local_day}}};
  };
  const auto local_day_of = [this](int64_t at) {
    const int64_t local = at + zone_.offset_at(at);
    return local / kDay - (local % kDay < 0 ? 1 : 0);
  };
  const int last_year = static_cast<int>(civil(local_day_of(t)).year()) + 5;
  const auto move_to_midnight = [&](sys_days day) {
    const int64_t midnight = zone_.from_local(day.time_since_epoch().count() * kDay);
    t = midnight > t ? midnight : t + 3600;  // where a change made midnight come twice
  };
  for (;;) {
    const int64_t day = local_day_of(t);
    const year_month_day date = civil(day);
    if (static_cast<int>(date.year()) > last_year) return std::nullopt;
    if ((months_ >> static_cast<unsigned>(date.month()) & 1) == 0) {
      const year_month next_month = date.year() / date.month() + std::chrono::months{1};
      move_to_midnight(sys_days{next_month / std::chrono::day{1}});
      continue;
    }
    const auto weekday = static_cast<uint32_t>(((day + 4) % 7 + 7) % 7);
    if (!day_matches(static_cast<unsigned>(date.day()), weekday)) {
      move_to_midnight(sys_days{std::chrono::days{day + 1}});
      continue;
    }
    const int64_t in_day = t + zone_.offset_at(t) - day * kDay;
    if ((hours_ >> (in_day / 3600) & 1) == 0) {
      t += 3600 - in_day % 3600;
    } else if (in_day % 60 != 0 || (minutes_ >> (in_day / 60 % 60) & 1) == 0) {
      t += 60 - in_day % 60;
    } else {
      return t;
    }
  }
}

}  // namespace orch
