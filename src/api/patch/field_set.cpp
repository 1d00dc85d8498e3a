#include "api/patch/field_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/error.h"
#include "orch/base/json_scan.h"

namespace orch::api {
namespace {

using doc::Member;
using doc::Value;
using Children = std::vector<FieldSet::Child>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

auto position(auto& children, std::string_view element) {
  return std::lower_bound(
      children.begin(), children.end(), element,
      [](const FieldSet::Child& c, std::string_view e) { return element_less(c.element, e); });
}

std::string shown_value(const Value& value) {
  return value.is_string() ? go_quoted(value.text) : doc::to_text(value);
}

// Keys and values in the one form that comparison relies on: compact, members sorted.
Result<std::string, std::string> canonical(std::string_view element) {
  if (element.starts_with("f:") || element.starts_with("i:")) return std::string(element);
  doc::Arena arena;
  auto value = doc::parse(element.substr(2), arena);
  if (!value) return Err(fmt::format("{}: {}", element, value.error().message));
  if (element[0] == 'k' && !value->is_object()) {
    return Err(fmt::format("{}: a key must be an object", element));
  }
  return std::string(element.substr(0, 2)) + doc::to_text(*value);
}

}  // namespace

FieldSet::FieldSet() = default;
FieldSet::FieldSet(const FieldSet&) = default;
FieldSet::FieldSet(FieldSet&&) noexcept = default;
FieldSet& FieldSet::operator=(const FieldSet&) = default;
FieldSet& FieldSet::operator=(FieldSet&&) noexcept = default;
FieldSet::~FieldSet() = default;

bool element_less(std::string_view a, std::string_view b) {
  if (a.starts_with("f:")) return a < b;  // no numbers to look into
  size_t n = std::min(a.size(), b.size()), i = 0, digits = 0;
  bool quoted = false;
  for (; i < n && a[i] == b[i]; ++i) {
    if (a[i] == '"') quoted = !quoted;
    digits = is_digit(a[i]) ? digits + 1 : 0;
  }
  bool digit_a = i < a.size() && is_digit(a[i]), digit_b = i < b.size() && is_digit(b[i]);
  if (!quoted && (digits > 0 || (digit_a && digit_b))) {
    // Inside a number: the longer one is greater.
    size_t end_a = i, end_b = i;
    while (end_a < a.size() && is_digit(a[end_a])) ++end_a;
    while (end_b < b.size() && is_digit(b[end_b])) ++end_b;
    if (end_a != end_b) return end_a < end_b;
  }
  if (i == a.size() || i == b.size()) return a.size() < b.size();
  return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
}

std::string shown_element(std::string_view element) {
  std::string_view rest = element.substr(2);
  if (element[0] == 'f') return fmt::format(".{}", rest);
  if (element[0] == 'i') return fmt::format("[{}]", rest);
  doc::Arena arena;
  auto value = doc::parse(rest, arena);
  if (!value) return fmt::format("[{}]", rest);
  if (element[0] == 'v') return fmt::format("[={}]", shown_value(*value));
  std::string out;
  for (const Member& member : value->items) {
    if (!out.empty()) out += ',';
    out.append(member.key).append("=").append(shown_value(member.value));
  }
  return "[" + out + "]";
}

FieldSet& FieldSet::child(std::string element) {
  // Mostly they come in order, and paths lead through the last one.
  if (!children_.empty() && children_.back().element == element) return children_.back().set;
  if (children_.empty() || element_less(children_.back().element, element)) {
    return children_.emplace_back(Child{std::move(element), {}}).set;
  }
  auto it = position(children_, element);
  if (it == children_.end() || it->element != element) {
    it = children_.insert(it, Child{std::move(element), {}});
  }
  return it->set;
}

const FieldSet* FieldSet::find(std::string_view element) const {
  auto it = position(children_, element);
  return it != children_.end() && it->element == element ? &it->set : nullptr;
}

void FieldSet::remove(std::string_view element) {
  auto it = position(children_, element);
  if (it != children_.end() && it->element == element) children_.erase(it);
}

void FieldSet::add(const FieldSet& other) {
  member_ = member_ || other.member_;
  if (children_.empty()) {
    children_ = other.children_;
    return;
  }
  for (const Child& theirs : other.children_) child(theirs.element).add(theirs.set);
}

void FieldSet::subtract(const FieldSet& other) {
  if (other.member_) member_ = false;
  bool emptied = false;
  for (const Child& theirs : other.children_) {
    auto it = position(children_, theirs.element);
    if (it == children_.end() || it->element != theirs.element) continue;
    it->set.subtract(theirs.set);
    emptied = emptied || it->set.empty();
  }
  if (emptied) std::erase_if(children_, [](const Child& c) { return c.set.empty(); });
}

FieldSet FieldSet::intersect(const FieldSet& other) const {
  FieldSet out;
  out.member_ = member_ && other.member_;
  for (const Child& ours : children_) {
    const FieldSet* theirs = other.find(ours.element);
    if (theirs == nullptr) continue;
    FieldSet both = ours.set.intersect(*theirs);
    if (!both.empty()) out.children_.push_back({ours.element, std::move(both)});
  }
  return out;
}

bool FieldSet::operator==(const FieldSet& other) const {
  return member_ == other.member_ &&
         std::equal(children_.begin(), children_.end(), other.children_.begin(),
                    other.children_.end(), [](const Child& a, const Child& b) {
                      return a.element == b.element && a.set == b.set;
                    });
}

void FieldSet::for_each(const std::function<void(const std::string&)>& visit) const {
  std::string path;
  for_each_below(path, visit);
}

void FieldSet::for_each_below(std::string& path,
                              const std::function<void(const std::string&)>& visit) const {
  size_t length = path.size();
  for (bool members : {true, false}) {
    for (const Child& child : children_) {
      if (members ? !child.set.member_ : child.set.children_.empty()) continue;
      path += shown_element(child.element);
      if (members) {
        visit(path);
      } else {
        child.set.for_each_below(path, visit);
      }
      path.resize(length);
    }
  }
}

void FieldSet::write(std::string& out) const {
  out += '{';
  bool first = true;
  if (member_ && !children_.empty()) {
    out += "\".\":{}";
    first = false;
  }
  for (const Child& child : children_) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, child.element);
    out += ':';
    child.set.write(out);
  }
  out += '}';
}

Result<FieldSet, std::string> FieldSet::parse(const Value& fields_v1) {
  FieldSet set;
  if (!fields_v1.is_object()) return Err(std::string("fieldsV1 must be an object"));
  for (const Member& member : fields_v1.items) {
    if (member.key == ".") {
      set.member_ = true;
      continue;
    }
    if (member.key.size() < 2 || member.key[1] != ':') {
      return Err(fmt::format("missing colon: {}", member.key));
    }
    // Kinds of elements that a later version may bring are skipped.
    if (std::string_view("fkvi").find(member.key[0]) == std::string_view::npos) continue;
    ORCH_TRY(std::string element, canonical(member.key));
    ORCH_TRY(FieldSet below, parse(member.value));
    if (member.value.empty()) below.member_ = true;
    if (!below.empty()) set.child(element).add(below);
  }
  return set;
}

}  // namespace orch::api
