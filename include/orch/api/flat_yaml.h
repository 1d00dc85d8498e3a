// A configuration file as flat keys: one YAML mapping of scalars and lists of scalars.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::api {

using FlatYaml = std::map<std::string, std::vector<std::string>>;

// Scalars become one value, lists several; null an empty list. Error: what is wrong and at which
// line or key. Stateless; any thread.
Result<FlatYaml, std::string> read_flat_yaml(std::string_view text);

// The same as one JSON object (all JSON of this shape is YAML too): lists of exactly one value as a
// string, others as arrays. What orch's own join messages and state files are written in.
std::string write_flat_json(const FlatYaml& values);
// The first value of a key, "" if there is none.
std::string flat_value(const FlatYaml& values, std::string_view key);

}  // namespace orch::api
