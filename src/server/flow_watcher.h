// Brings the stored FlowSchemas and PriorityLevelConfigurations into force, and says in their
// status whether the level a schema names is there. Every minute the default ones are brought back
// (ensure_flow_control; the first time is the bootstrap's).
#pragma once

#include <memory>

#include "orch/client/informer.h"
#include "server/http/flow_control.h"

namespace orch::server {

class FlowWatcher {
 public:
  // All must outlive it; `informers` are to be stopped before.
  FlowWatcher(Env& env, client::InformerSet& informers, const client::Client& client,
              FlowControl& flow);
  ~FlowWatcher();
  FlowWatcher(const FlowWatcher&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// The status a schema should have, or false when it has it.
bool set_dangling(api::flowcontrolv1::FlowSchema& schema, bool dangling, WallTime now);

}  // namespace orch::server
