#include "server/api/api_server.h"

#include <fmt/format.h>

#include <thread>

#include "orch/api/corev1.h"
#include "orch/base/log.h"
#include "server/api/discovery/discovery.h"
#include "server/api/encode.h"
#include "server/api/internals.h"
#include "server/api/local_transport.h"
#include "server/api/node_connector.h"
#include "server/api/resource_traits.h"
#include "server/api/subresources/subresources.h"
#include "server/api/verbs/verbs.h"
#include "server/registry/claim_repair.h"
#include "server/registry/service_allocator.h"

namespace orch::server {
namespace {

bool has_verb(const std::vector<std::string_view>& verbs, std::string_view verb) {
  for (const auto v : verbs) {
    if (v == verb) return true;
  }
  return false;
}

// Namespaced resources need a namespace but for lists and watches of all; others must have none.
bool scope_fits(const api::ResourceInfo& resource, const RequestInfo& info) {
  if (!resource.namespaced) {
    return info.namespace_.empty() || (resource.plural == "namespaces" && resource.group.empty());
  }
  return !info.namespace_.empty() || info.name.empty() || info.verb == "watch" ||
         info.verb == "list";
}

// Whether the path names an object as the verb demands. (In-process creates may name theirs.)
bool path_fits(const Call& call) {
  const std::string& verb = call.info.verb;
  if (verb == "create") return call.info.name.empty() || call.http == nullptr;
  const bool single = verb == "get" || verb == "update" || verb == "patch" || verb == "delete";
  return !single || !call.info.name.empty();
}

// A name that would be more, or less, than one step of a path.
api::ApiResult<Unit> check_step(std::string_view what, const std::string& name) {
  std::string why;
  if (name == "." || name == "..") why = fmt::format("may not be '{}'", name);
  for (const char c : {'/', '%'}) {
    if (name.find(c) == std::string::npos) continue;
    why += fmt::format("{}may not contain '{}'", why.empty() ? "" : ";", c);
  }
  if (why.empty()) return Unit{};
  return Err(api::bad_request(
      fmt::format("{} parameter invalid: {}: {}", what, api::go_quoted(name), why)));
}

// What upstream's router answers where it has no route for the method.
api::Error no_such_method() { return api::generic_server_response(405); }

bool known_version(const RequestInfo& info) {
  for (const api::ResourceInfo* resource : api::all_resources()) {
    if (resource->group == info.group && resource->version == info.version) return true;
  }
  return false;
}

Answer serve_verb(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                  net::HttpResponse& response) {
  const std::string& verb = call.info.verb;
  const bool across = resource.namespaced && call.info.namespace_.empty();
  if (!has_verb(resource.verbs, verb) || !path_fits(call) ||
      (across && verb != "list" && verb != "watch")) {
    return Err(no_such_method());
  }
  if (resource.group == "metrics.k8s.io") return answer_metrics(server, call, resource, response);
  if (is_resource(resource, "", "componentstatuses")) {
    return answer_component_status(server, call, resource, response);
  }
  if (!resource.stored) return answer_review(server, call, resource, response);
  if (verb == "get") return verb_get(server, call, resource, response);
  if (verb == "list") return verb_list(server, call, resource, response);
  if (verb == "watch") return verb_watch(server, call, resource, response);
  if (verb == "create") return verb_create(server, call, resource, response);
  if (verb == "update") return verb_update(server, call, resource, response);
  if (verb == "patch") return verb_patch(server, call, resource, response);
  if (verb == "delete") return verb_delete(server, call, resource, response);
  if (verb == "deletecollection") return verb_deletecollection(server, call, resource, response);
  return Err(no_such_method());
}

}  // namespace

ApiServer::ApiServer(Env& env, storage::KvStore& store, ApiServerConfig config)
    : env_(env),
      config_(std::move(config)),
      registry_(std::make_unique<Registry>(env, store)),
      internals_(std::make_unique<Internals>(env.executor)) {
  nodes_ = make_node_connector(*registry_, config_.kubelet_tls, config_.kubelet_tls_unverified);
  add_check(Probe::kHealth, "ping", [] { return std::string(); });
  add_check(Probe::kLive, "ping", [] { return std::string(); });
  add_check(Probe::kReady, "ping", [] { return std::string(); });
  for (const Probe probe : {Probe::kHealth, Probe::kLive, Probe::kReady}) {
    add_check(probe, "etcd", [this] {
      storage::RangeRequest request;
      request.key = "/registry/health";
      auto answer = registry_->store().range(request);
      return answer ? std::string() : answer.error().message;
    });
  }
  add_check(Probe::kReady, "poststarthook/start-service-ip-repair-controllers",
            [this] { return internals_->started ? std::string() : std::string("not started"); });
  add_check(Probe::kReady, "shutdown", [this] {
    return stopping() ? std::string("process is shutting down") : std::string();
  });
}

ApiServer::~ApiServer() { stop(); }

void ApiServer::set_node_connector(std::shared_ptr<NodeConnector> connector) {
  nodes_ = std::move(connector);
}

Result<Unit, std::string> ApiServer::start() {
  ORCH_TRY(services_, ServiceAllocator::create(env_.random, config_.service_cidr,
                                               config_.service_node_port_range));
  if (config_.shared_store) {
    services_->share(registry_->store());
    claims_ = ClaimRepair::create(env_, *registry_);
    if (auto done = claims_->run(); !done) return Err("the Services' addresses: " + done.error());
    claims_->start();
    internals_->started = true;
    return Unit{};
  }
  const auto* info = api::find_resource("", "v1", "services");
  if (info == nullptr) return Err(std::string("the API has no Services"));
  auto page = registry_->list_all(*info);
  if (!page) return Err("reading the stored Services: " + page.error().message);
  std::vector<api::corev1::Service> services;
  services.reserve(page->items.size());
  for (const Stored& item : page->items) {
    auto object = Registry::decode(*info, item);
    if (!object) {
      log::error("api", "skipping a Service: {}", object.error().message);
      continue;
    }
    services.push_back(static_cast<const api::corev1::Service&>(**object));
  }
  services_->repair(services);
  internals_->started = true;
  return Unit{};
}

void ApiServer::stop() {
  if (internals_->stopping.exchange(true)) return;
  if (claims_) claims_->stop();
  internals_->watches.finish_all();
  internals_->streams.stop();
}

bool ApiServer::stopping() const { return internals_->stopping; }

std::unique_ptr<client::Transport> ApiServer::local_transport(UserInfo user) {
  return std::make_unique<LocalTransport>(*this, std::move(user));
}

void ApiServer::add_check(Probe probe, std::string name, std::function<std::string()> check) {
  std::lock_guard lock(internals_->mutex);
  internals_->checks.push_back({probe, std::move(name), std::move(check)});
}

void ApiServer::add_path(std::string path, bool open, PathHandler handler) {
  std::lock_guard lock(internals_->mutex);
  internals_->paths.push_back({std::move(path), open, std::move(handler)});
}

bool ApiServer::is_open_path(std::string_view path) const {
  std::lock_guard lock(internals_->mutex);
  for (const PathEntry& entry : internals_->paths) {
    if (entry.open &&
        (entry.path.ends_with('/') ? path.starts_with(entry.path) : path == entry.path)) {
      return true;
    }
  }
  return false;
}

void ApiServer::handle(Call& call, net::HttpResponse& response) {
  if (!call.info.is_resource) {
    answer_path(*this, call, response);
    return;
  }
  conclude(call, serve(call, response), response);
}

void ApiServer::conclude(Call& call, const api::ApiResult<Unit>& served,
                         net::HttpResponse& response) {
  if (response.parked()) return;
  if (!served) {
    response.body.clear();
    response.tail = {};
    const bool no_path =
        served.error().code == 404 && served.error().message == api::path_not_found().message;
    if (no_path && !known_version(call.info)) {
      answer_page_not_found(response);
    } else {
      answer_error(call, served.error(), response);
    }
  }
  add_warnings(call, response);
}

api::ApiResult<Unit> ApiServer::serve(Call& call, net::HttpResponse& response) {
  if (stopping()) return Err(api::service_unavailable("apiserver is shutting down"));
  const RequestInfo& info = call.info;
  const api::ResourceInfo* resource = api::find_resource(info.group, info.version, info.resource);
  if (resource == nullptr || !scope_fits(*resource, info)) return Err(api::path_not_found());
  ORCH_CHECK(check_step("Namespace", info.namespace_));
  if (info.verb != "list" && info.verb != "watch") ORCH_CHECK(check_step("Name", info.name));
  if (info.subresource.empty()) return serve_verb(*this, call, *resource, response);
  const Subresource* subresource = find_subresource(*resource, info.subresource);
  if (subresource == nullptr) return Err(api::path_not_found());
  // What is proxied has one method more than the API.
  const bool asks_options = info.subresource == "proxy" && call.method == "OPTIONS";
  if (!has_verb(subresource->verbs, info.verb) && !asks_options) return Err(no_such_method());
  return subresource->serve(*this, call, *resource, response);
}

bool StreamGate::run(std::function<void()> work, std::function<void()> cancel) {
  std::lock_guard lock(mutex_);
  if (stopping_) return false;
  const uint64_t id = next_++;
  running_.emplace(id, std::move(cancel));
  std::thread([this, id, work = std::move(work)]() mutable {
    work();
    work = nullptr;
    std::lock_guard done(mutex_);
    running_.erase(id);
    idle_.notify_all();
  }).detach();
  return true;
}

void StreamGate::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  const auto cancels = running_;
  lock.unlock();
  for (const auto& [id, cancel] : cancels) cancel();
  lock.lock();
  idle_.wait(lock, [this] { return running_.empty(); });
}

}  // namespace orch::server
