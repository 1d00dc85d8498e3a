// What -f names: files, directories (.yaml, .yml, .json) and "-", each with any number of
// documents; Lists are taken apart.
#pragma once

#include <string>
#include <vector>

#include "ctl/failure.h"
#include "orch/api/json_value.h"

namespace orch::ctl {

struct Manifest {
  api::JsonValue object;
  std::string source;  // file name, for errors
  std::string api_version() const { return object.get("apiVersion").text(); }
  std::string kind() const { return object.get("kind").text(); }
  std::string name() const { return object.at("metadata.name").text(); }
  std::string namespace_() const { return object.at("metadata.namespace").text(); }
};

// In the order named; directories sorted by name.
Outcome<std::vector<Manifest>> read_manifests(const std::vector<std::string>& names,
                                              bool recursive);
Outcome<std::vector<Manifest>> parse_manifests(std::string_view text, const std::string& source);

}  // namespace orch::ctl
