// Who this node is towards its cluster: keys made here, certificates got by joining, what the
// server said about the cluster. Kept under <data-dir>/agent (mode 700), so that an agent whose
// server is away starts with what it had.
#pragma once

#include <functional>
#include <string>

#include "orch/agent/agent.h"
#include "orch/base/env.h"
#include "orch/client/join.h"
#include "orch/net/tls.h"

namespace orch::agent {

struct Identity {
  std::string node_name, node_ip;
  std::string server_url, server_ca_pem;
  net::KeyPair client, serving;
  client::JoinAnswer cluster;  // client CA, cluster DNS, domain, CIDRs
};

// Joins; with the server away, falls back on what an earlier join left, and without that tries on
// until `stopped` says so. Error: permanent (wrong token, wrong CA, name taken), or a file's.
Result<Identity, std::string> establish_identity(Env& env, const AgentConfig& config,
                                                 const std::function<bool()>& stopped);

// New certificates by the ones at hand (or the token, if the server wants it); saved. Blocks.
Result<Identity, std::string> renew_identity(Env& env, const AgentConfig& config,
                                             const Identity& identity);
// Whether the files still hold it: `orch certificate rotate` takes them away.
bool identity_on_disk(const AgentConfig& config, const Identity& identity);

}  // namespace orch::agent
