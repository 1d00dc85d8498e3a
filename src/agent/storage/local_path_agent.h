// This node's part in local-path volumes: tells the cluster where it keeps them (an annotation of
// its Node), and removes the data of volumes that are deleted, then their finalizer. Works through
// server outages. start() and stop() from one thread.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "agent/blocking_pool.h"
#include "agent/storage/local_path.h"
#include "orch/api/corev1.h"
#include "orch/base/env.h"
#include "orch/client/client.h"
#include "orch/client/informer.h"

namespace orch::agent {

class LocalPathAgent : public std::enable_shared_from_this<LocalPathAgent> {
 public:
  // Adds its handlers to the informers; directory: where the volumes are.
  static std::shared_ptr<LocalPathAgent> create(Env& env, const client::Client& client,
                                                client::InformerSet& informers,
                                                std::string node_name, std::string directory);
  void start();
  void stop();

 private:
  LocalPathAgent(Env& env, const client::Client& client, client::InformerSet& informers,
                 std::string node_name, std::string directory);
  void on_node(const api::Object& node);
  void on_volume(const std::shared_ptr<const api::corev1::PersistentVolume>& volume);
  void post(const std::string& what, std::function<bool()> task);
  bool announce() const;
  bool remove(const std::string& name) const;

  Env& env_;
  const client::Client& client_;
  client::InformerSet& informers_;
  client::Lister<api::corev1::PersistentVolume> volumes_;
  const std::string node_name_;
  const LocalPathStore store_;
  std::shared_ptr<Strand> timers_;
  BlockingPool pool_{1};
  std::mutex mutex_;
  std::set<std::string> pending_;  // what is queued, runs or waits to be tried again
  bool stopped_ = false;
};

}  // namespace orch::agent
