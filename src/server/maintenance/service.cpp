#include "server/maintenance/service.h"

#include <fmt/format.h>
#include <unistd.h>

#include "orch/api/value.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/server/server.h"
#include "server/maintenance/admin.h"
#include "server/maintenance/store.h"

namespace orch::server {

Result<std::unique_ptr<Maintenance>, std::string> Maintenance::create(
    Env& env, const std::string& server_directory, const ServerConfig& config) {
  std::unique_ptr<Maintenance> made(new Maintenance(env, server_directory));
  const auto interval = api::Duration::parse(config.etcd_compaction_interval);
  if (!interval || interval->nanos < 0) {
    return Err(fmt::format("--etcd-compaction-interval: \"{}\" is not a time such as 5m0s",
                           config.etcd_compaction_interval));
  }
  made->compaction_interval_ = Seconds((interval->nanos + 999'999'999) / 1'000'000'000);
  made->volatile_tier_ = !config.durable_leases;
  made->snapshots_ = {server_directory, config.snapshot_dir.empty()
                                            ? server_directory + "/snapshots"
                                            : config.snapshot_dir};
  if (!config.snapshot_schedule.empty()) {
    auto schedule = CronSchedule::parse(config.snapshot_schedule, TimeZone::local());
    if (!schedule) return Err(fmt::format("--snapshot-schedule: {}", schedule.error()));
    made->schedule_ = std::move(*schedule);
  }
  made->retention_ = config.snapshot_retention;
  ORCH_TRY(made->encryption_, load_encryption(server_directory, config.encryption_provider_config,
                                              config.secrets_encryption));
  if (!config.datastore_endpoint.empty()) made->encryption_->share();
  return made;
}

Maintenance::~Maintenance() { stop(); }

storage::StoreOptions Maintenance::store_options() const {
  storage::StoreOptions options = server::store_options(directory_, volatile_tier_);
  options.compaction_interval = compaction_interval_;
  options.transformer = encryption_;
  return options;
}

void Maintenance::attach(ApiServer& server, storage::KvStore& store) {
  store_ = &store;
  add_maintenance_paths(server, store, snapshots_, encryption_);
}

Result<Unit, std::string> Maintenance::start(const std::string& url) {
  ORCH_CHECK(write_file_atomic(directory_ + "/" + std::string(kUrlFile), url + "\n", 0600));
  if (schedule_) {
    scheduled_ =
        std::make_unique<SnapshotSchedule>(env_, *store_, snapshots_, *schedule_, retention_);
  }
  if (store_->stale_values() == 0) return Unit{};
  settling_ = std::thread([this] {
    if (auto done = encryption_->settle(*store_); !done) log::error("secrets", "{}", done.error());
  });
  return Unit{};
}

void Maintenance::stop() {
  scheduled_.reset();
  if (settling_.joinable()) settling_.join();
  ::unlink((directory_ + "/" + std::string(kUrlFile)).c_str());
}

}  // namespace orch::server
