// Histories keep every promise of etcd's: under compaction, slow and returning watchers, full
// disks, clocks that jump, restarts; and the checkers that say so can say no.
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "storage/key_table.h"
#include "unit/storage/fault_vfs.h"
#include "unit/storage/linearizability.h"
#include "unit/storage/promises.h"

namespace orch::storage::test {
namespace {

void require_kept(const Life& life) {
  const auto broken = broken_promises(life);
  for (size_t i = 0; i < std::min<size_t>(broken.size(), 8); ++i) UNSCOPED_INFO(broken[i]);
  REQUIRE(broken.empty());
}

EngineLimits small() {
  EngineLimits limits;
  limits.history_bytes = 3'000;
  limits.reserve = 20;
  return limits;
}

TEST_CASE("promises hold while readers lag and history is compacted", "[storage][promises]") {
  const auto seed = static_cast<unsigned>(::getpid());
  INFO("seed " << seed);
  World w(Kind::kSqlite, World::default_options(), small(), true);
  std::mt19937 random(seed);
  const Life life = live(
      *w.store, 8, 250,
      [&] {
        const Revision target = w->revision() - static_cast<Revision>(random() % 80);
        if (target > w->compact_revision()) (void)w->compact(target);
      },
      seed);
  CHECK(life.watches.size() >= 5);
  require_kept(life);
}

TEST_CASE("promises hold in memory", "[storage][promises]") {
  World w(Kind::kMemory);
  require_kept(live(
      *w.store, 8, 250, [] {}, 3));
}

TEST_CASE("promises hold over a disk that fills", "[storage][promises][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite, World::default_options(), small());
  bool full = false;
  const Life life = live(
      *w.store, 6, 200,
      [&] {
        vfs.fill_disk(full = !full);
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
      },
      5);
  vfs.fill_disk(false);
  require_kept(life);
}

TEST_CASE("promises hold up to a failed sync and after the restart", "[storage][promises][fault]") {
  FaultVfs vfs;
  World w(Kind::kSqlite);
  int turns = 0;
  const Life life = live(
      *w.store, 6, 150, [&] { vfs.fail_sync(++turns > 15); }, 6, true);
  vfs.fail_sync(false);
  // Writes under way when it failed are lost or not; none is both refused and there.
  const Verdict verdict = check_linearizable(life.run.ops);
  INFO(verdict.stuck_at);
  CHECK(verdict.linearizable);
  w.reopen();
  for (const Event& event : life.run.events) CHECK(event.kv.mod_revision <= w->revision());
  put(*w.store, "/after", "1");
}

TEST_CASE("a store's second life goes on where the first ended", "[storage][promises]") {
  World w(Kind::kSqlite, World::default_options(), small());
  require_kept(live(
      *w.store, 4, 100, [] {}, 8));
  const Revision before = w->revision();
  w.reopen();
  REQUIRE(w->revision() == before);
  Life second = live(
      *w.store, 4, 100, [] {}, 9);
  // What the new life's clients saw of the old one has no writer in this history.
  std::erase_if(second.run.ops, [](const OpRecord& op) { return op.type != OpRecord::Type::kPut; });
  Revision last = before;
  for (const Event& event : second.run.events) {
    CHECK(event.kv.mod_revision == last + 1);
    last = event.kv.mod_revision;
  }
  for (const OpRecord& op : second.run.ops) CHECK(op.revision > before);
}

// Wall time that is set back and forth over monotonic time that goes on.
class JumpyClock final : public Clock {
 public:
  explicit JumpyClock(const ManualClock& below) : below_(below) {}
  WallTime now() const override { return below_.now() + jump; }
  MonoTime mono() const override { return below_.mono(); }
  Seconds jump{0};

 private:
  const ManualClock& below_;
};

TEST_CASE("clocks that jump do not disturb what is promised", "[storage][promises]") {
  ManualWorld w(Kind::kMemory);  // for its executor
  JumpyClock clock(w.clock);
  Env env{clock, *w.executor, *w.random, no_faults()};
  auto store = make_memory_store(env, World::default_options());
  REQUIRE(store->lease_grant(5, 60));
  put(*store, "/a", "1", 5);
  Revision last = store->revision();
  for (const int hours : {1, -5, 48, -480, 0}) {
    clock.jump = std::chrono::hours(hours);
    w.advance(Seconds(5));
    CHECK(put(*store, "/b", std::to_string(hours)) == ++last);
    CHECK(store->lease_info(5, false)->remaining_seconds <= 60);
    CHECK(get(*store, "/a") == "1");
  }
  w.advance(Seconds(30));
  CHECK(get(*store, "/a") == "1");
  w.advance(Seconds(6));
  CHECK(get(*store, "/a") == "(none)");
  CHECK(store->revision() == last + 1);
}

TEST_CASE("the log on disk is the history that was watched", "[storage][promises]") {
  World w(Kind::kSqlite);
  const Life life = live(
      *w.store, 6, 150, [] {}, 11, true);
  w->stop();
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open_v2((w.path() + "/state.db").c_str(), &raw, SQLITE_OPEN_READONLY, nullptr) ==
          SQLITE_OK);
  sqlite3_stmt* rows = nullptr;
  REQUIRE(sqlite3_prepare_v2(raw, "SELECT id, key, version, value FROM log ORDER BY id", -1, &rows,
                             nullptr) == SQLITE_OK);
  size_t at = 0;
  while (sqlite3_step(rows) == SQLITE_ROW) {
    REQUIRE(at < life.run.events.size());
    const Event& event = life.run.events[at++];
    REQUIRE(sqlite3_column_int64(rows, 0) == make_id(event.kv.mod_revision, 0));
    const auto blob = [&](int column) {
      return std::string(static_cast<const char*>(sqlite3_column_blob(rows, column)),
                         static_cast<size_t>(sqlite3_column_bytes(rows, column)));
    };
    REQUIRE(blob(1) == *event.kv.key);
    REQUIRE((sqlite3_column_int64(rows, 2) == 0) == (event.type == Event::Type::kDelete));
    if (event.type == Event::Type::kPut) REQUIRE(blob(3) == *event.kv.value);
  }
  CHECK(at == life.run.events.size());
  sqlite3_finalize(rows);
  sqlite3_close(raw);
}

// -- the checkers themselves

OpRecord op(OpRecord::Type type, int64_t called, int64_t returned, std::string value,
            Revision revision) {
  OpRecord record;
  record.type = type;
  record.called = called;
  record.returned = returned;
  record.key = "k";
  record.value = std::move(value);
  record.revision = revision;
  return record;
}

TEST_CASE("the search for an order says yes and no", "[storage][promises]") {
  using T = OpRecord::Type;
  const auto put1 = op(T::kPut, 0, 10, "a", 2);
  const auto late = op(T::kGet, 20, 30, "a", 2);
  CHECK(check_linearizable({put1, late}).linearizable);
  CHECK(!check_linearizable({put1, op(T::kGet, 20, 30, "", 1)}).linearizable);  // stale
  CHECK(check_linearizable({put1, op(T::kGet, 5, 8, "", 1)}).linearizable);     // at the same time
  CHECK(check_linearizable({put1, op(T::kGet, 5, 8, "a", 2)}).linearizable);
  CHECK(!check_linearizable({put1, op(T::kPut, 20, 30, "b", 2)}).linearizable);  // reuse
  CHECK(!check_linearizable({put1, op(T::kGet, 20, 30, "z", 2)}).linearizable);  // phantom
  auto lost = op(T::kPut, 12, 15, "b", 0);
  lost.outcome = OpRecord::Outcome::kLost;
  CHECK(check_linearizable({put1, lost, late}).linearizable);
  CHECK(check_linearizable({put1, lost, op(T::kGet, 20, 30, "b", 3)}).linearizable);
  CHECK(!check_linearizable({put1, lost, op(T::kGet, 20, 30, "b", 3), op(T::kGet, 40, 50, "a", 2)})
             .linearizable);
  auto cas1 = op(T::kCas, 20, 40, "x", 3), cas2 = op(T::kCas, 20, 40, "y", 4);
  cas1.expected = cas2.expected = 2;
  CHECK(!check_linearizable({put1, cas1, cas2}).linearizable);  // both held: a lost update
  cas2.outcome = OpRecord::Outcome::kRefused;
  cas2.revision = 3;
  CHECK(check_linearizable({put1, cas1, cas2}).linearizable);
}

TEST_CASE("each rule of watches is noticed when it is broken", "[storage][promises]") {
  World w(Kind::kMemory);
  const Life life = live(
      *w.store, 4, 100, [] {}, 13);
  const auto& history = life.run.events;
  auto record = life.watches.front();
  REQUIRE(record.responses.size() > 20);
  REQUIRE(check_watch(record, history).empty());
  auto& responses = record.responses;
  const auto with = [&](size_t from) {
    while (responses[from].events.empty()) ++from;
    return from;
  };
  const size_t a = with(5), b = with(a + 1);
  const std::string rule = GENERATE("filter", "ordered", "unique", "atomic", "bookmarkable",
                                    "resumable", "reliable", "is-create", "prev-kv");
  INFO(rule);
  if (rule == "filter") record.key = "/k/1", record.range_end = "/k/2";
  if (rule == "ordered") std::swap(responses[a], responses[b]);
  if (rule == "unique") responses[a].events.push_back(responses[a].events.back());
  if (rule == "atomic") {
    auto copy = responses[a];
    copy.through = responses[a].through;
    responses.insert(responses.begin() + static_cast<ptrdiff_t>(a), copy);
  }
  if (rule == "bookmarkable") responses[a].through = responses[b].through + 5;
  if (rule == "resumable") responses.erase(responses.begin(), responses.begin() + 3);
  if (rule == "reliable") responses[a].events.clear();
  Event& event = responses[with(a)].events.front();
  if (rule == "is-create") event.kv.create_revision = event.kv.mod_revision - 1;
  if (rule == "is-create" && event.prev_kv.key) event.kv.create_revision = event.kv.mod_revision;
  if (rule == "is-create") event.type = Event::Type::kPut;
  if (rule == "prev-kv") {
    event.prev_kv.key = bytes("x");
    event.prev_kv.value = bytes("never there");
  }
  bool noticed = false;
  for (const auto& line : check_watch(record, history)) noticed |= line.starts_with(rule);
  CHECK(noticed);
}

}  // namespace
}  // namespace orch::storage::test
