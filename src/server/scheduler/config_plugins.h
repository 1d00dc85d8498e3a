// The parts of a profile's configuration that name plugins.
#pragma once

#include "server/scheduler/config.h"
#include "server/scheduler/config_reader.h"

namespace orch::server::scheduler {

// profiles[i].plugins: which plugins run where.
void read_plugins(ConfigReader& reader, const At& at, ProfileConfig& out);
// profiles[i].pluginConfig: their arguments.
void read_plugin_config(ConfigReader& reader, const At& at, PluginArgs& out);

}  // namespace orch::server::scheduler
