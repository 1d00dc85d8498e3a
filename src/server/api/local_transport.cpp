// client::Transport in process: the same handlers, authorization and admission, without sockets.
#include "server/api/local_transport.h"
#include "orch/api/codec.h"
#include "orch/base/log.h"
#include "server/api/authorize.h"
#include "server/api/internals.h"
#include "server/api/verbs/verbs.h"
#include "server/api/watch_session.h"

namespace orch::server {
namespace {

std::string_view method_of(std::string_view verb) {
  if (verb == "create") return "POST";
  if (verb == "update") return "PUT";
  if (verb == "patch") return "PATCH";
  if (verb == "delete" || verb == "deletecollection") return "DELETE";
  return "GET";
}

// Watch events to callbacks. After cancel() none runs or begins.
class CallbackOutput final : public WatchOutput {
 public:
  CallbackOutput(const api::ResourceInfo& resource, client::WatchCallbacks callbacks)
      : resource_(resource), callbacks_(std::move(callbacks)) {}

  bool event(WatchEventType type, const Stored& object) override {
    return send(std::string(to_string(type)), object.json());
  }
  bool bookmark(storage::Revision revision, bool initial_events_end) override {
    return send("BOOKMARK", bookmark_json(resource_, revision, initial_events_end));
  }
  void error(const api::Error& error) override { end(&error); }
  void finish() override { end(nullptr); }

  void cancel() {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }

 private:
  bool send(std::string type, std::string json) {
    std::lock_guard lock(mutex_);
    if (ended_) return false;
    callbacks_.event({std::move(type), std::move(json)});
    return true;
  }
  void end(const api::Error* error) {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    callbacks_.ended(error);
  }

  const api::ResourceInfo& resource_;
  client::WatchCallbacks callbacks_;
  std::recursive_mutex mutex_;  // a callback may drop its own watch
  bool ended_ = false;
};

class LocalWatch final : public client::WatchStream {
 public:
  LocalWatch(std::shared_ptr<WatchSession> session, std::shared_ptr<CallbackOutput> output)
      : session_(std::move(session)), output_(std::move(output)) {}
  ~LocalWatch() override {
    output_->cancel();
    session_->stop();
  }

 private:
  std::shared_ptr<WatchSession> session_;
  std::shared_ptr<CallbackOutput> output_;
};

}  // namespace

Call LocalTransport::make_call(const client::Request& request) const {
  Call call;
  RequestInfo& info = call.info;
  info.is_resource = true;
  info.verb = request.verb;
  info.group = request.group;
  info.version = request.version;
  info.resource = request.resource;
  info.subresource = request.subresource;
  info.namespace_ = request.namespace_;
  info.name = request.name;
  call.method = method_of(request.verb);
  call.user = user_;
  for (const auto& [key, value] : request.query) call.query.emplace(key, value);
  call.content_type = request.content_type;
  call.body = request.body;
  call.object = request.object;
  // Namespaces and their parts lie in themselves, as their URLs say.
  if (info.resource == "namespaces" && info.group.empty() && info.namespace_.empty()) {
    info.namespace_ = info.name;
  }
  return call;
}

api::ApiResult<client::Response> LocalTransport::call(const client::Request& request) {
  Call call = make_call(request);
  ORCH_CHECK(authorize(server_.hooks(), call));
  net::HttpResponse answer;
  ORCH_CHECK(server_.serve(call, answer));
  for (const std::string& warning : call.warnings) {
    log::debug("api", "{} {}: {}", request.verb, request.resource, warning);
  }
  answer.join_body();
  client::Response response{answer.status, std::move(answer.body)};
  if (response.code >= 400) {
    return Err(api::error_from_response(response.code, response.body));
  }
  return response;
}

api::ApiResult<std::unique_ptr<client::WatchStream>> LocalTransport::watch(
    const client::Request& request, client::WatchCallbacks callbacks) {
  Call call = make_call(request);
  call.info.verb = "watch";
  ORCH_CHECK(authorize(server_.hooks(), call));
  const api::ResourceInfo* resource =
      api::find_resource(request.group, request.version, request.resource);
  if (resource == nullptr) return Err(api::path_not_found());
  ORCH_TRY(auto session, WatchSession::prepare(server_, call, *resource));
  auto output = std::make_shared<CallbackOutput>(*resource, std::move(callbacks));
  session->begin(output);
  return std::unique_ptr<client::WatchStream>(
      std::make_unique<LocalWatch>(std::move(session), std::move(output)));
}

}  // namespace orch::server
