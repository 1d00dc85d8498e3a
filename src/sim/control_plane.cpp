#include "sim/control_plane.h"

#include "orch/base/assert.h"
#include "server/bootstrap.h"

namespace orch::sim {
namespace {

server::UserInfo identity(std::string name) {
  return {.name = std::move(name),
          .uid = "",
          .groups = {"system:masters", "system:authenticated"},
          .extra = {}};
}

}  // namespace

// What dies in a crash and is made anew.
struct ControlPlane::Component {
  std::string name, user, event_source;
  std::unique_ptr<Wire::Line> line;
  std::unique_ptr<client::Transport> wrapped;
  std::unique_ptr<client::Client> client;
  std::unique_ptr<client::InformerSet> informers;  // null: the shared one
  std::unique_ptr<client::EventRecorder> events;
  std::unique_ptr<server::Controllers> controllers;
  std::unique_ptr<server::Scheduler> scheduler;

  void stop() {
    if (scheduler) scheduler->stop();
    if (controllers) controllers->stop();
    if (informers) informers->stop();
    scheduler.reset();
    controllers.reset();
    events.reset();
    informers.reset();
    client.reset();
    wrapped.reset();
    line.reset();
  }
};

ControlPlane::ControlPlane(Env& env, SimExecutor& executor, Wire& wire, ControlPlaneOptions options)
    : env_(env), executor_(executor), wire_(wire), options_(std::move(options)) {
  storage::StoreOptions store;
  store.volatile_prefixes = server::Registry::volatile_prefixes();
  store_ = storage::make_memory_store(env_, store);
  api_ = std::make_unique<server::ApiServer>(env_, *store_, server::ApiServerConfig{});
  loopback_ = api_->local_transport(identity("system:apiserver"));
  admin_ = std::make_unique<client::Client>(*loopback_);
  informers_ = std::make_unique<client::InformerSet>(env_, *loopback_);
  authorizer_ = std::make_unique<server::DefaultAuthorizer>(*informers_);
  admission_ = std::make_unique<server::PluginChain>(
      server::AdmissionContext{*informers_, env_.random, *admin_}, std::vector<std::string>{});
  api_->set_hooks({nullptr, authorizer_.get(), admission_.get(), nullptr});
  components_.push_back(std::make_unique<Component>(
      Component{kControllers, "system:kube-controller-manager", "controllermanager"}));
  components_.push_back(std::make_unique<Component>(
      Component{kScheduler, "system:kube-scheduler", "default-scheduler"}));
}

ControlPlane::~ControlPlane() { stop(); }

Result<Unit, std::string> ControlPlane::start() {
  ORCH_CHECK(api_->start());
  ORCH_CHECK(server::bootstrap_objects(
      *admin_, {.kubernetes_ip = "10.43.0.1", .advertise_address = "192.0.2.1"}));
  // Admission refuses what its caches do not know yet.
  informers_->start_all();
  executor_.advance(Millis{1});
  for (auto& component : components_) begin(*component);
  return Unit{};
}

void ControlPlane::begin(Component& c) {
  c.line = connect(c.name, identity(c.user));
  client::Transport* transport = c.line.get();
  if (options_.wrap) {
    c.wrapped = options_.wrap(c.name, *transport);
    if (c.wrapped) transport = c.wrapped.get();
  }
  c.client = std::make_unique<client::Client>(*transport);
  if (!options_.shared_cache) c.informers = std::make_unique<client::InformerSet>(env_, *transport);
  client::InformerSet& informers = c.informers ? *c.informers : *informers_;
  c.events = client::make_event_recorder(env_, *transport, c.event_source);
  if (c.name == kControllers) {
    c.controllers = std::make_unique<server::Controllers>(
        env_, *c.client, informers, *c.events,
        server::ControllersConfig{.cluster_cidr = "10.0.0.0/8", .root_ca_pem = "the CA"});
    c.controllers->start();
  } else {
    c.scheduler = std::make_unique<server::Scheduler>(env_, *c.client, informers, *c.events);
    c.scheduler->start();
  }
  informers.start_all();
}

ControlPlane::Component& ControlPlane::component(const std::string& name) {
  for (auto& component : components_) {
    if (component->name == name) return *component;
  }
  ORCH_ASSERT(false);
}

void ControlPlane::crash(const std::string& name) {
  Component& c = component(name);
  if (!c.line) return;
  c.line->cut();
  while (c.line->in_flight() > 0) executor_.advance(Millis{100});
  c.stop();
}

void ControlPlane::restart(const std::string& name) {
  Component& c = component(name);
  if (!c.line) begin(c);
}

bool ControlPlane::running(const std::string& name) const {
  for (const auto& component : components_) {
    if (component->name == name) return component->line != nullptr;
  }
  return false;
}

std::unique_ptr<Wire::Line> ControlPlane::connect(const std::string& component,
                                                  server::UserInfo user) {
  return wire_.connect(component, api_->local_transport(std::move(user)));
}

void ControlPlane::stop() {
  for (auto& component : components_) crash(component->name);
  informers_->stop();
  api_->stop();
  executor_.advance(Micros{0});
  store_->stop();
}

}  // namespace orch::sim
