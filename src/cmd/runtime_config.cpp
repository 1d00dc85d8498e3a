#include "cmd/runtime_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/on_request.h"
#include "orch/base/strings.h"

namespace orch::cmd {

Result<Unit, std::string> serve_apis(const std::vector<std::string>& items) {
  const auto known = api::apis_on_request();
  for (const auto& item : items) {
    const size_t equals = item.find('=');
    const std::string name = item.substr(0, equals);
    const std::string value = equals == std::string::npos ? "true" : item.substr(equals + 1);
    if (value != "true" && value != "false") {
      return Err(
          fmt::format("--runtime-config: {}: \"{}\" is neither true nor false", name, value));
    }
    const bool all = name == "api/all" || name == "api/alpha";
    if (!all && std::find(known.begin(), known.end(), name) == known.end()) {
      return Err(
          fmt::format("--runtime-config: \"{}\" is no API to be turned on or off; these are: {}",
                      name, join(known, ", ")));
    }
    if (value == "false") continue;
    for (const auto& api_version : known) {
      if (all || api_version == name) api::serve_api(api_version);
    }
  }
  return Unit{};
}

}  // namespace orch::cmd
