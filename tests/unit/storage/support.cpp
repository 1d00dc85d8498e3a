#include "unit/storage/support.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "storage/sqlite/sqlite_backend.h"

namespace orch::storage::test {

TempDir::TempDir(bool on_disk) {
  std::filesystem::path base = std::filesystem::temp_directory_path();
  if (!on_disk && ::access("/dev/shm", W_OK) == 0) base = "/dev/shm";
  std::string pattern = base / "orch-storage-XXXXXX";
  if (!::mkdtemp(pattern.data())) std::abort();
  path_ = pattern;
}
TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

StoreResult<std::unique_ptr<KvStore>> open_sqlite(Env& env, const StoreOptions& options,
                                                  const EngineLimits& limits) {
  ORCH_TRY(std::unique_ptr<Backend> backend,
           SqliteBackend::open(options.path, options.transformer));
  auto engine = std::make_unique<Engine>(env, options, limits, std::move(backend));
  ORCH_CHECK(engine->start());
  return std::unique_ptr<KvStore>(std::move(engine));
}

StoreOptions World::default_options() {
  StoreOptions options;
  options.volatile_prefixes = {"/v/"};
  return options;
}

World::World(Kind kind, StoreOptions options, EngineLimits limits, bool on_disk)
    : env{system_clock(), *executor_, system_random(), no_faults()},
      kind_(kind),
      dir_(on_disk),
      options_(std::move(options)),
      limits_(limits) {
  options_.path = dir_.path() + "/db";
  open();
}

World::~World() {
  store.reset();
  executor_->stop();
}

void World::open() {
  if (kind_ == Kind::kMemory) {
    auto engine = std::make_unique<Engine>(env, options_, limits_, nullptr);
    REQUIRE(engine->start());
    store = std::move(engine);
    return;
  }
  auto opened = open_sqlite(env, options_, limits_);
  if (!opened) FAIL(opened.error().message);
  store = std::move(opened).value();
}

void World::reopen() {
  store->stop();
  store.reset();
  open();
}

ManualWorld::ManualWorld(Kind kind, StoreOptions options)
    : executor(ManualExecutor::create(clock)),
      random(seeded_random(1)),
      env{clock, *executor, *random, no_faults()} {
  options.path = dir_.path() + "/db";
  if (kind == Kind::kMemory) {
    store = make_memory_store(env, options);
    return;
  }
  auto opened = open_sqlite_store(env, options);
  if (!opened) FAIL(opened.error().message);
  store = std::move(opened).value();
}

ManualWorld::~ManualWorld() { store.reset(); }

void ManualWorld::advance(Micros by) {
  executor->run_until_idle();
  executor->advance(by);
  executor->run_until_idle();
}

Bytes bytes(std::string text) { return std::make_shared<const std::string>(std::move(text)); }
std::string text(const Bytes& bytes) { return bytes ? *bytes : "(null)"; }

RangeRequest key_at(std::string key, Revision revision) {
  RangeRequest request;
  request.key = std::move(key);
  request.revision = revision;
  return request;
}
RangeRequest prefix_at(std::string prefix, Revision revision) {
  RangeRequest request;
  request.range_end = prefix_end(prefix);
  request.key = std::move(prefix);
  request.revision = revision;
  return request;
}

Revision put(KvStore& store, const std::string& key, const std::string& value, LeaseId lease) {
  TxnRequest request;
  request.success.push_back(Op::put(key, bytes(value), lease));
  auto response = store.txn(request);
  if (!response) FAIL(response.error().message);
  return response->revision;
}

Revision erase(KvStore& store, const std::string& key, const std::string& range_end) {
  TxnRequest request;
  request.success.push_back(Op::erase(key, range_end));
  auto response = store.txn(request);
  if (!response) FAIL(response.error().message);
  return response->revision;
}

std::string get(KvStore& store, const std::string& key, Revision revision) {
  auto response = store.range(key_at(key, revision));
  if (!response) FAIL(response.error().message);
  return response->kvs.empty() ? "(none)" : text(response->kvs[0].value);
}

std::string list(KvStore& store, const std::string& prefix, Revision revision) {
  auto response = store.range(prefix_at(prefix, revision));
  if (!response) FAIL(response.error().message);
  std::string line;
  for (const KeyValue& kv : response->kvs) {
    if (!line.empty()) line += ' ';
    line += *kv.key + "=" + text(kv.value);
  }
  return line;
}

TxnRequest put_if_mod(const std::string& key, Revision mod, const std::string& value) {
  TxnRequest request;
  Compare compare;
  compare.key = key;
  compare.target = Compare::Target::kMod;
  compare.number = mod;
  request.compares.push_back(compare);
  request.success.push_back(Op::put(key, bytes(value)));
  request.failure.push_back(Op::get(key_at(key)));
  return request;
}

bool Recorder::offer(const std::vector<const Event*>& events, const EventBatch& keep,
                     Revision through) {
  std::lock_guard lock(mutex_);
  // The contract: one call at a time, nothing after the end, a batch to keep alive.
  if (closed_ || (!events.empty() && !keep)) std::abort();
  if (++offers_ > limit) return false;
  for (const Event* event : events) events_.push_back(*event);
  if (events.empty()) progress_.push_back(through);
  through_ = through;
  changed_.notify_all();
  return true;
}

void Recorder::closed(const Error& why) {
  std::lock_guard lock(mutex_);
  if (closed_) std::abort();
  closed_ = why;
  changed_.notify_all();
}

bool Recorder::wait_events(size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, Seconds(10), [&] { return events_.size() >= count; });
}
bool Recorder::wait_closed() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, Seconds(10), [&] { return closed_.has_value(); });
}
bool Recorder::wait_progress(size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, Seconds(10), [&] { return progress_.size() >= count; });
}
bool Recorder::wait_through(Revision revision) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, Seconds(10), [&] { return through_ >= revision; });
}
std::vector<Event> Recorder::events() {
  std::lock_guard lock(mutex_);
  return events_;
}
std::string Recorder::line() {
  std::string line;
  for (const Event& event : events()) {
    if (!line.empty()) line += ' ';
    const bool put = event.type == Event::Type::kPut;
    line += put ? "+" : "-";
    line += *event.kv.key;
    if (put) line += "=" + text(event.kv.value);
    line += fmt::format("@{}", event.kv.mod_revision);
    if (event.prev_kv.key) line += "(" + text(event.prev_kv.value) + ")";
  }
  return line;
}
ErrorCode Recorder::why() {
  std::lock_guard lock(mutex_);
  return closed_ ? closed_->code : ErrorCode::kInvalid;
}
Revision Recorder::through() {
  std::lock_guard lock(mutex_);
  return through_;
}

}  // namespace orch::storage::test
