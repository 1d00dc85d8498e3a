#include "orch/api/flat_yaml.h"

#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>

namespace orch::api {
namespace {

Result<std::vector<std::string>, std::string> values_of(const std::string& key,
                                                        const YAML::Node& node) {
  std::vector<std::string> values;
  if (node.IsNull()) return values;
  if (node.IsScalar()) {
    values.push_back(node.Scalar());
    return values;
  }
  if (!node.IsSequence()) return Err(key + ": must be a value or a list of values");
  for (const auto& item : node) {
    if (!item.IsScalar()) return Err(key + ": every list entry must be a plain value");
    values.push_back(item.Scalar());
  }
  return values;
}

}  // namespace

Result<FlatYaml, std::string> read_flat_yaml(std::string_view text) {
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    FlatYaml out;
    if (root.IsNull()) return out;
    if (!root.IsMap()) return Err(std::string("must be a mapping of keys to values"));
    for (const auto& entry : root) {
      if (!entry.first.IsScalar()) return Err(std::string("every key must be a plain word"));
      const std::string key = entry.first.Scalar();
      ORCH_TRY(auto values, values_of(key, entry.second));
      if (!out.emplace(key, std::move(values)).second) return Err(key + ": given twice");
    }
    return out;
  } catch (const YAML::Exception& e) {
    return Err(std::string(e.what()));
  }
}

std::string write_flat_json(const FlatYaml& values) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [key, list] : values) {
    if (list.size() == 1) {
      out[key] = list[0];
    } else {
      out[key] = list;
    }
  }
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string flat_value(const FlatYaml& values, std::string_view key) {
  auto it = values.find(std::string(key));
  return it == values.end() || it->second.empty() ? "" : it->second.front();
}

}  // namespace orch::api
