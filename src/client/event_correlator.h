// Decides what becomes of one more event: dropped as spam, merged with similar ones, counted up, or
// created (client-go's EventCorrelator). Bounded memory; one caller at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "orch/base/clock.h"
#include "orch/client/events.h"

namespace orch::client {

// A map that forgets its least recently used entry beyond `capacity`.
template <class V>
class LruMap {
 public:
  explicit LruMap(size_t capacity) : capacity_(capacity) {}
  // The entry of `key`, made on first use; now the most recently used. `fresh` says if made.
  V& touch(const std::string& key, bool* fresh = nullptr) {
    auto at = index_.find(key);
    if (fresh) *fresh = at == index_.end();
    if (at != index_.end()) {
      order_.splice(order_.begin(), order_, at->second);
    } else {
      order_.emplace_front(key, V{});
      index_[key] = order_.begin();
      if (order_.size() > capacity_) {
        index_.erase(order_.back().first);
        order_.pop_back();
      }
    }
    return order_.front().second;
  }
  void erase(const std::string& key) {
    auto at = index_.find(key);
    if (at == index_.end()) return;
    order_.erase(at->second);
    index_.erase(at);
  }
  size_t size() const { return order_.size(); }

 private:
  size_t capacity_;
  std::list<std::pair<std::string, V>> order_;
  std::unordered_map<std::string, typename std::list<std::pair<std::string, V>>::iterator> index_;
};

struct PendingEvent {
  EventSubject subject;
  std::string type, reason, message;
  WallTime at;
  uint64_t serial = 0;  // makes names unique
};

// What was recorded of one series of equal events.
struct EventSeries {
  std::string name;  // of the Event object
  WallTime first{};
  int32_t count = 0;
};

class EventCorrelator {
 public:
  struct Decision {
    bool drop = false;
    std::string key;      // of the series, for recorded() and forget()
    std::string message;  // possibly with the prefix of merged events
    // Set: this Event exists, patch its count; else create one.
    std::optional<EventSeries> known;
  };
  Decision decide(const PendingEvent& event);
  void recorded(const std::string& key, EventSeries series);
  void forget(const std::string& key);

 private:
  struct Bucket {
    double tokens = 0;
    WallTime updated{};
  };
  struct Similar {
    std::set<std::string> messages;
    WallTime last{};
  };
  bool is_spam(const PendingEvent& event);

  LruMap<Bucket> buckets_{4096};
  LruMap<Similar> similar_{4096};
  LruMap<EventSeries> series_{4096};
};

}  // namespace orch::client
