// EventRateLimit (off by default): tokens a second for Events, of the whole server, a namespace, a
// user, or a source and object. Configured as upstream's eventratelimit.admission.k8s.io/v1alpha1.
#include <fmt/format.h>

#include <list>
#include <mutex>
#include <unordered_map>

#include "orch/api/corev1.h"
#include "orch/api/json_value.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;

constexpr size_t kCacheSizeDefault = 4096;

// One limit: buckets by key, the least recently used forgotten beyond `size`.
struct Limit {
  std::string type;
  double qps = 0, burst = 0;
  size_t size = kCacheSizeDefault;
  struct Bucket {
    double tokens = 0;
    MonoTime at{};
    std::list<std::string>::iterator place;
  };
  std::unordered_map<std::string, Bucket> buckets;
  std::list<std::string> order;  // most recently used first

  bool take(const std::string& key, MonoTime now) {
    auto [it, fresh] = buckets.try_emplace(key);
    Bucket& bucket = it->second;
    if (fresh) {
      order.push_front(key);
      bucket = {burst, now, order.begin()};
      if (buckets.size() > size) {
        buckets.erase(order.back());
        order.pop_back();
      }
    } else {
      order.splice(order.begin(), order, bucket.place);
      const double passed = static_cast<double>((now - bucket.at).count()) / 1e6;
      bucket.tokens = std::min(burst, bucket.tokens + passed * qps);
      bucket.at = now;
    }
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
};

class EventRateLimit final : public AdmissionPlugin {
 public:
  explicit EventRateLimit(const AdmissionContext& context) : clock_(context.clock) {}
  std::string_view name() const override { return "EventRateLimit"; }

  Result<Unit, std::string> configure(const std::string& json) override {
    ORCH_TRY(const auto document, JsonValue::parse(json));
    if (document.get("kind").text() != "Configuration" ||
        document.get("apiVersion").text() != "eventratelimit.admission.k8s.io/v1alpha1") {
      return Err(std::string("not a Configuration of eventratelimit.admission.k8s.io/v1alpha1"));
    }
    size_t index = 0;
    for (const auto& item : document.get("limits").items()) {
      const std::string field = fmt::format("limits[{}].", index++);
      Limit limit;
      limit.type = item.get("type").text();
      if (limit.type != "Server" && limit.type != "Namespace" && limit.type != "User" &&
          limit.type != "SourceAndObject") {
        return Err(field + "type: Unsupported value: " + go_quoted(limit.type));
      }
      limit.qps = static_cast<double>(item.get("qps").number());
      limit.burst = static_cast<double>(item.get("burst").number());
      limit.size = static_cast<size_t>(
          item.get("cacheSize").number(static_cast<int64_t>(kCacheSizeDefault)));
      if (limit.qps <= 0) return Err(field + "qps: Invalid value: must be positive");
      if (limit.burst <= 0) return Err(field + "burst: Invalid value: must be positive");
      if (limit.size == 0) limit.size = kCacheSizeDefault;
      limits_.push_back(std::move(limit));
    }
    if (limits_.empty()) return Err(std::string("limits: Invalid value: must not be empty"));
    return Unit{};
  }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    if (clock_ == nullptr || request.dry_run || request.resource->kind != "Event") return Unit{};
    if (!is_write_of(request, request.resource->group, "events")) return Unit{};
    const MonoTime now = clock_->mono();
    std::lock_guard lock(mutex_);
    bool accepted = true;
    for (auto& limit : limits_) {
      if (!limit.take(key_of(limit.type, request), now)) accepted = false;
    }
    if (accepted) return Unit{};
    return Err(too_many_requests("limit reached on type Event", 0));
  }

 private:
  static std::string key_of(const std::string& type, const AdmissionRequest& request) {
    if (type == "Namespace") return request.namespace_;
    if (type == "User") return request.user == nullptr ? "" : request.user->name;
    if (type != "SourceAndObject" || request.resource->group != "") return "";
    const auto& event = static_cast<const corev1::Event&>(*request.object);
    const auto& about = event.involvedObject;
    return event.source.component + event.source.host + about.kind + about.namespace_ + about.name +
           about.uid + about.apiVersion;
  }

  const Clock* clock_;
  std::mutex mutex_;
  std::vector<Limit> limits_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_event_rate_limit(const AdmissionContext& context) {
  return std::make_unique<EventRateLimit>(context);
}

}  // namespace orch::server
