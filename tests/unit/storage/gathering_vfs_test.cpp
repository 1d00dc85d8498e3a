// What SQLite writes to its log piece by piece goes out in one call, and never later than it must.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <map>

#include "storage/sqlite/database.h"
#include "unit/storage/fault_vfs.h"
#include "unit/storage/power_vfs.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

StoreResult<Database> open_log(const std::string& file) {
  ORCH_TRY(auto database, Database::open(file));
  ORCH_CHECK(database.exec("PRAGMA locking_mode=EXCLUSIVE"));
  ORCH_CHECK(database.exec("PRAGMA journal_mode=WAL"));
  ORCH_CHECK(database.exec("PRAGMA synchronous=FULL"));
  ORCH_CHECK(database.exec("PRAGMA wal_autocheckpoint=0"));
  ORCH_CHECK(database.exec("CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v BLOB)"));
  return database;
}
std::string insert(int k, int bytes) {
  return fmt::format("INSERT INTO t VALUES({}, randomblob({}))", k, bytes);
}

}  // namespace

TEST_CASE("a commit is one write and one sync of the log") {
  TempDir dir;
  std::map<std::string, int> changes;
  std::string first_seen;
  PowerVfs vfs(
      1,
      [&](const std::string& file) {
        ++changes[file.substr(file.rfind('/') + 1)];
        return false;
      },
      [](PowerVfs::Image&&) {});
  auto database = open_log(dir.path() + "/db").value();
  changes.clear();
  REQUIRE(database.exec(insert(1, 9000)));  // three pages
  CHECK(changes == std::map<std::string, int>{{"db-wal", 2}});
  changes.clear();
  // More than is gathered goes out in a few pieces, and can be read back before it is committed.
  REQUIRE(database.exec("PRAGMA cache_size=10"));
  REQUIRE(database.exec("BEGIN"));
  for (int k = 2; k < 102; ++k) REQUIRE(database.exec(insert(k, 9000)));
  CHECK(database.integer("SELECT sum(length(v)) FROM t").value() == 101 * 9000);
  REQUIRE(database.exec("COMMIT"));
  CHECK(changes["db-wal"] < 150);  // of 300 pages, 600 pieces
  CHECK(database.integer("SELECT sum(length(v)) FROM t").value() == 101 * 9000);
}

TEST_CASE("a log that cannot be written fails the commit, and the next goes on") {
  TempDir dir;
  FaultVfs vfs;
  auto database = open_log(dir.path() + "/db").value();
  REQUIRE(database.exec(insert(1, 9000)));
  vfs.fill_disk(true);
  CHECK_FALSE(database.exec(insert(2, 9000)));
  CHECK(database.integer("SELECT count(*) FROM t").value() == 1);
  vfs.fill_disk(false);
  REQUIRE(database.exec(insert(3, 9000)));
  CHECK(database.integer("SELECT sum(k) FROM t").value() == 4);
}

}  // namespace orch::storage::test
