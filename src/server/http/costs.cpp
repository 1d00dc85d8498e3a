// What requests cost, and the request metrics.
#include <fmt/format.h>

#include <algorithm>

#include "orch/base/metrics.h"
#include "orch/base/strings.h"
#include "server/http/filters.h"

namespace orch::server {
namespace {

constexpr Seconds kCountValid{5};
constexpr int64_t kObjectsPerSeat = 100;
constexpr int64_t kSeatsMax = 10;

}  // namespace

bool long_running(const Call& call) {
  const RequestInfo& info = call.info;
  if (info.verb == "watch" || info.verb == "proxy") return true;
  return info.subresource == "log" || info.subresource == "exec" || info.subresource == "attach" ||
         info.subresource == "portforward" || info.subresource == "proxy";
}

int64_t RequestCosts::objects(const api::ResourceInfo& resource) {
  const MonoTime now = server_.env().clock.mono();
  {
    std::lock_guard lock(mutex_);
    const auto it = counts_.find(&resource);
    if (it != counts_.end() && now - it->second.counted < kCountValid) return it->second.objects;
  }
  storage::RangeRequest range;
  range.key = Registry::prefix(resource);
  range.range_end = range.key;
  ++range.range_end.back();
  range.count_only = true;
  const auto answer = server_.registry().store().range(range);
  const int64_t objects = answer ? answer->count : 0;
  std::lock_guard lock(mutex_);
  counts_[&resource] = {objects, now};
  return objects;
}

int RequestCosts::seats(const Call& call) {
  const RequestInfo& info = call.info;
  const bool initial = info.verb == "watch" && call.flag("sendInitialEvents");
  if ((info.verb != "list" && !initial) || !info.name.empty()) return 1;
  const auto* resource = api::find_resource(info.group, info.version, info.resource);
  if (resource == nullptr || !resource->stored) return 1;
  int64_t read = objects(*resource);
  if (const auto limit = parse_int(call.param("limit")); limit && *limit > 0) {
    read = std::min(read, *limit);
  }
  return static_cast<int>(
      std::clamp<int64_t>((read + kObjectsPerSeat - 1) / kObjectsPerSeat, 1, kSeatsMax));
}

void count_request(const Call& call, int status, double seconds) {
  const RequestInfo& info = call.info;
  // Only what the server knows becomes a label: what a client invents does not.
  const api::ResourceInfo* resource =
      info.is_resource ? api::find_resource(info.group, info.version, info.resource) : nullptr;
  std::string verb = "other";
  for (const char* known :
       {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}) {
    if (info.verb == known) verb = known;
  }
  for (char& c : verb) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  static constexpr const char* kSubresources[] = {"attach",   "binding",     "ephemeralcontainers",
                                                  "eviction", "exec",        "finalize",
                                                  "log",      "portforward", "proxy",
                                                  "scale",    "status",      "token",
                                                  "approval"};
  std::string_view subresource;
  for (const char* known : kSubresources) {
    if (resource != nullptr && info.subresource == known) subresource = known;
  }
  const std::string_view group = resource != nullptr ? resource->group : "";
  const std::string_view plural = resource != nullptr ? resource->plural : "";
  const std::string_view scope = resource == nullptr        ? ""
                                 : !info.name.empty()       ? "resource"
                                 : !info.namespace_.empty() ? "namespace"
                                                            : "cluster";
  metrics::counter(
      "apiserver_request_total", "Requests by verb, group, resource, scope and code.",
      fmt::format(R"(verb="{}",group="{}",resource="{}",subresource="{}",scope="{}",code="{}")",
                  verb, group, plural, subresource, scope, status))
      .add();
  if (!long_running(call)) {
    metrics::histogram("apiserver_request_duration_seconds", "Time to answer, in seconds.",
                       fmt::format(R"(verb="{}",group="{}",resource="{}")", verb, group, plural))
        .observe(seconds);
  }
}

}  // namespace orch::server
