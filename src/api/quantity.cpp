#include <charconv>
#include <limits>

#include "orch/api/value.h"

namespace orch::api {

namespace {

using Wide = __int128;

constexpr Wide kNano = 1'000'000'000;
constexpr Wide kMaxNanos = Wide(std::numeric_limits<int64_t>::max()) * kNano;
constexpr const char* kFormatError =
    "quantities must match the regular expression "
    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
constexpr const char* kSuffixError = "unable to parse quantity's suffix";

struct Suffix {
  std::string_view text;
  int power;  // of ten, or of two
};
constexpr Suffix kDecimal[] = {{"n", -9}, {"u", -6}, {"m", -3}, {"", 0},   {"k", 3},
                               {"M", 6},  {"G", 9},  {"T", 12}, {"P", 15}, {"E", 18}};
constexpr Suffix kBinary[] = {{"Ki", 10}, {"Mi", 20}, {"Gi", 30},
                              {"Ti", 40}, {"Pi", 50}, {"Ei", 60}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string decimal_text(Wide value) {
  char buffer[48];
  char* at = buffer + sizeof buffer;
  const bool negative = value < 0;
  if (negative) value = -value;
  do {
    *--at = static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value != 0);
  if (negative) *--at = '-';
  return {at, static_cast<size_t>(buffer + sizeof buffer - at)};
}

// Division away from zero: upstream rounds so that something asked for never becomes nothing.
Wide divide_up(Wide value, Wide by) {
  const Wide whole = value / by;
  if (value % by == 0) return whole;
  return value > 0 ? whole + 1 : whole - 1;
}

int64_t saturate(Wide value) {
  if (value > std::numeric_limits<int64_t>::max()) return std::numeric_limits<int64_t>::max();
  if (value < std::numeric_limits<int64_t>::min()) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

// Digits with a point somewhere: mantissa * 10^-scale. Digits beyond what can matter only leave
// the mark that there was something.
struct Number {
  Wide mantissa = 0;
  int scale = 0;
  bool inexact = false;
};

Number read_digits(std::string_view whole, std::string_view fraction) {
  constexpr Wide kEnough = Wide(1'000'000'000'000'000'000) * 1'000'000'000'000;  // 10^30
  Number out;
  for (char c : whole) {
    if (out.mantissa >= kEnough) {
      out.scale--;
    } else {
      out.mantissa = out.mantissa * 10 + (c - '0');
    }
  }
  for (char c : fraction) {
    if (out.mantissa >= kEnough) {
      out.inexact |= c != '0';
    } else {
      out.mantissa = out.mantissa * 10 + (c - '0');
      out.scale++;
    }
  }
  return out;
}

// The number times 10^ten * 2^two as nanos, rounded up, at most kMaxNanos.
Wide scale_to_nanos(Number number, int ten, int two) {
  if (number.mantissa == 0) return number.inexact ? 1 : 0;
  Wide value = number.mantissa;
  bool inexact = number.inexact;
  for (; two > 0; two -= 10) {
    if (value > (Wide(1) << 115)) return kMaxNanos;
    value *= 1024;
  }
  int power = ten - number.scale + 9;
  for (; power > 0; power--) {
    if (value > kMaxNanos) return kMaxNanos;
    value *= 10;
  }
  for (; power < 0 && value > 0; power++) {
    inexact |= value % 10 != 0;
    value /= 10;
  }
  if (inexact) value++;
  return value > kMaxNanos ? kMaxNanos : value;
}

}  // namespace

Result<Quantity, std::string> Quantity::parse(std::string_view text) {
  size_t at = 0;
  bool negative = false;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) negative = text[at++] == '-';
  const size_t whole_begin = at;
  while (at < text.size() && is_digit(text[at])) at++;
  const std::string_view whole = text.substr(whole_begin, at - whole_begin);
  std::string_view fraction;
  if (at < text.size() && text[at] == '.') {
    const size_t begin = ++at;
    while (at < text.size() && is_digit(text[at])) at++;
    fraction = text.substr(begin, at - begin);
  }
  if (whole.empty() && fraction.empty()) return Err(std::string(kFormatError));
  const std::string_view suffix = text.substr(at);
  for (char c : suffix)
    if (std::string_view("eEinumkKMGTP+-0123456789").find(c) == std::string_view::npos)
      return Err(std::string(kFormatError));

  Quantity out;
  int ten = 0, two = 0;
  bool known = false;
  for (const Suffix& s : kDecimal) {
    if (suffix != s.text) continue;
    ten = s.power;
    known = true;
  }
  for (const Suffix& s : kBinary) {
    if (suffix != s.text) continue;
    two = s.power;
    known = true;
    out.format_ = Format::kBinarySI;
  }
  if (!known) {
    if (suffix.size() < 2 || (suffix[0] != 'e' && suffix[0] != 'E'))
      return Err(std::string(kSuffixError));
    std::string_view digits = suffix.substr(1);
    if (digits[0] == '+') digits.remove_prefix(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ten);
    if (error != std::errc() || end != digits.data() + digits.size() || ten > 1000 || ten < -1000)
      return Err(std::string(kSuffixError));
    out.format_ = Format::kDecimalExponent;
  }
  out.nanos_ = scale_to_nanos(read_digits(whole, fraction), ten, two);
  // Upstream: fractions below one are never shown in binary notation.
  if (out.format_ == Format::kBinarySI && out.nanos_ > 0 && out.nanos_ < kNano && !negative)
    out.format_ = Format::kDecimalSI;
  if (negative) out.nanos_ = -out.nanos_;
  return out;
}

Quantity Quantity::of(int64_t value) {
  Quantity out;
  out.nanos_ = Wide(value) * kNano;
  return out;
}

Quantity Quantity::of_milli(int64_t value) {
  Quantity out;
  out.nanos_ = Wide(value) * 1'000'000;
  return out;
}

Quantity Quantity::of_bytes(int64_t value) {
  Quantity out = of(value);
  out.format_ = Format::kBinarySI;
  return out;
}

std::string Quantity::str() const {
  if (nanos_ == 0) return "0";
  Format format = format_;
  if (format == Format::kBinarySI &&
      ((nanos_ > -1024 * kNano && nanos_ < 1024 * kNano) || nanos_ % kNano != 0))
    format = Format::kDecimalSI;
  if (format == Format::kBinarySI) {
    Wide value = nanos_ / kNano;
    int step = -1;
    while (step < 5 && value % 1024 == 0) {
      value /= 1024;
      step++;
    }
    return decimal_text(value) + std::string(step < 0 ? "" : kBinary[step].text);
  }
  Wide value = nanos_;
  int power = -9;
  const int power_max = format == Format::kDecimalSI ? 18 : 27;
  while (power < power_max && value % 1000 == 0) {
    value /= 1000;
    power += 3;
  }
  const std::string number = decimal_text(value);
  if (format == Format::kDecimalExponent)
    return power == 0 ? number : number + "e" + std::to_string(power);
  return number + std::string(kDecimal[(power + 9) / 3].text);
}

int64_t Quantity::value() const { return saturate(divide_up(nanos_, kNano)); }
int64_t Quantity::milli() const { return saturate(divide_up(nanos_, 1'000'000)); }

Quantity& Quantity::operator+=(const Quantity& other) {
  if (nanos_ == 0) format_ = other.format_;
  nanos_ += other.nanos_;
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  if (nanos_ == 0) format_ = other.format_;
  nanos_ -= other.nanos_;
  return *this;
}

}  // namespace orch::api
