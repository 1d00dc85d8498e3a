// Watch through gRPC: ids, past revisions, filters, progress, compaction, a reader that stops.
#include <thread>

#include "unit/etcd/fixture.h"

using namespace orch;
using namespace orch::server::etcd;

namespace {

WatchCreateRequest watch_of(const std::string& key, const std::string& end = "",
                            int64_t start = 0) {
  WatchCreateRequest request;
  request.key = key;
  request.range_end = end;
  request.start_revision = start;
  return request;
}

}  // namespace

TEST_CASE("many watches on a stream, from the past, with previous values") {
  Fixture f;
  f.put("a", "1");  // 2
  f.put("a", "2");  // 3
  auto watch = WatchClient::open(*f.client);
  auto from_past = watch_of("a", "", 2);
  from_past.prev_kv = true;
  watch->create(from_past);
  auto answer = watch->next();
  CHECK(answer.created);
  CHECK(answer.watch_id == 0);
  answer = watch->next();
  REQUIRE(answer.events.size() == 2);
  CHECK_FALSE(answer.events[0].has_prev_kv);
  CHECK(*answer.events[1].prev_kv.value == "1");
  watch->create(watch_of("b", "c"));
  CHECK(watch->next().watch_id == 1);
  f.put("ba", "x");
  answer = watch->next();
  CHECK(answer.watch_id == 1);
  CHECK(*answer.events.at(0).kv.key == "ba");
  CHECK(answer.header.revision == 4);
  WatchRequest cancel;
  cancel.has_cancel = true;
  cancel.cancel.watch_id = 1;
  watch->send(cancel);
  answer = watch->next();
  CHECK(answer.canceled);
  CHECK(answer.watch_id == 1);
  f.put("ba", "y");
  CHECK(watch->quiet_for(Millis(50)));
  DeleteRangeRequest erase;
  erase.key = "a";
  CHECK(f.error("KV/DeleteRange", erase).empty());
  answer = watch->next();
  CHECK(answer.events.at(0).type == 1);
  CHECK(*answer.events[0].prev_kv.value == "2");
  watch->end();
}

TEST_CASE("watch ids, empty ranges, filters") {
  Fixture f;
  auto watch = WatchClient::open(*f.client);
  auto request = watch_of("k");
  request.watch_id = 5;
  request.filters = {0};
  watch->create(request);
  CHECK(watch->next().watch_id == 5);
  watch->create(request);
  auto answer = watch->next();
  CHECK(answer.watch_id == -1);
  CHECK(answer.canceled);
  CHECK(answer.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream");
  watch->create(watch_of("z", "a"));
  CHECK(watch->next().cancel_reason == "mvcc: watcher range is empty");
  f.put("k", "v");
  DeleteRangeRequest erase;
  erase.key = "k";
  CHECK(f.error("KV/DeleteRange", erase).empty());
  answer = watch->next();
  REQUIRE(answer.events.size() == 1);
  CHECK(answer.events[0].type == 1);
  watch->end();
}

TEST_CASE("progress: on demand after all events, and by itself when quiet") {
  Fixture f;
  auto watch = WatchClient::open(*f.client);
  watch->create(watch_of("k", "l"));
  (void)watch->next();
  for (int i = 0; i < 50; ++i) f.put("k" + std::to_string(i), "v");
  f.put("other", "v");
  WatchRequest progress;
  progress.has_progress = true;
  watch->send(progress);
  int64_t last = 0;
  for (;;) {
    const auto answer = watch->next();
    if (answer.watch_id == -1) {
      CHECK(answer.events.empty());
      CHECK(answer.header.revision == 52);
      break;
    }
    for (const auto& event : answer.events) last = event.kv.mod_revision;
  }
  CHECK(last == 51);
  auto quiet = watch_of("nobody");
  quiet.progress_notify = true;
  watch->create(quiet);
  CHECK(watch->next().created);
  const auto answer = watch->next();
  CHECK(answer.watch_id == 1);
  CHECK(answer.events.empty());
  CHECK(answer.header.revision == 52);
  watch->end();
}

TEST_CASE("a compacted start is answered with compact_revision") {
  Fixture f;
  for (int i = 0; i < 10; ++i) f.put("k", "v");
  CHECK(f.error("KV/Compact", CompactionRequest{8, false}).empty());
  auto watch = WatchClient::open(*f.client);
  watch->create(watch_of("k", "", 3));
  CHECK(watch->next().created);
  const auto answer = watch->next();
  CHECK(answer.canceled);
  CHECK(answer.compact_revision == 8);
  CHECK(answer.watch_id == 0);
  watch->create(watch_of("k", "", 9));
  CHECK(watch->next().created);
  CHECK(watch->next().events.at(0).kv.mod_revision == 9);
  watch->end();
}

TEST_CASE("large revisions come in fragments to those who know them") {
  Fixture f;
  auto watch = WatchClient::open(*f.client);
  auto request = watch_of("k", "l");
  request.fragment = true;
  watch->create(request);
  (void)watch->next();
  storage::TxnRequest txn;
  for (int i = 0; i < 4; ++i) {
    txn.success.push_back(storage::Op::put("k" + std::to_string(i),
                                           std::make_shared<const std::string>(900'000, 'x')));
  }
  REQUIRE(f.store->txn(txn));
  size_t events = 0, answers = 0;
  for (bool more = true; more; ++answers) {
    const auto answer = watch->next();
    more = answer.fragment;
    events += answer.events.size();
  }
  CHECK(events == 4);
  CHECK(answers > 1);
  watch->end();
}

TEST_CASE("a reader that stops is not buffered for, and misses nothing when it goes on") {
  Fixture f;
  struct Stopped final : net::GrpcHandler {
    void on_message(std::string message) override {
      std::unique_lock lock(mutex);
      going.wait(lock, [&] { return go; });  // holds the client's whole connection up
      WatchResponse answer;
      (void)decode(message, answer);
      for (const auto& event : answer.events) revisions.push_back(event.kv.mod_revision);
      going.notify_all();
    }
    void on_closed(const net::GrpcStatus&) override {}
    std::mutex mutex;
    std::condition_variable going;
    bool go = false;
    std::vector<int64_t> revisions;
  };
  auto stopped = std::make_shared<Stopped>();
  auto slow = f.connect();
  auto stream = slow->open("/etcdserverpb.Watch/Watch", stopped, Millis(0));
  WatchRequest request;
  request.has_create = true;
  request.create = watch_of("k");
  stream->send(encode(request));
  for (int i = 0; i < 1000 && f.store->revision() < 2; ++i) {
    std::this_thread::sleep_for(Millis(20));
    if (i == 5) break;
  }
  constexpr int kPuts = 200;
  const auto value = std::make_shared<const std::string>(100'000, 'x');
  const storage::Revision first = f.store->revision() + 1;
  for (int i = 0; i < kPuts; ++i) {
    storage::TxnRequest txn;
    txn.success.push_back(storage::Op::put("k", value));
    REQUIRE(f.store->txn(txn));
  }
  {
    std::unique_lock lock(stopped->mutex);
    stopped->go = true;
    stopped->going.notify_all();
    stopped->going.wait_for(lock, Seconds(60),
                            [&] { return stopped->revisions.size() >= size_t{kPuts}; });
    REQUIRE(stopped->revisions.size() == size_t{kPuts});
    for (int i = 0; i < kPuts; ++i)
      REQUIRE(stopped->revisions[static_cast<size_t>(i)] == first + i);
  }
  stream->finish({net::GrpcCode::kCancelled, "done"});
}
