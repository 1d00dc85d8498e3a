// Result<T, E>: a value or an error, the shape of std::expected (C++23) with Err in place of
// std::unexpected. Every layer boundary returns one; exceptions never cross a folder.
#pragma once

#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "orch/base/assert.h"

namespace orch {

// What a Result<Unit, E> holds when there is nothing to return.
struct Unit {
  bool operator==(const Unit&) const = default;
};

// Wraps an error on its way into a Result.
template <class E>
struct Err {
  E error;
  explicit Err(E e) : error(std::move(e)) {}
};
template <class E>
Err(E) -> Err<E>;

template <class T, class E>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = E;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit
  template <class G>
    requires std::is_constructible_v<E, G&&>
  Result(Err<G> err) : state_(std::in_place_index<1>, std::move(err.error)) {}  // NOLINT: implicit

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& value() & {
    ORCH_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    ORCH_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    ORCH_ASSERT(has_value());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  E& error() & {
    ORCH_ASSERT(!has_value());
    return *std::get_if<1>(&state_);
  }
  const E& error() const& {
    ORCH_ASSERT(!has_value());
    return *std::get_if<1>(&state_);
  }
  E&& error() && {
    ORCH_ASSERT(!has_value());
    return std::move(*std::get_if<1>(&state_));
  }

  template <class U>
  T value_or(U&& other) const& {
    return has_value() ? value() : static_cast<T>(std::forward<U>(other));
  }

 private:
  std::variant<T, E> state_;
};

#define ORCH_CONCAT_(a, b) a##b
#define ORCH_CONCAT(a, b) ORCH_CONCAT_(a, b)
#define ORCH_TRY_(tmp, decl, expr)                        \
  auto tmp = (expr);                                      \
  if (!tmp) return ::orch::Err(std::move(tmp).error());   \
  decl = std::move(tmp).value()
// ORCH_TRY(auto x, f()): x is f()'s value, or the enclosing function returns f()'s error.
#define ORCH_TRY(decl, expr) ORCH_TRY_(ORCH_CONCAT(orch_try_, __COUNTER__), decl, expr)
#define ORCH_CHECK_(tmp, expr) \
  if (auto tmp = (expr); !tmp) return ::orch::Err(std::move(tmp).error())
// ORCH_CHECK(f()): the enclosing function returns f()'s error, if any; the value is dropped.
#define ORCH_CHECK(expr) ORCH_CHECK_(ORCH_CONCAT(orch_check_, __COUNTER__), expr)

}  // namespace orch
