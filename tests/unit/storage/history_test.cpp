// Concurrent clients' histories are linearisable and watches report the same history, with
// compaction and full disks in between; and the checker that says so notices when it is not so.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <thread>

#include "unit/storage/clients.h"
#include "unit/storage/fault_vfs.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

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
  limits.whole_events = 50;
  limits.reserve = 20;
  if (kind == Kind::kMemory) limits.history_bytes = 64 << 20;
  World w(kind, World::default_options(), limits, true);
  const Run run = run_clients(*w.store, 8, 400, [&] {
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
  const Run run = run_clients(*w.store, 8, 250, [&] {
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
  Run run = run_clients(*w.store, 4, 200, [] { std::this_thread::yield(); });
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
