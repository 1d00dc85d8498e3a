#include <catch2/catch.hpp>

#include "server/etcd/messages.h"

using namespace orch::server::etcd;
namespace storage = orch::storage;

namespace {
storage::Bytes bytes(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}
}  // namespace

TEST_CASE("lengths around the varint's steps") {
  for (const size_t size : {0, 1, 120, 127, 128, 129, 16383, 16384, 70000}) {
    RangeResponse message;
    message.header = {1, 2, 3, 4};
    message.kvs.push_back({bytes("k"), bytes(std::string(size, 'v')), 1, 2, 3, 4});
    message.more = true;
    RangeResponse back;
    REQUIRE(decode(encode(message), back));
    REQUIRE(back.kvs.size() == 1);
    CHECK((size == 0 || *back.kvs[0].value == *message.kvs[0].value));
    CHECK(back.kvs[0].lease == 4);
    CHECK(back.header.raft_term == 4);
    CHECK(back.more);
  }
}

TEST_CASE("bytes as protobuf has them") {
  PutRequest put;
  put.key = "k";
  put.value = bytes("v");
  put.lease = 300;
  put.prev_kv = true;
  CHECK(encode(put) == std::string("\x0a\x01k\x12\x01v\x18\xac\x02 \x01", 11));
  Compare compare;
  compare.key = "a";
  compare.lease = -1;
  compare.range_end = "b";
  CHECK(encode(compare) == std::string("\x1a\x01"
                                       "a"
                                       "\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                       "\x82\x04\x01"
                                       "b",
                                       18));
}

TEST_CASE("nested transactions, members of a oneof, unknown fields") {
  TxnRequest txn;
  RequestOp op;
  op.txn = std::make_shared<TxnRequest>();
  op.txn->success.emplace_back().has_put = true;
  op.txn->success[0].put.key = "inner";
  txn.failure.push_back(op);
  std::string wire = encode(txn);
  wire += std::string(
      "\x78\x05\x7a\x02zz\x7d"
      "abcd",
      11);  // fields 15: varint, bytes, fixed32
  TxnRequest back;
  REQUIRE(decode(wire, back));
  REQUIRE(back.failure.size() == 1);
  REQUIRE(back.failure[0].txn);
  CHECK_FALSE(back.failure[0].has_put);
  CHECK(back.failure[0].txn->success[0].put.key == "inner");
  WatchRequest progress;
  REQUIRE(decode(std::string("\x1a\x00", 2), progress));
  CHECK(progress.has_progress);
}

TEST_CASE("malformed messages are refused") {
  const std::string bad[] = {
      std::string("\x0a"),  // a length is missing
      std::string("\x0a\x05"
                  "abc"),       // shorter than it says
      std::string("\x08\x01"),  // a number where bytes belong
      std::string("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
      std::string("\x00\x01", 2),                                   // field 0
      std::string("\x0b\x0c"),                                      // groups
      std::string("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),  // over 64 bits
  };
  for (const std::string& wire : bad) {
    CAPTURE(wire);
    PutRequest put;
    CHECK_FALSE(decode(wire, put));
  }
  std::string deep;
  for (int i = 0; i < 200; ++i) {
    std::string op = "\x22";
    append_varint(op, deep.size());
    op += deep;
    deep = "\x12";
    append_varint(deep, op.size());
    deep += op;
  }
  TxnRequest txn;
  CHECK_FALSE(decode(deep, txn));
}
