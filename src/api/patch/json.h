// A small JSON document that patches work on: strings are views into the source text (escaped ones
// into an Arena), object members are sorted by key, containers remember their source range. Parsing
// is some ten times faster and smaller than a general DOM; most writes to the server parse twice.
// Plain values, no locks. A Value must not outlive its source text and Arena.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::api::doc {

// Deeper documents are refused, before any recursion could meet them.
inline constexpr int kDepthMax = 1000;
// So are those of more values: a value takes up to 100 bytes, and stands for two in its text.
inline constexpr size_t kValuesMax = 250'000;

// Owner of strings that stand nowhere in a source text. Addresses are stable.
class Arena {
 public:
  std::string_view keep(std::string text) { return strings_.emplace_back(std::move(text)); }

 private:
  std::deque<std::string> strings_;
};

struct Member;

struct Value {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool flag = false;          // kBool
  std::string_view text;      // kString: unescaped; kNumber: the literal
  std::string_view raw;       // source range; "" for values made by code
  std::vector<Member> items;  // kArray (keys empty), kObject (sorted by key, unique)

  bool is_null() const { return kind == Kind::kNull; }
  bool is_string() const { return kind == Kind::kString; }
  bool is_array() const { return kind == Kind::kArray; }
  bool is_object() const { return kind == Kind::kObject; }
  bool is_container() const { return is_array() || is_object(); }
  bool empty() const;
  size_t size() const;

  // Members of an object; nullptr when there is none (or this is no object).
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  // The member's value, made (null) if there is none. *this must be an object.
  Value& at(std::string_view key);
  bool erase(std::string_view key);
  // The text of a string member, else "".
  std::string_view string_at(std::string_view key) const;
};

struct Member {
  std::string_view key;
  Value value;
};

Value string_value(std::string_view text);
Value object_value();
Value array_value();

struct ParseError {
  std::string message;  // as encoding/json words it
};
// Whole text, one value. Of duplicate keys the last wins; `findings` collects them as
// `duplicate field "a.b[0].c"`.
Result<Value, ParseError> parse(std::string_view text, Arena& arena,
                                std::vector<std::string>* findings = nullptr);

// Compact JSON, appended. Scalars of a source are written as they stood there.
void write(const Value& value, std::string& out);
std::string to_text(const Value& value);

// Deep equality; numbers by value, objects whatever the order.
bool same(const Value& a, const Value& b);
// Whether an empty, zero or null value (what Go's zero value encodes to).
bool is_zero(const Value& value);
int depth(const Value& value);  // scalar = 0
size_t text_size(const Value& value);
// As Go's %v shows it, for error texts: map[a:1 b:[x y]].
std::string go_shown(const Value& value);

}  // namespace orch::api::doc
