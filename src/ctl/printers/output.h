// -o: objects as JSON, YAML, names, JSONPath or custom columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/failure.h"
#include "ctl/flags.h"
#include "ctl/jsonpath.h"
#include "ctl/session.h"
#include "orch/api/json_value.h"

namespace orch::ctl {

class Output {
 public:
  enum class Kind { kDefault, kWide, kJson, kYaml, kName, kJsonPath, kCustomColumns };

  // From -o and --show-managed-fields. Error: `unable to match a printer suitable for the output
  // format "x", allowed formats are: ...`.
  static Outcome<Output> of(const Flags& flags);
  Kind kind() const { return kind_; }
  // JSON with its fields as they come, not sorted: what Go's typed structs print.
  void keep_order() { keeps_order_ = true; }
  // Is the object itself printed (json, yaml, jsonpath, columns)?
  bool prints_objects() const { return kind_ >= Kind::kJson && kind_ != Kind::kName; }

  // The text of one object (or List) after a write or a get; not for kDefault, kWide, kName.
  std::string object_text(api::JsonValue object) const;
  // Custom columns for rows of `objects`.
  std::vector<std::vector<std::string>> column_rows(const std::vector<api::JsonValue>& objects,
                                                    bool headers) const;
  // What a writing verb prints: "deployment.apps/web created", the name, or the object.
  void print_done(const Target& target, std::string_view done, const api::JsonValue& object) const;

 private:
  Kind kind_ = Kind::kDefault;
  bool managed_fields_ = false;
  bool keeps_order_ = false;
  mutable bool printed_ = false;  // YAML documents after the first get a line "---"
  std::vector<std::string> headers_;
  std::vector<JsonPath> paths_;
};

}  // namespace orch::ctl
