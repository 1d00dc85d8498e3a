// etcd's Maintenance service.
#include <array>

#include "orch/base/log.h"
#include "orch/storage/etcd_snapshot.h"
#include "server/etcd/facade.h"

namespace orch::server::etcd {

namespace {

constexpr int64_t kHashPageKeys = 1000;
constexpr int kSnapshotsMax = 2;  // at a time
constexpr size_t kSnapshotBuffer = 1 << 20;
constexpr Millis kSnapshotPatience{30'000};  // with a reader that takes nothing

// CRC-32C, as etcd's hashes.
uint32_t crc32c(uint32_t crc, std::string_view bytes) {
  static const auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82f63b78U : 0U);
      table[i] = value;
    }
    return table;
  }();
  crc = ~crc;
  for (const char c : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

}  // namespace

void Facade::status(std::string_view, const Stream& stream) {
  StatusResponse response;
  response.header = header();
  response.version = kEtcdVersion;
  response.db_size = response.db_size_in_use = store_.size_bytes();
  response.leader = options_.member_id;
  response.raft_index = response.raft_applied_index =
      static_cast<uint64_t>(response.header.revision);
  response.raft_term = response.header.raft_term;
  reply(*stream, response);
}

void Facade::alarm(std::string_view, const Stream& stream) {
  reply(*stream, HeaderResponse{header()});  // there are none
}

void Facade::defragment(std::string_view, const Stream& stream) {
  if (auto done = store_.rebuild(); !done) return stream->finish(errors::of(done.error()));
  reply(*stream, HeaderResponse{header()});
}

// Of the keys that live at `revision`: equal stores have equal hashes whatever their history.
storage::StoreResult<uint32_t> Facade::hash_at(storage::Revision revision) {
  storage::RangeRequest page;
  page.key = page.range_end = std::string(1, '\0');
  page.revision = revision;
  page.limit = kHashPageKeys;
  uint32_t crc = crc32c(0, "key");
  for (;;) {
    ORCH_TRY(storage::RangeResponse found, store_.range(page));
    for (const KeyValue& kv : found.kvs) crc = crc32c(crc, encode(kv));
    if (!found.more) return crc;
    page.key = *found.kvs.back().key + '\0';
  }
}

void Facade::hash(std::string_view, const Stream& stream) {
  const ResponseHeader now = header();
  auto crc = hash_at(now.revision);
  if (!crc) return stream->finish(errors::of(crc.error()));
  reply(*stream, HashKvResponse{now, *crc, 0});
}

void Facade::hash_kv(std::string_view message, const Stream& stream) {
  HashKvRequest request;
  if (!decode(message, request)) return stream->finish(errors::malformed());
  const ResponseHeader now = header();
  auto crc = hash_at(request.revision > 0 ? request.revision : now.revision);
  if (!crc) return stream->finish(errors::of(crc.error()));
  reply(*stream, HashKvResponse{now, *crc, store_.compact_revision()});
}

void Facade::snapshot(std::string_view, const Stream& stream) {
  struct Counted {
    explicit Counted(std::atomic<int>& of) : count(of), before(of.fetch_add(1)) {}
    ~Counted() { count.fetch_sub(1); }
    std::atomic<int>& count;
    const int before;
  } counted(snapshots_);
  if (counted.before >= kSnapshotsMax) {
    return stream->finish(errors::make(GrpcCode::kResourceExhausted, "too many requests"));
  }
  auto content = storage::take_snapshot(store_);
  if (!content) return stream->finish(errors::of(content.error()));
  const storage::EtcdSnapshot file(std::move(*content));
  const ResponseHeader now = header(file.revision());
  auto left = static_cast<uint64_t>(file.size());
  const bool sent = file.write([&](std::string_view part) {
    SnapshotResponse response;
    response.header = now;
    response.blob = part;
    left -= std::min<uint64_t>(left, part.size());
    response.remaining_bytes = left;
    if (!stream->wait_below(kSnapshotBuffer, kSnapshotPatience)) return false;
    stream->send(encode(response));
    return true;
  });
  if (!sent) return stream->finish({GrpcCode::kUnavailable, "the reader takes nothing"});
  log::info("etcd", "snapshot sent: revision {}, {} keys, {} bytes", file.revision(), file.keys(),
            file.size());
  stream->finish({});
}

void Facade::move_leader(std::string_view, const Stream& stream) {
  stream->finish(errors::make(GrpcCode::kFailedPrecondition, "bad leader transferee"));
}

void Facade::downgrade(std::string_view, const Stream& stream) {
  stream->finish(errors::make(GrpcCode::kInvalidArgument, "invalid downgrade target version"));
}

}  // namespace orch::server::etcd
