// The store over an etcd cluster, here orch's own API: two servers on one datastore, a datastore
// that goes and comes back, history compacted under a follower; values that lie encrypted.
#include <condition_variable>
#include <thread>

#include "orch/base/file.h"
#include "server/etcd/remote_store.h"
#include "unit/etcd/fixture.h"

using namespace orch;
using namespace orch::server::etcd;

namespace {

storage::Bytes bytes(const std::string& text) { return std::make_shared<const std::string>(text); }

std::shared_ptr<EtcdClient> client_of(const Fixture& f) {
  EtcdClientOptions options;
  options.endpoints = {"unix://" + f.directory() + "/socket"};
  options.call_timeout = Millis(2000);
  return std::make_shared<EtcdClient>(options);
}
std::unique_ptr<storage::KvStore> follow(const Fixture& f) {
  return open_remote_store(client_of(f), {.compaction_interval = Seconds(0)}).value();
}
storage::StoreResult<storage::TxnResponse> put(storage::KvStore& store, const std::string& key,
                                               const std::string& value,
                                               storage::Revision expected = -1) {
  storage::TxnRequest txn;
  if (expected >= 0) {
    txn.compares.push_back(
        {key, "", storage::Compare::Target::kMod, storage::Compare::Op::kEqual, expected, ""});
  }
  txn.success.push_back(storage::Op::put(key, bytes(value)));
  return store.txn(txn);
}
std::string get(storage::KvStore& store, const std::string& key) {
  storage::RangeRequest request;
  request.key = key;
  auto answer = store.range(request);
  if (!answer) return "error: " + answer.error().message;
  return answer->kvs.empty() ? "" : *answer->kvs[0].value;
}

// Values below /secret/ lie reversed, with a mark; an older mark is stale, a broken one unreadable.
class Reversed final : public storage::ValueTransformer {
 public:
  storage::StoreResult<storage::Bytes> to_disk(std::string_view key,
                                               const storage::Bytes& value) const override {
    if (!key.starts_with("/secret/")) return value;
    return bytes("new:" + std::string(value->rbegin(), value->rend()));
  }
  storage::StoreResult<Read> from_disk(std::string_view key,
                                       const storage::Bytes& stored) const override {
    if (!key.starts_with("/secret/")) return Read{stored, false};
    const bool old = stored->starts_with("old:");
    if (stored->starts_with("bad:")) {
      return Err(storage::Error{storage::ErrorCode::kCorrupt, std::string(key) + ": unreadable"});
    }
    if (!old && !stored->starts_with("new:")) return Read{stored, true};
    const std::string text = stored->substr(4);
    return Read{bytes(std::string(text.rbegin(), text.rend())), old};
  }
};
std::unique_ptr<storage::KvStore> follow_reversed(const Fixture& f) {
  RemoteStoreOptions options;
  options.compaction_interval = Seconds(0);
  options.transformer = std::make_shared<Reversed>();
  return open_remote_store(client_of(f), options).value();
}

struct Sink final : storage::WatchSink {
  bool offer(const std::vector<const storage::Event*>& events, const storage::EventBatch&,
             storage::Revision) override {
    std::lock_guard lock(mutex);
    for (const auto* event : events) revisions.push_back(event->kv.mod_revision);
    changed.notify_all();
    return true;
  }
  void closed(const storage::Error& why) override {
    std::lock_guard lock(mutex);
    end = why;
    changed.notify_all();
  }
  bool wait(const std::function<bool()>& ready) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, Seconds(30), ready);
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<storage::Revision> revisions;
  std::optional<storage::Error> end;
};

}  // namespace

TEST_CASE("two servers on one datastore see each other's writes at once") {
  Fixture f;
  f.put("before", "there");
  auto a = follow(f), b = follow(f);
  CHECK(get(*a, "before") == "there");
  for (int i = 0; i < 50; ++i) {
    const std::string value = std::to_string(i);
    auto written = put(*a, "k", value);
    REQUIRE(written);
    REQUIRE(get(*b, "k") == value);
    CHECK(a->revision() >= written->revision);
  }
  // Of two that expect the same version, one succeeds.
  storage::RangeRequest request;
  request.key = "k";
  const auto at = b->range(request)->kvs.at(0).mod_revision;
  CHECK(put(*a, "k", "a", at)->succeeded);
  CHECK_FALSE(put(*b, "k", "b", at)->succeeded);
  CHECK(get(*b, "k") == "a");
  auto sink = std::make_shared<Sink>();
  auto watch = b->watch("k", "l", 0, sink).value();
  const auto last = put(*a, "ka", "1")->revision;
  CHECK(sink->wait([&] { return !sink->revisions.empty() && sink->revisions.back() == last; }));
  a->stop();
  b->stop();
}

TEST_CASE("a datastore that goes is an error for reads and writes; back, nothing is missed") {
  Fixture f;
  auto store = follow(f);
  REQUIRE(put(*store, "k", "1"));
  auto sink = std::make_shared<Sink>();
  auto watch = store->watch("k", "l", 0, sink).value();
  f.client.reset();
  f.server->stop();
  CHECK(get(*store, "k").starts_with("error: "));
  auto refused = put(*store, "k", "2");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == storage::ErrorCode::kUnavailable);
  // Meanwhile others write.
  std::vector<storage::Revision> written;
  for (int i = 0; i < 20; ++i) {
    written.push_back(put(*f.store, "k" + std::to_string(i), "v")->revision);
  }
  f.restart();
  CHECK(sink->wait([&] { return sink->revisions.size() >= written.size(); }));
  CHECK(sink->revisions == written);
  for (int i = 0; i < 1000 && get(*store, "k19") != "v"; ++i) {
    std::this_thread::sleep_for(Millis(50));
  }
  CHECK(get(*store, "k19") == "v");
  CHECK(put(*store, "k", "3"));
  store->stop();
}

TEST_CASE("history compacted while away: watches end as compacted, the image is made anew") {
  Fixture f;
  auto store = follow(f);
  REQUIRE(put(*store, "k", "1"));
  auto sink = std::make_shared<Sink>();
  auto watch = store->watch("k", "l", 0, sink).value();
  f.client.reset();
  f.server->stop();
  for (int i = 0; i < 20; ++i) REQUIRE(put(*f.store, "k", std::to_string(i)));
  REQUIRE(f.store->compact(f.store->revision()));
  f.restart();
  CHECK(sink->wait([&] { return sink->end.has_value(); }));
  CHECK(sink->end->code == storage::ErrorCode::kCompacted);
  for (int i = 0; i < 1000 && get(*store, "k") != "19"; ++i) {
    std::this_thread::sleep_for(Millis(50));
  }
  CHECK(get(*store, "k") == "19");
  store->stop();
}

TEST_CASE("no endpoint answers: an error that names one") {
  EtcdClientOptions options;
  options.endpoints = {"unix:///nowhere/socket"};
  auto store = open_remote_store(std::make_shared<EtcdClient>(options), {}, Millis(500));
  REQUIRE_FALSE(store);
  CHECK(store.error().find("/nowhere/socket") != std::string::npos);
}

TEST_CASE("values lie in etcd as the transformer makes them, and are plain here") {
  Fixture f;
  f.put("/secret/plain", "of before");
  f.put("/secret/old", "old:dlo");
  f.put("/secret/bad", "bad:");
  auto a = follow_reversed(f), b = follow_reversed(f);
  REQUIRE(put(*a, "/secret/k", "abc"));
  REQUIRE(put(*a, "/open/k", "abc"));
  CHECK(get(*f.store, "/secret/k") == "new:cba");
  CHECK(get(*f.store, "/open/k") == "abc");
  CHECK(get(*a, "/secret/k") == "abc");  // by the watch
  CHECK(get(*b, "/secret/k") == "abc");
  CHECK(get(*b, "/secret/old") == "old");  // loaded
  CHECK(get(*b, "/secret/plain") == "of before");
  // Unreadable: the others live on.
  CHECK(get(*b, "/secret/bad") == "bad:");
  storage::TxnRequest txn;
  storage::Op op = storage::Op::put("/secret/k", bytes("def"));
  op.prev_kv = true;
  txn.success.push_back(op);
  auto answer = b->txn(txn);
  REQUIRE(answer);
  CHECK(*answer->results.at(0).prev_kvs.at(0).value == "abc");
  txn = {};
  txn.compares.push_back(
      {"/secret/k", "", storage::Compare::Target::kValue, storage::Compare::Op::kEqual, 0, "def"});
  CHECK(a->txn(txn).error().code == storage::ErrorCode::kInvalid);
  // What is in an older form is written anew.
  CHECK(a->stale_values() == 2);
  const auto before = f.store->revision();
  REQUIRE(a->rebuild());
  CHECK(f.store->revision() == before + 2);
  CHECK(get(*f.store, "/secret/plain") == "new:erofeb fo");
  CHECK(get(*f.store, "/secret/old") == "new:dlo");
  CHECK(get(*f.store, "/secret/bad") == "bad:");
  CHECK(a->stale_values() == 0);
  CHECK(get(*b, "/secret/old") == "old");
  a->stop();
  b->stop();
}
