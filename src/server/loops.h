// What acts on the cluster of itself, on one server at a time: controllers, cloud controllers and
// scheduler. Alone with its store, a server runs them over the caches it has anyway; over a shared
// datastore it runs them while it leads, over caches of their own that end with the term.
#pragma once

#include <memory>
#include <string>

#include "orch/base/result.h"
#include "orch/client/events.h"
#include "orch/client/informer.h"
#include "orch/client/leader_election.h"
#include "orch/server/server.h"
#include "server/certificate_signer.h"
#include "server/cloud/provider.h"
#include "server/controllers/controllers.h"
#include "server/identities.h"
#include "server/scheduler/config.h"
#include "server/settings.h"

namespace orch::server {

class Loops {
 public:
  // All outlive the object.
  struct Deps {
    Env& env;
    const ServerConfig& config;
    const Settings& settings;
    const Pki& pki;
    ApiServer& api;
    client::Transport& transport;    // the server's own identity
    client::InformerSet& informers;  // its caches; started after create()
  };
  // Nothing runs yet. Error: names the flag whose controllers or file are wrong.
  static Result<std::unique_ptr<Loops>, std::string> create(const Deps& deps);
  ~Loops();

  // From now on, or whenever this server leads: under identities of their own, whose roles must be
  // known by now.
  void start();
  void stop();  // idempotent
  client::EventRecorder& events() { return *controllers_events_; }

 private:
  struct Term;
  explicit Loops(const Deps& deps);
  Result<std::unique_ptr<Term>, std::string> make_term();
  Result<Unit, std::string> check_names(const Controllers& controllers) const;
  void campaign();
  bool shares_datastore() const { return !deps_.config.datastore_endpoint.empty(); }

  const Deps deps_;
  Identities identities_;
  const CertificateSigner certificates_;
  const std::unique_ptr<CloudProvider> cloud_;
  scheduler::SchedulerConfig scheduling_;
  std::unique_ptr<client::Transport> controllers_transport_, scheduler_transport_;
  std::unique_ptr<client::Client> controllers_client_, scheduler_client_;
  std::unique_ptr<client::EventRecorder> controllers_events_, scheduler_events_;
  std::unique_ptr<Term> term_;  // null between terms
  std::unique_ptr<client::LeaderElection> election_;
};

}  // namespace orch::server
