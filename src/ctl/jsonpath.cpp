#include "ctl/jsonpath.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>

#include "orch/base/strings.h"

namespace orch::ctl {

using api::JsonValue;

namespace {

struct Step;
using Path = std::vector<Step>;

// One side of a filter's comparison.
struct Operand {
  std::optional<JsonValue> literal;
  std::shared_ptr<Path> path;
};

struct Step {
  enum class Kind { kField, kWildcard, kRecursive, kSlice, kFilter, kUnion };
  Kind kind = Kind::kField;
  std::string field;
  std::optional<int64_t> from, to;  // kSlice
  int64_t step = 1;
  bool is_index = false;      // kSlice of the one element `from`
  Operand left, right;        // kFilter
  std::string op;             // "" = exists
  std::vector<Path> choices;  // kUnion
};

}  // namespace

struct JsonPath::Node {
  enum class Kind { kText, kPath, kRange };
  Kind kind = Kind::kText;
  std::string text;
  Path path;
  std::vector<Node> body;  // kRange
};

JsonPath::JsonPath() = default;
JsonPath::~JsonPath() = default;
JsonPath::JsonPath(JsonPath&&) noexcept = default;
JsonPath& JsonPath::operator=(JsonPath&&) noexcept = default;

namespace {

using Node = JsonPath::Node;
using Error = std::string;

constexpr int kDepthMax = 100;

std::string unescape(char c) {
  switch (c) {
    case 'n':
      return "\n";
    case 't':
      return "\t";
    case 'r':
      return "\r";
    default:
      return std::string(1, c);
  }
}

// Reads one action's inside: what stands between { and }.
class PathParser {
 public:
  explicit PathParser(std::string_view text, int depth = 0) : text_(text), depth_(depth) {}

  Result<Path, Error> path() {
    if (depth_ > kDepthMax) return Err(Error("nested too deeply"));
    Path out;
    skip_spaces();
    if (peek() == '$' || peek() == '@') ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '.') {
        ORCH_CHECK(dotted(out));
      } else if (c == '[') {
        ORCH_CHECK(bracketed(out));
      } else if (out.empty() && c != ' ') {
        ORCH_CHECK(name(out));  // "metadata.name"
      } else {
        break;
      }
    }
    skip_spaces();
    if (at_ < text_.size()) {
      return Err(fmt::format("unrecognized character in action: U+{:04X} '{}'",
                             static_cast<unsigned char>(text_[at_]), text_[at_]));
    }
    return out;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_spaces() {
    while (peek() == ' ') ++at_;
  }

  Result<Unit, Error> dotted(Path& out) {
    ++at_;
    if (peek() == '.') {
      ++at_;
      Step step;
      step.kind = Step::Kind::kRecursive;
      out.push_back(step);
      if (peek() == '[' || peek() == '\0') return Unit{};
    }
    if (peek() == '[' || peek() == '\0' || peek() == ' ') return Unit{};
    return name(out);
  }

  Result<Unit, Error> name(Path& out) {
    Step step;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\' && at_ + 1 < text_.size()) {
        step.field += text_[at_ + 1];
        at_ += 2;
        continue;
      }
      if (c == '.' || c == '[' || c == ' ' || c == ')' || c == ']' || c == '=' || c == '!' ||
          c == '<' || c == '>') {
        break;
      }
      step.field += c;
      ++at_;
    }
    if (step.field.empty()) return Err(fmt::format("unexpected '{}'", peek()));
    if (step.field == "*") step.kind = Step::Kind::kWildcard;
    out.push_back(std::move(step));
    return Unit{};
  }

  // The text up to the matching ']'; quotes and nested brackets are skipped over.
  Result<std::string_view, Error> inside_brackets() {
    const size_t from = ++at_;
    int depth = 1;
    char quote = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (quote != 0) {
        if (c == '\\') {
          ++at_;
        } else if (c == quote) {
          quote = 0;
        }
      } else if (c == '\'' || c == '"') {
        quote = c;
      } else if (c == '[') {
        ++depth;
      } else if (c == ']' && --depth == 0) {
        return text_.substr(from, at_++ - from);
      }
    }
    return Err(Error("unterminated array"));
  }

  Result<Unit, Error> bracketed(Path& out) {
    ORCH_TRY(const std::string_view inside, inside_brackets());
    const std::string_view text = trim(inside);
    if (text.starts_with("?(") && text.ends_with(")")) {
      return filter(text.substr(2, text.size() - 3), out);
    }
    std::vector<std::string_view> parts;
    char quote = 0;
    size_t from = 0;
    for (size_t i = 0; i <= text.size(); ++i) {
      if (i == text.size() || (quote == 0 && text[i] == ',')) {
        parts.push_back(trim(text.substr(from, i - from)));
        from = i + 1;
      } else if (quote != 0 && text[i] == quote) {
        quote = 0;
      } else if (quote == 0 && (text[i] == '\'' || text[i] == '"')) {
        quote = text[i];
      }
    }
    if (parts.size() == 1) return one_subscript(parts[0], out);
    Step step;
    step.kind = Step::Kind::kUnion;
    for (const std::string_view part : parts) {
      step.choices.emplace_back();
      ORCH_CHECK(one_subscript(part, step.choices.back()));
    }
    out.push_back(std::move(step));
    return Unit{};
  }

  Result<Unit, Error> one_subscript(std::string_view text, Path& out) {
    Step step;
    if (text == "*") {
      step.kind = Step::Kind::kWildcard;
    } else if (text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0]) {
      for (size_t i = 1; i + 1 < text.size(); ++i) {
        if (text[i] == '\\' && i + 2 < text.size()) ++i;
        step.field += text[i];
      }
    } else if (text.find(':') != std::string_view::npos) {
      step.kind = Step::Kind::kSlice;
      const std::vector<std::string> bounds = split(std::string(text) + " ", ':');
      if (bounds.size() > 3) return Err(fmt::format("invalid array index {}", text));
      for (size_t i = 0; i < bounds.size(); ++i) {
        const std::string_view bound = trim(bounds[i]);
        if (bound.empty()) continue;
        const auto number = parse_int(bound);
        if (!number) return Err(fmt::format("invalid array index {}", text));
        if (i == 0) step.from = *number;
        if (i == 1) step.to = *number;
        if (i == 2) step.step = *number;
      }
      if (step.step <= 0) return Err(Error("step must be > 0"));
    } else if (const auto index = parse_int(text)) {
      step.kind = Step::Kind::kSlice;
      step.is_index = true;
      step.from = *index;
    } else if (!text.empty() && text.find_first_of("?()@'\"") == std::string_view::npos) {
      step.field = std::string(text);
    } else {
      return Err(fmt::format("invalid array index {}", text));
    }
    out.push_back(std::move(step));
    return Unit{};
  }

  Result<Operand, Error> operand(std::string_view text) {
    Operand out;
    text = trim(text);
    if (text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0]) {
      out.literal = JsonValue(text.substr(1, text.size() - 2));
    } else if (text == "true" || text == "false") {
      out.literal = JsonValue(text == "true");
    } else if (const auto number = parse_int(text)) {
      out.literal = JsonValue(*number);
    } else {
      ORCH_TRY(Path path, PathParser(text, depth_ + 1).path());
      out.path = std::make_shared<Path>(std::move(path));
    }
    return out;
  }

  Result<Unit, Error> filter(std::string_view text, Path& out) {
    Step step;
    step.kind = Step::Kind::kFilter;
    char quote = 0;
    size_t op_at = std::string_view::npos;
    for (size_t i = 0; i < text.size() && op_at == std::string_view::npos; ++i) {
      if (quote != 0) {
        if (text[i] == quote) quote = 0;
      } else if (text[i] == '\'' || text[i] == '"') {
        quote = text[i];
      } else if (text[i] == '=' || text[i] == '!' || text[i] == '<' || text[i] == '>') {
        op_at = i;
      }
    }
    std::string_view left = text;
    if (op_at != std::string_view::npos) {
      const bool two = op_at + 1 < text.size() && text[op_at + 1] == '=';
      step.op = std::string(text.substr(op_at, two ? 2 : 1));
      if (step.op == "=" || step.op == "!") {
        return Err(fmt::format("unrecognized filter operator {}", step.op));
      }
      left = text.substr(0, op_at);
      ORCH_TRY(step.right, operand(text.substr(op_at + step.op.size())));
    }
    ORCH_TRY(step.left, operand(left));
    out.push_back(std::move(step));
    return Unit{};
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_;
};

std::vector<JsonValue> walk(const Path& path, const JsonValue& root);

bool compare(const JsonValue& a, const std::string& op, const JsonValue& b) {
  if (op == "==") return a == b;
  if (op == "!=") return !(a == b);
  int order = 0;
  if (a.is_number() && b.is_number()) {
    const double x = std::strtod(a.text().c_str(), nullptr),
                 y = std::strtod(b.text().c_str(), nullptr);
    order = x < y ? -1 : x > y ? 1 : 0;
  } else if (a.is_string() && b.is_string()) {
    order = a.text().compare(b.text());
  } else {
    return false;
  }
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  if (op == ">") return order > 0;
  return order >= 0;
}

bool passes(const Step& step, const JsonValue& value) {
  auto values = [&](const Operand& operand) {
    return operand.literal ? std::vector<JsonValue>{*operand.literal} : walk(*operand.path, value);
  };
  const auto left = values(step.left);
  if (left.empty()) return false;
  if (step.op.empty()) return true;
  const auto right = values(step.right);
  return !right.empty() && compare(left[0], step.op, right[0]);
}

void descend(const JsonValue& value, std::vector<JsonValue>& out) {
  out.push_back(value);
  for (const JsonValue& item : value.items()) descend(item, out);
  for (const auto& [key, member] : value.members()) descend(member, out);
}

void slice(const Step& step, const JsonValue& value, std::vector<JsonValue>& out) {
  const std::vector<JsonValue> items = value.items();
  const auto size = static_cast<int64_t>(items.size());
  auto bound = [&](std::optional<int64_t> given, int64_t fallback) {
    if (!given) return fallback;
    return *given < 0 ? *given + size : *given;
  };
  const int64_t from = bound(step.from, 0);
  const int64_t to = step.is_index ? from + 1 : std::min(size, bound(step.to, size));
  for (int64_t i = std::max<int64_t>(from, step.is_index ? from : 0); i < to; i += step.step) {
    if (i >= 0 && i < size) out.push_back(items[static_cast<size_t>(i)]);
  }
}

void take_step(const Step& step, const JsonValue& value, std::vector<JsonValue>& out) {
  switch (step.kind) {
    case Step::Kind::kField:
      if (value.has(step.field)) out.push_back(value.get(step.field));
      break;
    case Step::Kind::kWildcard:
      for (JsonValue& item : value.items()) out.push_back(std::move(item));
      for (auto& [key, member] : value.members()) out.push_back(std::move(member));
      break;
    case Step::Kind::kRecursive:
      descend(value, out);
      break;
    case Step::Kind::kSlice:
      slice(step, value, out);
      break;
    case Step::Kind::kFilter:
      for (JsonValue& item : value.items()) {
        if (passes(step, item)) out.push_back(std::move(item));
      }
      break;
    case Step::Kind::kUnion:
      for (const Path& choice : step.choices) {
        for (JsonValue& found : walk(choice, value)) out.push_back(std::move(found));
      }
      break;
  }
}

std::vector<JsonValue> walk(const Path& path, const JsonValue& root) {
  std::vector<JsonValue> now{root};
  for (const Step& step : path) {
    std::vector<JsonValue> next;
    for (const JsonValue& value : now) take_step(step, value, next);
    now = std::move(next);
  }
  return now;
}

std::string shown(const JsonValue& value) {
  return value.is_object() || value.is_array() ? value.dump_go() : value.text();
}

void print_nodes(const std::vector<Node>& nodes, const JsonValue& value, std::string& out) {
  for (const Node& node : nodes) {
    if (node.kind == Node::Kind::kText) {
      out += node.text;
    } else if (node.kind == Node::Kind::kRange) {
      for (const JsonValue& item : walk(node.path, value)) print_nodes(node.body, item, out);
    } else {
      std::vector<std::string> texts;
      for (const JsonValue& found : walk(node.path, value)) texts.push_back(shown(found));
      out += join(texts, " ");
    }
  }
}

// The end of an action: the '}' that is not in quotes.
size_t end_of_action(std::string_view text, size_t at) {
  char quote = 0;
  for (; at < text.size(); ++at) {
    if (quote != 0) {
      if (text[at] == '\\') {
        ++at;
      } else if (text[at] == quote) {
        quote = 0;
      }
    } else if (text[at] == '"' || text[at] == '\'') {
      quote = text[at];
    } else if (text[at] == '}') {
      return at;
    }
  }
  return std::string_view::npos;
}

Result<Unit, Error> parse_nodes(std::string_view text, size_t& at, bool in_range, int depth,
                                std::vector<Node>& out) {
  if (depth > kDepthMax) return Err(Error("nested too deeply"));
  while (at < text.size()) {
    if (text[at] != '{') {
      const size_t brace = std::min(text.find('{', at), text.size());
      out.push_back({Node::Kind::kText, std::string(text.substr(at, brace - at)), {}, {}});
      at = brace;
      continue;
    }
    const size_t end = end_of_action(text, at + 1);
    if (end == std::string_view::npos) return Err(Error("unclosed action"));
    const std::string_view action = trim(text.substr(at + 1, end - at - 1));
    at = end + 1;
    if (action == "end") {
      if (!in_range) return Err(Error("not in range, nothing to end"));
      return Unit{};
    }
    if (action.starts_with("range") && action.size() > 5 &&
        (action[5] == ' ' || action[5] == '.')) {
      Node node{Node::Kind::kRange, "", {}, {}};
      ORCH_TRY(node.path, PathParser(action.substr(5)).path());
      ORCH_CHECK(parse_nodes(text, at, true, depth + 1, node.body));
      out.push_back(std::move(node));
    } else if (!action.empty() && (action[0] == '"' || action[0] == '\'')) {
      Node node{Node::Kind::kText, "", {}, {}};
      for (size_t i = 1; i + 1 < action.size(); ++i) {
        if (action[i] == '\\' && i + 2 < action.size()) {
          node.text += unescape(action[++i]);
        } else {
          node.text += action[i];
        }
      }
      out.push_back(std::move(node));
    } else {
      Node node{Node::Kind::kPath, "", {}, {}};
      ORCH_TRY(node.path, PathParser(action).path());
      out.push_back(std::move(node));
    }
  }
  if (in_range) return Err(Error("unclosed range: no {end}"));
  return Unit{};
}

}  // namespace

Result<JsonPath, std::string> JsonPath::parse(std::string_view text, bool relaxed) {
  std::string source(text);
  if (relaxed && text.find('{') == std::string_view::npos) {
    source = std::string(trim(text));
    const bool rooted =
        source.starts_with('.') || source.starts_with('[') || source.starts_with('$');
    source = (rooted ? "{" : "{.") + source + "}";
  }
  JsonPath out;
  size_t at = 0;
  auto parsed = parse_nodes(source, at, false, 0, out.nodes_);
  if (!parsed) {
    return Err(fmt::format("error parsing jsonpath {}, {}", source, parsed.error()));
  }
  return out;
}

std::string JsonPath::print(const JsonValue& value) const {
  std::string out;
  print_nodes(nodes_, value, out);
  return out;
}

std::vector<JsonValue> JsonPath::find(const JsonValue& value) const {
  for (const Node& node : nodes_) {
    if (node.kind == Node::Kind::kPath) return walk(node.path, value);
  }
  return {};
}

}  // namespace orch::ctl
