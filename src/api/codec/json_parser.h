// A strict JSON parser (RFC 8259) that hands out what it sees, without a document in between and
// without recursion. Strings without escapes are handed out as they lie in the input. Its error
// texts are those of Go's encoding/json. Stateless but for the object; one use, one thread.
//
// Stricter than Go in one point: bytes that are no UTF-8 and lone surrogates are refused, where Go
// writes U+FFFD, as two different names must not become one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace orch::api::codec {

// Cuts tokens. Every function returns false on a syntax error; error() says which.
class JsonTokens {
 public:
  explicit JsonTokens(std::string_view text) : text_(text) {}
  const std::string& error() const { return error_; }

 protected:
  void skip_space();
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  // At the opening quote. `out` lives until the next string.
  bool read_string(std::string_view& out);
  // At a digit or minus. `integer` is set when the number is one and fits.
  bool read_number(std::string_view& text, std::optional<int64_t>& integer);
  bool read_word(std::string_view word);
  // "invalid character 'x' <context>" or the unexpected end.
  bool fail(std::string_view context);

  std::string_view text_;
  size_t at_ = 0;
  std::string open_;  // the containers the parser is in, as '{' and '['

 private:
  bool read_escaped(std::string_view& out, size_t begin);
  bool read_escape();
  bool read_code_unit(uint32_t& unit);
  bool skip_digits(std::string_view context);
  bool too_large(std::string_view number);

  std::string error_;
  std::string unescaped_;
  std::string number_;
};

// `Handler` has the functions of StructReader; each returns false to stop.
template <class Handler>
class JsonParser : public JsonTokens {
 public:
  JsonParser(std::string_view text, Handler& handler) : JsonTokens(text), to_(handler) {}

  // False: a syntax error, or the handler stopped it (then error() is empty).
  bool parse() {
    for (;;) {
      if (!value()) return false;
      if (entered_) continue;
      if (!after_value()) return false;
      if (open_.empty()) break;
    }
    return at_ == text_.size() || fail("after top-level value");
  }

 private:
  // One scalar, or the beginning of a container up to its first value (entered_), or a whole
  // container without members.
  bool value() {
    entered_ = false;
    skip_space();
    switch (peek()) {
      case '{':
        return begin('{', '}');
      case '[':
        return begin('[', ']');
      case '"': {
        std::string_view text;
        return read_string(text) && to_.string(text);
      }
      case 't':
        return read_word("true") && to_.boolean(true);
      case 'f':
        return read_word("false") && to_.boolean(false);
      case 'n':
        return read_word("null") && to_.null();
      default:
        break;
    }
    if (peek() != '-' && (peek() < '0' || peek() > '9'))
      return fail("looking for beginning of value");
    std::string_view text;
    std::optional<int64_t> integer;
    return read_number(text, integer) && to_.number(text, integer ? &*integer : nullptr);
  }

  bool begin(char kind, char close) {
    at_++;
    if (!to_.begin(kind == '[')) return false;
    skip_space();
    if (peek() == close) {
      at_++;
      return to_.end();
    }
    open_ += kind;
    entered_ = true;
    return kind == '[' || key();
  }

  bool key() {
    skip_space();
    if (peek() != '"') return fail("looking for beginning of object key string");
    std::string_view name;
    if (!read_string(name) || !to_.key(name)) return false;
    skip_space();
    if (peek() != ':') return fail("after object key");
    at_++;
    return true;
  }

  // Closes containers as far as they end here.
  bool after_value() {
    for (;;) {
      skip_space();
      if (open_.empty()) return true;
      const bool array = open_.back() == '[';
      if (peek() == ',') {
        at_++;
        return array || key();
      }
      if (peek() != (array ? ']' : '}')) {
        return fail(array ? "after array element" : "after object key:value pair");
      }
      at_++;
      open_.pop_back();
      if (!to_.end()) return false;
    }
  }

  Handler& to_;
  bool entered_ = false;
};

// What is wrong with the syntax of `text`; "" = one whole JSON value.
std::string json_syntax_error(std::string_view text);

}  // namespace orch::api::codec
