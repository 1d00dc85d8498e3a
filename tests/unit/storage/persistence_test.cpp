// What survives a restart, and what is refused at the door.
#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "orch/base/file.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

StoreResult<std::unique_ptr<KvStore>> open_at(World& w, const std::string& path) {
  StoreOptions options = World::default_options();
  options.path = path;
  return open_sqlite_store(w.env, options);
}

void run_sql(const std::string& file, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

TEST_CASE("state, history, leases and compaction survive a restart", "[storage][sqlite]") {
  World w(Kind::kSqlite);
  REQUIRE(w->lease_grant(9, 500));
  put(*w.store, "/a", "1");     // 2
  put(*w.store, "/b", "1", 9);  // 3
  put(*w.store, "/a", "2");     // 4
  erase(*w.store, "/b");        // 5
  put(*w.store, "/c", "", 9);   // 6
  TxnRequest two;
  two.success = {Op::put("/d", bytes("1")), Op::put("/e", bytes("1"))};
  REQUIRE(w->txn(two));  // 7
  REQUIRE(w->compact(3));
  for (int pass = 0; pass < 2; ++pass) {
    w.reopen();
    CHECK(w->revision() == 7);
    CHECK(w->compact_revision() == 3);
    CHECK(list(*w.store, "/a") == "/a=2");
    CHECK(list(*w.store, "/a", 3) == "/a=1");
    CHECK(list(*w.store, "/b", 3) == "/b=1");
    CHECK(list(*w.store, "/c") == "/c=");
    CHECK(!w->range(key_at("/a", 2)));
    auto lease = w->lease_info(9, true);
    REQUIRE(lease);
    CHECK(lease->keys == std::vector<std::string>{"/c"});
    CHECK(lease->ttl_seconds == 500);
    auto sink = std::make_shared<Recorder>();
    auto handle = w->watch("/", "/v", 4, sink);
    REQUIRE(handle);
    REQUIRE(sink->wait_events(5));
    CHECK(sink->line() == "+/a=2@4(1) -/b@5(1) +/c=@6 +/d=1@7 +/e=1@7");
  }
  auto kv = w->range(key_at("/a"))->kvs.at(0);
  CHECK(kv.create_revision == 2);
  CHECK(kv.version == 2);
  CHECK(put(*w.store, "/a", "3") == 8);
}

TEST_CASE("a restart after compaction to the head and deletion of the newest",
          "[storage][sqlite]") {
  World w(Kind::kSqlite);
  put(*w.store, "/a", "1");
  put(*w.store, "/b", "1");
  REQUIRE(w->compact(3));
  erase(*w.store, "/b");
  REQUIRE(w->compact(4));
  w.reopen();
  CHECK(w->revision() == 4);
  CHECK(list(*w.store, "/") == "/a=1");
  erase(*w.store, "/a");
  REQUIRE(w->compact(5));
  w.reopen();
  w.reopen();
  CHECK(w->revision() == 5);
  CHECK(list(*w.store, "/") == "");
  CHECK(put(*w.store, "/a", "2") == 6);
}

TEST_CASE("compacted rows leave the disk and deleted keys stay deleted", "[storage][sqlite]") {
  World w(Kind::kSqlite);
  for (int i = 0; i < 2000; ++i) put(*w.store, fmt::format("/{}", i % 10), std::string(500, 'x'));
  for (int i = 0; i < 5; ++i) erase(*w.store, fmt::format("/{}", i));
  put(*w.store, "/last", "1");
  REQUIRE(w->compact(w->revision()));
  // A stop in the middle of the work is allowed: the rest is done after the start.
  w.reopen();
  for (int i = 0; i < 5; ++i) CHECK(get(*w.store, fmt::format("/{}", i)) == "(none)");
  CHECK(w->range(prefix_at("/"))->count == 6);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  w->stop();
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open((w.path() + "/state.db").c_str(), &db) == SQLITE_OK);
  sqlite3_stmt* count = nullptr;
  REQUIRE(sqlite3_prepare_v2(db, "SELECT count(*) FROM log", -1, &count, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(count) == SQLITE_ROW);
  CHECK(sqlite3_column_int(count, 0) <= 8);
  sqlite3_finalize(count);
  sqlite3_close(db);
}

TEST_CASE("the volatile tier is kept by a clean stop", "[storage][sqlite]") {
  World w(Kind::kSqlite);
  put(*w.store, "/v/a", "1");
  put(*w.store, "/v/b", "1");
  put(*w.store, "/x", "1");
  put(*w.store, "/v/a", "2");
  erase(*w.store, "/v/b");
  const Revision before = w->revision();
  auto sink = std::make_shared<Recorder>();
  auto handle = w->watch("/v/", "/v0", 2, sink);
  REQUIRE(handle);
  REQUIRE(sink->wait_events(4));
  CHECK(sink->line() == "+/v/a=1@2 +/v/b=1@3 +/v/a=2@5(1) -/v/b@6(1)");
  CHECK(get(*w.store, "/v/b", 3) == "1");
  for (int pass = 0; pass < 2; ++pass) {
    w.reopen();
    CHECK(w->revision() == before);
    CHECK(list(*w.store, "/v/") == "/v/a=2");
    CHECK(w->range(key_at("/v/a"))->kvs.at(0).mod_revision == 5);
    // Its history is not kept, and says so.
    CHECK(!w->range(key_at("/v/a", 3)));
    auto refused = w->watch("/v/", "/v0", 3, sink);
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::kCompacted);
    CHECK(get(*w.store, "/x", 4) == "1");
    auto later = std::make_shared<Recorder>();
    auto resumed = w->watch("/v/", "/v0", before + 1, later);
    REQUIRE(resumed);
  }
  erase(*w.store, "/v/a");
  w.reopen();
  CHECK(list(*w.store, "/v/") == "");
  CHECK(w->revision() == before + 1);
}

TEST_CASE("the volatile tier is written back at intervals", "[storage][sqlite]") {
  StoreOptions options = World::default_options();
  options.volatile_flush = Seconds(60);
  options.compaction_interval = Seconds(0);
  ManualWorld w(Kind::kSqlite, options);
  put(*w.store, "/v/a", "1");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const int64_t before = w->size_bytes();
  w.advance(Seconds(61));
  for (int i = 0; i < 500 && w->size_bytes() == before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(w->size_bytes() > before);
}

TEST_CASE("keys move when the volatile prefixes change", "[storage][sqlite]") {
  TempDir dir;
  World w(Kind::kMemory);
  StoreOptions options;
  options.path = dir.path();
  const auto open = [&](std::vector<std::string> prefixes) {
    options.volatile_prefixes = std::move(prefixes);
    auto store = open_sqlite_store(w.env, options);
    if (!store) FAIL(store.error().message);
    return std::move(store).value();
  };
  auto store = open({});
  put(*store, "/v/a", "1");
  put(*store, "/v/b", "1");
  put(*store, "/v/b", "2");
  store.reset();
  store = open({"/v/"});
  CHECK(store->revision() == 4);
  CHECK(list(*store, "/v/") == "/v/a=1 /v/b=2");
  erase(*store, "/v/b");
  store.reset();
  store = open({});
  CHECK(store->revision() == 5);
  CHECK(list(*store, "/v/") == "/v/a=1");
  erase(*store, "/v/a");
  store.reset();
  store = open({});
  CHECK(store->revision() == 6);
  CHECK(list(*store, "/v/") == "");
}

TEST_CASE("files are private", "[storage][sqlite]") {
  World w(Kind::kSqlite);
  put(*w.store, "/a", "1");
  for (const char* file : {"/state.db", "/state.db-wal", "/lock"}) {
    struct stat info {};
    REQUIRE(::stat((w.path() + file).c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }
}

TEST_CASE("two stores do not share a directory", "[storage][sqlite]") {
  World w(Kind::kSqlite);
  auto second = open_at(w, w.path());
  REQUIRE(!second);
  CHECK(second.error().code == ErrorCode::kUnavailable);
  CHECK(second.error().message.find(std::to_string(::getpid())) != std::string::npos);
  w->stop();
  CHECK(open_at(w, w.path()));
}

TEST_CASE("a directory that cannot be used is named", "[storage][sqlite]") {
  World w(Kind::kSqlite);
  auto below_file = open_at(w, w.path() + "/state.db/sub");
  REQUIRE(!below_file);
  CHECK(below_file.error().message.find("state.db") != std::string::npos);
  auto not_made = open_at(w, "/proc/orch");
  REQUIRE(!not_made);
  CHECK(not_made.error().message.find("/proc/orch") != std::string::npos);
}

TEST_CASE("foreign, newer and damaged files are refused untouched", "[storage][sqlite]") {
  World w(Kind::kSqlite);
  put(*w.store, "/a", "1");
  for (int i = 0; i < 200; ++i) put(*w.store, fmt::format("/{}", i), std::string(2000, 'x'));
  w->stop();
  const std::string file = w.path() + "/state.db";
  std::string expected;
  SECTION("newer schema") {
    run_sql(file, "PRAGMA user_version=99");
    expected = "schema version 99 is newer";
  }
  SECTION("another program's database") {
    run_sql(file, "PRAGMA application_id=77");
    expected = "not an orch database";
  }
  SECTION("another program's database without an id") {
    std::filesystem::remove(file);
    run_sql(file, "CREATE TABLE t(x)");
    expected = "not an orch database";
  }
  SECTION("not a database") {
    std::ofstream(file) << std::string(9000, 'q');
    expected = "not an orch database";
  }
  SECTION("damaged pages") {
    std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
    for (int page = 6; page < 60; ++page) {
      damage.seekp(page * 4096);
      damage << std::string(200, '\x5a');
    }
    expected = "malformed";
  }
  const auto before = read_file(file);
  REQUIRE(before);
  auto refused = open_at(w, w.path());
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::kCorrupt);
  INFO(refused.error().message);
  CHECK(refused.error().message.find(expected) != std::string::npos);
  CHECK(refused.error().message.find(file) != std::string::npos);
  CHECK(*read_file(file) == *before);
}

TEST_CASE("an empty file left by a crash is a new store", "[storage][sqlite]") {
  World w(Kind::kMemory);
  TempDir dir;
  std::ofstream(dir.path() + "/state.db").flush();
  auto store = open_at(w, dir.path());
  REQUIRE(store);
  CHECK((*store)->revision() == 1);
}

// History beyond the memory budget: its values come from disk.
TEST_CASE("shed history is still right", "[storage][sqlite]") {
  EngineLimits limits;
  limits.history_bytes = 10'000;
  World w(Kind::kSqlite, World::default_options(), limits);
  const auto value = [](int i) { return fmt::format("{}{}", i, std::string(500, 'x')); };
  for (int i = 0; i < 200; ++i) {
    if (i % 20 == 19) {
      erase(*w.store, "/3");
    } else {
      put(*w.store, fmt::format("/{}", i % 10), value(i));
    }
    put(*w.store, fmt::format("/v/{}", i % 10), std::to_string(i));
  }
  const auto check = [&](bool with_volatile) {
    CHECK(get(*w.store, "/1", 4) == value(1));
    CHECK(get(*w.store, "/1") == value(191));
    CHECK(get(*w.store, "/1", 4 + 20) == value(11));
    auto old = w->range(prefix_at("/1", 200));
    REQUIRE(old);
    CHECK(text(old->kvs.at(0).value) == value(91));
    if (with_volatile) CHECK(get(*w.store, "/v/1", 5) == "1");
    TxnRequest read;
    read.success = {Op::get(key_at("/1", 4)), Op::get(key_at("/1", 24))};
    CHECK(text(w->txn(read)->results[1].range.kvs.at(0).value) == value(11));
    read.success.push_back(Op::put("/w", bytes("1")));
    CHECK(text(w->txn(read)->results[0].range.kvs.at(0).value) == value(1));
    auto sink = std::make_shared<Recorder>();
    auto handle = w->watch("/", "/v", 2, sink);
    REQUIRE(handle);
    REQUIRE(sink->wait_events(200));
    std::map<std::string, std::string> state;
    int i = 0;
    for (const Event& event : sink->events()) {
      if (*event.kv.key == "/w") break;
      std::string& now = state[*event.kv.key];
      REQUIRE((event.prev_kv.key ? text(event.prev_kv.value) : "") == now);
      now = event.type == Event::Type::kPut ? text(event.kv.value) : "";
      if (event.type == Event::Type::kPut) REQUIRE(now == value(i));
      ++i;
    }
    CHECK(i == 200);
  };
  check(true);
  w.reopen();
  check(false);
}

TEST_CASE("too much history is compacted early", "[storage]") {
  const Kind kind = GENERATE(Kind::kMemory, Kind::kSqlite);
  INFO(name(kind));
  EngineLimits limits;
  SECTION("by events") { limits.history_events = 300; }
  SECTION("by bytes that cannot be shed") { limits.history_bytes = 20'000; }
  World w(kind, World::default_options(), limits);
  for (int i = 0; i < 1500; ++i) put(*w.store, fmt::format("/v/{}", i % 7), std::string(100, 'x'));
  CHECK(w->compact_revision() > 700);
  CHECK(w->revision() == 1501);
  CHECK(w->range(prefix_at("/v/", 1490))->count == 7);
}

}  // namespace
}  // namespace orch::storage::test
