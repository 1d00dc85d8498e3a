// The store over an etcd cluster, here orch's own API: two servers on one datastore, a datastore
// that goes and comes back, history compacted under a follower; the shared identity.
#include <condition_variable>
#include <thread>

#include "orch/base/file.h"
#include "server/etcd/remote_store.h"
#include "server/etcd/shared_identity.h"
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
  for (int i = 0; i < 100 && get(*store, "k19") != "v"; ++i) {
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
  for (int i = 0; i < 100 && get(*store, "k") != "19"; ++i) {
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

TEST_CASE("identity files are shared through the datastore by those who know the token") {
  Fixture f;
  auto client = client_of(f);
  const std::string first = f.directory() + "/a", second = f.directory() + "/b";
  CHECK_FALSE(share_identity(*client, first, "secret", false).value());
  REQUIRE(make_directories(first + "/tls", 0700));
  for (const char* name :
       {"server-ca.crt", "server-ca.key", "client-ca.crt", "client-ca.key", "service.key"}) {
    REQUIRE(write_file_atomic(first + "/tls/" + name, std::string("content of ") + name, 0600));
  }
  CHECK(share_identity(*client, first, "secret", true).value());
  CHECK(share_identity(*client, second, "secret", false).value());
  CHECK(read_file(second + "/tls/server-ca.key").value() == "content of server-ca.key");
  CHECK(share_identity(*client, second, "secret", false).value());
  auto wrong = share_identity(*client, f.directory() + "/c", "other", false);
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().find("not the token") != std::string::npos);
  CHECK_FALSE(share_identity(*client, f.directory() + "/c", "", false));
  REQUIRE(write_file_atomic(second + "/tls/service.key", "another", 0600));
  CHECK_FALSE(share_identity(*client, second, "secret", false));
  // What lies in the datastore tells nothing.
  RangeRequest range;
  range.key = "/orch/identity";
  CHECK(f.range(range).kvs.at(0).value->find("content of") == std::string::npos);
}
