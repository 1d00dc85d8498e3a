// Brings pod statuses to the server: the newest of each pod, one write at a time for a pod, retried
// until it is there or the pod is gone. Also deletes pods that ended. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "agent/blocking_pool.h"
#include "agent/pod/pod_access.h"
#include "orch/base/env.h"
#include "orch/client/client.h"

namespace orch::agent {

class StatusWriter {
 public:
  StatusWriter(Env& env, client::Transport& transport, BlockingPool& pool);
  void stop();
  // pod: metadata and the status it shall have. remove: delete the object once the status is in.
  void submit(std::shared_ptr<const corev1::Pod> pod, bool remove);
  // The pod is gone from the server: nothing is left to write.
  void forget(const std::string& uid);
  // The server shows the pod like this: spares writes of what is there already.
  void seen(const std::shared_ptr<const corev1::Pod>& pod);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orch::agent
