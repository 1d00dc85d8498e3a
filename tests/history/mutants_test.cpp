// Builds with one rule broken must all be caught by what catches violations elsewhere: the search
// for an order, the history by revisions, the rules of watches, power cuts, crashes.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "storage/mutants.h"
#include "unit/storage/fault_vfs.h"
#include "unit/storage/power_vfs.h"
#include "unit/storage/promises.h"

namespace orch::storage {
namespace {
std::atomic<const char*> broken{""};
}

bool mutant(std::string_view rule) { return rule == broken.load(); }

namespace test {
namespace {

struct Broken {
  explicit Broken(const char* rule) { broken = rule; }
  ~Broken() { broken = ""; }
};

// A life in which all kinds of faults are provoked; what the checkers say.
std::vector<std::string> complaints(unsigned seed) {
  FaultVfs vfs;
  EngineLimits limits;
  limits.history_bytes = 3'000;
  limits.reserve = 20;
  World w(Kind::kSqlite, World::default_options(), limits);
  int turn = 0;
  const Life life = live(
      *w.store, 8, 150,
      [&] {
        vfs.fill_disk(++turn % 3 == 0);
        if (turn % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
        const Revision target = w->revision() - 5;
        if (target > w->compact_revision()) (void)w->compact(target);
      },
      seed);
  CHECK(life.run.ops.size() == 1200);
  CHECK(life.watches.size() >= 5);
  return broken_promises(life);
}

TEST_CASE("without a broken rule there is nothing to complain about", "[mutants]") {
  for (unsigned seed = 1; seed <= 2; ++seed) {
    const auto said = complaints(seed);
    for (size_t i = 0; i < std::min<size_t>(said.size(), 8); ++i) UNSCOPED_INFO(said[i]);
    REQUIRE(said.empty());
  }
}

TEST_CASE("broken rules are caught by histories", "[mutants]") {
  const char* rule =
      GENERATE("watch gap", "event before commit", "stale read", "lost update", "bookmark early");
  INFO(rule);
  std::vector<std::string> said;
  for (unsigned seed = 1; seed <= 25 && said.empty(); ++seed) {
    Broken now(rule);
    said = complaints(seed);
  }
  CHECK(!said.empty());
}

// Reads history while it is compacted: slow at first, so that compaction is done when it goes on.
struct SlowReader final : WatchSink {
  WatchRecord record;
  std::atomic<bool> reading{false}, ended{false};

  bool offer(const std::vector<const Event*>& events, const EventBatch&,
             Revision through) override {
    WatchResponse response;
    for (const Event* event : events) response.events.push_back(*event);
    response.through = through;
    record.responses.push_back(std::move(response));
    if (!reading.exchange(true)) std::this_thread::sleep_for(std::chrono::milliseconds(150));
    return true;
  }
  void closed(const Error&) override { ended = true; }
};

std::vector<std::string> complaints_of_a_reader() {
  World w(Kind::kSqlite);
  auto all = std::make_shared<Recorder>();
  auto watching_all = w->watch("/k/", "/k0", 2, all);
  REQUIRE(watching_all);
  for (int i = 0; i < 1000; ++i) {
    TxnRequest ten;
    for (int n = 0; n < 10; ++n) {
      ten.success.push_back(Op::put(fmt::format("/k/{}", n), bytes(std::to_string(i))));
    }
    REQUIRE(w->txn(ten));
  }
  REQUIRE(all->wait_events(10'000));
  auto reader = std::make_shared<SlowReader>();
  reader->record.key = "/k/";
  reader->record.range_end = "/k0";
  reader->record.start = 2;
  auto handle = w->watch("/k/", "/k0", 2, reader);
  REQUIRE(handle);
  while (!reader->reading) std::this_thread::yield();
  REQUIRE(w->compact(w->revision()));
  (*handle)->request_progress();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (!reader->ended && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  handle->reset();
  CHECK(reader->record.responses.size() > 0);
  return check_watch(reader->record, all->events(), w->compact_revision());
}

TEST_CASE("history that is compacted under a reader is caught", "[mutants]") {
  REQUIRE(complaints_of_a_reader().empty());
  Broken now("compaction past a reader");
  CHECK(!complaints_of_a_reader().empty());
}

// What a power cut after the last acknowledgement leaves; true: something acknowledged is lost.
bool loses_to_power_cut(unsigned seed) {
  PowerVfs::Image image;
  bool cutting = false, taken = false;
  World w(Kind::kMemory);  // for its Env
  {
    PowerVfs vfs(
        seed, [&](const std::string&) { return cutting && !taken; },
        [&](PowerVfs::Image&& cut) {
          taken = true;
          image = std::move(cut);
        });
    TempDir dir;
    StoreOptions options = World::default_options();
    options.path = dir.path();
    auto store = open_sqlite_store(w.env, options);
    REQUIRE(store);
    for (int i = 0; i < 50; ++i) put(**store, "/a", std::to_string(i));
    cutting = true;
    put(**store, "/a", "50");  // the first change to the disk after 50 acknowledgements
    (*store)->stop();
  }
  TempDir dir;
  for (const auto& [name, content] : image) {
    const auto file = std::filesystem::path(name).filename().string();
    std::ofstream(dir.path() + "/" + file, std::ios::binary) << content;
  }
  StoreOptions options = World::default_options();
  options.path = dir.path();
  broken = "";
  auto store = open_sqlite_store(w.env, options);
  if (!store) return true;
  const std::string value = get(**store, "/a");
  return value != "49" && value != "50";
}

TEST_CASE("an acknowledgement before the sync is caught by a power cut", "[mutants]") {
  for (unsigned seed = 1; seed <= 4; ++seed) REQUIRE(!loses_to_power_cut(seed));
  bool lost = false;
  for (unsigned seed = 1; seed <= 8 && !lost; ++seed) {
    Broken now("ack before sync");
    lost = loses_to_power_cut(seed);
  }
  CHECK(lost);
}

// A crash as a copy of the files: true: revisions were given out twice.
bool reuses_revisions() {
  TempDir copy;
  Revision acknowledged = 0;
  World w(Kind::kSqlite);
  put(*w.store, "/a", "1");
  for (int i = 0; i < 30; ++i) acknowledged = put(*w.store, "/v/lease", std::to_string(i));
  for (const char* file : {"/state.db", "/state.db-wal"}) {
    std::filesystem::copy_file(w.path() + file, copy.path() + file);
  }
  StoreOptions options = World::default_options();
  options.path = copy.path();
  auto store = open_sqlite_store(w.env, options);
  REQUIRE(store);
  return put(**store, "/b", "1") <= acknowledged;
}

TEST_CASE("revisions given out twice are caught by a crash", "[mutants]") {
  REQUIRE(!reuses_revisions());
  Broken now("revision reuse");
  CHECK(reuses_revisions());
}

}  // namespace
}  // namespace test
}  // namespace orch::storage
