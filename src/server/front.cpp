#include "server/front.h"

#include <fmt/format.h>

#include "orch/api/value.h"
#include "server/http/handler.h"

namespace orch::server {
namespace {

constexpr int64_t kNanoseconds = 1'000'000'000;  // of a second
constexpr int kWaitPart = 4;                     // of the timeout that a request may wait

AuditConfig audit_config(const ServerConfig& config) {
  AuditConfig out;
  out.policy_file = config.audit_policy_file;
  out.log_path = config.audit_log_path;
  out.log_maxage = config.audit_log_maxage;
  out.log_maxbackup = config.audit_log_maxbackup;
  out.log_maxsize = config.audit_log_maxsize;
  out.log_mode = config.audit_log_mode;
  out.webhook_config_file = config.audit_webhook_config_file;
  out.webhook_mode = config.audit_webhook_mode;
  return out;
}

}  // namespace

Result<std::unique_ptr<Front>, std::string> Front::create(Env& env, const ServerConfig& config,
                                                          ApiServer& api,
                                                          client::InformerSet& informers,
                                                          const client::Client& client) {
  std::unique_ptr<Front> front(new Front(api));
  const auto timeout = api::Duration::parse(config.request_timeout);
  if (!timeout || timeout->nanos < kNanoseconds) {
    return Err(
        fmt::format("--request-timeout: \"{}\" is not a time of a second or more, such as 60s",
                    config.request_timeout));
  }
  front->request_timeout_ = Seconds{timeout->nanos / kNanoseconds};
  ORCH_TRY(front->audit_, make_auditor(audit_config(config), env.clock));
  FlowOptions options;
  options.seats = config.max_requests_inflight + config.max_mutating_requests_inflight;
  options.wait_max = Micros(front->request_timeout_) / kWaitPart;
  if (options.seats == 0) {
    return Err(
        std::string("--max-requests-inflight and --max-mutating-requests-inflight are both "
                    "0: nothing could be served"));
  }
  front->flow_ = std::make_unique<FlowControl>(env, options);
  front->watcher_ = std::make_unique<FlowWatcher>(env, informers, client, *front->flow_);
  for (const char* what : {"priority_levels", "queues", "requests"}) {
    api.add_path(std::string("/debug/api_priority_and_fairness/dump_") + what, false,
                 [flow = front->flow_.get(), what](Call&, net::HttpResponse& response) {
                   response.set("Content-Type", "text/plain; charset=utf-8");
                   response.body = flow->dump(what);
                 });
  }
  return front;
}

net::HttpHandler Front::handler() {
  return make_http_handler(
      api_, {.flow = flow_.get(), .audit = audit_.get(), .request_timeout = request_timeout_});
}

}  // namespace orch::server
