// A JSON document as a tree, for callers that meet kinds they have no struct for (orch ctl). The
// DOM library behind it stays in src/api. A value type: cheap to move, copies deeply. Not for hot
// paths.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orch/base/result.h"

namespace orch::api {

class JsonValue {
 public:
  JsonValue();                                                               // null
  JsonValue(std::string_view text);                                          // NOLINT: a string
  JsonValue(const char* text) : JsonValue(std::string_view(text)) {}         // NOLINT
  JsonValue(const std::string& text) : JsonValue(std::string_view(text)) {}  // NOLINT
  JsonValue(int64_t number);                                                 // NOLINT
  JsonValue(int number) : JsonValue(static_cast<int64_t>(number)) {}         // NOLINT
  JsonValue(bool value);                                                     // NOLINT
  JsonValue(const JsonValue&);
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(const JsonValue&);
  JsonValue& operator=(JsonValue&&) noexcept;
  ~JsonValue();
  static JsonValue object();
  static JsonValue array();
  static Result<JsonValue, std::string> parse(std::string_view json);
  std::string dump(int indent = -1) const;  // keys in document order
  // Keys sorted, <, > and & escaped: byte for byte what Go's encoding/json makes of it.
  std::string dump_go(int indent = -1) const;

  bool is_null() const;
  bool is_object() const;
  bool is_array() const;
  bool is_string() const;
  bool is_number() const;
  bool is_boolean() const;
  size_t size() const;

  // Text of a scalar as people read it; "" for null, objects and arrays.
  std::string text() const;
  int64_t number(int64_t fallback = 0) const;
  bool boolean() const;

  // Reads; null where there is nothing. `path` is dotted: "metadata.name"; for keys with dots use
  // get().
  JsonValue at(std::string_view path) const;
  JsonValue get(std::string_view key) const;
  bool has(std::string_view key) const;
  std::vector<JsonValue> items() const;                            // of an array
  std::vector<std::pair<std::string, JsonValue>> members() const;  // of an object
  // Writes; make an object (array) of a null.
  void set(std::string_view key, JsonValue value);
  void set_at(std::string_view path, JsonValue value);
  void erase(std::string_view key);
  void push_back(JsonValue value);

  bool operator==(const JsonValue& other) const;

 private:
  struct Impl;
  explicit JsonValue(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orch::api
