#include "orch/storage/snapshot_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "orch/base/file.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

struct Filled {
  World w{Kind::kSqlite};
  Filled() {
    if (!w->lease_grant(7, 1000)) std::abort();
    for (int i = 0; i < 500; ++i) put(*w.store, fmt::format("/k/{}", i), std::string(500, 'x'));
    for (int i = 0; i < 100; ++i) erase(*w.store, fmt::format("/k/{}", i));
    put(*w.store, "/leased", "1", 7);
    put(*w.store, "/v/volatile", "1");
  }
};

std::unique_ptr<KvStore> open_at(World& w, const std::string& directory) {
  StoreOptions options = World::default_options();
  options.path = directory;
  auto store = open_sqlite_store(w.env, options);
  if (!store) FAIL(store.error().message);
  return std::move(*store);
}

TEST_CASE("a store comes back from its snapshot", "[storage][snapshot]") {
  Filled f;
  const bool compress = GENERATE(true, false);
  TempDir dir;
  const std::string file = dir.path() + "/deep/a.db";
  const auto size = write_snapshot_file(file, take_snapshot(*f.w.store).value(), compress);
  REQUIRE(size);
  struct stat info {};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  CHECK(info.st_size == *size);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK((*size < 100'000) == compress);
  const auto content = read_snapshot_file(file);
  REQUIRE(content);
  const std::string directory = dir.path() + "/server/db";
  REQUIRE(std::filesystem::create_directories(dir.path() + "/server"));
  REQUIRE(restore_sqlite_store(directory, *content));
  const Revision before = f.w->revision();
  {
    auto store = open_at(f.w, directory);
    CHECK(store->revision() == before + 1'000'000);
    CHECK(list(*store, "/") == list(*f.w.store, "/"));
    CHECK(store->lease_info(7, true)->keys == std::vector<std::string>{"/leased"});
    const auto here = store->range(prefix_at("/")), there = f.w->range(prefix_at("/"));
    for (size_t i = 0; i < here->kvs.size(); ++i) {
      REQUIRE(here->kvs[i].mod_revision == there->kvs[i].mod_revision);
      REQUIRE(here->kvs[i].create_revision == there->kvs[i].create_revision);
      REQUIRE(here->kvs[i].version == there->kvs[i].version);
    }
    // Whoever watched the old store, even beyond the snapshot, has to begin again.
    auto sink = std::make_shared<Recorder>();
    auto old = store->watch("/", "0", before + 5, sink);
    REQUIRE(!old);
    CHECK(old.error().code == ErrorCode::kCompacted);
    CHECK(put(*store, "/new", "1") == before + 1'000'001);
  }
  const auto again = restore_sqlite_store(directory, *content);
  REQUIRE(!again);
  CHECK(again.error().message.find("not empty") != std::string::npos);
  CHECK(get(*open_at(f.w, directory), "/new") == "1");
}

TEST_CASE("an old write-ahead log is not mixed into a restored store", "[storage][snapshot]") {
  Filled f;
  TempDir dir;
  REQUIRE(std::filesystem::create_directories(dir.path() + "/db"));
  std::ofstream(dir.path() + "/db/state.db-wal") << "of another store";
  const auto content = take_snapshot(*f.w.store).value();
  CHECK(!restore_sqlite_store(dir.path() + "/db", content));
  CHECK(read_file(dir.path() + "/db/state.db-wal").value() == "of another store");
}

TEST_CASE("a restore that was cut off leaves nothing in the way", "[storage][snapshot]") {
  Filled f;
  TempDir dir;
  REQUIRE(std::filesystem::create_directories(dir.path() + "/db.restoring"));
  std::ofstream(dir.path() + "/db.restoring/state.db") << "half";
  REQUIRE(restore_sqlite_store(dir.path() + "/db", take_snapshot(*f.w.store).value()));
  CHECK(!file_exists(dir.path() + "/db.restoring"));
  CHECK(list(*open_at(f.w, dir.path() + "/db"), "/") == list(*f.w.store, "/"));
}

TEST_CASE("snapshot files that are cut, changed or none are refused", "[storage][snapshot]") {
  Filled f;
  TempDir dir;
  for (const bool compress : {true, false}) {
    const std::string file = dir.path() + "/a.db";
    REQUIRE(write_snapshot_file(file, take_snapshot(*f.w.store).value(), compress));
    const std::string whole = read_file(file).value();
    const auto refused = [&](std::string content) {
      std::ofstream(file, std::ios::binary) << content;
      const auto read = read_snapshot_file(file);
      if (read) return std::string();
      CHECK(read.error().message.starts_with(file));
      return read.error().message;
    };
    CHECK(refused("").find("checksum") != std::string::npos);
    CHECK(!refused("hello").empty());
    CHECK(!refused(std::string(4096 + 32, 'z')).empty());
    for (size_t at = 0; at < whole.size(); at += whole.size() / 37) {
      CHECK(!refused(whole.substr(0, at)).empty());
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 4);
      CHECK(!refused(changed).empty());
    }
    CHECK(!refused(whole + "x").empty());
    if (!compress) {
      const std::string bare = whole.substr(0, whole.size() - 32);
      CHECK(!refused(bare).empty());
      CHECK(read_snapshot_file(file, false));
    }
  }
  CHECK(!read_snapshot_file(dir.path() + "/none"));
  CHECK(!write_snapshot_file("/proc/none/a.db", take_snapshot(*f.w.store).value(), true));
}

}  // namespace
}  // namespace orch::storage::test
