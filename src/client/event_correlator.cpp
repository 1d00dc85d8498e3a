#include "client/event_correlator.h"

#include <algorithm>

namespace orch::client {
namespace {

constexpr double kBurst = 25;
constexpr double kTokensPerSecond = 1.0 / 300;
constexpr size_t kSimilarMax = 10;
constexpr Micros kSimilarWindow = Seconds{600};

std::string object_key(const EventSubject& s) {
  return s.component + '\0' + s.kind + '\0' + s.namespace_ + '\0' + s.name + '\0' + s.uid + '\0' +
         s.api_version;
}

}  // namespace

bool EventCorrelator::is_spam(const PendingEvent& event) {
  bool fresh = false;
  Bucket& bucket = buckets_.touch(object_key(event.subject), &fresh);
  if (fresh) {
    bucket.tokens = kBurst;
  } else if (event.at > bucket.updated) {
    const double seconds = std::chrono::duration<double>(event.at - bucket.updated).count();
    bucket.tokens = std::min(kBurst, bucket.tokens + seconds * kTokensPerSecond);
  }
  bucket.updated = event.at;
  if (bucket.tokens < 1) return true;
  bucket.tokens -= 1;
  return false;
}

EventCorrelator::Decision EventCorrelator::decide(const PendingEvent& event) {
  Decision out;
  const std::string group = object_key(event.subject) + '\0' + event.subject.field_path + '\0' +
                            event.type + '\0' + event.reason;
  bool fresh = false;
  Similar& similar = similar_.touch(group, &fresh);
  if (!fresh && event.at - similar.last > kSimilarWindow) similar.messages.clear();
  similar.last = event.at;
  similar.messages.insert(event.message);
  if (similar.messages.size() >= kSimilarMax) {
    similar.messages.erase(similar.messages.begin());
    out.message = "(combined from similar events): " + event.message;
    out.key = group;
  } else {
    out.message = event.message;
    out.key = group + '\0' + event.message;
  }
  if (is_spam(event)) {
    out.drop = true;
    return out;
  }
  if (const EventSeries& series = series_.touch(out.key); series.count > 0) out.known = series;
  return out;
}

void EventCorrelator::recorded(const std::string& key, EventSeries series) {
  series_.touch(key) = std::move(series);
}

void EventCorrelator::forget(const std::string& key) { series_.erase(key); }

}  // namespace orch::client
