// What requests cost, and the request metrics.
#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <map>

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

namespace {

// What one kind of request and answer is counted by. The texts are constants.
struct Labels {
  const api::ResourceInfo* resource;
  const char *verb, *subresource, *scope;
  int status;
  bool runs_long;
  auto operator<=>(const Labels&) const = default;
};
struct Metrics {
  metrics::Counter& total;
  metrics::Histogram* duration;  // null: of what runs long
};

Metrics metrics_of(const Labels& labels) {
  const std::string_view group = labels.resource != nullptr ? labels.resource->group : "";
  const std::string_view plural = labels.resource != nullptr ? labels.resource->plural : "";
  Metrics out{
      metrics::counter(
          "apiserver_request_total", "Requests by verb, group, resource, scope and code.",
          fmt::format(R"(verb="{}",group="{}",resource="{}",subresource="{}",scope="{}",code="{}")",
                      labels.verb, group, plural, labels.subresource, labels.scope, labels.status)),
      nullptr};
  if (labels.runs_long) return out;
  out.duration = &metrics::histogram(
      "apiserver_request_duration_seconds", "Time to answer, in seconds.",
      fmt::format(R"(verb="{}",group="{}",resource="{}")", labels.verb, group, plural));
  return out;
}

}  // namespace

void count_request(const Call& call, int status, double seconds) {
  static constexpr const char* kVerbs[][2] = {
      {"get", "GET"},       {"list", "LIST"},
      {"watch", "WATCH"},   {"create", "CREATE"},
      {"update", "UPDATE"}, {"patch", "PATCH"},
      {"delete", "DELETE"}, {"deletecollection", "DELETECOLLECTION"}};
  static constexpr const char* kSubresources[] = {"attach",   "binding",     "ephemeralcontainers",
                                                  "eviction", "exec",        "finalize",
                                                  "log",      "portforward", "proxy",
                                                  "scale",    "status",      "token",
                                                  "approval"};
  const RequestInfo& info = call.info;
  // Only what the server knows becomes a label: what a client invents does not.
  Labels labels{nullptr, "OTHER", "", "", status, long_running(call)};
  if (info.is_resource) {
    labels.resource = api::find_resource(info.group, info.version, info.resource);
  }
  for (const auto& [verb, label] : kVerbs) {
    if (info.verb == verb) labels.verb = label;
  }
  if (labels.resource != nullptr) {
    for (const char* known : kSubresources) {
      if (info.subresource == known) labels.subresource = known;
    }
    labels.scope = !info.name.empty()         ? "resource"
                   : !info.namespace_.empty() ? "namespace"
                                              : "cluster";
  }
  static thread_local std::map<Labels, Metrics> known;
  auto it = known.find(labels);
  if (it == known.end()) it = known.emplace(labels, metrics_of(labels)).first;
  it->second.total.add();
  if (it->second.duration != nullptr) it->second.duration->observe(seconds);
}

}  // namespace orch::server
