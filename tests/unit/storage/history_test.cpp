// Concurrent clients' histories are linearisable and watches report the same history, with
// compaction and full disks in between; and the checker that says so notices when it is not so.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <thread>

#include "unit/storage/fault_vfs.h"
#include "unit/storage/history.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

int64_t nanoseconds() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

class Client {
 public:
  Client(KvStore& store, int id, const std::string& prefix)
      : store_(store), id_(id), prefix_(prefix), random_(static_cast<unsigned>(id) + 1) {}

  void run(int count) {
    for (int i = 0; i < count; ++i) step(i);
  }
  std::vector<OpRecord> records;

 private:
  void step(int i) {
    OpRecord op;
    op.client = id_;
    op.key = fmt::format("{}{}", prefix_, random_() % 5);
    op.called = nanoseconds();
    const auto kind = random_() % 10;
    if (kind < 3) {
      get(op);
    } else {
      write(op, kind, fmt::format("{}#{}", id_, i));
    }
    op.returned = nanoseconds();
    if (op.type == OpRecord::Type::kGet || op.outcome == OpRecord::Outcome::kOk) {
      seen_[op.key] = op.type == OpRecord::Type::kGet ? mod_ : op.changed ? 0 : op.revision;
    }
    records.push_back(std::move(op));
  }
  void get(OpRecord& op) {
    auto response = store_.range(key_at(op.key));
    if (!response) std::abort();
    op.revision = response->revision;
    mod_ = response->kvs.empty() ? 0 : response->kvs[0].mod_revision;
    if (!response->kvs.empty()) op.value = *response->kvs[0].value;
  }
  void write(OpRecord& op, unsigned long kind, std::string value) {
    TxnRequest request;
    if (kind < 5) {
      op.type = OpRecord::Type::kPut;
      request.success.push_back(Op::put(op.key, bytes(value)));
    } else if (kind < 9) {
      op.type = OpRecord::Type::kCas;
      op.expected = seen_[op.key];
      request = put_if_mod(op.key, op.expected, value);
    } else {
      op.type = OpRecord::Type::kErase;
      request.success.push_back(Op::erase(op.key));
    }
    if (op.type != OpRecord::Type::kErase) op.value = std::move(value);
    auto response = store_.txn(request);
    if (!response) {
      if (response.error().code != ErrorCode::kNoSpace) std::abort();
      op.outcome = OpRecord::Outcome::kFailed;
      return;
    }
    op.revision = response->revision;
    op.changed = op.type == OpRecord::Type::kErase && response->results[0].deleted > 0;
    if (!response->succeeded) op.outcome = OpRecord::Outcome::kRefused;
  }

  KvStore& store_;
  const int id_;
  const std::string prefix_;
  std::mt19937 random_;
  std::map<std::string, Revision> seen_;
  Revision mod_ = 0;
};

struct Run {
  std::vector<OpRecord> ops;
  std::vector<Event> events;
};

// `disturb` runs beside the clients until they are done.
template <class Disturb>
Run run_clients(World& w, int clients, int each, Disturb disturb) {
  auto sink = std::make_shared<Recorder>();
  auto handle = w->watch(std::string(1, '\0'), std::string(1, '\0'), 0, sink);
  REQUIRE(handle);
  std::vector<std::unique_ptr<Client>> all;
  std::vector<std::thread> threads;
  std::atomic<int> running{clients};
  for (int c = 0; c < clients; ++c) {
    all.push_back(std::make_unique<Client>(*w.store, c, c % 4 == 3 ? "/v/" : "/k/"));
    threads.emplace_back([&running, each, client = all.back().get()] {
      client->run(each);
      --running;
    });
  }
  while (running > 0) disturb();
  for (auto& thread : threads) thread.join();
  (*handle)->request_progress();
  REQUIRE(sink->wait_progress(1));
  Run run;
  run.events = sink->events();
  for (const auto& client : all) {
    run.ops.insert(run.ops.end(), client->records.begin(), client->records.end());
  }
  return run;
}

void require_linearisable(const Run& run) {
  const auto violations = check_history(run.ops, run.events);
  for (size_t i = 0; i < std::min<size_t>(violations.size(), 10); ++i) UNSCOPED_INFO(violations[i]);
  REQUIRE(violations.empty());
}

TEST_CASE("concurrent histories are linearisable", "[storage][history]") {
  const Kind kind = GENERATE(Kind::kMemory, Kind::kSqlite);
  INFO(name(kind));
  EngineLimits limits;
  limits.history_bytes = 2'000;
  limits.history_events = 100'000;
  limits.reserve = 20;
  if (kind == Kind::kMemory) limits.history_bytes = 64 << 20;
  World w(kind, World::default_options(), limits, true);
  const Run run = run_clients(w, 8, 400, [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const Revision target = w->revision() - 150;
    if (target > w->compact_revision()) (void)w->compact(target);
  });
  CHECK(run.events.size() > 600);
  require_linearisable(run);
}

TEST_CASE("histories over a disk that fills are linearisable", "[storage][history][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite, World::default_options(), {}, true);
  bool full = false;
  const Run run = run_clients(w, 8, 250, [&] {
    vfs.fill_disk(full = !full);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  });
  vfs.fill_disk(false);
  CHECK(std::any_of(run.ops.begin(), run.ops.end(),
                    [](const OpRecord& op) { return op.outcome == OpRecord::Outcome::kFailed; }));
  require_linearisable(run);
}

TEST_CASE("the checker notices", "[storage][history]") {
  World w(Kind::kMemory);
  Run run = run_clients(w, 4, 200, [] { std::this_thread::yield(); });
  require_linearisable(run);
  const auto find = [&](auto wanted) {
    auto it = std::find_if(run.ops.begin() + 300, run.ops.end(), wanted);
    REQUIRE(it != run.ops.end());
    return it;
  };
  using T = OpRecord::Type;
  using O = OpRecord::Outcome;
  const auto put = find([](const OpRecord& op) { return op.type == T::kPut; });
  const auto get = find([](const OpRecord& op) { return op.type == T::kGet && op.value != ""; });
  SECTION("a lost write") { run.events.erase(run.events.begin() + 100); }
  SECTION("a write lost at the end") { run.events.pop_back(); }
  SECTION("a repeated event") { run.events.insert(run.events.begin() + 100, run.events[100]); }
  SECTION("swapped events") { std::swap(run.events[100], run.events[101]); }
  SECTION("another value") { put->value = "other"; }
  SECTION("a refused write that happened") { put->outcome = O::kFailed; }
  SECTION("a stale read") {
    get->revision -= 120;
    get->value = "";
  }
  SECTION("a read of something never written") { get->value = "phantom"; }
  SECTION("an acknowledgement out of real time") { put->called = put->returned += 50'000'000'000; }
  SECTION("a compare that should have failed") {
    find([](const OpRecord& op) { return op.type == T::kCas && op.outcome == O::kOk; })->expected =
        1;
  }
  SECTION("a compare that should have held") {
    auto cas = find([](const OpRecord& op) { return op.type == T::kCas && op.outcome == O::kOk; });
    cas->outcome = O::kRefused;
  }
  CHECK(!check_history(run.ops, run.events).empty());
}

}  // namespace
}  // namespace orch::storage::test
