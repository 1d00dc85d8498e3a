// Snapshots in etcd's form: there and back, read by etcd's own tool, and damaged in every way.
#include "orch/storage/etcd_snapshot.h"

#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>

#include "orch/base/file.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

std::string file_of(SnapshotContent content) {
  std::string file;
  EtcdSnapshot snapshot(std::move(content));
  REQUIRE(snapshot.write([&](std::string_view portion) {
    CHECK(portion.size() <= 64 * 1024);
    file += portion;
    return true;
  }));
  CHECK(static_cast<int64_t>(file.size()) == snapshot.size() + 32);
  return file;
}

std::string line_of(const SnapshotContent& content) {
  std::string line = fmt::format("@{}", content.revision);
  for (const auto& [kv, place] : content.entries) {
    line += fmt::format(" {}={}@{}.{}/{}v{}", *kv.key, text(kv.value), kv.mod_revision, place,
                        kv.create_revision, kv.version);
    if (kv.lease) line += fmt::format("L{}", kv.lease);
  }
  for (const auto& [id, ttl] : content.leases) line += fmt::format(" lease {}:{}", id, ttl);
  return line;
}

TEST_CASE("a snapshot is the store at its revision", "[storage][snapshot]") {
  const Kind kind = GENERATE(Kind::kMemory, Kind::kSqlite);
  World w(kind);
  CHECK(line_of(parse_etcd_snapshot(file_of(take_snapshot(*w.store).value())).value()) == "@1");
  REQUIRE(w->lease_grant(7, 100));
  put(*w.store, "/a", "1");
  put(*w.store, "/b", "1");
  put(*w.store, "/a", "2");
  put(*w.store, "/leased", "x", 7);
  TxnRequest both;
  both.success = {Op::put("/c", bytes("")), Op::put("/d", bytes("4"))};
  REQUIRE(w->txn(both));
  put(*w.store, "/gone", "1");
  erase(*w.store, "/gone");
  const auto content = take_snapshot(*w.store).value();
  put(*w.store, "/late", "1");
  CHECK(line_of(content) ==
        "@8 /b=1@3.0/3v1 /a=2@4.0/2v2 /leased=x@5.0/5v1L7 /c=@6.0/6v1 /d=4@6.1/6v1 lease 7:100");
  const auto back = parse_etcd_snapshot(file_of(content));
  REQUIRE(back);
  CHECK(line_of(*back) == line_of(content));
  CHECK(back->orch.at("format") == "1");
}

TEST_CASE("snapshots of many keys and of large values", "[storage][snapshot]") {
  World w(Kind::kMemory);
  std::mt19937 random(7);
  for (int i = 0; i < 6000; ++i) {
    const size_t size = i % 500 == 0 ? 300'000 : random() % 300;
    put(*w.store, fmt::format("/k/{}", i), std::string(size, static_cast<char>('a' + i % 26)));
  }
  const auto content = take_snapshot(*w.store).value();
  REQUIRE(content.entries.size() == 6000);
  const std::string file = file_of(content);
  const auto back = parse_etcd_snapshot(file);
  REQUIRE(back);
  CHECK((line_of(*back) == line_of(content)));
}

TEST_CASE("a snapshot under load is one revision", "[storage][snapshot]") {
  World w(Kind::kSqlite);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; !done; ++i) {
      TxnRequest pair;
      pair.success = {Op::put("/a", bytes(std::to_string(i))),
                      Op::put("/z", bytes(std::to_string(i))),
                      Op::put(fmt::format("/m/{}", i % 5000), bytes(std::to_string(i)))};
      if (!w->txn(pair)) std::abort();
      if (i % 50 == 49) (void)w->compact(w->revision() - 20);
    }
  });
  for (int i = 0; i < 20; ++i) {
    const auto content = take_snapshot(*w.store);
    if (!content) {
      CHECK(content.error().code == ErrorCode::kCompacted);
      continue;
    }
    std::string a, z;
    for (const auto& entry : content->entries) {
      CHECK(entry.kv.mod_revision <= content->revision);
      if (*entry.kv.key == "/a") a = *entry.kv.value;
      if (*entry.kv.key == "/z") z = *entry.kv.value;
    }
    CHECK(a == z);
  }
  done = true;
  writer.join();
}

TEST_CASE("etcd's own tool takes a snapshot", "[storage][snapshot]") {
  if (std::system("command -v etcdctl >/dev/null 2>&1") != 0) {
    WARN("no etcdctl on this machine");
    return;
  }
  World w(Kind::kMemory);
  REQUIRE(w->lease_grant(9, 60));
  for (int i = 0; i < 3000; ++i) put(*w.store, fmt::format("/k/{}", i), std::string(200, 'x'), 9);
  for (int i = 0; i < 1000; ++i) erase(*w.store, fmt::format("/k/{}", i));
  TempDir dir;
  const std::string file = dir.path() + "/snapshot.db";
  std::ofstream(file, std::ios::binary) << file_of(take_snapshot(*w.store).value());
  const std::string run = "cd " + dir.path() + " && ETCDCTL_API=3 etcdctl ";
  CHECK(std::system((run + "snapshot status -w json snapshot.db >status 2>&1").c_str()) == 0);
  const std::string status = read_file(dir.path() + "/status").value();
  INFO(status);
  // It counts the items of all buckets and tells the revision of the newest key.
  CHECK(status.find("\"totalKey\":2005") != std::string::npos);
  CHECK(status.find("\"revision\":3001") != std::string::npos);
  CHECK(std::system((run + "snapshot restore snapshot.db --data-dir restored >log 2>&1").c_str()) ==
        0);
  const auto restored = read_file(dir.path() + "/restored/member/snap/db");
  REQUIRE(restored);
  const auto again = parse_etcd_snapshot(*restored);
  REQUIRE(again);
  CHECK(again->entries.size() == 2000);
  CHECK(again->revision >= 4001);
  CHECK(again->leases.size() == 1);
  std::ofstream(file, std::ios::binary | std::ios::in | std::ios::out).seekp(20'000) << "damage";
  CHECK(std::system((run + "snapshot restore snapshot.db --data-dir no >log 2>&1").c_str()) != 0);
}

TEST_CASE("damaged snapshots are refused", "[storage][snapshot]") {
  World w(Kind::kMemory);
  for (int i = 0; i < 400; ++i) put(*w.store, fmt::format("/k/{}", i), std::string(90, 'v'));
  const std::string whole = file_of(take_snapshot(*w.store).value());
  REQUIRE(parse_etcd_snapshot(whole));
  std::mt19937 random(static_cast<unsigned>(::getpid()));
  for (int i = 0; i < 300; ++i) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    const auto parsed = parse_etcd_snapshot(damaged);
    REQUIRE(!parsed);
    CHECK(parsed.error().code == ErrorCode::kCorrupt);
  }
  for (size_t size = 0; size < whole.size(); size += 1 + random() % 3000) {
    CHECK(!parse_etcd_snapshot(std::string_view(whole).substr(0, size)));
  }
  // Without a checksum nothing may go out of bounds or on for ever.
  const std::string bare = whole.substr(0, whole.size() - 32);
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = bare;
    for (int n = 0; n < 3; ++n) {
      damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    }
    (void)parse_etcd_snapshot(damaged);
  }
  auto newer = take_snapshot(*w.store).value();
  newer.orch["format"] = "2";
  const auto refused = parse_etcd_snapshot(file_of(newer));
  REQUIRE(!refused);
  CHECK(refused.error().message.find("newer") != std::string::npos);
}

}  // namespace
}  // namespace orch::storage::test
