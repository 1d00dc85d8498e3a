// The makers of all plugins of plugins.def.
#pragma once

#include <memory>

#include "server/scheduler/framework.h"

namespace orch::server::scheduler {

// What a plugin may keep of it: the client by reference, of the arguments a copy of its own.
struct PluginContext {
  const client::Client& client;
  const PluginArgs& args;
};

namespace plugins {

#define ORCH_PLUGIN(name, weight) std::unique_ptr<Plugin> make_##name(const PluginContext& context);
#include "server/scheduler/plugins/plugins.def"
#undef ORCH_PLUGIN

}  // namespace plugins
}  // namespace orch::server::scheduler
