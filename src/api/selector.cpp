#include "orch/api/selector.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/error.h"
#include "orch/api/scheme.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using Op = Requirement::Op;
template <class T>
using Parsed = Result<T, std::string>;

enum class Token : uint8_t {
  kError,
  kEnd,
  kClose,
  kComma,
  kNot,
  kDoubleEquals,
  kEquals,
  kGreater,
  kIdentifier,
  kIn,
  kLess,
  kNotEquals,
  kNotIn,
  kOpen
};

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
constexpr bool is_special(char c) {
  return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
}

Token symbol(std::string_view text) {
  struct Entry {
    std::string_view text;
    Token token;
  };
  constexpr Entry kSymbols[] = {
      {")", Token::kClose},         {",", Token::kComma},      {"!", Token::kNot},
      {"==", Token::kDoubleEquals}, {"=", Token::kEquals},     {">", Token::kGreater},
      {"<", Token::kLess},          {"!=", Token::kNotEquals}, {"(", Token::kOpen}};
  for (const Entry& entry : kSymbols) {
    if (entry.text == text) return entry.token;
  }
  return Token::kError;
}

struct Lexeme {
  Token token = Token::kEnd;
  std::string text;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Lexeme next() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    if (at_ >= text_.size()) return {};
    return is_special(text_[at_]) ? special() : word();
  }

 private:
  // The longest run of special characters that is a symbol.
  Lexeme special() {
    size_t begin = at_;
    Lexeme last{Token::kError, ""};
    while (at_ < text_.size() && is_special(text_[at_])) {
      std::string_view run = text_.substr(begin, at_ + 1 - begin);
      Token token = symbol(run);
      if (token == Token::kError && last.token != Token::kError) break;
      ++at_;
      if (token != Token::kError) last = {token, std::string(run)};
    }
    if (last.token == Token::kError) {
      last.text =
          fmt::format("error expected: keyword found '{}'", text_.substr(begin, at_ - begin));
    }
    return last;
  }

  Lexeme word() {
    size_t begin = at_;
    while (at_ < text_.size() && !is_space(text_[at_]) && !is_special(text_[at_])) ++at_;
    std::string text(text_.substr(begin, at_ - begin));
    Token token = text == "in" ? Token::kIn : text == "notin" ? Token::kNotIn : Token::kIdentifier;
    return {token, std::move(text)};
  }

  std::string_view text_;
  size_t at_ = 0;
};

Parsed<Unit> check_key(std::string_view key, std::string_view path) {
  std::string why = check_label_key(key);
  if (why.empty()) return Unit{};
  return Err(fmt::format("{}: Invalid value: {}: {}", path, go_quoted(key), why));
}

std::string list_shown(const std::vector<std::string>& values) {
  std::string out = "[]string{";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i != 0) out += ", ";
    out += go_quoted(values[i]);
  }
  return out + "}";
}

// Checks one requirement and collects all findings, as labels.NewRequirement does.
Parsed<Requirement> make_requirement(std::string key, Op op, std::vector<std::string> values,
                                     bool exact) {
  std::vector<std::string> errors;
  if (auto ok = check_key(key, "key"); !ok) errors.push_back(ok.error());
  auto bad_values = [&](std::string_view why) {
    errors.push_back(fmt::format("values: Invalid value: {}: {}", list_shown(values), why));
  };
  bool set_op = op == Op::kIn || op == Op::kNotIn;
  if (set_op && !exact && values.empty()) {
    bad_values("for 'in', 'notin' operators, values set can't be empty");
  } else if (set_op && exact && values.size() != 1) {
    bad_values("exact-match compatibility requires one single value");
  } else if ((op == Op::kExists || op == Op::kDoesNotExist) && !values.empty()) {
    bad_values("values set must be empty for exists and does not exist");
  } else if (op == Op::kGreater || op == Op::kLess) {
    if (values.size() != 1) bad_values("for 'Gt', 'Lt' operators, exactly one value is required");
    for (size_t i = 0; i < values.size(); ++i) {
      if (parse_int(values[i])) continue;
      errors.push_back(fmt::format(
          "values[{}]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
          i, go_quoted(values[i])));
    }
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::string why = check_label_value(values[i]); !why.empty()) {
      errors.push_back(
          fmt::format("values[{}][{}]: Invalid value: {}: {}", i, key, go_quoted(values[i]), why));
    }
  }
  if (errors.size() == 1) return Err(std::move(errors[0]));
  if (!errors.empty()) return Err("[" + join(errors, ", ") + "]");
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return Requirement{std::move(key), op, std::move(values), exact};
}

// The grammar of labels.Parse, with its error texts.
class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) { ahead_ = lexer_.next(); }

  Parsed<std::vector<Requirement>> parse() {
    std::vector<Requirement> requirements;
    while (true) {
      Token token = peek();
      if (token == Token::kEnd) return requirements;
      if (token != Token::kIdentifier && token != Token::kNot) {
        return Err(
            fmt::format("found '{}', expected: !, identifier, or 'end of string'", ahead_.text));
      }
      auto requirement = parse_requirement();
      if (!requirement) {
        return Err(fmt::format("unable to parse requirement: {}", requirement.error()));
      }
      requirements.push_back(std::move(requirement).value());
      Lexeme after = take();
      if (after.token == Token::kEnd) return requirements;
      if (after.token != Token::kComma) {
        return Err(fmt::format("found '{}', expected: ',' or 'end of string'", after.text));
      }
      token = peek();
      if (token != Token::kIdentifier && token != Token::kNot) {
        return Err(fmt::format("found '{}', expected: identifier after ','", ahead_.text));
      }
    }
  }

 private:
  // "in" and "notin" are words but where an operator stands.
  static Token as_word(Token token) {
    return token == Token::kIn || token == Token::kNotIn ? Token::kIdentifier : token;
  }
  Token peek() const { return as_word(ahead_.token); }
  Lexeme take_raw() {
    Lexeme taken = std::move(ahead_);
    ahead_ = lexer_.next();
    return taken;
  }
  Lexeme take() {
    Lexeme taken = take_raw();
    taken.token = as_word(taken.token);
    return taken;
  }

  Parsed<Requirement> parse_requirement() {
    Lexeme key = take();
    bool negated = key.token == Token::kNot;
    if (negated) key = take();
    if (key.token != Token::kIdentifier) {
      return Err(fmt::format("found '{}', expected: identifier", key.text));
    }
    ORCH_CHECK(check_key(key.text, "<nil>"));
    if (negated) return make_requirement(std::move(key.text), Op::kDoesNotExist, {}, false);
    if (peek() == Token::kEnd || peek() == Token::kComma) {
      return make_requirement(std::move(key.text), Op::kExists, {}, false);
    }
    Lexeme op = take_raw();
    std::vector<std::string> values;
    switch (op.token) {
      case Token::kIn:
      case Token::kNotIn: {
        ORCH_TRY(values, parse_values());
        Op set_op = op.token == Token::kIn ? Op::kIn : Op::kNotIn;
        return make_requirement(std::move(key.text), set_op, std::move(values), false);
      }
      case Token::kEquals:
      case Token::kDoubleEquals:
      case Token::kNotEquals: {
        ORCH_TRY(values, parse_exact());
        Op set_op = op.token == Token::kNotEquals ? Op::kNotIn : Op::kIn;
        return make_requirement(std::move(key.text), set_op, std::move(values), true);
      }
      case Token::kGreater:
      case Token::kLess: {
        ORCH_TRY(values, parse_exact());
        Op order_op = op.token == Token::kGreater ? Op::kGreater : Op::kLess;
        return make_requirement(std::move(key.text), order_op, std::move(values), false);
      }
      default:
        return Err(fmt::format("found '{}', expected: in, notin, =, ==, !=, gt, lt", op.text));
    }
  }

  Parsed<std::vector<std::string>> parse_values() {
    Lexeme open = take();
    if (open.token != Token::kOpen) return Err(fmt::format("found '{}' expected: '('", open.text));
    if (peek() == Token::kClose) {
      take();
      return std::vector<std::string>{};
    }
    if (peek() != Token::kIdentifier && peek() != Token::kComma) {
      return Err(fmt::format("found '{}', expected: ',', ')' or identifier", ahead_.text));
    }
    std::string first = ahead_.text;
    ORCH_TRY(auto values, parse_list());
    if (take().token != Token::kClose) return Err(fmt::format("found '{}', expected: ')'", first));
    return values;
  }

  Parsed<std::vector<std::string>> parse_list() {
    std::vector<std::string> values;
    while (true) {
      Lexeme item = take();
      if (item.token == Token::kIdentifier) {
        values.push_back(std::move(item.text));
        if (peek() == Token::kClose) return values;
        if (peek() != Token::kComma) {
          return Err(fmt::format("found '{}', expected: ',' or ')'", ahead_.text));
        }
      } else if (item.token == Token::kComma) {
        // "(,", ",)" and ",," each hold an empty value.
        if (values.empty()) values.emplace_back();
        if (peek() == Token::kClose) {
          values.emplace_back();
          return values;
        }
        if (peek() == Token::kComma) {
          take();
          values.emplace_back();
        }
      } else {
        return Err(fmt::format("found '{}', expected: ',', or identifier", item.text));
      }
    }
  }

  Parsed<std::vector<std::string>> parse_exact() {
    if (peek() == Token::kEnd || peek() == Token::kComma) return std::vector<std::string>{""};
    Lexeme value = take();
    if (value.token != Token::kIdentifier) {
      return Err(fmt::format("found '{}', expected: identifier", value.text));
    }
    return std::vector<std::string>{std::move(value.text)};
  }

  Lexer lexer_;
  Lexeme ahead_;
};

void sort_by_key(std::vector<Requirement>& requirements) {
  std::stable_sort(requirements.begin(), requirements.end(),
                   [](const Requirement& a, const Requirement& b) { return a.key < b.key; });
}

std::string shown(const Requirement& r) {
  switch (r.op) {
    case Op::kExists:
      return r.key;
    case Op::kDoesNotExist:
      return "!" + r.key;
    case Op::kGreater:
      return r.key + ">" + r.values[0];
    case Op::kLess:
      return r.key + "<" + r.values[0];
    case Op::kIn:
    case Op::kNotIn:
      break;
  }
  bool in = r.op == Op::kIn;
  if (r.exact) return r.key + (in ? "=" : "!=") + r.values[0];
  return r.key + (in ? " in (" : " notin (") + join(r.values, ",") + ")";
}

// Splits at commas that no backslash protects.
std::vector<std::string_view> split_terms(std::string_view text) {
  std::vector<std::string_view> terms;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == ',') {
      terms.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  terms.push_back(text.substr(std::min(begin, text.size())));
  return terms;
}

Parsed<std::string> unescape(std::string_view value) {
  std::string out;
  for (size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    if (c == '\\') {
      if (i + 1 == value.size()) {
        return Err(std::string("invalid field selector: invalid escape sequence: \\"));
      }
      c = value[++i];
      if (c != '\\' && c != ',' && c != '=') {
        return Err(fmt::format("invalid field selector: invalid escape sequence: \\{}", c));
      }
    } else if (c == ',' || c == '=') {
      return Err(fmt::format("invalid field selector: unescaped character in value: {}",
                             static_cast<int>(c)));
    }
    out += c;
  }
  return out;
}

}  // namespace

bool Requirement::matches(const Labels& labels) const {
  auto it = labels.find(key);
  bool has = it != labels.end();
  auto among = [&] { return std::find(values.begin(), values.end(), it->second) != values.end(); };
  switch (op) {
    case Op::kIn:
      return has && among();
    case Op::kNotIn:
      return !has || !among();
    case Op::kExists:
      return has;
    case Op::kDoesNotExist:
      return !has;
    case Op::kGreater:
    case Op::kLess: {
      if (!has || values.size() != 1) return false;
      auto left = parse_int(it->second), right = parse_int(values[0]);
      if (!left || !right) return false;
      return op == Op::kGreater ? *left > *right : *left < *right;
    }
  }
  return false;
}

Result<LabelSelector, std::string> LabelSelector::parse(std::string_view text) {
  LabelSelector selector;
  ORCH_TRY(selector.requirements_, Parser(text).parse());
  sort_by_key(selector.requirements_);
  return selector;
}

Result<LabelSelector, std::string> LabelSelector::from(const metav1::LabelSelector& selector) {
  LabelSelector out;
  for (const auto& [key, value] : selector.matchLabels) {
    ORCH_TRY(auto requirement, make_requirement(key, Op::kIn, {value}, true));
    out.requirements_.push_back(std::move(requirement));
  }
  for (const auto& expression : selector.matchExpressions) {
    Op op;
    if (expression.operator_ == "In") {
      op = Op::kIn;
    } else if (expression.operator_ == "NotIn") {
      op = Op::kNotIn;
    } else if (expression.operator_ == "Exists") {
      op = Op::kExists;
    } else if (expression.operator_ == "DoesNotExist") {
      op = Op::kDoesNotExist;
    } else {
      return Err(fmt::format("{} is not a valid label selector operator",
                             go_quoted(expression.operator_)));
    }
    ORCH_TRY(auto requirement, make_requirement(expression.key, op, expression.values, false));
    out.requirements_.push_back(std::move(requirement));
  }
  sort_by_key(out.requirements_);
  return out;
}

LabelSelector LabelSelector::nothing() {
  LabelSelector selector;
  selector.nothing_ = true;
  return selector;
}

LabelSelector LabelSelector::of(const Labels& exact) {
  LabelSelector selector;
  for (const auto& [key, value] : exact) {
    selector.requirements_.push_back({key, Op::kIn, {value}, true});
  }
  return selector;
}

bool LabelSelector::matches(const Labels& labels) const {
  if (nothing_) return false;
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& r) { return r.matches(labels); });
}

std::string LabelSelector::str() const {
  std::string out;
  for (const Requirement& requirement : requirements_) {
    if (!out.empty()) out += ",";
    out += shown(requirement);
  }
  return out;
}

Result<FieldSelector, std::string> FieldSelector::parse(std::string_view text) {
  FieldSelector selector;
  std::vector<std::string_view> terms = split_terms(text);
  std::sort(terms.begin(), terms.end());
  for (std::string_view term : terms) {
    if (term.empty()) continue;
    size_t at = term.find_first_of("!=");
    while (at != term.npos && term[at] == '!' && term.substr(at, 2) != "!=") {
      at = term.find_first_of("!=", at + 1);
    }
    if (at == term.npos) {
      return Err(fmt::format("invalid selector: '{}'; can't understand '{}'", text, term));
    }
    bool negated = term[at] == '!';
    size_t op_size = negated || term.substr(at, 2) == "==" ? 2 : 1;
    ORCH_TRY(auto value, unescape(term.substr(at + op_size)));
    selector.requirements_.push_back({std::string(term.substr(0, at)), std::move(value), !negated});
  }
  return selector;
}

bool FieldSelector::matches(const std::function<std::string(std::string_view)>& value_of) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const FieldRequirement& r) {
    return (value_of(r.field) == r.value) == r.equal;
  });
}

std::optional<std::string> FieldSelector::exact(std::string_view field) const {
  for (const FieldRequirement& requirement : requirements_) {
    if (requirement.equal && requirement.field == field) return requirement.value;
  }
  return std::nullopt;
}

}  // namespace orch::api
