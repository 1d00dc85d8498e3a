// Nothing grows without bound, whatever the load.
#include <fmt/format.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <thread>

#include "orch/base/metrics.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

int64_t log_bytes(const World& w) {
  struct stat info {};
  return ::stat((w.path() + "/state.db-wal").c_str(), &info) == 0 ? info.st_size : 0;
}

TEST_CASE("the write-ahead log stays under 16 MiB", "[storage][bounds]") {
  World w(Kind::kSqlite);
  const size_t size = GENERATE(1'000u, 200'000u, 3'000'000u);
  const int callers = GENERATE(1, 8);
  INFO(callers << " callers, values of " << size);
  std::atomic<int> running{callers};
  std::vector<std::thread> writers;
  for (int t = 0; t < callers; ++t) {
    writers.emplace_back([&, t] {
      const std::string value(size, 'x');
      const int count = size > 1'000'000 ? 12 : size > 100'000 ? 60 : 800;
      for (int i = 0; i < count; ++i) put(*w.store, fmt::format("/{}/{}", t, i % 3), value);
      --running;
    });
  }
  int64_t highest = 0;
  while (running > 0) {
    highest = std::max(highest, log_bytes(w));
    (void)w->compact(w->revision());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (auto& writer : writers) writer.join();
  highest = std::max(highest, log_bytes(w));
  CHECK(highest < (16 << 20));
  CHECK(highest > 0);
}

TEST_CASE("a log that one transaction made large shrinks again", "[storage][bounds]") {
  World w(Kind::kSqlite);
  for (int t = 0; t < 200; ++t) {
    TxnRequest many;
    for (int i = 0; i < 500; ++i) {
      many.success.push_back(Op::put(fmt::format("/{}/{}", t, i), bytes(std::string(100, 'x'))));
    }
    REQUIRE(w->txn(many));
  }
  erase(*w.store, "/", "0");  // 100,000 keys at once
  for (int i = 0; i < 20; ++i) put(*w.store, "/after", std::to_string(i));
  for (int i = 0; i < 500 && log_bytes(w) >= (16 << 20); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    put(*w.store, "/after", "x");
  }
  CHECK(log_bytes(w) < (16 << 20));
}

TEST_CASE("metrics tell what the store does", "[storage][bounds]") {
  World w(Kind::kSqlite);
  put(*w.store, "/a", "1");
  put(*w.store, "/b", "1");
  erase(*w.store, "/b");
  const std::string text = metrics::render();
  for (const char* name :
       {"etcd_disk_wal_fsync_duration_seconds_count", "etcd_mvcc_put_total",
        "etcd_disk_backend_commit_duration_seconds_bucket", "etcd_mvcc_delete_total",
        "etcd_debugging_mvcc_current_revision 4", "etcd_mvcc_db_total_size_in_bytes",
        "apiserver_storage_size_bytes{storage_cluster_id=\"etcd-0\"}",
        "etcd_debugging_mvcc_keys_total 1", "orch_storage_batch_requests_count"}) {
    INFO(name);
    CHECK(text.find(name) != std::string::npos);
  }
}

}  // namespace
}  // namespace orch::storage::test
