// Objects that describe the API server itself: its flow control, its API services, and how
// extension servers authenticate requests. Part of bootstrap(); at the fixpoint nothing is
// written. Errors are sentences.
#pragma once

#include "server/bootstrap.h"
#include "server/bootstrap_ensure.h"

namespace orch::server {

// FlowSchemas and PriorityLevelConfigurations. Mandatory ones are brought back; suggested ones as
// long as their annotation apf.kubernetes.io/autoupdate-spec says so, or, where it is missing,
// nobody changed them; those that are suggested no more go.
BootstrapOutcome ensure_flow_control(const client::Client& client);
// A local APIService for each group and version served; those of versions served no more go.
BootstrapOutcome ensure_api_services(const client::Client& client);
// kube-system/extension-apiserver-authentication.
BootstrapOutcome ensure_authentication_facts(const client::Client& client,
                                             const BootstrapFacts& facts);

}  // namespace orch::server
