#include "server/maintenance/admin.h"

#include "server/api/call.h"

namespace orch::server {
namespace {

void answer_json(net::HttpResponse& response, std::string json) {
  response.set("Content-Type", "application/json");
  response.body = std::move(json);
}

void answer_error(net::HttpResponse& response, const api::Error& error) {
  response.status = error.code;
  answer_json(response, api::status_json(error));
}

bool method_is(const Call& call, std::initializer_list<std::string_view> allowed,
               net::HttpResponse& response) {
  for (const auto method : allowed) {
    if (call.method == method) return true;
  }
  api::Error error =
      api::bad_request("the server does not allow this method on the requested path");
  error.code = 405;
  error.reason = "MethodNotAllowed";
  answer_error(response, error);
  return false;
}

}  // namespace

std::string snapshot_json(const SnapshotFile& file) {
  auto out = api::JsonValue::object();
  out.set("name", file.name);
  out.set("path", file.path);
  out.set("bytes", file.bytes);
  out.set("created", file.created);
  out.set("revision", file.revision);
  out.set("keys", file.keys);
  return out.dump();
}

Result<SnapshotFile, std::string> parse_snapshot_json(std::string_view json) {
  ORCH_TRY(const auto value, api::JsonValue::parse(json));
  SnapshotFile file;
  file.name = value.get("name").text();
  file.path = value.get("path").text();
  file.bytes = value.get("bytes").number();
  file.created = value.get("created").number();
  file.revision = value.get("revision").number();
  file.keys = value.get("keys").number();
  if (file.path.empty()) return Err(std::string("the server's answer names no file"));
  return file;
}

void add_maintenance_paths(ApiServer& server, storage::KvStore& store,
                           const SnapshotSettings& settings,
                           const std::shared_ptr<Encryption>& encryption) {
  Env& env = server.env();
  server.add_path(std::string(kSnapshotsPath), false,
                  [&env, &store, settings](Call& call, net::HttpResponse& response) {
                    if (!method_is(call, {"POST"}, response)) return;
                    SnapshotWish wish;
                    if (call.has_param("name")) wish.name = call.param("name");
                    wish.etcd_form = call.param("format") == "etcd";
                    auto saved = save_snapshot_of(store, settings, wish, env.clock.now());
                    if (!saved) return answer_error(response, api::internal_error(saved.error()));
                    answer_json(response, snapshot_json(*saved));
                  });
  server.add_path(std::string(kSecretsPath), false,
                  [&env, &store, encryption](Call& call, net::HttpResponse& response) {
                    if (!method_is(call, {"GET", "POST"}, response)) return;
                    if (call.method == "POST") {
                      auto done = encryption->act(call.param("action"), store, env.clock.now());
                      if (!done) return answer_error(response, api::bad_request(done.error()));
                    }
                    answer_json(response, encryption->status(store).dump());
                  });
}

}  // namespace orch::server
