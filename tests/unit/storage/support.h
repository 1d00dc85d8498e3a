// What the storage tests share: temporary directories, stores of both kinds, a recording watcher.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "orch/base/env.h"
#include "orch/storage/kv_store.h"
#include "storage/engine.h"

namespace orch::storage::test {

class TempDir {
 public:
  // In memory (/dev/shm) unless the test is about a disk that takes its time.
  explicit TempDir(bool on_disk = false);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

enum class Kind { kMemory, kSqlite };
inline const char* name(Kind kind) { return kind == Kind::kMemory ? "memory" : "sqlite"; }

// A store with real threads and time.
class World {
  std::unique_ptr<ThreadPoolExecutor> executor_ = ThreadPoolExecutor::create(2);

 public:
  explicit World(Kind kind, StoreOptions options = default_options(), EngineLimits limits = {},
                 bool on_disk = false);
  ~World();
  static StoreOptions default_options();
  void reopen();  // stops and opens again; nothing is left of a memory store

  Env env;
  std::unique_ptr<KvStore> store;
  KvStore* operator->() const { return store.get(); }
  const std::string& path() const { return options_.path; }

 private:
  void open();
  const Kind kind_;
  TempDir dir_;
  StoreOptions options_;
  const EngineLimits limits_;
};

// A store whose timers run in virtual time.
class ManualWorld {
 public:
  explicit ManualWorld(Kind kind, StoreOptions options = World::default_options());
  ~ManualWorld();
  void advance(Micros by);  // runs what becomes due

  ManualClock clock;
  std::unique_ptr<ManualExecutor> executor;
  std::unique_ptr<Random> random;
  Env env;
  std::unique_ptr<KvStore> store;
  KvStore* operator->() const { return store.get(); }

 private:
  TempDir dir_;
};

StoreResult<std::unique_ptr<KvStore>> open_sqlite(Env& env, const StoreOptions& options,
                                                  const EngineLimits& limits);

Bytes bytes(std::string text);
std::string text(const Bytes& bytes);  // "(null)" for none
RangeRequest key_at(std::string key, Revision revision = 0);
RangeRequest prefix_at(std::string prefix, Revision revision = 0);

// Puts; the revision.
Revision put(KvStore& store, const std::string& key, const std::string& value, LeaseId lease = 0);
Revision erase(KvStore& store, const std::string& key, const std::string& range_end = "");
// The value, "(none)" when there is no such key.
std::string get(KvStore& store, const std::string& key, Revision revision = 0);
// "key=value ..." of all keys with the prefix.
std::string list(KvStore& store, const std::string& prefix, Revision revision = 0);
TxnRequest put_if_mod(const std::string& key, Revision mod, const std::string& value);

// Records; thread-safe.
class Recorder : public WatchSink {
 public:
  bool offer(const std::vector<const Event*>& events, const EventBatch& keep,
             Revision through) override;
  void closed(const Error& why) override;

  // Waits for as many events or the end; false after 10 s.
  bool wait_events(size_t count);
  bool wait_closed();
  bool wait_progress(size_t offers_without_events);
  bool wait_through(Revision revision);
  std::vector<Event> events();
  // "+key=value@revision" or "-key@revision", with "(old)" where there was a previous value.
  std::string line();
  ErrorCode why();
  Revision through();

  std::atomic<size_t> limit{SIZE_MAX};  // offers that it takes

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_;
  std::vector<Revision> progress_;
  Revision through_ = 0;
  size_t offers_ = 0;
  std::optional<Error> closed_;
};

}  // namespace orch::storage::test
