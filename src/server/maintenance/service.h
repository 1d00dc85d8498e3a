// What a running server does with its own store beside serving it: encryption at rest, scheduled
// snapshots, the administrative paths. Built before the store, stopped before it.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "server/api/api_server.h"
#include "server/maintenance/encryption.h"
#include "server/maintenance/snapshots.h"

namespace orch::server {

struct ServerConfig;

class Maintenance {
 public:
  // Checks the flags and loads the keys. Error: a sentence that names the flag or file.
  static Result<std::unique_ptr<Maintenance>, std::string> create(
      Env& env, const std::string& server_directory, const ServerConfig& config);
  ~Maintenance();

  storage::StoreOptions store_options() const;
  // Before the first request.
  void attach(ApiServer& server, storage::KvStore& store);
  // Once requests are served: `url` is where, from this machine.
  Result<Unit, std::string> start(const std::string& url);
  void stop();  // idempotent

 private:
  Maintenance(Env& env, std::string server_directory) : env_(env), directory_(server_directory) {}

  Env& env_;
  const std::string directory_;
  Seconds compaction_interval_{0};
  bool volatile_tier_ = true;
  SnapshotSettings snapshots_;
  std::optional<CronSchedule> schedule_;
  size_t retention_ = 5;
  std::shared_ptr<Encryption> encryption_;
  storage::KvStore* store_ = nullptr;
  std::unique_ptr<SnapshotSchedule> scheduled_;
  std::thread settling_;
};

}  // namespace orch::server
