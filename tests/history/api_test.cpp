// Histories through the Kubernetes API, in process over the durable store: creates, updates with a
// resourceVersion, deletes and reads of concurrent clients are linearizable, and a watch tells the
// same, over two lives of the server.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "orch/api/corev1.h"
#include "orch/client/client.h"
#include "server/api/api_server.h"
#include "unit/storage/linearizability.h"
#include "unit/storage/support.h"

namespace orch::server::test {
namespace {

using api::corev1::ConfigMap;
using storage::test::OpRecord;
using storage::test::TempDir;

int64_t nanoseconds() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

struct Served {
  std::unique_ptr<ThreadPoolExecutor> pool = ThreadPoolExecutor::create(2);
  Env env{system_clock(), *pool, system_random(), no_faults()};
  std::unique_ptr<storage::KvStore> store;
  std::unique_ptr<ApiServer> server;
  std::unique_ptr<client::Transport> transport;

  explicit Served(const std::string& directory) {
    storage::StoreOptions options;
    options.path = directory;
    auto opened = storage::open_sqlite_store(env, options);
    if (!opened) FAIL(opened.error().message);
    store = std::move(*opened);
    server = std::make_unique<ApiServer>(env, *store, ApiServerConfig{});
    REQUIRE(server->start());
    transport = server->local_transport({"test", "", {"system:masters"}, {}});
  }
  ~Served() {
    server->stop();
    pool->stop();
    store->stop();
  }
};

class Caller {
 public:
  Caller(client::Transport& transport, int id, int round)
      : client_(transport),
        id_(id),
        round_(round),
        random_(static_cast<unsigned>(id * 31 + round)) {}

  void run(int count) {
    for (int i = 0; i < count; ++i) step(i);
  }
  std::vector<OpRecord> records;

 private:
  static storage::Revision revision_of(const ConfigMap& map) {
    return std::stoll(map.metadata.resourceVersion);
  }
  void step(int i) {
    OpRecord op;
    op.client = id_;
    op.key = fmt::format("m{}", random_() % 4);
    op.revision = -1;  // the API does not tell the store's
    op.called = nanoseconds();
    const auto kind = random_() % 10;
    if (kind < 3) {
      get(op);
    } else if (kind < 9) {
      write(op, fmt::format("{}#{}#{}", id_, round_, i));
    } else {
      op.type = OpRecord::Type::kErase;
      auto gone = client_.remove<ConfigMap>("default", op.key);
      if (!gone && gone.error().code != 404) std::abort();
      op.changed = gone.has_value();
      seen_.erase(op.key);
    }
    op.returned = nanoseconds();
    records.push_back(std::move(op));
  }
  void get(OpRecord& op) {
    auto got = client_.get<ConfigMap>("default", op.key);
    if (!got && got.error().code != 404) std::abort();
    if (got) op.value = got->data.at("v");
    seen_[op.key] = got ? revision_of(*got) : 0;
  }
  void write(OpRecord& op, std::string value) {
    op.type = OpRecord::Type::kCas;
    op.expected = seen_[op.key];
    op.value = value;
    ConfigMap map;
    map.metadata.name = op.key;
    map.metadata.namespace_ = "default";
    map.data["v"] = std::move(value);
    if (op.expected > 0) map.metadata.resourceVersion = std::to_string(op.expected);
    auto done = op.expected > 0 ? client_.update(map) : client_.create(map);
    if (done) {
      op.revision = seen_[op.key] = revision_of(*done);
      return;
    }
    // 409 Conflict or AlreadyExists; 404 when it was deleted.
    if (done.error().code != 409 && done.error().code != 404) std::abort();
    op.outcome = OpRecord::Outcome::kRefused;
    seen_.erase(op.key);
  }

  client::Client client_;
  const int id_, round_;
  std::mt19937 random_;
  std::map<std::string, storage::Revision> seen_;
};

struct Watched {
  std::mutex mutex;
  std::vector<std::pair<storage::Revision, std::string>> changes;  // revision, "name=value"

  client::WatchCallbacks callbacks() {
    return {[this](client::WatchEvent event) {
              auto map = api::from_json<ConfigMap>(event.object_json);
              if (!map) return;
              const bool there = event.type != "DELETED";
              std::lock_guard lock(mutex);
              changes.emplace_back(std::stoll(map->metadata.resourceVersion),
                                   map->metadata.name + "=" + (there ? map->data.at("v") : ""));
            },
            [](const api::Error*) {}};
  }
};

// One life of the server; what the watch saw must be what the clients did.
std::vector<OpRecord> live(const std::string& directory, int round) {
  Served served(directory);
  client::Request watch;
  watch.verb = "watch";
  watch.version = "v1";
  watch.resource = "configmaps";
  watch.query.emplace_back("resourceVersion", std::to_string(served.store->revision()));
  Watched watched;
  auto stream = served.transport->watch(watch, watched.callbacks());
  REQUIRE(stream);
  std::vector<std::unique_ptr<Caller>> callers;
  std::vector<std::thread> threads;
  for (int id = 0; id < 6; ++id) {
    callers.push_back(std::make_unique<Caller>(*served.transport, id, round));
    threads.emplace_back([caller = callers.back().get()] { caller->run(60); });
  }
  for (auto& thread : threads) thread.join();
  std::vector<OpRecord> ops;
  std::map<storage::Revision, std::string> written;
  for (const auto& caller : callers) {
    for (const OpRecord& op : caller->records) {
      if (op.type == OpRecord::Type::kCas && op.outcome == OpRecord::Outcome::kOk) {
        CHECK(written.emplace(op.revision, op.key + "=" + op.value).second);
      }
      ops.push_back(op);
    }
  }
  const storage::Revision newest = served.store->revision();
  for (int wait = 0; wait < 5000; ++wait) {
    {
      std::lock_guard lock(watched.mutex);
      if (!watched.changes.empty() && watched.changes.back().first >= newest) break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::lock_guard lock(watched.mutex);
  storage::Revision last = 0;
  size_t seen = 0;
  for (const auto& [revision, change] : watched.changes) {
    CHECK(revision > last);
    last = revision;
    if (change.ends_with("=")) continue;  // a deletion
    ++seen;
    CHECK(written[revision] == change);
  }
  CHECK(seen == written.size());
  return ops;
}

TEST_CASE("histories through the API are linearizable", "[history][api]") {
  TempDir dir;
  {
    Served served(dir.path());
    client::Request make;
    make.verb = "create";
    make.version = "v1";
    make.resource = "namespaces";
    make.body = R"({"metadata":{"name":"default"}})";
    REQUIRE(served.transport->call(make));
  }
  std::vector<OpRecord> ops;
  for (int round = 0; round < 2; ++round) {
    for (auto& op : live(dir.path(), round)) ops.push_back(std::move(op));
  }
  CHECK(ops.size() == 720);
  const auto verdict = storage::test::check_linearizable(ops, -1);
  INFO(verdict.stuck_at);
  CHECK(verdict.decided);
  CHECK(verdict.linearizable);
  // And it would notice.
  for (OpRecord& op : ops) {
    if (op.type != OpRecord::Type::kGet || op.value.empty()) continue;
    op.value = "never written";
    break;
  }
  CHECK(!storage::test::check_linearizable(ops, -1).linearizable);
}

}  // namespace
}  // namespace orch::server::test
