// What tests of kinds share: objects from JSON with their defaults, and what validation says.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "orch/api/codec.h"
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

}  // namespace orch::api::test
