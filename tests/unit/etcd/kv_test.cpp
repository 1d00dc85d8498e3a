// KV, Lease, Maintenance through gRPC: options, and etcd's own errors for bad input.
#include <chrono>
#include <future>
#include <thread>

#include "orch/storage/etcd_snapshot.h"
#include "unit/etcd/fixture.h"

using namespace orch;
using namespace orch::server::etcd;

namespace {

std::vector<std::string> keys_of(const RangeResponse& answer) {
  std::vector<std::string> keys;
  for (const auto& kv : answer.kvs) keys.push_back(*kv.key);
  return keys;
}

RequestOp put_op(const std::string& key, const std::string& value = "v") {
  RequestOp op;
  op.has_put = true;
  op.put.key = key;
  op.put.value = std::make_shared<const std::string>(value);
  return op;
}
RequestOp delete_op(const std::string& key, const std::string& end = "") {
  RequestOp op;
  op.has_delete = true;
  op.delete_range.key = key;
  op.delete_range.range_end = end;
  return op;
}
RequestOp get_op(const std::string& key) {
  RequestOp op;
  op.has_range = true;
  op.range.key = key;
  return op;
}

}  // namespace

TEST_CASE("range: every option") {
  Fixture f;
  f.put("a", "3");  // revision 2
  f.put("b", "1");
  f.put("c", "2");
  f.put("a", "9");  // revision 5
  RangeRequest all;
  all.key = "a";
  all.range_end = "z";
  SECTION("limit, more, count") {
    all.limit = 2;
    const auto answer = f.range(all);
    CHECK(keys_of(answer) == std::vector<std::string>{"a", "b"});
    CHECK(answer.more);
    CHECK(answer.count == 3);
    CHECK(answer.header.revision == 5);
  }
  SECTION("revision") {
    all.revision = 4;
    CHECK(*f.range(all).kvs[0].value == "3");
    all.revision = 6;
    CHECK(f.error("KV/Range", all) == "etcdserver: mvcc: required revision is a future revision");
  }
  SECTION("sorted by each target, limited after sorting") {
    all.sort_order = 2;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"c", "b", "a"});
    all.sort_target = 4;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"a", "c", "b"});
    all.keys_only = true;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"a", "c", "b"});
    CHECK_FALSE(f.range(all).kvs[0].value);
    all.sort_order = 1;
    all.sort_target = 3;
    all.limit = 2;
    const auto answer = f.range(all);
    CHECK(keys_of(answer) == std::vector<std::string>{"b", "c"});
    CHECK(answer.more);
    all.limit = 0;
    all.sort_target = 1;
    all.sort_order = 2;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"a", "b", "c"});
    all.sort_target = 2;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"c", "b", "a"});
    all.sort_target = 7;
    CHECK(f.error("KV/Range", all) == "etcdserver: invalid sort option");
  }
  SECTION("keys only, count only") {
    all.keys_only = true;
    CHECK_FALSE(f.range(all).kvs[0].value);
    all.count_only = true;
    CHECK(f.range(all).count == 3);
    CHECK(f.range(all).kvs.empty());
  }
  SECTION("bounds of revisions") {
    all.min_mod_revision = 4;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"a", "c"});
    all.max_mod_revision = 4;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"c"});
    all.min_mod_revision = all.max_mod_revision = 0;
    all.max_create_revision = 2;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"a"});
    all.max_create_revision = 0;
    all.min_create_revision = 3;
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"b", "c"});
  }
  SECTION("from a key on, and none") {
    all.range_end = std::string(1, '\0');
    all.key = "b";
    CHECK(keys_of(f.range(all)) == std::vector<std::string>{"b", "c"});
    all.key = "";
    CHECK(f.error("KV/Range", all) == "etcdserver: key is not provided");
    all.key = "z";
    all.range_end = "a";
    CHECK(f.range(all).count == 0);
  }
}

TEST_CASE("put and delete: previous values, ignore_value, ignore_lease, errors") {
  Fixture f;
  PutRequest put;
  put.key = "k";
  put.value = std::make_shared<const std::string>("one");
  put.prev_kv = true;
  CHECK_FALSE(f.call<PutResponse>("KV/Put", put).value().has_prev_kv);
  const auto second = f.call<PutResponse>("KV/Put", put).value();
  REQUIRE(second.has_prev_kv);
  CHECK(*second.prev_kv.value == "one");
  PutRequest bad;
  CHECK(f.error("KV/Put", bad) == "etcdserver: key is not provided");
  bad = put;
  bad.ignore_value = true;
  CHECK(f.error("KV/Put", bad) == "etcdserver: value is provided");
  bad.value = nullptr;
  CHECK(f.error("KV/Put", bad).empty());
  bad.key = "absent";
  CHECK(f.error("KV/Put", bad) == "etcdserver: key not found");
  bad = put;
  bad.lease = 77;
  CHECK(f.error("KV/Put", bad) == "etcdserver: requested lease not found");
  bad.ignore_lease = true;
  CHECK(f.error("KV/Put", bad) == "etcdserver: lease is provided");
  bad = put;
  bad.value = std::make_shared<const std::string>(1536 * 1024, 'x');
  CHECK(f.error("KV/Put", bad) == "etcdserver: request is too large");
  bad.value = std::make_shared<const std::string>(3 << 20, 'x');
  CHECK(f.error("KV/Put", bad).starts_with("grpc: received message larger than max"));

  DeleteRangeRequest erase;
  erase.key = "k";
  erase.prev_kv = true;
  const auto erased = f.call<DeleteRangeResponse>("KV/DeleteRange", erase).value();
  CHECK(erased.deleted == 1);
  REQUIRE(erased.prev_kvs.size() == 1);
  CHECK(*erased.prev_kvs[0].value == "one");
  const auto again = f.call<DeleteRangeResponse>("KV/DeleteRange", erase).value();
  CHECK(again.deleted == 0);
  CHECK(again.header.revision == erased.header.revision);
}

TEST_CASE("txn: every compare, ranges of keys, nesting") {
  Fixture f;
  const int64_t lease =
      f.call<LeaseGrantResponse>("Lease/LeaseGrant", LeaseGrantRequest{60, 0}).value().id;
  f.put("a", "1", lease);
  f.put("b", "2");
  const auto holds = [&](int64_t target, int64_t result, int64_t number, const std::string& value,
                         const std::string& key = "a", const std::string& end = "") {
    TxnRequest txn;
    Compare compare;
    compare.key = key;
    compare.range_end = end;
    compare.target = target;
    compare.result = result;
    compare.version = compare.create_revision = compare.mod_revision = compare.lease = number;
    compare.value = value;
    txn.compare.push_back(compare);
    return f.call<TxnResponse>("KV/Txn", txn).value().succeeded;
  };
  CHECK(holds(0, 0, 1, ""));
  CHECK(holds(0, 2, 2, ""));
  CHECK(holds(1, 1, 1, ""));
  CHECK(holds(2, 3, 9, ""));
  CHECK(holds(3, 0, 0, "1"));
  CHECK_FALSE(holds(3, 3, 0, "1"));
  CHECK(holds(4, 0, lease, ""));
  CHECK_FALSE(holds(4, 0, lease, "", "a", "c"));
  CHECK(holds(0, 0, 1, "", "a", "c"));
  CHECK(holds(1, 0, 0, "", "absent"));
  CHECK_FALSE(holds(3, 0, 0, "", "absent"));

  // The inner compare is decided before the outer put.
  TxnRequest txn;
  RequestOp nested;
  nested.txn = std::make_shared<TxnRequest>();
  Compare same;
  same.key = "x";
  same.target = 0;
  nested.txn->compare.push_back(same);
  nested.txn->success = {get_op("x"), put_op("y", "inner")};
  nested.txn->failure = {put_op("z")};
  txn.success = {put_op("x", "outer"), nested, get_op("y")};
  const auto answer = f.call<TxnResponse>("KV/Txn", txn).value();
  REQUIRE(answer.responses.size() == 3);
  REQUIRE(answer.responses[1].txn);
  const auto& inner = *answer.responses[1].txn;
  CHECK(inner.succeeded);
  REQUIRE(inner.responses.size() == 2);
  CHECK(*inner.responses[0].range.kvs.at(0).value == "outer");
  CHECK(*answer.responses[2].range.kvs.at(0).value == "inner");
  CHECK(answer.responses[2].range.kvs[0].mod_revision == answer.header.revision);
}

TEST_CASE("txn: what etcd refuses") {
  Fixture f;
  TxnRequest txn;
  txn.success = {put_op("k"), put_op("k")};
  CHECK(f.error("KV/Txn", txn) == "etcdserver: duplicate key given in txn request");
  txn.success = {put_op("k"), delete_op("a", "z")};
  CHECK(f.error("KV/Txn", txn) == "etcdserver: duplicate key given in txn request");
  RequestOp nested;
  nested.txn = std::make_shared<TxnRequest>();
  nested.txn->success = {put_op("k")};
  nested.txn->failure = {put_op("k")};
  txn.success = {nested};
  CHECK(f.error("KV/Txn", txn).empty());
  txn.success = {nested, put_op("k")};
  CHECK(f.error("KV/Txn", txn) == "etcdserver: duplicate key given in txn request");
  txn.success.assign(129, get_op("k"));
  CHECK(f.error("KV/Txn", txn) == "etcdserver: too many operations in txn request");
  txn.success.assign(128, get_op("k"));
  CHECK(f.error("KV/Txn", txn).empty());
  txn.success = {RequestOp{}};
  CHECK(f.error("KV/Txn", txn) == "etcdserver: key not found");
  txn.success = {put_op("")};
  CHECK(f.error("KV/Txn", txn) == "etcdserver: key is not provided");
  txn.success = {};
  txn.compare.emplace_back();
  CHECK(f.error("KV/Txn", txn) == "etcdserver: key is not provided");
}

TEST_CASE("malformed messages and methods: an error, and the store lives on") {
  Fixture f;
  for (const char* method : {"KV/Range", "KV/Put", "KV/Txn", "Lease/LeaseGrant", "KV/Compact"}) {
    auto answer =
        f.client->call("/etcdserverpb." + std::string(method), "\x0a\xff\xff", Millis(5000));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == net::GrpcCode::kInternal);
  }
  CHECK(f.client->call("/etcdserverpb.KV/Nothing", "", Millis(5000)).error().code ==
        net::GrpcCode::kUnimplemented);
  CHECK(f.client->call("/etcdserverpb.Auth/UserAdd", "", Millis(5000)).error().message ==
        "etcdserver: authentication is not enabled");
  CHECK(f.put("k", "v") == 2);
}

TEST_CASE("compaction: compacted and future revisions") {
  Fixture f;
  for (int i = 0; i < 5; ++i) f.put("k", std::to_string(i));
  CHECK(f.error("KV/Compact", CompactionRequest{4, true}).empty());
  CHECK(f.error("KV/Compact", CompactionRequest{4, false}) ==
        "etcdserver: mvcc: required revision has been compacted");
  CHECK(f.error("KV/Compact", CompactionRequest{100, false}) ==
        "etcdserver: mvcc: required revision is a future revision");
  RangeRequest old;
  old.key = "k";
  old.revision = 3;
  CHECK(f.error("KV/Range", old) == "etcdserver: mvcc: required revision has been compacted");
  old.revision = 4;
  CHECK(*f.range(old).kvs.at(0).value == "2");
}

TEST_CASE("leases") {
  Fixture f;
  const auto granted =
      f.call<LeaseGrantResponse>("Lease/LeaseGrant", LeaseGrantRequest{100, 7}).value();
  CHECK(granted.id == 7);
  CHECK(granted.ttl == 100);
  CHECK(f.error("Lease/LeaseGrant", LeaseGrantRequest{100, 7}) ==
        "etcdserver: lease already exists");
  CHECK(f.error("Lease/LeaseGrant", LeaseGrantRequest{9'000'000'001, 8}) ==
        "etcdserver: too large lease TTL");
  CHECK(f.call<LeaseGrantResponse>("Lease/LeaseGrant", LeaseGrantRequest{1, 0}).value().ttl == 2);
  f.put("under/a", "v", 7);
  f.put("under/b", "v", 7);
  const auto info =
      f.call<LeaseTimeToLiveResponse>("Lease/LeaseTimeToLive", LeaseTimeToLiveRequest{7, true})
          .value();
  CHECK(info.granted_ttl == 100);
  CHECK(info.ttl > 90);
  CHECK(info.keys == std::vector<std::string>{"under/a", "under/b"});
  CHECK(f.call<LeaseTimeToLiveResponse>("Lease/LeaseTimeToLive", LeaseTimeToLiveRequest{99, false})
            .value()
            .ttl == -1);
  CHECK(f.call<LeaseLeasesResponse>("Lease/LeaseLeases", Empty{}).value().leases.size() == 2);
  CHECK(f.error("Lease/LeaseRevoke", LeaseIdRequest{7}).empty());
  CHECK(f.error("Lease/LeaseRevoke", LeaseIdRequest{7}) == "etcdserver: requested lease not found");
  RangeRequest gone;
  gone.key = "under/";
  gone.range_end = "under0";
  CHECK(f.range(gone).count == 0);
}

TEST_CASE("maintenance: status, hashes, defragmentation, snapshot, members") {
  Fixture f;
  for (int i = 0; i < 100; ++i) f.put("k" + std::to_string(i % 50), std::string(1000, 'v'));
  const auto status = f.call<StatusResponse>("Maintenance/Status", Empty{}).value();
  CHECK(status.db_size > 0);
  CHECK(status.leader == status.header.member_id);
  const auto hash = f.call<HashKvResponse>("Maintenance/HashKV", HashKvRequest{0}).value();
  CHECK(f.call<HashKvResponse>("Maintenance/HashKV", HashKvRequest{101}).value().hash == hash.hash);
  CHECK(f.call<HashKvResponse>("Maintenance/HashKV", HashKvRequest{50}).value().hash != hash.hash);
  CHECK(f.error("Maintenance/HashKV", HashKvRequest{1000}) ==
        "etcdserver: mvcc: required revision is a future revision");
  CHECK(f.error("Maintenance/Defragment", Empty{}).empty());
  CHECK(f.call<HashKvResponse>("Maintenance/HashKV", HashKvRequest{0}).value().hash == hash.hash);
  CHECK(f.call<MemberListResponse>("Cluster/MemberList", Empty{}).value().members.size() == 1);
  CHECK(f.error("Cluster/MemberAdd", Empty{}).starts_with("etcdserver: re-configuration failed"));
  CHECK(f.error("Maintenance/Downgrade", Empty{}) ==
        "etcdserver: invalid downgrade target version");

  struct File final : net::GrpcHandler {
    void on_message(std::string message) override {
      SnapshotResponse part;
      good = good && decode(message, part);
      bytes += part.blob;
      left = part.remaining_bytes;
    }
    void on_closed(const net::GrpcStatus& status) override { end.set_value(status); }
    std::string bytes;
    uint64_t left = 1;
    bool good = true;
    std::promise<net::GrpcStatus> end;
  };
  auto file = std::make_shared<File>();
  auto stream = f.client->open("/etcdserverpb.Maintenance/Snapshot", file, Millis(0));
  stream->send("");
  stream->finish({});
  CHECK(file->end.get_future().get().ok());
  CHECK(file->good);
  CHECK(file->left == 0);
  CHECK(file->bytes.size() % 512 == 32);
  auto content = storage::parse_etcd_snapshot(file->bytes);
  REQUIRE(content);
  CHECK(content->entries.size() == 50);
  CHECK(content->revision == 101);
}
