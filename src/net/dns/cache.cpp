#include "net/dns/cache.h"

#include <algorithm>

#include "net/dns/message.h"

namespace orch::net::dns {

namespace {
constexpr uint32_t kPositiveSecondsMax = 30, kNegativeSecondsMax = 5;
}

std::optional<std::string> ReplyCache::get(const std::string& key, Time now) {
  auto at = by_key_.find(key);
  if (at == by_key_.end()) return std::nullopt;
  if (at->second->expires <= now) {
    entries_.erase(at->second);
    by_key_.erase(at);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, at->second);
  const Entry& entry = *at->second;
  std::string reply = entry.reply;
  auto age = static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now - entry.stored).count());
  for (size_t offset : entry.ttl_offsets) {
    uint32_t ttl = read32(reply, offset);
    ttl = ttl > age ? ttl - age : 0;
    write16(reply, offset, static_cast<uint16_t>(ttl >> 16));
    write16(reply, offset + 2, static_cast<uint16_t>(ttl));
  }
  return reply;
}

void ReplyCache::put(const std::string& key, std::string_view reply, Time now) {
  auto header = read_header(reply);
  auto records = read_records(reply);
  if (!header || !records || header->truncated) return;
  if (header->rcode != kNoError && header->rcode != kNameError) return;
  bool negative = header->rcode == kNameError || header->answers == 0;
  uint32_t seconds = negative ? kNegativeSecondsMax : kPositiveSecondsMax;
  Entry entry{key, std::string(reply), now, now, {}};
  for (const Record& record : *records) {
    if (record.type == kOpt) continue;
    entry.ttl_offsets.push_back(record.ttl_offset);
    seconds = std::min(seconds, record.ttl);
  }
  if (seconds == 0 || entries_max_ == 0) return;
  entry.expires = now + std::chrono::seconds(seconds);
  if (auto at = by_key_.find(key); at != by_key_.end()) {
    entries_.erase(at->second);
    by_key_.erase(at);
  }
  entries_.push_front(std::move(entry));
  by_key_[key] = entries_.begin();
  while (entries_.size() > entries_max_) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace orch::net::dns
