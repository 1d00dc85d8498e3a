#include "orch/storage/etcd_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "orch/base/crypto.h"
#include "orch/storage/transformer.h"
#include "storage/bbolt.h"
#include "storage/key_table.h"

namespace orch::storage {
namespace {

constexpr int64_t kPageKeys = 2000;
constexpr int kTries = 5;
constexpr uint64_t kRevisionMax = INT64_MAX >> (kPlaceBits + 2);
constexpr int64_t kTtlMax = 9'000'000'000;
constexpr size_t kRevisionBytes = 17;  // revision, '_', place
constexpr std::string_view kKeyBucket = "key", kMetaBucket = "meta", kLeaseBucket = "lease";
constexpr std::string_view kScheduled = "scheduledCompactRev", kFinished = "finishedCompactRev";

// -- mvccpb.KeyValue, leasepb.Lease and etcd's big-endian keys

void append_big_endian(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

uint64_t big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

void append_revision(std::string& out, Revision revision, int64_t place) {
  append_big_endian(out, static_cast<uint64_t>(revision));
  out += '_';
  append_big_endian(out, static_cast<uint64_t>(place));
}

size_t varint_bytes(uint64_t value) {
  size_t bytes = 1;
  while (value >>= 7) ++bytes;
  return bytes;
}

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void append_number(std::string& out, char tag, int64_t value) {
  if (value == 0) return;
  out += tag;
  append_varint(out, static_cast<uint64_t>(value));
}

void append_bytes(std::string& out, char tag, const Bytes& bytes) {
  if (!bytes || bytes->empty()) return;
  out += tag;
  append_varint(out, bytes->size());
  out += *bytes;
}

size_t number_bytes(int64_t value) {
  return value == 0 ? 0 : 1 + varint_bytes(static_cast<uint64_t>(value));
}
size_t bytes_bytes(const Bytes& bytes) {
  return !bytes || bytes->empty() ? 0 : 1 + varint_bytes(bytes->size()) + bytes->size();
}

void append_key_value(std::string& out, const KeyValue& kv) {
  append_bytes(out, 0x0a, kv.key);
  append_number(out, 0x10, kv.create_revision);
  append_number(out, 0x18, kv.mod_revision);
  append_number(out, 0x20, kv.version);
  append_bytes(out, 0x2a, kv.value);
  append_number(out, 0x30, kv.lease);
}

size_t key_value_bytes(const KeyValue& kv) {
  return bytes_bytes(kv.key) + number_bytes(kv.create_revision) + number_bytes(kv.mod_revision) +
         number_bytes(kv.version) + bytes_bytes(kv.value) + number_bytes(kv.lease);
}

// The fields of a message: calls take(number, varint, bytes). False: malformed.
template <class Take>
bool each_field(std::string_view message, Take&& take) {
  size_t at = 0;
  const auto varint = [&](uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && at < message.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(message[at++]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  };
  while (at < message.size()) {
    uint64_t tag = 0, number = 0;
    if (!varint(tag) || !varint(number)) return false;
    if ((tag & 7) == 0) {
      take(tag >> 3, number, std::string_view());
    } else if ((tag & 7) == 2 && number <= message.size() - at) {
      take(tag >> 3, number, message.substr(at, number));
      at += number;
    } else {
      return false;
    }
  }
  return true;
}

bool parse_key_value(std::string_view message, KeyValue& kv) {
  std::string_view key, value;
  const bool whole = each_field(message, [&](uint64_t field, uint64_t n, std::string_view bytes) {
    if (field == 1) key = bytes;
    if (field == 2) kv.create_revision = static_cast<int64_t>(n);
    if (field == 3) kv.mod_revision = static_cast<int64_t>(n);
    if (field == 4) kv.version = static_cast<int64_t>(n);
    if (field == 5) value = bytes;
    if (field == 6) kv.lease = static_cast<int64_t>(n);
  });
  if (!whole || key.empty()) return false;
  kv.key = std::make_shared<const std::string>(key);
  kv.value = std::make_shared<const std::string>(value);
  return true;
}

Error corrupt(std::string message) { return Error{ErrorCode::kCorrupt, std::move(message)}; }

// -- taking

StoreResult<Unit> take_keys(KvStore& store, SnapshotContent& content) {
  RangeRequest request;
  request.key = std::string(1, '\0');
  request.range_end = std::string(1, '\0');
  request.limit = kPageKeys;
  content.entries.clear();
  for (request.revision = 0;;) {
    ORCH_TRY(RangeResponse page, store.range(request));
    if (request.revision == 0) request.revision = content.revision = page.revision;
    for (KeyValue& kv : page.kvs) content.entries.push_back({std::move(kv), 0});
    if (!page.more || content.entries.empty()) return Unit{};
    request.key = *content.entries.back().kv.key + '\0';
  }
}

void take_leases(KvStore& store, SnapshotContent& content) {
  for (const LeaseId id : store.leases()) {
    if (auto lease = store.lease_info(id, false)) {
      content.leases.emplace_back(id, lease->ttl_seconds);
    }
  }
}

void order_entries(std::vector<SnapshotEntry>& entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.kv.mod_revision < b.kv.mod_revision;
  });
  for (size_t i = 1; i < entries.size(); ++i) {
    const SnapshotEntry& before = entries[i - 1];
    if (before.kv.mod_revision == entries[i].kv.mod_revision) entries[i].place = before.place + 1;
  }
}

}  // namespace

StoreResult<SnapshotContent> take_snapshot(KvStore& store) {
  SnapshotContent content;
  // Before and after: a lease that a key of the snapshot hangs on may begin or end meanwhile.
  take_leases(store, content);
  for (int attempt = 1;; ++attempt) {
    auto taken = take_keys(store, content);
    if (taken) break;
    if (taken.error().code != ErrorCode::kCompacted || attempt == kTries) return Err(taken.error());
  }
  take_leases(store, content);
  std::sort(content.leases.begin(), content.leases.end());
  content.leases.erase(std::unique(content.leases.begin(), content.leases.end()),
                       content.leases.end());
  order_entries(content.entries);
  if (const ValueTransformer* transformer = store.transformer()) {
    for (SnapshotEntry& entry : content.entries) {
      ORCH_TRY(entry.kv.value, transformer->to_disk(*entry.kv.key, entry.kv.value));
    }
  }
  content.orch[std::string(kOrchFormat)] = std::to_string(kOrchFormatVersion);
  return content;
}

struct EtcdSnapshot::Layout {
  SnapshotContent content;
  std::vector<std::pair<std::string, std::string>> meta, leases, orch;
  std::unique_ptr<bbolt::Writer> writer;
};

EtcdSnapshot::EtcdSnapshot(SnapshotContent content) : layout_(std::make_unique<Layout>()) {
  Layout& layout = *layout_;
  layout.content = std::move(content);
  std::string revision;
  append_revision(revision, layout.content.revision, 0);
  layout.meta = {{"consistent_index", std::string(8, '\0')},
                 {std::string(kFinished), revision},
                 {std::string(kScheduled), revision}};
  for (const auto& [id, ttl] : layout.content.leases) {
    auto& [key, value] = layout.leases.emplace_back();
    append_big_endian(key, static_cast<uint64_t>(id));
    append_number(value, 0x08, id);
    append_number(value, 0x10, ttl);
  }
  layout.orch.assign(layout.content.orch.begin(), layout.content.orch.end());

  const auto table = [](std::string_view name,
                        const std::vector<std::pair<std::string, std::string>>& items) {
    return bbolt::Writer::Bucket{
        std::string(name), items.size(),
        [&items](size_t i) { return std::pair(items[i].first.size(), items[i].second.size()); },
        [&items](size_t i, std::string& key, std::string& value) {
          key += items[i].first;
          value += items[i].second;
        }};
  };
  const auto& entries = layout.content.entries;
  std::vector<bbolt::Writer::Bucket> buckets;
  buckets.push_back(
      {std::string(kKeyBucket), entries.size(),
       [&entries](size_t i) { return std::pair(kRevisionBytes, key_value_bytes(entries[i].kv)); },
       [&entries](size_t i, std::string& key, std::string& value) {
         append_revision(key, entries[i].kv.mod_revision, entries[i].place);
         append_key_value(value, entries[i].kv);
       }});
  buckets.push_back(table(kMetaBucket, layout.meta));
  buckets.push_back(table(kLeaseBucket, layout.leases));
  if (!layout.orch.empty()) buckets.push_back(table(kOrchBucket, layout.orch));
  layout.writer = std::make_unique<bbolt::Writer>(std::move(buckets));
}

EtcdSnapshot::~EtcdSnapshot() = default;
Revision EtcdSnapshot::revision() const { return layout_->content.revision; }
int64_t EtcdSnapshot::keys() const { return static_cast<int64_t>(layout_->content.entries.size()); }
int64_t EtcdSnapshot::size() const { return layout_->writer->size(); }

bool EtcdSnapshot::write(const std::function<bool(std::string_view)>& sink) const {
  Sha256 sum;
  const bool written = layout_->writer->write([&](std::string_view portion) {
    sum.add(portion);
    return sink(portion);
  });
  return written && sink(sum.finish());
}

// -- reading

namespace {

struct Parser {
  SnapshotContent content;
  std::unordered_map<std::string, SnapshotEntry> newest;
  Revision compacted = 0;
  std::string wrong;

  bool key(std::string_view at, std::string_view value) {
    const bool tombstone = at.size() == kRevisionBytes + 1 && at.back() == 't';
    if (at.size() != kRevisionBytes && !tombstone) return fail("a key that is no revision");
    SnapshotEntry entry;
    const uint64_t revision = big_endian(at);
    const uint64_t place = big_endian(at.substr(9));
    if (revision > kRevisionMax || place > static_cast<uint64_t>(kPlaceMax)) {
      return fail("a revision out of bounds");
    }
    if (!parse_key_value(value, entry.kv)) return fail("a value that is no key-value message");
    if (!tombstone &&
        (entry.kv.version <= 0 || entry.kv.create_revision < 0 || entry.kv.lease < 0)) {
      return fail("a key with impossible numbers");
    }
    entry.kv.mod_revision = static_cast<Revision>(revision);
    entry.place = static_cast<int64_t>(place);
    content.revision = std::max(content.revision, entry.kv.mod_revision);
    std::string name = *entry.kv.key;
    if (tombstone) {
      newest.erase(name);
    } else {
      newest.insert_or_assign(std::move(name), std::move(entry));
    }
    return true;
  }
  bool lease(std::string_view value) {
    int64_t id = 0, ttl = 0;
    const bool whole = each_field(value, [&](uint64_t field, uint64_t number, std::string_view) {
      if (field == 1) id = static_cast<int64_t>(number);
      if (field == 2) ttl = static_cast<int64_t>(number);
    });
    if (!whole || id <= 0 || ttl > kTtlMax) return fail("a lease that is none");
    content.leases.emplace_back(id, std::max<int64_t>(1, ttl));
    return true;
  }
  bool fail(std::string what) {
    wrong = std::move(what);
    return false;
  }
};

StoreResult<std::string_view> without_checksum(std::string_view file) {
  if (file.size() % 512 != kSha256Bytes) return file;
  const auto body = file.substr(0, file.size() - kSha256Bytes);
  Sha256 sum;
  sum.add(body);
  if (sum.finish() != file.substr(body.size())) {
    return Err(corrupt("the checksum at its end does not hold: the file is damaged"));
  }
  return body;
}

StoreResult<Unit> check_format(const SnapshotContent& content) {
  if (content.orch.empty()) return Unit{};
  const auto format = content.orch.find(std::string(kOrchFormat));
  const int version = format == content.orch.end() ? 0 : std::atoi(format->second.c_str());
  if (version >= 1 && version <= kOrchFormatVersion) return Unit{};
  return Err(corrupt(fmt::format("its format {} is newer than this orch knows ({})", version,
                                 kOrchFormatVersion)));
}

}  // namespace

StoreResult<SnapshotContent> parse_etcd_snapshot(std::string_view file) {
  ORCH_TRY(const std::string_view body, without_checksum(file));
  auto reader = bbolt::Reader::open(body);
  if (!reader) return Err(corrupt(reader.error()));
  Parser parser;
  const auto each = [&](std::string_view bucket, const bbolt::Reader::Visit& visit) {
    auto walked = reader->each(bucket, visit);
    if (!walked && parser.wrong.empty()) parser.wrong = walked.error();
    return parser.wrong.empty();
  };
  const auto names = reader->buckets();
  const bool etcd = std::find(names.begin(), names.end(), kKeyBucket) != names.end();
  const bool whole =
      each(kOrchBucket,
           [&](std::string_view key, std::string_view value) {
             parser.content.orch.emplace(key, value);
             return true;
           }) &&
      each(kKeyBucket, [&](auto key, auto value) { return parser.key(key, value); }) &&
      each(kMetaBucket,
           [&](std::string_view key, std::string_view value) {
             if (key == kFinished && value.size() >= kRevisionBytes) {
               parser.compacted = static_cast<Revision>(big_endian(value));
             }
             return true;
           }) &&
      each(kLeaseBucket, [&](auto, auto value) { return parser.lease(value); });
  if (!whole) return Err(corrupt(parser.wrong));
  if (!etcd) return Err(corrupt("a bbolt database, but not etcd's: it has no bucket \"key\""));
  ORCH_CHECK(check_format(parser.content));
  SnapshotContent content = std::move(parser.content);
  if (static_cast<uint64_t>(parser.compacted) > kRevisionMax)
    return Err(corrupt("a revision out of bounds"));
  content.revision = std::max(content.revision, parser.compacted);
  content.entries.reserve(parser.newest.size());
  for (auto& [key, entry] : parser.newest) content.entries.push_back(std::move(entry));
  std::sort(content.entries.begin(), content.entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.kv.mod_revision, a.place) < std::pair(b.kv.mod_revision, b.place);
  });
  return content;
}

}  // namespace orch::storage
