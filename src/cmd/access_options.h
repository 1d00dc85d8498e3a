// The flags of authentication, authorization and admission, as kube-apiserver's.
#pragma once

#include "cmd/options.h"
#include "orch/server/access_config.h"

namespace orch::cmd {

void add_access_options(Options& options, server::AccessConfig& config);

}  // namespace orch::cmd
