// All controllers of controllers.def, as kube-controller-manager runs them. start() begins, stop()
// waits for running reconciles; both idempotent, from one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/client/reconciler.h"
#include "server/controllers/certificate_authority.h"

namespace orch::server {

struct ControllersConfig {
  std::string cluster_cidr = "10.42.0.0/16";  // node IPAM takes a /24 a node out of it
  std::string root_ca_pem;                    // published as ConfigMap kube-root-ca.crt
  // --controllers: names that run, "-name" those that do not, "*" all others; the first that names
  // a controller decides; empty = all. --disable: names beyond that.
  std::vector<std::string> selected, disabled;
  const CertificateAuthority* certificates = nullptr;  // null: nothing is signed; outlives all
  // The client with a controller's own identity, by its name; outlives all. Empty = the shared one.
  std::function<const client::Client&(std::string_view controller)> client_of;
  std::vector<client::ControllerSpec> more;            // of other folders: the cloud's
};
// As kube-controller-manager reads --controllers.
bool is_controller_selected(std::string_view name, const std::vector<std::string>& selection);

class Controllers {
 public:
  // The references outlive the object.
  Controllers(Env& env, const client::Client& client, client::InformerSet& informers,
              client::EventRecorder& events, ControllersConfig config);
  ~Controllers();
  // Whether controllers.def has a controller of this name, disabled or not.
  bool knows(std::string_view name) const;
  void start();
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orch::server
