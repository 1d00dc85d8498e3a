// The contract of watches, over both stores.
#include <fmt/format.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <thread>

#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

#define BOTH_STORES                                         \
  const Kind kind = GENERATE(Kind::kMemory, Kind::kSqlite); \
  INFO(name(kind))

std::unique_ptr<WatchHandle> watch(KvStore& store, const std::string& key, const std::string& end,
                                   Revision start, const std::shared_ptr<Recorder>& sink) {
  auto handle = store.watch(key, end, start, sink);
  if (!handle) FAIL(handle.error().message);
  return std::move(handle).value();
}

std::unique_ptr<WatchHandle> watch_prefix(KvStore& store, const std::string& prefix, Revision start,
                                          const std::shared_ptr<Recorder>& sink) {
  return watch(store, prefix, prefix_end(prefix), start, sink);
}

TEST_CASE("a watch from now sees what comes", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  put(*w.store, "/a/1", "old");
  auto all = std::make_shared<Recorder>(), one = std::make_shared<Recorder>(),
       part = std::make_shared<Recorder>(), every = std::make_shared<Recorder>();
  auto h1 = watch_prefix(*w.store, "/a/", 0, all);
  auto h2 = watch(*w.store, "/a/2", "", 0, one);
  auto h3 = watch(*w.store, "/a/2", "/a/9", 0, part);
  auto h4 = watch(*w.store, std::string(1, '\0'), std::string(1, '\0'), 0, every);
  put(*w.store, "/a/1", "x");
  put(*w.store, "/a/2", "y");
  put(*w.store, "/b", "z");
  erase(*w.store, "/a/2");
  erase(*w.store, "/a/1");
  REQUIRE(every->wait_events(5));
  REQUIRE(all->wait_events(4));
  REQUIRE(one->wait_events(2));
  REQUIRE(part->wait_events(2));
  CHECK(all->line() == "+/a/1=x@3(old) +/a/2=y@4 -/a/2@6(y) -/a/1@7(x)");
  CHECK(one->line() == "+/a/2=y@4 -/a/2@6(y)");
  CHECK(part->line() == one->line());
  CHECK(every->events().size() == 5);
  CHECK(all->events()[0].kv.version == 2);
  CHECK(all->events()[2].kv.value == nullptr);
}

TEST_CASE("a watch from the past replays first", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  for (int i = 0; i < 20; ++i) put(*w.store, "/a", std::to_string(i));
  auto sink = std::make_shared<Recorder>();
  auto handle = watch_prefix(*w.store, "/", 12, sink);
  put(*w.store, "/a", "20");
  REQUIRE(sink->wait_events(11));
  auto events = sink->events();
  REQUIRE(events.size() == 11);
  for (size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].kv.mod_revision == static_cast<Revision>(12 + i));
    CHECK(text(events[i].kv.value) == std::to_string(10 + i));
    CHECK(text(events[i].prev_kv.value) == std::to_string(9 + i));
  }
}

TEST_CASE("a watch from the future waits for it", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  auto sink = std::make_shared<Recorder>(), now = std::make_shared<Recorder>();
  auto handle = watch_prefix(*w.store, "/", 4, sink);
  auto other = watch_prefix(*w.store, "/", 0, now);
  for (int i = 2; i < 6; ++i) put(*w.store, "/a", std::to_string(i));
  REQUIRE(sink->wait_events(2));
  REQUIRE(now->wait_events(4));
  CHECK(sink->line() == "+/a=4@4(3) +/a=5@5(4)");
}

TEST_CASE("a watch from before the compaction is refused", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  for (int i = 2; i <= 10; ++i) put(*w.store, "/a", std::to_string(i));
  erase(*w.store, "/a");  // 11
  REQUIRE(w->compact(11));
  auto sink = std::make_shared<Recorder>();
  auto refused = w->watch("/a", "", 10, sink);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::kCompacted);
  CHECK(refused.error().compact_revision == 11);
  // The compacted revision itself is still there, with its event.
  auto handle = watch_prefix(*w.store, "/", 11, sink);
  put(*w.store, "/b", "12");
  REQUIRE(sink->wait_events(2));
  CHECK(sink->line() == "-/a@11(10) +/b=12@12");
}

TEST_CASE("a revision with several events stays whole", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  auto sink = std::make_shared<Recorder>();
  auto handle = watch_prefix(*w.store, "/", 0, sink);
  TxnRequest request;
  request.success = {Op::put("/b", bytes("1")), Op::put("/a", bytes("1")), Op::erase("/none")};
  REQUIRE(w->txn(request));
  REQUIRE(sink->wait_events(2));
  CHECK(sink->line() == "+/b=1@2 +/a=1@2");
  CHECK(sink->through() == 2);
}

TEST_CASE("a sink that does not keep up is closed", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  auto slow = std::make_shared<Recorder>(), fast = std::make_shared<Recorder>();
  slow->limit = 2;
  auto h1 = watch_prefix(*w.store, "/", 0, slow);
  auto h2 = watch_prefix(*w.store, "/", 0, fast);
  for (int i = 0; i < 5; ++i) {
    const Revision revision = put(*w.store, "/a", std::to_string(i));
    REQUIRE(fast->wait_through(revision));
  }
  REQUIRE(slow->wait_closed());
  CHECK(slow->why() == ErrorCode::kUnavailable);
  CHECK(slow->events().size() == 2);
  CHECK(fast->events().size() == 5);
}

TEST_CASE("progress tells how far a watch is", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  auto sink = std::make_shared<Recorder>();
  auto handle = watch_prefix(*w.store, "/a/", 0, sink);
  for (int i = 0; i < 9; ++i) put(*w.store, "/b", "x");
  handle->request_progress();
  REQUIRE(sink->wait_progress(1));
  CHECK(sink->through() == 10);
  CHECK(sink->events().empty());
  // Also while replaying: after the events.
  auto late = std::make_shared<Recorder>();
  auto other = watch_prefix(*w.store, "/b", 2, late);
  other->request_progress();
  REQUIRE(late->wait_progress(1));
  CHECK(late->events().size() == 9);
  CHECK(late->through() == 10);
}

TEST_CASE("stop closes watches", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  auto sink = std::make_shared<Recorder>();
  auto handle = watch_prefix(*w.store, "/", 0, sink);
  w->stop();
  REQUIRE(sink->wait_closed());
  CHECK(sink->why() == ErrorCode::kUnavailable);
  w.store.reset();
  handle->request_progress();
  handle.reset();  // outlives the store
}

// Counts calls after the handle is gone.
class Touchy : public WatchSink {
 public:
  bool offer(const std::vector<const Event*>&, const EventBatch&, Revision) override {
    if (gone) ++late;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    if (gone) ++late;
    return true;
  }
  void closed(const Error&) override {
    if (gone) ++late;
  }
  std::atomic<bool> gone{false};
  std::atomic<int> late{0};
};

TEST_CASE("a dropped handle is never called again", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) put(*w.store, "/a", std::to_string(i));
  });
  std::vector<std::shared_ptr<Touchy>> sinks;
  for (int i = 0; i < 60; ++i) {
    auto sink = std::make_shared<Touchy>();
    auto handle = w.store->watch("/", "0", i % 2 ? 2 : 0, sink);
    REQUIRE(handle);
    std::this_thread::sleep_for(std::chrono::microseconds(50 * (i % 20)));
    handle->reset();
    sink->gone = true;
    sinks.push_back(std::move(sink));
  }
  stop = true;
  writer.join();
  for (const auto& sink : sinks) CHECK(sink->late == 0);
}

TEST_CASE("watches started at any moment equal history", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  constexpr int kWriters = 4, kWrites = 250;
  auto full = std::make_shared<Recorder>();
  auto full_handle = watch_prefix(*w.store, "/", 2, full);
  std::vector<std::thread> writers;
  for (int t = 0; t < kWriters; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < kWrites; ++i) {
        const std::string key = fmt::format("/{}/{}", t % 2 ? "odd" : "even", i % 7);
        i % 5 == 4 ? erase(*w.store, key) : put(*w.store, key, fmt::format("{}.{}", t, i));
      }
    });
  }
  struct Late {
    std::string prefix;
    Revision start;
    std::shared_ptr<Recorder> sink;
    std::unique_ptr<WatchHandle> handle;
  };
  std::vector<Late> late;
  for (int i = 0; i < 40; ++i) {
    Late one;
    one.prefix = i % 3 == 0 ? "/" : i % 3 == 1 ? "/odd/" : "/even/3";
    const Revision now = w->revision();
    one.start = i % 4 == 0 ? 2 : i % 4 == 1 ? now : i % 4 == 2 ? now + 3 : now / 2 + 1;
    one.sink = std::make_shared<Recorder>();
    one.handle = watch_prefix(*w.store, one.prefix, one.start, one.sink);
    late.push_back(std::move(one));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (auto& writer : writers) writer.join();
  const Revision end = w->revision();
  REQUIRE(full->wait_through(end));
  const auto history = full->events();

  // The full watch is the truth: dense revisions, each event following from the one before.
  std::map<std::string, KeyValue> state;
  Revision expected = 2;
  for (const Event& event : history) {
    REQUIRE(event.kv.mod_revision == expected++);
    auto& known = state[*event.kv.key];
    REQUIRE((event.prev_kv.key != nullptr) == (known.version > 0));
    if (known.version > 0) REQUIRE(event.prev_kv.mod_revision == known.mod_revision);
    if (event.type == Event::Type::kPut) {
      REQUIRE(event.kv.version == known.version + 1);
      known = event.kv;
    } else {
      known = KeyValue{};
    }
  }
  CHECK(expected == end + 1);
  for (Late& one : late) {
    one.handle->request_progress();
    REQUIRE(one.sink->wait_progress(1));
    std::vector<const Event*> wanted;
    for (const Event& event : history) {
      if (event.kv.mod_revision >= one.start && event.kv.key->starts_with(one.prefix)) {
        wanted.push_back(&event);
      }
    }
    const auto seen = one.sink->events();
    REQUIRE(seen.size() == wanted.size());
    for (size_t i = 0; i < seen.size(); ++i) {
      REQUIRE(seen[i].kv.mod_revision == wanted[i]->kv.mod_revision);
      REQUIRE(*seen[i].kv.key == *wanted[i]->kv.key);
      REQUIRE(text(seen[i].kv.value) == text(wanted[i]->kv.value));
    }
  }
}

TEST_CASE("thousands of watchers", "[storage][watch]") {
  BOTH_STORES;
  World w(kind);
  std::vector<std::shared_ptr<Recorder>> sinks;
  std::vector<std::unique_ptr<WatchHandle>> handles;
  for (int i = 0; i < 3000; ++i) {
    sinks.push_back(std::make_shared<Recorder>());
    const std::string prefix = i % 3 == 0 ? "/pods/" : fmt::format("/pods/ns-{}/", i % 100);
    handles.push_back(watch_prefix(*w.store, prefix, 0, sinks.back()));
  }
  put(*w.store, "/pods/ns-7/web", "x");
  put(*w.store, "/pods/ns-8/web", "y");
  size_t seen = 0;
  for (auto& handle : handles) handle->request_progress();
  for (auto& sink : sinks) {
    REQUIRE(sink->wait_progress(1));
    seen += sink->events().size();
  }
  CHECK(seen == 2 * 1000 + 20 + 20);
}

}  // namespace
}  // namespace orch::storage::test
