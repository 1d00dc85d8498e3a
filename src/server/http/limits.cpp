// Max in flight, and the request metrics.
#include <fmt/format.h>

#include <utility>

#include "orch/base/metrics.h"
#include "server/http/filters.h"

namespace orch::server {

bool long_running(const Call& call) {
  const RequestInfo& info = call.info;
  if (info.verb == "watch" || info.verb == "proxy") return true;
  return info.subresource == "log" || info.subresource == "exec" || info.subresource == "attach" ||
         info.subresource == "portforward" || info.subresource == "proxy";
}

api::ApiResult<InFlight::Slot> InFlight::enter(const Call& call) {
  if (long_running(call) || call.user.in_group("system:masters")) return Slot();
  const std::string& verb = call.info.verb;
  const bool reads = verb == "get" || verb == "list" || verb == "head";
  auto& count = reads ? reading_ : mutating_;
  const int limit = reads ? read_max_ : mutating_max_;
  Slot slot(&count);
  if (count.fetch_add(1, std::memory_order_relaxed) >= limit) {
    return Err(api::too_many_requests("Too many requests, please try again later.", 1));
  }
  return slot;
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
