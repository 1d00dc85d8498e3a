#include "api/patch/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "orch/base/json_scan.h"

namespace orch::api::doc {
namespace {

using Kind = Value::Kind;

constexpr size_t kFindingsMax = 100;
constexpr size_t kFew = 24;  // members of an object that are sorted by insertion

std::string shown_char(char c) {
  if (c == '\'') return "'\\''";
  if (c == '"') return "'\"'";
  if (c == '\n') return "'\\n'";
  if (c == '\t') return "'\\t'";
  if (c == '\r') return "'\\r'";
  unsigned char u = static_cast<unsigned char>(c);
  if (u < 0x20 || u >= 0x7f) return fmt::format("'\\x{:02x}'", u);
  return fmt::format("'{}'", c);
}

// Recursive descent, at most kDepthMax frames.
class Parser {
 public:
  Parser(std::string_view text, Arena& arena, std::vector<std::string>* findings)
      : text_(text), arena_(arena), findings_(findings) {}

  Result<Value, ParseError> parse() {
    Value root;
    skip_space();
    if (!value(root, 0)) return Err(ParseError{std::move(error_)});
    skip_space();
    if (at_ < text_.size()) {
      return Err(ParseError{
          fmt::format("invalid character {} after top-level value", shown_char(text_[at_]))});
    }
    return root;
  }

 private:
  bool fail(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    return false;
  }
  bool unexpected(std::string_view where) {
    if (at_ >= text_.size()) return fail("unexpected end of JSON input");
    return fail(fmt::format("invalid character {} {}", shown_char(text_[at_]), where));
  }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }

  bool value(Value& out, int depth) {
    if (at_ >= text_.size()) return unexpected("");
    if (++values_ > kValuesMax) {
      return fail(fmt::format("document has more than {} values", kValuesMax));
    }
    size_t begin = at_;
    bool ok = false;
    switch (text_[at_]) {
      case '{':
        ok = depth < kDepthMax ? object(out, depth) : fail("exceeded max depth");
        break;
      case '[':
        ok = depth < kDepthMax ? array(out, depth) : fail("exceeded max depth");
        break;
      case '"':
        out.kind = Kind::kString;
        ok = string(out.text);
        break;
      case 't':
        out.kind = Kind::kBool;
        out.flag = true;
        ok = literal("true");
        break;
      case 'f':
        out.kind = Kind::kBool;
        ok = literal("false");
        break;
      case 'n':
        ok = literal("null");
        break;
      default:
        out.kind = Kind::kNumber;
        ok = number();
        out.text = text_.substr(begin, at_ - begin);
    }
    out.raw = text_.substr(begin, at_ - begin);
    return ok;
  }

  bool literal(std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i, ++at_) {
      if (!next_is(word[i])) {
        return unexpected(fmt::format("in literal {} (expecting {})", word, shown_char(word[i])));
      }
    }
    return true;
  }

  bool digits(std::string_view where) {
    if (at_ >= text_.size() || text_[at_] < '0' || text_[at_] > '9') return unexpected(where);
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return true;
  }

  bool number() {
    bool negative = next_is('-');
    if (negative) ++at_;
    if (next_is('0')) {
      ++at_;
    } else if (!digits(negative ? "in numeric literal" : "looking for beginning of value")) {
      return false;
    }
    if (next_is('.')) {
      ++at_;
      if (!digits("after decimal point in numeric literal")) return false;
    }
    if (next_is('e') || next_is('E')) {
      ++at_;
      if (next_is('+') || next_is('-')) ++at_;
      if (!digits("in exponent of numeric literal")) return false;
    }
    return true;
  }

  bool string(std::string_view& out) {
    size_t begin = ++at_;
    while (at_ < text_.size()) {
      unsigned char c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        out = text_.substr(begin, at_ - begin);
        ++at_;
        return true;
      }
      if (c == '\\') return escaped_string(begin, out);
      if (c < 0x20) return unexpected("in string literal");
      ++at_;
    }
    return unexpected("");
  }

  bool escaped_string(size_t begin, std::string_view& out) {
    std::string text(text_.substr(begin, at_ - begin));
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        out = arena_.keep(std::move(text));
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return unexpected("in string literal");
      ++at_;
      if (c != '\\') {
        text += c;
      } else if (!escape(text)) {
        return false;
      }
    }
    return unexpected("");
  }

  bool escape(std::string& text) {
    if (at_ >= text_.size()) return unexpected("");
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    char c = text_[at_];
    if (size_t i = kFrom.find(c); i != kFrom.npos) {
      text += kTo[i];
      ++at_;
      return true;
    }
    if (c != 'u') return unexpected("in string escape code");
    ++at_;
    size_t used = 0;
    append_utf8(text, json_unicode_escape(text_.substr(at_), used));
    if (used == 0) {
      while (at_ < text_.size() && std::isxdigit(static_cast<unsigned char>(text_[at_])) != 0)
        ++at_;
      return unexpected("in \\u hexadecimal character escape");
    }
    at_ += used;
    return true;
  }

  bool array(Value& out, int depth) {
    out.kind = Kind::kArray;
    ++at_;
    skip_space();
    if (next_is(']')) {
      ++at_;
      return true;
    }
    while (true) {
      skip_space();
      const size_t path = path_.size();
      if (findings_ != nullptr) path_ += fmt::format("[{}]", out.items.size());
      if (!value(out.items.emplace_back().value, depth + 1)) return false;
      path_.resize(path);
      skip_space();
      if (next_is(']')) {
        ++at_;
        return true;
      }
      if (!next_is(',')) return unexpected("after array element");
      ++at_;
    }
  }

  bool object(Value& out, int depth) {
    out.kind = Kind::kObject;
    ++at_;
    skip_space();
    if (next_is('}')) {
      ++at_;
      return true;
    }
    while (true) {
      skip_space();
      if (!next_is('"')) return unexpected("looking for beginning of object key string");
      if (out.items.empty()) out.items.reserve(4);
      Member& member = out.items.emplace_back();
      if (!string(member.key)) return false;
      skip_space();
      if (!next_is(':')) return unexpected("after object key");
      ++at_;
      skip_space();
      const size_t path = path_.size();
      if (findings_ != nullptr) path_.append(path == 0 ? "" : ".").append(member.key);
      if (!value(member.value, depth + 1)) return false;
      path_.resize(path);
      skip_space();
      if (next_is('}')) {
        ++at_;
        sort_members(out.items);
        return true;
      }
      if (!next_is(',')) return unexpected("after object key:value pair");
      ++at_;
    }
  }

  void sort_members(std::vector<Member>& items) {
    auto less = [](const Member& a, const Member& b) { return a.key < b.key; };
    if (items.size() <= kFew) {  // by insertion: no buffer, and mostly little is out of order
      for (auto item = items.begin(); item != items.end(); ++item) {
        std::rotate(std::upper_bound(items.begin(), item, *item, less), item, item + 1);
      }
    } else if (!std::is_sorted(items.begin(), items.end(), less)) {
      std::stable_sort(items.begin(), items.end(), less);
    }
    auto same_key = [](const Member& a, const Member& b) { return a.key == b.key; };
    if (std::adjacent_find(items.begin(), items.end(), same_key) == items.end()) return;
    std::vector<Member> unique;
    for (Member& item : items) {
      if (!unique.empty() && unique.back().key == item.key) {
        unique.pop_back();
        report(item.key);
      }
      unique.push_back(std::move(item));
    }
    items = std::move(unique);
  }

  void report(std::string_view key) {
    if (findings_ == nullptr || findings_->size() >= kFindingsMax) return;
    std::string found =
        fmt::format("duplicate field \"{}{}{}\"", path_, path_.empty() ? "" : ".", key);
    if (findings_->empty() || findings_->back() != found) findings_->push_back(std::move(found));
  }

  std::string_view text_;
  Arena& arena_;
  std::vector<std::string>* findings_;
  std::string path_;  // of the value being read; kept only for findings
  size_t at_ = 0;
  size_t values_ = 0;
  std::string error_;
};

bool same_number(std::string_view a, std::string_view b) {
  if (a == b) return true;
  int64_t x = 0, y = 0;
  auto whole = [](std::string_view t, int64_t& v) {
    auto [end, ec] = std::from_chars(t.data(), t.data() + t.size(), v);
    return ec == std::errc() && end == t.data() + t.size();
  };
  bool whole_a = whole(a, x), whole_b = whole(b, y);
  if (whole_a && whole_b) return x == y;
  double d = 0, e = 0;
  std::from_chars(a.data(), a.data() + a.size(), d);
  std::from_chars(b.data(), b.data() + b.size(), e);
  return d == e;
}

auto lower_bound(auto& items, std::string_view key) {
  return std::lower_bound(items.begin(), items.end(), key,
                          [](const Member& m, std::string_view k) { return m.key < k; });
}

}  // namespace

bool Value::empty() const { return items.empty(); }
size_t Value::size() const { return items.size(); }

const Value* Value::find(std::string_view key) const {
  if (kind != Kind::kObject) return nullptr;
  auto it = lower_bound(items, key);
  return it != items.end() && it->key == key ? &it->value : nullptr;
}

Value* Value::find(std::string_view key) {
  return const_cast<Value*>(static_cast<const Value*>(this)->find(key));
}

Value& Value::at(std::string_view key) {
  ORCH_ASSERT(kind == Kind::kObject);
  auto it = lower_bound(items, key);
  if (it == items.end() || it->key != key) it = items.insert(it, Member{key, {}});
  return it->value;
}

bool Value::erase(std::string_view key) {
  if (kind != Kind::kObject) return false;
  auto it = lower_bound(items, key);
  if (it == items.end() || it->key != key) return false;
  items.erase(it);
  return true;
}

std::string_view Value::string_at(std::string_view key) const {
  const Value* member = find(key);
  return member != nullptr && member->is_string() ? member->text : std::string_view();
}

Value string_value(std::string_view text) {
  Value v;
  v.kind = Kind::kString;
  v.text = text;
  return v;
}

Value object_value() {
  Value v;
  v.kind = Kind::kObject;
  return v;
}

Value array_value() {
  Value v;
  v.kind = Kind::kArray;
  return v;
}

Result<Value, ParseError> parse(std::string_view text, Arena& arena,
                                std::vector<std::string>* findings) {
  return Parser(text, arena, findings).parse();
}

void write(const Value& value, std::string& out) {
  switch (value.kind) {
    case Kind::kNull:
      out += "null";
      return;
    case Kind::kBool:
      out += value.flag ? "true" : "false";
      return;
    case Kind::kNumber:
      out += value.text;
      return;
    case Kind::kString:
      if (value.raw.empty()) {
        append_json_string(out, value.text);
      } else {
        out += value.raw;
      }
      return;
    case Kind::kArray:
    case Kind::kObject:
      break;
  }
  bool object = value.is_object();
  out += object ? '{' : '[';
  bool first = true;
  for (const Member& item : value.items) {
    if (!first) out += ',';
    first = false;
    if (object) {
      append_json_string(out, item.key);
      out += ':';
    }
    write(item.value, out);
  }
  out += object ? '}' : ']';
}

std::string to_text(const Value& value) {
  std::string out;
  write(value, out);
  return out;
}

bool same(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kNull:
      return true;
    case Kind::kBool:
      return a.flag == b.flag;
    case Kind::kNumber:
      return same_number(a.text, b.text);
    case Kind::kString:
      return a.text == b.text;
    case Kind::kArray:
    case Kind::kObject:
      break;
  }
  if (a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (a.items[i].key != b.items[i].key) return false;
    if (!same(a.items[i].value, b.items[i].value)) return false;
  }
  return true;
}

bool is_zero(const Value& value) {
  switch (value.kind) {
    case Kind::kNull:
      return true;
    case Kind::kBool:
      return !value.flag;
    case Kind::kNumber:
      return same_number(value.text, "0");
    case Kind::kString:
      return value.text.empty();
    case Kind::kArray:
    case Kind::kObject:
      return value.items.empty();
  }
  return false;
}

int depth(const Value& value) {
  int deepest = value.is_container() ? 1 : 0;
  for (const Member& item : value.items) deepest = std::max(deepest, 1 + depth(item.value));
  return deepest;
}

size_t text_size(const Value& value) {
  if (!value.is_container()) return std::max<size_t>(value.text.size() + 2, value.raw.size());
  size_t size = 2;
  for (const Member& item : value.items) size += item.key.size() + 4 + text_size(item.value);
  return size;
}

std::string go_shown(const Value& value) {
  switch (value.kind) {
    case Kind::kNull:
      return "<nil>";
    case Kind::kBool:
      return value.flag ? "true" : "false";
    case Kind::kNumber:
    case Kind::kString:
      return std::string(value.text);
    case Kind::kArray:
    case Kind::kObject:
      break;
  }
  std::string out = value.is_object() ? "map[" : "[";
  for (size_t i = 0; i < value.items.size(); ++i) {
    if (i != 0) out += ' ';
    if (value.is_object()) out.append(value.items[i].key).append(":");
    out += go_shown(value.items[i].value);
  }
  return out + "]";
}

}  // namespace orch::api::doc
