#include "sim/control_plane.h"

#include <algorithm>
#include <map>

#include "orch/base/assert.h"
#include "server/bootstrap.h"
#include "server/identities.h"

namespace orch::sim {
namespace {

// Of the API server towards itself and of who watches from outside: may everything.
server::UserInfo master(std::string name) {
  server::UserInfo user = server::component_user(std::move(name));
  user.groups.emplace_back("system:masters");
  return user;
}

}  // namespace

// A user's way to the API server.
struct ControlPlane::Access {
  std::unique_ptr<Wire::Line> line;
  std::unique_ptr<client::Transport> wrapped;
  std::unique_ptr<client::Client> client;
  client::Transport& transport() { return wrapped ? *wrapped : *line; }
};

// What dies in a crash and is made anew.
struct ControlPlane::Component {
  std::string name, user, event_source;
  std::map<std::string, Access> accesses;          // by user name; empty: it does not run
  std::unique_ptr<client::InformerSet> informers;  // null: the shared one
  std::unique_ptr<client::EventRecorder> events;
  std::unique_ptr<server::Controllers> controllers;
  std::unique_ptr<server::Scheduler> scheduler;

  bool runs() const { return !accesses.empty(); }
  bool in_flight() const {
    return std::any_of(accesses.begin(), accesses.end(),
                       [](const auto& entry) { return entry.second.line->in_flight() > 0; });
  }
  void stop() {
    if (scheduler) scheduler->stop();
    if (controllers) controllers->stop();
    if (informers) informers->stop();
    scheduler.reset();
    controllers.reset();
    events.reset();
    informers.reset();
    accesses.clear();
  }
};

ControlPlane::ControlPlane(Env& env, SimExecutor& executor, Wire& wire, ControlPlaneOptions options)
    : env_(env), executor_(executor), wire_(wire), options_(std::move(options)) {
  storage::StoreOptions store;
  store.volatile_prefixes = server::Registry::volatile_prefixes();
  store_ = storage::make_memory_store(env_, store);
  api_ = std::make_unique<server::ApiServer>(env_, *store_, server::ApiServerConfig{});
  loopback_ = api_->local_transport(master("system:apiserver"));
  admin_ = std::make_unique<client::Client>(*loopback_);
  informers_ = std::make_unique<client::InformerSet>(env_, *loopback_);
  authorizer_ = std::make_unique<server::DefaultAuthorizer>(*informers_);
  admission_ = std::make_unique<server::PluginChain>(
      server::AdmissionContext{*informers_, env_.random, *admin_}, std::vector<std::string>{});
  api_->set_hooks({nullptr, authorizer_.get(), admission_.get(), nullptr});
  components_.push_back(std::make_unique<Component>(
      Component{kControllers, "system:kube-controller-manager", "controllermanager", {}}));
  components_.push_back(std::make_unique<Component>(
      Component{kScheduler, "system:kube-scheduler", "default-scheduler", {}}));
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

// A component acts as itself or, as `user`, as one of its controllers, with the rights of that one.
ControlPlane::Access& ControlPlane::access_of(Component& c, const server::UserInfo& user) {
  auto [at, fresh] = c.accesses.try_emplace(user.name);
  auto& access = at->second;
  if (!fresh) return access;
  access.line = connect(c.name, user);
  if (options_.wrap) access.wrapped = options_.wrap(c.name, *access.line);
  access.client = std::make_unique<client::Client>(access.transport());
  return access;
}

void ControlPlane::begin(Component& c) {
  auto& own = access_of(c, server::component_user(c.user));
  if (!options_.shared_cache) {
    c.informers = std::make_unique<client::InformerSet>(env_, own.transport());
  }
  client::InformerSet& informers = c.informers ? *c.informers : *informers_;
  c.events = client::make_event_recorder(env_, own.transport(), c.event_source);
  if (c.name == kControllers) {
    server::ControllersConfig config{.cluster_cidr = "10.0.0.0/8", .root_ca_pem = "the CA"};
    config.client_of = [this, &c](std::string_view controller) -> const client::Client& {
      const std::string account = server::controller_account(controller);
      return *access_of(c, account.empty() ? server::component_user(c.user)
                                           : server::service_account_user("kube-system", account))
                  .client;
    };
    c.controllers = std::make_unique<server::Controllers>(env_, *own.client, informers, *c.events,
                                                          std::move(config));
    c.controllers->start();
  } else {
    c.scheduler = std::make_unique<server::Scheduler>(env_, *own.client, informers, *c.events);
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
  if (!c.runs()) return;
  for (auto& [user, access] : c.accesses) access.line->cut();
  while (c.in_flight()) executor_.advance(Millis{100});
  c.stop();
}

void ControlPlane::restart(const std::string& name) {
  Component& c = component(name);
  if (!c.runs()) begin(c);
}

bool ControlPlane::running(const std::string& name) const {
  for (const auto& component : components_) {
    if (component->name == name) return component->runs();
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
