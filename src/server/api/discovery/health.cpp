// /healthz, /livez, /readyz: plain text, `?verbose` and `?exclude=` as upstream's healthz.
#include <fmt/format.h>

#include <set>

#include "server/api/discovery/discovery.h"
#include "server/api/internals.h"

namespace orch::server {
namespace {

std::vector<HealthCheck> checks_of(ApiServer& server, ApiServer::Probe probe) {
  std::vector<HealthCheck> out;
  std::lock_guard lock(server.internals().mutex);
  for (const HealthCheck& check : server.internals().checks) {
    if (check.probe == probe) out.push_back(check);
  }
  return out;
}

void answer_text(net::HttpResponse& response, int status, std::string text) {
  response.status = status;
  response.set("Content-Type", "text/plain; charset=utf-8");
  response.set("X-Content-Type-Options", "nosniff");
  response.set("Cache-Control", "no-cache, private");
  response.body = std::move(text);
}

}  // namespace

bool answer_health(ApiServer& server, const Call& call, net::HttpResponse& response) {
  std::string_view path = call.info.path;
  std::string_view name;
  ApiServer::Probe probe{};
  bool found = false;
  for (const auto& [prefix, p] : {std::pair{"/healthz", ApiServer::Probe::kHealth},
                                  std::pair{"/livez", ApiServer::Probe::kLive},
                                  std::pair{"/readyz", ApiServer::Probe::kReady}}) {
    const std::string_view text(prefix);
    if (path == text || (path.starts_with(text) && path[text.size()] == '/')) {
      name = text.substr(1);
      path.remove_prefix(text.size());
      probe = p;
      found = true;
      break;
    }
  }
  if (!found) return false;
  if (path.starts_with('/')) path.remove_prefix(1);
  const auto checks = checks_of(server, probe);
  if (!path.empty()) {
    for (const HealthCheck& check : checks) {
      if (check.name != path) continue;
      const std::string why = check.check();
      answer_text(response, why.empty() ? 200 : 500,
                  why.empty() ? "ok" : fmt::format("internal server error: {}\n", why));
      return true;
    }
    answer_page_not_found(response);
    return true;
  }
  std::set<std::string> excluded;
  const auto range = call.query.equal_range("exclude");
  for (auto it = range.first; it != range.second; ++it) excluded.insert(it->second);
  std::string report;
  bool failed = false;
  for (const HealthCheck& check : checks) {
    if (excluded.count(check.name) != 0) {
      report += fmt::format("[+]{} excluded: ok\n", check.name);
      continue;
    }
    const bool well = check.check().empty();
    failed = failed || !well;
    report += well ? fmt::format("[+]{} ok\n", check.name)
                   : fmt::format("[-]{} failed: reason withheld\n", check.name);
  }
  if (failed) {
    answer_text(response, 500, report + fmt::format("{} check failed\n", name));
  } else if (call.has_param("verbose")) {
    answer_text(response, 200, report + fmt::format("{} check passed\n", name));
  } else {
    answer_text(response, 200, "ok");
  }
  return true;
}

}  // namespace orch::server
