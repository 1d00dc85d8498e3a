// The makers of all plugins of plugins.def.
#pragma once

#include <memory>

#include "server/scheduler/framework.h"

namespace orch::server::scheduler::plugins {

#define ORCH_PLUGIN(name, weight) std::unique_ptr<Plugin> make_##name(const client::Client& client);
#include "server/scheduler/plugins/plugins.def"
#undef ORCH_PLUGIN

}  // namespace orch::server::scheduler::plugins
