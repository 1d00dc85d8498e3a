// Full disks and failing syncs, simulated below SQLite.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <thread>

#include "unit/storage/fault_vfs.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

StoreResult<TxnResponse> try_put(KvStore& store, const std::string& key, const std::string& value,
                                 LeaseId lease = 0) {
  TxnRequest request;
  request.success.push_back(Op::put(key, bytes(value), lease));
  return store.txn(request);
}

TEST_CASE("a full disk refuses the write and nothing else", "[storage][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite);
  put(*w.store, "/a", "1");
  REQUIRE(w->lease_grant(5, 1000));
  put(*w.store, "/leased", "1", 5);
  const Revision before = w->revision();
  auto sink = std::make_shared<Recorder>();
  auto handle = w->watch("/", "0", 0, sink);
  REQUIRE(handle);

  vfs.fill_disk(true);
  for (int i = 0; i < 3; ++i) {
    auto refused = try_put(*w.store, "/a", "2");
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::kNoSpace);
    CHECK(refused.error().message.find("state.db") != std::string::npos);
  }
  CHECK(!try_put(*w.store, "/new", "1", 5));
  CHECK(!w->lease_grant(6, 10));
  auto revoke = w->lease_revoke(5);
  REQUIRE(!revoke);
  CHECK(revoke.error().code == ErrorCode::kNoSpace);
  CHECK(!w->compact(before));
  CHECK(w->compact_revision() == 0);
  // Reads go on, over what was there.
  CHECK(list(*w.store, "/") == "/a=1 /leased=1");
  CHECK(w->revision() == before);
  CHECK(w->leases() == std::vector<LeaseId>{5});
  CHECK(w->lease_info(5, true)->keys == std::vector<std::string>{"/leased"});

  vfs.fill_disk(false);
  CHECK(put(*w.store, "/a", "3") == before + 1);
  REQUIRE(sink->wait_events(1));
  CHECK(sink->line() == fmt::format("+/a=3@{}(1)", before + 1));
  w.reopen();
  CHECK(list(*w.store, "/") == "/a=3 /leased=1");
  CHECK(w->revision() == before + 1);
}

TEST_CASE("space that ends in the middle of a write leaves nothing half done", "[storage][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite);
  put(*w.store, "/base", "1");
  for (long space = 0; space < 60'000; space += 3'001) {
    TxnRequest request;
    for (int i = 0; i < 10; ++i) {
      request.success.push_back(Op::put(fmt::format("/k/{}", i), bytes(std::string(3000, 'x'))));
    }
    const Revision before = w->revision();
    const std::string listed = list(*w.store, "/");
    vfs.space_left(space);
    auto result = w->txn(request);
    vfs.space_left(-1);
    if (!result) {
      CHECK(result.error().code == ErrorCode::kNoSpace);
      CHECK(w->revision() == before);
      CHECK(list(*w.store, "/") == listed);
    }
    put(*w.store, "/base", std::to_string(space));
    if (space % 4 == 0) w.reopen();
    CHECK(get(*w.store, "/base") == std::to_string(space));
    CHECK(w->range(prefix_at("/k/"))->count == (result || !listed.starts_with("/base") ? 10 : 0));
  }
}

TEST_CASE("concurrent writers over a disk that fills and empties", "[storage][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite);
  constexpr int kThreads = 6;
  std::vector<std::string> acked(kThreads, "(none)");
  std::vector<std::thread> threads;
  std::atomic<int> refused{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 150 || refused == 0; ++i) {
        const std::string value = std::to_string(i);
        auto result = try_put(*w.store, fmt::format("/{}", t), value);
        if (result) {
          acked[static_cast<size_t>(t)] = value;
        } else if (result.error().code == ErrorCode::kNoSpace) {
          ++refused;
        } else {
          std::abort();
        }
      }
    });
  }
  for (int i = 0; i < 10 || refused == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    vfs.fill_disk(i % 2 == 0);
  }
  vfs.fill_disk(false);
  for (auto& thread : threads) thread.join();
  for (int pass = 0; pass < 2; ++pass) {
    for (int t = 0; t < kThreads; ++t) {
      CHECK(get(*w.store, fmt::format("/{}", t)) == acked[static_cast<size_t>(t)]);
    }
    w.reopen();
  }
  CHECK(refused > 0);
}

TEST_CASE("volatile keys can be written while the disk is full", "[storage][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite);
  put(*w.store, "/v/lease", "1");
  vfs.fill_disk(true);
  put(*w.store, "/v/lease", "2");
  CHECK(get(*w.store, "/v/lease") == "2");
  vfs.fill_disk(false);
}

TEST_CASE("after a failed sync the store takes no more writes", "[storage][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite);
  put(*w.store, "/a", "1");
  vfs.fail_sync(true);
  auto failed = try_put(*w.store, "/a", "2");
  REQUIRE(!failed);
  CHECK(failed.error().code == ErrorCode::kUnavailable);
  vfs.fail_sync(false);
  const long syncs = vfs.syncs();
  auto refused = try_put(*w.store, "/b", "1");
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::kUnavailable);
  CHECK(refused.error().message.find("I/O error") != std::string::npos);
  CHECK(!try_put(*w.store, "/v/x", "1"));
  CHECK(!w->lease_grant(0, 10));
  CHECK(vfs.syncs() == syncs);  // it was not tried again
  CHECK(list(*w.store, "/") == "/a=1");
  w.reopen();
  put(*w.store, "/b", "1");
  const std::string a = get(*w.store, "/a");
  CHECK((a == "1" || a == "2"));  // its outcome was unknown
}

TEST_CASE("an idle store and volatile writes leave the disk alone", "[storage][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite);
  put(*w.store, "/a", "1");
  put(*w.store, "/v/0", "1");  // reserves
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const long writes = vfs.writes(), syncs = vfs.syncs();
  for (int i = 0; i < 2000; ++i) put(*w.store, fmt::format("/v/{}", i % 50), "x");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(vfs.writes() == writes);
  CHECK(vfs.syncs() == syncs);
}

TEST_CASE("the write-ahead log stays bounded", "[storage][fault]") {
  World w(Kind::kSqlite);
  for (int i = 0; i < 4000; ++i) put(*w.store, fmt::format("/{}", i % 40), std::string(3000, 'x'));
  REQUIRE(w->compact(w->revision()));
  for (int i = 0; i < 200 && w->size_bytes() > (12 << 20); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  // 40 keys of 3 KB; the log may hold about 1,000 pages beside them.
  CHECK(w->size_bytes() < (12 << 20));
  w.reopen();
  CHECK(w->range(prefix_at("/"))->count == 40);
}

}  // namespace
}  // namespace orch::storage::test
