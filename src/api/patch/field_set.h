// A set of field paths, as managedFields stores it (structured-merge-diff's fieldpath, JSON form
// FieldsV1). A path element is kept as its text there: "f:name", `k:{"name":"x"}`, `v:"x"`, "i:0".
// Plain values, no locks.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/patch/json.h"
#include "orch/base/result.h"

namespace orch::api {

class FieldSet {
 public:
  struct Child;

  FieldSet();
  FieldSet(const FieldSet&);
  FieldSet(FieldSet&&) noexcept;
  FieldSet& operator=(const FieldSet&);
  FieldSet& operator=(FieldSet&&) noexcept;
  ~FieldSet();

  bool empty() const { return !member_ && children_.empty(); }
  // Whether the path that leads here is in the set.
  bool member() const { return member_; }
  void set_member() { member_ = true; }
  // Made if absent. The reference holds until the next change of this node.
  FieldSet& child(std::string element);
  const FieldSet* find(std::string_view element) const;
  const std::vector<Child>& children() const { return children_; }
  // Removes the element and all below it.
  void remove(std::string_view element);

  void add(const FieldSet& other);
  // Removes exactly the paths of `other`.
  void subtract(const FieldSet& other);
  FieldSet intersect(const FieldSet& other) const;
  bool operator==(const FieldSet& other) const;

  // All paths as shown in conflicts (`.spec.ports[name="x"].port`), members of a node first.
  void for_each(const std::function<void(const std::string& path)>& visit) const;

  // FieldsV1.
  void write(std::string& out) const;
  static Result<FieldSet, std::string> parse(const doc::Value& fields_v1);

 private:
  void for_each_below(std::string& path,
                      const std::function<void(const std::string&)>& visit) const;

  bool member_ = false;
  std::vector<Child> children_;  // sorted by element_less; none is empty()
};

struct FieldSet::Child {
  std::string element;
  FieldSet set;
};

// Order of elements: by kind (f, i, k, v), text; numbers in keys count as numbers.
bool element_less(std::string_view a, std::string_view b);
// As in a shown path: ".name", `[name="x"]`, `[="x"]`, "[0]".
std::string shown_element(std::string_view element);

}  // namespace orch::api
