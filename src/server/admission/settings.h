// Which admission plugins run and how they are set: --enable-admission-plugins,
// --disable-admission-plugins and the file of --admission-control-config-file (upstream's
// AdmissionConfiguration).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "orch/base/result.h"

namespace orch::server {

struct AdmissionSettings {
  std::vector<std::string> enabled, disabled;
  std::map<std::string, std::string> configuration;  // plugin -> its configuration as JSON
};

// Adds the plugins' configurations; those in files of their own are read, relative to `path`.
// Error: the file and what is wrong in it.
Result<Unit, std::string> read_admission_configuration(const std::string& path,
                                                       AdmissionSettings& settings);

}  // namespace orch::server
