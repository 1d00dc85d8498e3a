// --runtime-config: APIs that are off by default, as kube-apiserver's flag of that name.
#pragma once

#include <string>
#include <vector>

#include "orch/base/result.h"

namespace orch::cmd {

// Items are GROUP/VERSION, GROUP/VERSION=true or =false, and api/alpha or api/all for all of them.
// Before anything else asks for resources. The error names the item.
Result<Unit, std::string> serve_apis(const std::vector<std::string>& items);

}  // namespace orch::cmd
