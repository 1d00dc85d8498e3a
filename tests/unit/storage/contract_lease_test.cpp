// The contract of leases and of what timers do, over both stores, in virtual time.
#include <catch2/catch.hpp>
#include <thread>

#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

#define BOTH_STORES                                         \
  const Kind kind = GENERATE(Kind::kMemory, Kind::kSqlite); \
  INFO(name(kind))

TEST_CASE("leases are granted, described and revoked", "[storage][lease]") {
  BOTH_STORES;
  ManualWorld w(kind);
  auto chosen = w->lease_grant(0, 60);
  REQUIRE(chosen);
  CHECK(chosen->id > 0);
  CHECK(chosen->ttl_seconds == 60);
  REQUIRE(w->lease_grant(7, 30));
  auto again = w->lease_grant(7, 30);
  REQUIRE(!again);
  CHECK(again.error().code == ErrorCode::kLeaseExists);
  CHECK(w->leases().size() == 2);
  CHECK(w->revision() == 1);

  put(*w.store, "/b", "1", 7);
  put(*w.store, "/a", "1", 7);
  put(*w.store, "/c", "1", chosen->id);
  auto info = w->lease_info(7, true);
  REQUIRE(info);
  CHECK(info->keys == std::vector<std::string>{"/a", "/b"});
  CHECK(info->remaining_seconds == 30);
  put(*w.store, "/b", "2");  // detaches
  CHECK(w->lease_info(7, true)->keys == std::vector<std::string>{"/a"});
  put(*w.store, "/c", "2", 7);  // moves
  CHECK(w->lease_info(chosen->id, true)->keys.empty());

  const Revision before = w->revision();
  REQUIRE(w->lease_revoke(7));
  CHECK(w->revision() == before + 1);  // both keys in one revision
  CHECK(list(*w.store, "/") == "/b=2");
  auto gone = w->lease_revoke(7);
  REQUIRE(!gone);
  CHECK(gone.error().code == ErrorCode::kLeaseNotFound);
  CHECK(!w->lease_info(7, false));
  CHECK(!w->lease_keep_alive(7));
  CHECK(!w->lease_grant(8, 10'000'000'000));
  REQUIRE(w->lease_revoke(chosen->id));
  CHECK(w->revision() == before + 1);  // no keys, no revision
}

TEST_CASE("an expired lease takes its keys along", "[storage][lease]") {
  BOTH_STORES;
  ManualWorld w(kind);
  REQUIRE(w->lease_grant(1, 10));
  REQUIRE(w->lease_grant(2, 20));
  put(*w.store, "/a", "1", 1);
  put(*w.store, "/b", "1", 1);
  put(*w.store, "/c", "1", 2);
  auto sink = std::make_shared<Recorder>();
  auto handle = w->watch("/", "0", 0, sink);
  REQUIRE(handle);
  w.advance(Seconds(9));
  CHECK(list(*w.store, "/") == "/a=1 /b=1 /c=1");
  REQUIRE(w->lease_keep_alive(1));
  CHECK(w->lease_info(1, false)->remaining_seconds == 10);
  w.advance(Seconds(9));
  CHECK(list(*w.store, "/") == "/a=1 /b=1 /c=1");
  w.advance(Seconds(1));
  CHECK(list(*w.store, "/") == "/c=1");
  CHECK(w->revision() == 5);
  w.executor->run_until_idle();
  REQUIRE(sink->wait_events(2));
  CHECK(sink->line() == "-/a@5(1) -/b@5(1)");
  w.advance(Seconds(5));
  CHECK(list(*w.store, "/") == "");
  CHECK(w->leases().empty());
}

TEST_CASE("compaction happens by itself and keeps an interval", "[storage][compact]") {
  BOTH_STORES;
  StoreOptions options = World::default_options();
  options.compaction_interval = Seconds(100);
  ManualWorld w(kind, options);
  put(*w.store, "/a", "1");
  put(*w.store, "/a", "2");
  w.advance(Seconds(100));
  CHECK(list(*w.store, "/", 2) == "/a=1");  // it is younger than an interval
  put(*w.store, "/a", "3");
  w.advance(Seconds(99));
  CHECK(list(*w.store, "/", 2) == "/a=1");
  w.advance(Seconds(1));
  CHECK(w->compact_revision() == 3);
  CHECK(!w->range(prefix_at("/", 2)));
  CHECK(list(*w.store, "/", 3) == "/a=2");
  w.advance(Seconds(200));
  CHECK(w->compact_revision() == 4);
  CHECK(list(*w.store, "/") == "/a=3");
}

TEST_CASE("the memory store is deterministic on one thread", "[storage]") {
  ManualWorld w(Kind::kMemory);
  auto sink = std::make_shared<Recorder>();
  auto handle = w->watch("/", "0", 0, sink);
  REQUIRE(handle);
  put(*w.store, "/a", "1");
  put(*w.store, "/b", "1");
  CHECK(sink->line() == "");  // nothing before the executor turns
  w.executor->run_until_idle();
  CHECK(sink->line() == "+/a=1@2 +/b=1@3");
}

}  // namespace
}  // namespace orch::storage::test
