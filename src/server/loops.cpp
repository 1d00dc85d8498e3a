#include "server/loops.h"

#include <fmt/format.h>

#include "orch/base/log.h"
#include "server/admission/admission.h"
#include "server/cloud/cloud_controllers.h"
#include "server/cloud/edge_provider.h"
#include "server/scheduler/scheduler.h"

namespace orch::server {

struct Loops::Term {
  std::unique_ptr<client::InformerSet> own_informers;  // null: the server's
  std::unique_ptr<Controllers> controllers;
  std::unique_ptr<Scheduler> scheduler;

  void start() const {
    if (own_informers) own_informers->start_all();
    controllers->start();
    scheduler->start();
  }
  void stop() const {
    scheduler->stop();
    controllers->stop();
    if (own_informers) own_informers->stop();
  }
};

Loops::Loops(const Deps& deps)
    : deps_(deps),
      identities_(deps.api),
      certificates_(deps.pki),
      cloud_(make_edge_provider(deps.settings.lb_pool)),
      controllers_transport_(
          deps.api.local_transport(component_user("system:kube-controller-manager"))),
      scheduler_transport_(deps.api.local_transport(component_user("system:kube-scheduler"))),
      controllers_client_(std::make_unique<client::Client>(*controllers_transport_)),
      scheduler_client_(std::make_unique<client::Client>(*scheduler_transport_)),
      controllers_events_(
          client::make_event_recorder(deps.env, *controllers_transport_, "controllermanager")),
      scheduler_events_(
          client::make_event_recorder(deps.env, *scheduler_transport_, "default-scheduler")) {}

Loops::~Loops() { stop(); }

Result<std::unique_ptr<Loops>, std::string> Loops::create(const Deps& deps) {
  std::unique_ptr<Loops> loops(new Loops(deps));
  auto scheduling = scheduler::load_scheduler_config(deps.config.kube_scheduler_config);
  if (!scheduling) return Err("--kube-scheduler-config: " + scheduling.error());
  loops->scheduling_ = std::move(*scheduling);
  ORCH_TRY(loops->term_, loops->make_term());
  ORCH_CHECK(loops->check_names(*loops->term_->controllers));
  return loops;
}

Result<std::unique_ptr<Loops::Term>, std::string> Loops::make_term() {
  auto extenders = scheduler::Extenders::create(scheduling_.extenders);
  if (!extenders) return Err("--kube-scheduler-config: " + extenders.error());
  auto term = std::make_unique<Term>();
  if (shares_datastore()) {
    term->own_informers = std::make_unique<client::InformerSet>(deps_.env, deps_.transport);
  }
  client::InformerSet& informers = term->own_informers ? *term->own_informers : deps_.informers;
  term->controllers = std::make_unique<Controllers>(
      deps_.env, *controllers_client_, informers, *controllers_events_,
      ControllersConfig{.cluster_cidr = deps_.config.cluster_cidr,
                        .root_ca_pem = deps_.pki.server_ca.certificate_pem,
                        .selected = deps_.config.controllers,
                        .disabled = deps_.config.disable,
                        .certificates = &certificates_,
                        .client_of = [this](std::string_view name) -> const client::Client& {
                          return identities_.controller(name);
                        },
                        .more = cloud_controllers(*cloud_)});
  term->scheduler =
      std::make_unique<Scheduler>(deps_.env, *scheduler_client_, informers, *scheduler_events_,
                                  scheduling_, std::move(*extenders));
  return term;
}

Result<Unit, std::string> Loops::check_names(const Controllers& controllers) const {
  for (const auto& item : deps_.config.controllers) {
    const auto name = item.substr(item.starts_with('-') ? 1 : 0);
    if (item == "*" || controllers.knows(name)) continue;
    return Err(fmt::format("--controllers: \"{}\" is not in the list of known controllers", name));
  }
  for (const auto& name : deps_.config.disable) {
    if (controllers.knows(name) || PluginChain::knows(name)) continue;
    return Err(fmt::format("--disable: no controller or admission plugin is called \"{}\"", name));
  }
  return Unit{};
}

void Loops::start() {
  if (shares_datastore()) {
    campaign();
  } else {
    term_->start();
  }
}

void Loops::campaign() {
  client::LeaderElectionOptions options;
  options.name = "kube-controller-manager";
  options.identity = fmt::format("{}_{}", deps_.config.node_name, random_uuid(deps_.env.random));
  if (deps_.config.leader_elect_fast) options.times = client::fast_leader_election();
  options.began = [this] {
    if (!term_) {
      auto term = make_term();
      if (!term) return log::error("server", "{}", term.error());
      term_ = std::move(*term);
    }
    term_->start();
  };
  options.ended = [this] {
    if (term_) term_->stop();
    term_.reset();
  };
  election_ = client::LeaderElection::start(deps_.env, *controllers_client_, std::move(options));
}

void Loops::stop() {
  if (election_) election_->stop();
  if (term_) term_->stop();
}

}  // namespace orch::server
