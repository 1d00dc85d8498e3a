// A small cache of upstream replies. Not thread-safe. Private to net/dns.
#pragma once

#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace orch::net::dns {

using Time = std::chrono::steady_clock::time_point;

class ReplyCache {
 public:
  explicit ReplyCache(size_t entries_max) : entries_max_(entries_max) {}
  // The reply with its TTLs counted down; id and question as stored.
  std::optional<std::string> get(const std::string& key, Time now);
  // Keeps what is worth keeping: whole NOERROR and NXDOMAIN replies, for their smallest TTL, at
  // most 30 s, negative ones at most 5 s.
  void put(const std::string& key, std::string_view reply, Time now);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string key, reply;
    Time stored, expires;
    std::vector<size_t> ttl_offsets;
  };
  size_t entries_max_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace orch::net::dns
