// The contract of KvStore, over both stores: ranges, transactions, compaction.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <thread>

#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

#define BOTH_STORES                                         \
  const Kind kind = GENERATE(Kind::kMemory, Kind::kSqlite); \
  INFO(name(kind))

ErrorCode code_of(const StoreResult<RangeResponse>& result) {
  REQUIRE(!result);
  return result.error().code;
}
ErrorCode code_of(const StoreResult<TxnResponse>& result) {
  REQUIRE(!result);
  return result.error().code;
}

TEST_CASE("an empty store is at revision 1", "[storage]") {
  BOTH_STORES;
  World w(kind);
  CHECK(w->revision() == 1);
  CHECK(w->compact_revision() == 0);
  auto all = w->range(prefix_at(""));
  CHECK(code_of(all) == ErrorCode::kInvalid);
  RangeRequest everything;
  everything.key = std::string(1, '\0');
  everything.range_end = std::string(1, '\0');
  auto none = w->range(everything);
  REQUIRE(none);
  CHECK(none->count == 0);
  CHECK(none->revision == 1);
  CHECK(erase(*w.store, "/a") == 1);  // nothing changed
}

TEST_CASE("puts count revisions and versions", "[storage]") {
  BOTH_STORES;
  World w(kind);
  CHECK(put(*w.store, "/a/1", "one") == 2);
  CHECK(put(*w.store, "/a/1", "two") == 3);
  auto response = w->range(key_at("/a/1"));
  REQUIRE(response);
  REQUIRE(response->kvs.size() == 1);
  const KeyValue& kv = response->kvs[0];
  CHECK(*kv.key == "/a/1");
  CHECK(text(kv.value) == "two");
  CHECK(kv.create_revision == 2);
  CHECK(kv.mod_revision == 3);
  CHECK(kv.version == 2);
  CHECK(erase(*w.store, "/a/1") == 4);
  CHECK(get(*w.store, "/a/1") == "(none)");
  CHECK(put(*w.store, "/a/1", "three") == 5);
  response = w->range(key_at("/a/1"));
  REQUIRE(response);
  CHECK(response->kvs[0].create_revision == 5);
  CHECK(response->kvs[0].version == 1);
}

TEST_CASE("a null or empty value is an empty value", "[storage]") {
  BOTH_STORES;
  World w(kind);
  TxnRequest request;
  request.success.push_back(Op::put("/a", nullptr));
  REQUIRE(w->txn(request));
  CHECK(get(*w.store, "/a") == "");
  put(*w.store, "/a", "x");
  CHECK(get(*w.store, "/a", 2) == "");
  w.store->stop();
}

TEST_CASE("ranges: bounds, limit, count, keys only", "[storage]") {
  BOTH_STORES;
  World w(kind);
  for (int i = 0; i < 300; ++i) put(*w.store, fmt::format("/p/{:03}", i), fmt::format("v{}", i));
  put(*w.store, "/q", "q");
  erase(*w.store, "/p/010");

  auto all = w->range(prefix_at("/p/"));
  REQUIRE(all);
  CHECK(all->count == 299);
  CHECK(all->kvs.size() == 299);
  CHECK(!all->more);
  CHECK(std::is_sorted(all->kvs.begin(), all->kvs.end(),
                       [](const KeyValue& a, const KeyValue& b) { return *a.key < *b.key; }));

  RangeRequest request = prefix_at("/p/");
  request.limit = 20;
  auto page = w->range(request);
  REQUIRE(page);
  CHECK(page->kvs.size() == 20);
  CHECK(page->more);
  CHECK(page->count == 299);
  CHECK(*page->kvs.back().key == "/p/020");
  request.limit = 299;
  page = w->range(request);
  REQUIRE(page);
  CHECK(!page->more);

  request = prefix_at("/p/");
  request.key = "/p/100";
  request.count_only = true;
  page = w->range(request);
  REQUIRE(page);
  CHECK(page->count == 200);
  CHECK(page->kvs.empty());
  request.range_end = "/p/200";
  CHECK(w->range(request)->count == 100);
  request.range_end = std::string(1, '\0');
  CHECK(w->range(request)->count == 201);
  request.revision = 12;  // /p/000 to /p/010
  CHECK(w->range(request)->count == 0);
  request.key = "/p/";
  CHECK(w->range(request)->count == 11);

  request = prefix_at("/p/");
  request.keys_only = true;
  page = w->range(request);
  REQUIRE(page);
  CHECK(page->kvs[0].value == nullptr);
  CHECK(page->kvs[0].mod_revision == 2);
  // The end is exclusive, and before the begin is empty.
  request = key_at("/p/5");
  request.range_end = "/p/1";
  CHECK(w->range(request)->count == 0);
}

TEST_CASE("values are shared, not copied", "[storage]") {
  BOTH_STORES;
  World w(kind);
  const Bytes value = bytes("x");
  TxnRequest request;
  request.success.push_back(Op::put("/a", value));
  REQUIRE(w->txn(request));
  CHECK(w->range(key_at("/a"))->kvs[0].value.get() == value.get());
}

TEST_CASE("the past can be read", "[storage]") {
  BOTH_STORES;
  World w(kind);
  put(*w.store, "/a", "1");
  put(*w.store, "/b", "1");
  put(*w.store, "/a", "2");
  erase(*w.store, "/b");
  put(*w.store, "/b", "2");
  CHECK(list(*w.store, "/", 1) == "");
  CHECK(list(*w.store, "/", 2) == "/a=1");
  CHECK(list(*w.store, "/", 3) == "/a=1 /b=1");
  CHECK(list(*w.store, "/", 4) == "/a=2 /b=1");
  CHECK(list(*w.store, "/", 5) == "/a=2");
  CHECK(list(*w.store, "/", 6) == "/a=2 /b=2");
  CHECK(code_of(w->range(prefix_at("/", 7))) == ErrorCode::kFutureRev);
  CHECK(w->range(prefix_at("/", 3))->revision == 6);
}

TEST_CASE("compaction drops the past and nothing else", "[storage]") {
  BOTH_STORES;
  World w(kind);
  put(*w.store, "/a", "1");  // 2
  put(*w.store, "/b", "1");  // 3
  put(*w.store, "/a", "2");  // 4
  erase(*w.store, "/b");     // 5
  put(*w.store, "/c", "1");  // 6
  put(*w.store, "/a", "3");  // 7
  REQUIRE(w->compact(5));
  CHECK(w->compact_revision() == 5);
  auto old = w->range(prefix_at("/", 4));
  CHECK(code_of(old) == ErrorCode::kCompacted);
  CHECK(old.error().compact_revision == 5);
  CHECK(list(*w.store, "/", 5) == "/a=2");
  CHECK(list(*w.store, "/", 6) == "/a=2 /c=1");
  CHECK(list(*w.store, "/") == "/a=3 /c=1");
  auto again = w->compact(5);
  REQUIRE(!again);
  CHECK(again.error().code == ErrorCode::kCompacted);
  auto future = w->compact(8);
  REQUIRE(!future);
  CHECK(future.error().code == ErrorCode::kFutureRev);
  REQUIRE(w->compact(7));
  CHECK(list(*w.store, "/") == "/a=3 /c=1");
  erase(*w.store, "/a");
  erase(*w.store, "/c");
  REQUIRE(w->compact(w->revision()));
  CHECK(list(*w.store, "/") == "");
  CHECK(put(*w.store, "/a", "4") == 10);
}

TEST_CASE("transactions: branches, own writes, one revision", "[storage]") {
  BOTH_STORES;
  World w(kind);
  TxnRequest request = put_if_mod("/a", 0, "1");
  auto created = w->txn(request);
  REQUIRE(created);
  CHECK(created->succeeded);
  CHECK(created->revision == 2);
  auto refused = w->txn(request);
  REQUIRE(refused);
  CHECK(!refused->succeeded);
  CHECK(refused->revision == 2);
  REQUIRE(refused->results.size() == 1);
  CHECK(text(refused->results[0].range.kvs.at(0).value) == "1");

  TxnRequest many;
  many.success = {Op::put("/b", bytes("b")), Op::put("/c", bytes("c")), Op::get(prefix_at("/")),
                  Op::erase("/a"), Op::get(prefix_at("/"))};
  many.success[3].prev_kv = true;
  auto done = w->txn(many);
  REQUIRE(done);
  CHECK(done->revision == 3);
  CHECK(done->results[2].range.kvs.size() == 3);
  CHECK(done->results[3].deleted == 1);
  CHECK(text(done->results[3].prev_kvs.at(0).value) == "1");
  CHECK(done->results[4].range.kvs.size() == 2);
  auto now = w->range(prefix_at("/"));
  REQUIRE(now);
  CHECK(now->kvs[0].mod_revision == 3);
  CHECK(now->kvs[1].mod_revision == 3);
  CHECK(list(*w.store, "/", 2) == "/a=1");

  TxnRequest range_delete;
  range_delete.success = {Op::erase("/", prefix_end("/"))};
  auto wiped = w->txn(range_delete);
  REQUIRE(wiped);
  CHECK(wiped->results[0].deleted == 2);
  CHECK(wiped->revision == 4);
  CHECK(list(*w.store, "/") == "");
}

TEST_CASE("compares: every target and operator", "[storage]") {
  BOTH_STORES;
  World w(kind);
  put(*w.store, "/a", "m");  // 2
  put(*w.store, "/a", "n");  // 3
  const auto holds = [&](const std::string& key, Compare::Target target, Compare::Op op,
                         int64_t number, const std::string& value = "",
                         const std::string& end = "") {
    TxnRequest request;
    request.compares.push_back({key, end, target, op, number, value});
    auto response = w->txn(request);
    REQUIRE(response);
    return response->succeeded;
  };
  using T = Compare::Target;
  using O = Compare::Op;
  CHECK(holds("/a", T::kVersion, O::kEqual, 2));
  CHECK(!holds("/a", T::kVersion, O::kEqual, 1));
  CHECK(holds("/a", T::kCreate, O::kLess, 3));
  CHECK(holds("/a", T::kMod, O::kGreater, 2));
  CHECK(!holds("/a", T::kMod, O::kNotEqual, 3));
  CHECK(holds("/a", T::kLease, O::kEqual, 0));
  CHECK(holds("/a", T::kValue, O::kEqual, 0, "n"));
  CHECK(holds("/a", T::kValue, O::kGreater, 0, "m"));
  CHECK(!holds("/a", T::kValue, O::kLess, 0, "m"));
  // Absent keys are all zeros, and have no value.
  CHECK(holds("/x", T::kVersion, O::kEqual, 0));
  CHECK(holds("/x", T::kMod, O::kEqual, 0));
  CHECK(!holds("/x", T::kValue, O::kNotEqual, 0, "n"));
  // A range holds when every key does.
  put(*w.store, "/b", "n");  // 4
  CHECK(holds("/a", T::kValue, O::kEqual, 0, "n", "/c"));
  CHECK(!holds("/a", T::kVersion, O::kEqual, 2, "", "/c"));
  CHECK(holds("/x", T::kVersion, O::kEqual, 0, "", "/y"));
}

TEST_CASE("a transaction that cannot be done does nothing", "[storage]") {
  BOTH_STORES;
  World w(kind);
  put(*w.store, "/a", "1");
  const auto refused = [&](std::vector<Op> ops) {
    TxnRequest request;
    request.success = std::move(ops);
    auto code = code_of(w->txn(request));
    CHECK(w->revision() == 2);
    CHECK(list(*w.store, "/") == "/a=1");
    return code;
  };
  CHECK(refused({Op::put("/b", bytes("1")), Op::put("/b", bytes("2"))}) == ErrorCode::kInvalid);
  CHECK(refused({Op::put("/b", bytes("1")), Op::erase("/", "0")}) == ErrorCode::kInvalid);
  CHECK(refused({Op::put("", bytes("1"))}) == ErrorCode::kInvalid);
  CHECK(refused({Op::put("/b", bytes("1")), Op::put("/c", bytes("2"), 77)}) ==
        ErrorCode::kLeaseNotFound);
  CHECK(refused({Op::put("/b", bytes("1")), Op::get(key_at("/a", 9))}) == ErrorCode::kFutureRev);
  CHECK(refused({Op::put("/b", bytes(std::string(5 << 20, 'x')))}) == ErrorCode::kTooLarge);
  Op keep = Op::put("/absent", nullptr);
  keep.ignore_value = true;
  CHECK(refused({Op::put("/b", bytes("1")), keep}) == ErrorCode::kInvalid);
}

TEST_CASE("ignore_value and ignore_lease keep what is there", "[storage]") {
  BOTH_STORES;
  World w(kind);
  REQUIRE(w->lease_grant(5, 100));
  put(*w.store, "/a", "1", 5);
  TxnRequest request;
  request.success.push_back(Op::put("/a", nullptr));
  request.success[0].ignore_value = true;
  request.success[0].prev_kv = true;
  auto touched = w->txn(request);
  REQUIRE(touched);
  CHECK(touched->results[0].prev_kvs.at(0).lease == 5);
  auto now = w->range(key_at("/a"));
  CHECK(text(now->kvs[0].value) == "1");
  CHECK(now->kvs[0].version == 2);
  CHECK(now->kvs[0].lease == 0);
  put(*w.store, "/a", "2", 5);
  request.success[0] = Op::put("/a", bytes("3"));
  request.success[0].ignore_lease = true;
  REQUIRE(w->txn(request));
  now = w->range(key_at("/a"));
  CHECK(text(now->kvs[0].value) == "3");
  CHECK(now->kvs[0].lease == 5);
}

TEST_CASE("concurrent compare-and-swap counters lose nothing", "[storage]") {
  BOTH_STORES;
  World w(kind);
  constexpr int kThreads = 8, kEach = 60;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int done = 0; done < kEach;) {
        auto now = w.store->range(key_at("/counter"));
        if (!now) std::abort();
        const bool there = !now->kvs.empty();
        const int value = there ? std::stoi(*now->kvs[0].value) : 0;
        const Revision mod = there ? now->kvs[0].mod_revision : 0;
        auto result = w.store->txn(put_if_mod("/counter", mod, std::to_string(value + 1)));
        if (!result) std::abort();
        done += result->succeeded;
        // What was acknowledged can be read.
        if (result->succeeded && w.store->revision() < result->revision) std::abort();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(get(*w.store, "/counter") == std::to_string(kThreads * kEach));
  CHECK(w->revision() == 1 + kThreads * kEach);
}

TEST_CASE("after stop everything is unavailable, and stop may be repeated", "[storage]") {
  BOTH_STORES;
  World w(kind);
  put(*w.store, "/a", "1");
  w->stop();
  w->stop();
  CHECK(code_of(w->range(key_at("/a"))) == ErrorCode::kUnavailable);
  CHECK(code_of(w->txn(put_if_mod("/a", 0, "x"))) == ErrorCode::kUnavailable);
  CHECK(!w->compact(1));
  CHECK(!w->lease_grant(0, 10));
  CHECK(!w->watch("/a", "", 0, std::make_shared<Recorder>()));
}

TEST_CASE("prefix_end", "[storage]") {
  CHECK(prefix_end("/a/") == "/a0");
  CHECK(prefix_end("a\xff") == "b");
  CHECK(prefix_end("\xff\xff") == std::string(1, '\0'));
  CHECK(prefix_end("") == std::string(1, '\0'));
}

TEST_CASE("key ranges and prefixes overlap", "[storage]") {
  const auto overlaps = [](std::string_view begin, std::string_view end) {
    return KeyRange{begin, end}.overlaps_prefix("/v/");
  };
  CHECK(overlaps("/v/a", ""));
  CHECK(!overlaps("/v", ""));
  CHECK(overlaps("/v/", "/v0"));
  CHECK(overlaps("/v/b", "/v/c"));
  CHECK(overlaps("/a", "/v/a"));
  CHECK(!overlaps("/a", "/v/"));
  CHECK(!overlaps("/v0", "/w"));
  CHECK(overlaps("/", std::string_view("\0", 1)));
  CHECK(!overlaps("/w", std::string_view("\0", 1)));
}

}  // namespace
}  // namespace orch::storage::test
