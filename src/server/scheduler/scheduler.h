// The scheduler: finds nodes for pods that have none (spec.schedulerName as one of its profiles,
// "default-scheduler" unless configured) and binds them. One scheduling cycle at a time on a
// strand, in memory, ending in "assumed"; bindings and status writes run beside it, several at
// once. Reads informers, writes through the client.
#pragma once

#include <memory>

#include "orch/base/env.h"
#include "orch/client/client.h"
#include "orch/client/events.h"
#include "orch/client/informer.h"
#include "server/scheduler/config.h"

namespace orch::server::scheduler {

class Scheduler {
 public:
  // All must outlive stop(). The recorder's component should be "default-scheduler". `extenders`
  // (of the same configuration) may be null.
  Scheduler(Env& env, const client::Client& client, client::InformerSet& informers,
            client::EventRecorder& events, SchedulerConfig config = {},
            std::unique_ptr<Extenders> extenders = nullptr);
  ~Scheduler();
  // Begins once its informers are synced. Once only.
  void start();
  // Waits for the cycle and the bindings under way on other threads. Idempotent.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace orch::server::scheduler

namespace orch::server {
using scheduler::Scheduler;
}
