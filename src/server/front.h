// What stands before the API over HTTP: audit, and priority and fairness with the rules that are
// stored. Part of the composition in server.cpp.
#pragma once

#include <memory>
#include <string>

#include "orch/net/http.h"
#include "orch/server/server.h"
#include "server/api/api_server.h"
#include "server/audit/audit.h"
#include "server/flow_watcher.h"

namespace orch::server {

class Front {
 public:
  // Error: a sentence naming the flag. All that is given must outlive it.
  static Result<std::unique_ptr<Front>, std::string> create(Env& env, const ServerConfig& config,
                                                            ApiServer& api,
                                                            client::InformerSet& informers,
                                                            const client::Client& client);
  ~Front() { stop(); }
  // Refers to this.
  net::HttpHandler handler();
  // Refuses what waits. Idempotent.
  void stop() {
    if (flow_) flow_->stop();
  }

 private:
  explicit Front(ApiServer& api) : api_(api) {}

  ApiServer& api_;
  Seconds request_timeout_{60};
  std::unique_ptr<Auditor> audit_;
  std::unique_ptr<FlowControl> flow_;
  std::unique_ptr<FlowWatcher> watcher_;
};

}  // namespace orch::server
