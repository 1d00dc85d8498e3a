#include "server/maintenance/snapshots.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/metrics.h"
#include "orch/storage/snapshot_file.h"
#include "server/maintenance/identity.h"

namespace orch::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPlain = ".db", kCompressed = ".db.zst";
constexpr size_t kStampBytes = 16;  // "20261122T223001Z"

int64_t unix_seconds(WallTime time) {
  return std::chrono::duration_cast<Seconds>(time.time_since_epoch()).count();
}

// As in file names: RFC 3339 without its marks.
std::string stamp_of(int64_t seconds) {
  std::string stamp = TimeZone().rfc3339(seconds);
  std::erase_if(stamp, [](char c) { return c == ':' || c == '-'; });
  return stamp;
}

// The stem without its ending; "" = no snapshot's.
std::string_view stem_of(std::string_view file_name) {
  for (const auto ending : {kCompressed, kPlain}) {
    if (file_name.ends_with(ending)) return file_name.substr(0, file_name.size() - ending.size());
  }
  return {};
}

bool sound_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

std::string snapshot_name_of(std::string_view file_name) {
  const auto stem = stem_of(file_name);
  // NAME-STAMP, or NAME-STAMP-2 for the second of one second.
  for (size_t dash = stem.rfind('-'); dash != std::string_view::npos && dash > 0;
       dash = stem.rfind('-', dash - 1)) {
    const auto rest = stem.substr(dash + 1);
    if (rest.size() >= kStampBytes && rest[8] == 'T' && rest[kStampBytes - 1] == 'Z') {
      return std::string(stem.substr(0, dash));
    }
  }
  return "";
}

Result<SnapshotFile, std::string> save_snapshot_of(storage::KvStore& store,
                                                   const SnapshotSettings& settings,
                                                   const SnapshotWish& wish, WallTime now) {
  static metrics::Histogram& durations = metrics::histogram(
      "orch_snapshot_save_duration_seconds", "Time to save a snapshot of the store.");
  if (!sound_name(wish.name)) {
    return Err(fmt::format("--name: \"{}\" may only have letters, digits, \"-\", \"_\" and \".\"",
                           wish.name));
  }
  const MonoTime start = system_clock().mono();
  auto content = storage::take_snapshot(store);
  if (!content) return Err(content.error().message);
  SnapshotFile file;
  file.created = unix_seconds(now);
  file.revision = content->revision;
  file.keys = static_cast<int64_t>(content->entries.size());
  content->orch["created"] = TimeZone().rfc3339(file.created);
  if (!wish.etcd_form) ORCH_CHECK(add_identity(settings.server_directory, content->orch));
  const std::string stem = fmt::format("{}-{}", wish.name, stamp_of(file.created));
  for (int copy = 1;; ++copy) {
    file.name = copy == 1 ? stem : fmt::format("{}-{}", stem, copy);
    file.name += wish.etcd_form ? kPlain : kCompressed;
    file.path = settings.directory + "/" + file.name;
    if (!file_exists(file.path)) break;
  }
  auto bytes = storage::write_snapshot_file(file.path, std::move(*content), !wish.etcd_form);
  if (!bytes) return Err(bytes.error().message);
  file.bytes = *bytes;
  durations.observe(std::chrono::duration<double>(system_clock().mono() - start).count());
  return file;
}

Result<std::vector<SnapshotFile>, std::string> list_snapshots_in(const std::string& directory) {
  std::vector<SnapshotFile> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (stem_of(name).empty() || !entry.is_regular_file(error)) continue;
    SnapshotFile file;
    file.name = name;
    file.path = entry.path();
    file.bytes = static_cast<int64_t>(entry.file_size(error));
    const auto written = std::chrono::file_clock::to_sys(entry.last_write_time(error));
    file.created = std::chrono::duration_cast<Seconds>(written.time_since_epoch()).count();
    files.push_back(std::move(file));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Err(fmt::format("{}: {}", directory, error.message()));
  }
  std::sort(files.begin(), files.end(), [](const SnapshotFile& a, const SnapshotFile& b) {
    return std::tie(b.created, b.name) < std::tie(a.created, a.name);
  });
  return files;
}

Result<std::vector<std::string>, std::string> prune_snapshots_in(const std::string& directory,
                                                                 const std::string& name,
                                                                 size_t keep) {
  ORCH_TRY(auto files, list_snapshots_in(directory));
  std::erase_if(files, [&](const SnapshotFile& f) { return snapshot_name_of(f.name) != name; });
  std::vector<std::string> gone;
  for (size_t i = keep; i < files.size(); ++i) {
    std::error_code error;
    fs::remove(files[i].path, error);
    if (error) return Err(fmt::format("{}: {}", files[i].path, error.message()));
    gone.push_back(files[i].path);
  }
  return gone;
}

// -- the schedule

struct SnapshotSchedule::State {
  Env& env;
  storage::KvStore& store;
  const SnapshotSettings settings;
  const CronSchedule schedule;
  const size_t retention;
  std::shared_ptr<Strand> strand;
  std::mutex mutex;  // held while one is saved
  bool stopped = false;

  void save() {
    static metrics::Counter& failures = metrics::counter(
        "orch_snapshot_failures_total", "Scheduled snapshots that could not be saved.");
    static metrics::Gauge& last = metrics::gauge("orch_snapshot_last_success_timestamp_seconds",
                                                 "When the last scheduled snapshot was saved.");
    const WallTime now = env.clock.now();
    auto saved = save_snapshot_of(store, settings, {std::string(kScheduledName), false}, now);
    if (!saved) {
      failures.add();
      log::error("snapshot", "scheduled snapshot: {}", saved.error());
      return;
    }
    last.set(static_cast<double>(unix_seconds(now)));
    log::info("snapshot", "{}: revision {}, {} keys, {} bytes", saved->path, saved->revision,
              saved->keys, saved->bytes);
    auto pruned = prune_snapshots_in(settings.directory, std::string(kScheduledName), retention);
    if (!pruned) log::warn("snapshot", "{}", pruned.error());
  }
};

SnapshotSchedule::SnapshotSchedule(Env& env, storage::KvStore& store, SnapshotSettings settings,
                                   CronSchedule schedule, size_t retention)
    : state_(new State{env, store, std::move(settings), std::move(schedule),
                       std::max<size_t>(1, retention), env.executor.make_strand("snapshots")}) {
  arm(state_);
}

SnapshotSchedule::~SnapshotSchedule() {
  std::lock_guard lock(state_->mutex);
  state_->stopped = true;
  state_->strand.reset();
}

void SnapshotSchedule::arm(const std::shared_ptr<State>& state) {
  const int64_t now = unix_seconds(state->env.clock.now());
  const auto next = state->schedule.next(now);
  if (!next || !state->strand) return;
  // The clock may be set meanwhile: it is looked at again every minute.
  const Seconds wait(std::min<int64_t>(*next - now, 60));
  state->strand->post_after(wait, [weak = std::weak_ptr(state), due = *next] {
    auto held = weak.lock();
    if (!held) return;
    std::lock_guard lock(held->mutex);
    if (held->stopped) return;
    if (unix_seconds(held->env.clock.now()) >= due) held->save();
    arm(held);
  });
}

}  // namespace orch::server
