// What tests of kinds share: objects from JSON with their defaults, and what validation says.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "orch/api/codec.h"
#include "orch/api/patch.h"
#include "orch/api/scheme.h"

namespace orch::api::test {

using Texts = std::vector<std::string>;

template <class T>
T decoded(const std::string& json) {
  T out;
  auto read = decode_json(json, T::type_info(), &out);
  INFO(json);
  INFO((read ? "" : read.error().message));
  REQUIRE(read);
  set_defaults(resource_of<T>(), out);
  return out;
}

// "field: message" of every cause, as created (old == nullptr) or updated.
template <class T>
Texts complaints(const T& now, const T* old = nullptr) {
  Texts out;
  for (const auto& cause : validate(resource_of<T>(), now, old)) {
    out.push_back(cause.field + ": " + cause.message);
  }
  return out;
}

template <class T>
Texts cells(const T& object, WallTime now = WallTime{}) {
  Texts out;
  for (auto& cell : resource_of<T>().row(object, now)) out.push_back(std::move(cell.text));
  return out;
}

// One change of a valid object (JSON pointer and JSON value; "" removes it) and what validation
// says of it then.
struct Rule {
  const char* pointer;
  const char* value;
  Texts wanted;
};

inline std::string changed(const std::string& json, const Rule& rule) {
  const std::string value = rule.value;
  const std::string patch =
      value.empty()
          ? std::string(R"([{"op":"remove","path":")") + rule.pointer + "\"}]"
          : std::string(R"([{"op":"add","path":")") + rule.pointer + R"(","value":)" + value + "}]";
  const auto out = json_patch(json, patch);
  INFO(patch);
  INFO((out ? "" : out.error().message));
  REQUIRE(out);
  return *out;
}

// An object as a create request makes it.
template <class T>
T made(const std::string& json) {
  T out = decoded<T>(json);
  if (resource_of<T>().prepare != nullptr) resource_of<T>().prepare(out, nullptr, {});
  return out;
}

// Each rule alone, on creation.
template <class T>
void check_rules(const std::string& json, const std::vector<Rule>& rules) {
  CHECK(complaints(made<T>(json)) == Texts{});
  for (const auto& rule : rules) {
    INFO(rule.pointer << " = " << rule.value);
    CHECK(complaints(made<T>(changed(json, rule))) == rule.wanted);
  }
}

// Each rule alone, as an update of the valid object.
template <class T>
void check_changes(const T& old, const std::vector<Rule>& rules) {
  const std::string json = to_json(static_cast<const Object&>(old));
  for (const auto& rule : rules) {
    INFO(rule.pointer << " = " << rule.value);
    T now = decoded<T>(changed(json, rule));
    if (resource_of<T>().prepare != nullptr) resource_of<T>().prepare(now, &old, {});
    CHECK(complaints(now, &old) == rule.wanted);
  }
}
template <class T>
void check_changes(const std::string& json, const std::vector<Rule>& rules) {
  check_changes(made<T>(json), rules);
}

}  // namespace orch::api::test
