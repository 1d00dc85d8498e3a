// The verbs' side: through the API of the server that runs on the data directory, or on its files.
#include "orch/server/maintenance.h"

#include <fmt/format.h>

#include <filesystem>

#include "orch/base/file.h"
#include "orch/base/strings.h"
#include "orch/client/http_transport.h"
#include "orch/storage/snapshot_file.h"
#include "server/maintenance/admin.h"
#include "server/maintenance/etcd_import.h"
#include "server/maintenance/identity.h"
#include "server/maintenance/store.h"

namespace orch::server {
namespace {

namespace fs = std::filesystem;

std::string server_directory(const MaintenancePlace& place) { return place.data_dir + "/server"; }

SnapshotSettings settings_of(const MaintenancePlace& place) {
  return {server_directory(place),
          place.snapshot_dir.empty() ? server_directory(place) + "/snapshots" : place.snapshot_dir};
}

// The answer's body; nullopt: no server runs here. Error: it does, and refused.
Result<std::optional<std::string>, std::string> ask_server(const MaintenancePlace& place,
                                                           std::string_view method,
                                                           const std::string& path) {
  const std::string directory = server_directory(place);
  auto url = read_file(directory + "/" + std::string(kUrlFile));
  if (!url) return std::optional<std::string>();
  const std::string tls = directory + "/tls/";
  ORCH_TRY(const std::string ca, read_file(tls + "server-ca.crt"));
  net::KeyPair admin;
  ORCH_TRY(admin.certificate_pem, read_file(tls + "client-admin.crt"));
  ORCH_TRY(admin.private_key_pem, read_file(tls + "client-admin.key"));
  ORCH_TRY(auto context, net::TlsClientContext::create({.ca_pem = ca, .key_pair = admin}));
  client::HttpTransportOptions options;
  options.base_url = std::string(trim(*url));
  options.tls = context;
  options.request_timeout = Millis{3'600'000};  // as long as the store is large
  auto answer = client::make_http_transport(std::move(options))->raw(method, path, {}, "");
  if (!answer) return std::optional<std::string>();
  if (answer->status == 200) return std::optional(std::move(answer->body));
  auto status = api::JsonValue::parse(answer->body);
  const std::string message = status ? status->get("message").text() : "";
  return Err(message.empty() ? fmt::format("the server answers {}", answer->status) : message);
}

struct Opened {
  std::shared_ptr<Encryption> encryption;
  std::unique_ptr<storage::KvStore> store;
};
Result<Opened, std::string> open_offline(Env& env, const MaintenancePlace& place) {
  const std::string directory = server_directory(place);
  if (!file_exists(store_directory(directory) + "/state.db")) {
    return Err(fmt::format("{}: no store is there", store_directory(directory)));
  }
  Opened opened;
  ORCH_TRY(opened.encryption, load_encryption(directory, place.encryption_provider_config, false));
  storage::StoreOptions options = store_options(directory, true);
  options.transformer = opened.encryption;
  auto store = storage::open_sqlite_store(env, options);
  if (!store) return Err(store.error().message);
  opened.store = std::move(*store);
  return opened;
}

// What a server saved into its own directory goes where it is wanted.
Result<Unit, std::string> move_to(const std::string& directory, SnapshotFile& file) {
  std::error_code error;
  if (fs::equivalent(fs::path(file.path).parent_path(), directory, error)) return Unit{};
  ORCH_CHECK(make_directories(directory, 0700));
  const std::string wanted = directory + "/" + file.name;
  ORCH_TRY(const std::string content, read_file(file.path));
  ORCH_CHECK(write_file_atomic(wanted, content, 0600));
  fs::remove(file.path, error);
  file.path = wanted;
  return Unit{};
}

bool of_kubernetes(const storage::SnapshotContent& content) {
  if (!content.orch.empty()) return false;
  for (const auto& entry : content.entries) {
    if (entry.kv.key->starts_with("/registry/")) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<SnapshotFile>, std::string> list_snapshots(const MaintenancePlace& place) {
  return list_snapshots_in(settings_of(place).directory);
}

Result<SnapshotFile, std::string> save_snapshot(Env& env, const MaintenancePlace& place,
                                                const SnapshotWish& wish) {
  ORCH_TRY(const auto answer, ask_server(place, "POST",
                                         fmt::format("{}?name={}&format={}", kSnapshotsPath,
                                                     wish.name, wish.etcd_form ? "etcd" : "orch")));
  if (answer) {
    ORCH_TRY(SnapshotFile file, parse_snapshot_json(*answer));
    if (!place.snapshot_dir.empty()) ORCH_CHECK(move_to(place.snapshot_dir, file));
    return file;
  }
  ORCH_TRY(const Opened opened, open_offline(env, place));
  auto saved = save_snapshot_of(*opened.store, settings_of(place), wish, env.clock.now());
  opened.store->stop();
  return saved;
}

Result<std::vector<std::string>, std::string> prune_snapshots(const MaintenancePlace& place,
                                                              const std::string& name,
                                                              size_t keep) {
  return prune_snapshots_in(settings_of(place).directory, name, keep);
}

Result<Restored, std::string> restore_snapshot(const MaintenancePlace& place,
                                               const std::string& file, bool checksum_required) {
  const std::string in_directory = settings_of(place).directory + "/" + file;
  const std::string& path = !file_exists(file) && file_exists(in_directory) ? in_directory : file;
  auto content = storage::read_snapshot_file(path, checksum_required);
  if (!content) return Err(content.error().message);
  const std::string directory = server_directory(place);
  Restored restored;
  if (of_kubernetes(*content)) {
    ORCH_TRY(const auto encryption,
             load_encryption(directory, place.encryption_provider_config, false));
    auto imported = import_kubernetes(std::move(*content), encryption.get());
    if (!imported) return Err(fmt::format("{}: {}", path, imported.error().message));
    restored.imported = true;
    for (const auto& [reason, count] : imported->left_out) {
      restored.left_out.push_back(fmt::format("{} x {}", count, reason));
    }
    *content = std::move(imported->content);
  }
  restored.revision = content->revision;
  restored.keys = static_cast<int64_t>(content->entries.size());
  ORCH_CHECK(make_directories(place.data_dir, 0700));
  ORCH_CHECK(make_directories(directory, 0700));
  const std::string store = store_directory(directory);
  std::error_code error;
  if (fs::exists(store, error) && !fs::is_empty(store, error)) {
    return Err(
        fmt::format("{} holds a store already and is left as it is: restore into an empty "
                    "data directory, or move it away first",
                    store));
  }
  ORCH_CHECK(restore_identity(content->orch, directory, restored));
  // The last step: before it there is no store, after it a whole one.
  if (auto done = storage::restore_sqlite_store(store, *content); !done) {
    return Err(done.error().message);
  }
  return restored;
}

Result<std::string, std::string> secrets_action(Env& env, const MaintenancePlace& place,
                                                const std::string& action) {
  const bool status = action == "status";
  ORCH_TRY(auto answer, ask_server(place, status ? "GET" : "POST",
                                   status ? std::string(kSecretsPath)
                                          : fmt::format("{}?action={}", kSecretsPath, action)));
  if (answer) return std::move(*answer);
  ORCH_TRY(const Opened opened, open_offline(env, place));
  auto done = opened.encryption->act(action, *opened.store, env.clock.now());
  const std::string now = opened.encryption->status(*opened.store).dump();
  opened.store->stop();
  if (!done) return Err(done.error());
  return now;
}

}  // namespace orch::server
