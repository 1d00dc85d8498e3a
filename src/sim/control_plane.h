// A whole control plane in the simulated world: the memory store, the API server with admission,
// all controllers, the scheduler, each with the identity and the rights it has in a real server.
// Store and API server live as long as it does; controllers and scheduler crash and start again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "orch/client/client.h"
#include "orch/client/events.h"
#include "orch/client/informer.h"
#include "orch/storage/kv_store.h"
#include "server/admission/admission.h"
#include "server/api/api_server.h"
#include "server/auth/authorizer.h"
#include "server/controllers/controllers.h"
#include "server/scheduler/scheduler.h"
#include "sim/wire.h"

namespace orch::sim {

// Stands between a component and the wire; how a test breaks a component's behaviour.
using Wrap = std::function<std::unique_ptr<client::Transport>(const std::string& component,
                                                              client::Transport& wire)>;

struct ControlPlaneOptions {
  // One cache for all components, as in production; else each its own, each late on its own.
  bool shared_cache = false;
  Wrap wrap;  // null: nothing between
};

class ControlPlane {
 public:
  ControlPlane(Env& env, SimExecutor& executor, Wire& wire, ControlPlaneOptions options);
  ~ControlPlane();

  // Bootstraps the objects every cluster has and starts everything. Error: a sentence.
  Result<Unit, std::string> start();
  void stop();

  static constexpr const char* kControllers = "controllers";
  static constexpr const char* kScheduler = "scheduler";
  // From outside of tasks. A crash takes virtual time: until requests under way have failed.
  void crash(const std::string& component);
  void restart(const std::string& component);
  bool running(const std::string& component) const;

  // A direct line of the administrator's: no latency, no faults.
  const client::Client& admin() const { return *admin_; }
  std::unique_ptr<Wire::Line> connect(const std::string& component, server::UserInfo user);
  storage::KvStore& store() { return *store_; }
  server::ApiServer& api() { return *api_; }
  // The one shared cache, or the API server's own.
  client::InformerSet& informers() { return *informers_; }

 private:
  struct Access;
  struct Component;
  Component& component(const std::string& name);
  Access& access_of(Component& component, const server::UserInfo& user);
  void begin(Component& component);

  Env& env_;
  SimExecutor& executor_;
  Wire& wire_;
  const ControlPlaneOptions options_;
  std::unique_ptr<storage::KvStore> store_;
  std::unique_ptr<server::ApiServer> api_;
  std::unique_ptr<client::Transport> loopback_;
  std::unique_ptr<client::Client> admin_;
  std::unique_ptr<client::InformerSet> informers_;
  std::unique_ptr<server::DefaultAuthorizer> authorizer_;
  std::unique_ptr<server::PluginChain> admission_;
  std::vector<std::unique_ptr<Component>> components_;
};

}  // namespace orch::sim
