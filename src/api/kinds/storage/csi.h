// What the kinds about CSI drivers share.
#pragma once

#include <string>

#include "orch/api/error.h"

namespace orch::api {

// Names of drivers: a DNS subdomain that may have capitals, 63 bytes at most.
void validate_driver_name(const std::string& name, const std::string& path, FieldErrors& errors);

}  // namespace orch::api
