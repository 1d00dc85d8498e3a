// Value types that API structs are made of. Plain values: copyable, comparable, no I/O.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "orch/base/clock.h"
#include "orch/base/result.h"

namespace orch::api {

// An optional struct field on the heap, with value semantics: copying copies what it holds.
template <class T>
class Ptr {
 public:
  Ptr() = default;
  Ptr(std::nullptr_t) {}  // NOLINT: implicit
  Ptr(T value) : held_(std::make_unique<T>(std::move(value))) {}  // NOLINT: implicit
  Ptr(const Ptr& other) : held_(other.held_ ? std::make_unique<T>(*other.held_) : nullptr) {}
  Ptr(Ptr&&) noexcept = default;
  Ptr& operator=(const Ptr& other) {
    if (this != &other) held_ = other.held_ ? std::make_unique<T>(*other.held_) : nullptr;
    return *this;
  }
  Ptr& operator=(Ptr&&) noexcept = default;
  ~Ptr() = default;

  explicit operator bool() const noexcept { return held_ != nullptr; }
  bool has_value() const noexcept { return held_ != nullptr; }
  T& operator*() { return *held_; }
  const T& operator*() const { return *held_; }
  T* operator->() { return held_.get(); }
  const T* operator->() const { return held_.get(); }
  T* get() { return held_.get(); }
  const T* get() const { return held_.get(); }
  T& emplace() {
    held_ = std::make_unique<T>();
    return *held_;
  }
  // The held value, created empty if there was none.
  T& ensure() { return held_ ? *held_ : emplace(); }
  void reset() { held_.reset(); }

 private:
  std::unique_ptr<T> held_;
};

// resource.Quantity: an exact decimal with up to 9 digits after the point (finer values round up,
// as upstream). Remembers its notation: DecimalSI ("500m"), BinarySI ("1Gi"), DecimalExponent.
class Quantity {
 public:
  Quantity() = default;  // "0"
  // Error: a message as upstream's ("quantities must match the regular expression ...").
  static Result<Quantity, std::string> parse(std::string_view text);
  static Quantity of(int64_t value);                // DecimalSI units
  static Quantity of_milli(int64_t value);          // DecimalSI thousandths
  static Quantity of_bytes(int64_t value);          // BinarySI
  std::string str() const;                          // canonical form
  int64_t value() const;                            // rounded up, saturating
  int64_t milli() const;                            // thousandths, rounded up, saturating
  bool is_zero() const { return nanos_ == 0; }
  int sign() const { return nanos_ < 0 ? -1 : nanos_ > 0 ? 1 : 0; }
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  bool operator==(const Quantity& other) const { return nanos_ == other.nanos_; }
  std::strong_ordering operator<=>(const Quantity& other) const { return nanos_ <=> other.nanos_; }

 private:
  enum class Format : uint8_t { kDecimalSI, kBinarySI, kDecimalExponent };
  __int128 nanos_ = 0;
  Format format_ = Format::kDecimalSI;
};

// intstr.IntOrString.
struct IntOrString {
  bool is_string = false;
  int32_t int_value = 0;
  std::string string_value;

  IntOrString() = default;
  IntOrString(int32_t v) : int_value(v) {}  // NOLINT: implicit
  explicit IntOrString(std::string v) : is_string(true), string_value(std::move(v)) {}
  std::string str() const { return is_string ? string_value : std::to_string(int_value); }
  bool operator==(const IntOrString&) const = default;
};

// metav1.Time: whole seconds, UTC, RFC 3339 on the wire; null when unset.
struct Time {
  bool is_set = false;
  int64_t unix_seconds = 0;

  Time() = default;
  Time(WallTime t)  // NOLINT: implicit
      : is_set(true), unix_seconds(std::chrono::floor<Seconds>(t).time_since_epoch().count()) {}
  explicit operator bool() const { return is_set; }
  WallTime wall() const { return WallTime{Seconds{unix_seconds}}; }
  std::string str() const;  // RFC 3339, "" when unset
  static Result<Time, std::string> parse(std::string_view rfc3339);
  bool operator==(const Time&) const = default;
};

// metav1.MicroTime: microseconds.
struct MicroTime {
  bool is_set = false;
  int64_t unix_micros = 0;

  MicroTime() = default;
  MicroTime(WallTime t) : is_set(true), unix_micros(t.time_since_epoch().count()) {}  // NOLINT
  explicit operator bool() const { return is_set; }
  WallTime wall() const { return WallTime{Micros{unix_micros}}; }
  std::string str() const;
  static Result<MicroTime, std::string> parse(std::string_view rfc3339);
  bool operator==(const MicroTime&) const = default;
};

// metav1.Duration: Go's notation on the wire ("1h0m0s").
struct Duration {
  int64_t nanos = 0;
  std::string str() const;
  static Result<Duration, std::string> parse(std::string_view text);
  bool operator==(const Duration&) const = default;
};

// Any JSON value kept as text: RawExtension, FieldsV1, JSON. Empty text = absent.
struct RawJson {
  std::string text;
  bool operator==(const RawJson&) const = default;
};

}  // namespace orch::api
