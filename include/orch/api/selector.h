// Label and field selectors: parse, match, print. Values; any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/metav1.h"  // generated
#include "orch/base/result.h"

namespace orch::api {

using Labels = std::map<std::string, std::string>;

struct Requirement {
  enum class Op { kIn, kNotIn, kExists, kDoesNotExist, kGreater, kLess };
  std::string key;
  Op op;
  std::vector<std::string> values;  // sorted
  bool exact = false;               // kIn, kNotIn: written as "=" and "!="
  bool matches(const Labels& labels) const;
};

class LabelSelector {
 public:
  // "a=b,c!=d,e in (f,g),!h". "" matches everything. Error texts as apimachinery's.
  static Result<LabelSelector, std::string> parse(std::string_view text);
  // From the API type; a null selector matches nothing, an empty one everything.
  static Result<LabelSelector, std::string> from(const metav1::LabelSelector& selector);
  static LabelSelector everything() { return {}; }
  static LabelSelector nothing();
  static LabelSelector of(const Labels& exact);
  bool matches(const Labels& labels) const;
  bool empty() const { return requirements_.empty() && !nothing_; }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  std::string str() const;

 private:
  bool nothing_ = false;
  std::vector<Requirement> requirements_;
};

struct FieldRequirement {
  std::string field, value;
  bool equal = true;
};

class FieldSelector {
 public:
  // "metadata.name=x,status.phase!=Running".
  static Result<FieldSelector, std::string> parse(std::string_view text);
  // `value_of(field)` gives the object's value of a supported field.
  bool matches(const std::function<std::string(std::string_view)>& value_of) const;
  bool empty() const { return requirements_.empty(); }
  const std::vector<FieldRequirement>& requirements() const { return requirements_; }
  // The value required by equality, if there is one.
  std::optional<std::string> exact(std::string_view field) const;

 private:
  std::vector<FieldRequirement> requirements_;
};

}  // namespace orch::api
