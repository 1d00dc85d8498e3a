// The agent's HTTPS API (the kubelet's paths): logs, exec, attach, port-forward, pods, health,
// metrics. Authentication and authorization by the API server (src/agent/serve/gate.h); no
// anonymous access, no read-only port.
#pragma once

#include <memory>
#include <string>

#include "agent/pod_manager.h"
#include "orch/client/client.h"
#include "orch/net/http.h"

namespace orch::agent {

struct AgentServerOptions {
  std::string address = "0.0.0.0";
  uint16_t port = 10250;
  std::shared_ptr<net::TlsServerContext> tls;  // asks for certificates of the cluster's client CA
};

class AgentServer {
 public:
  // `client`: what the API server is asked with; outlives the server.
  static Result<std::unique_ptr<AgentServer>, std::string> start(Env& env, PodManager& pods,
                                                                 const client::Client& client,
                                                                 const AgentServerOptions& options);
  virtual ~AgentServer() = default;
  virtual uint16_t port() const = 0;
  virtual void stop() = 0;  // ends followed logs and streams; idempotent
};

}  // namespace orch::agent
