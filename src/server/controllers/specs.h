// Declares the function behind every line of controllers.def.
#pragma once

#include "server/controllers/controllers.h"

namespace orch::server {

#define ORCH_CONTROLLER(function)                                     \
  client::ControllerSpec function(client::ControllerContext& context, \
                                  const ControllersConfig& config);
#include "server/controllers/controllers.def"
#undef ORCH_CONTROLLER

}  // namespace orch::server
