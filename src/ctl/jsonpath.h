// kubectl's JSONPath templates: "{.items[*].metadata.name}", with range/end, filters, unions,
// slices, recursion and quoted text. Missing fields give nothing, as in `kubectl get`.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/json_value.h"
#include "orch/base/result.h"

namespace orch::ctl {

class JsonPath {
 public:
  // A template; if `relaxed`, a bare path (".a.b" or "a.b") is taken as "{.a.b}". Error: what is
  // wrong with it.
  static Result<JsonPath, std::string> parse(std::string_view text, bool relaxed = false);
  ~JsonPath();
  JsonPath(JsonPath&&) noexcept;
  JsonPath& operator=(JsonPath&&) noexcept;

  std::string print(const api::JsonValue& value) const;
  // What the template's first path finds.
  std::vector<api::JsonValue> find(const api::JsonValue& value) const;

  struct Node;

 private:
  JsonPath();
  std::vector<Node> nodes_;
};

}  // namespace orch::ctl
