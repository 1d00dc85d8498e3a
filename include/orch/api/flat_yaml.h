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

}  // namespace orch::api
