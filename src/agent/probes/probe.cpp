#include "agent/probes/probe.h"

#include <fmt/format.h>

namespace orch::agent {
namespace {

constexpr size_t kOutputBytesMax = 10 * 1024;

std::string clip(std::string text) {
  if (text.size() > kOutputBytesMax) text.resize(kOutputBytesMax);
  return text;
}

void run_exec(ContainerRuntime& runtime, const corev1::ExecAction& action,
              const ProbeTarget& target, Seconds timeout, std::function<void(ProbeOutcome)> done) {
  runtime.exec_sync(
      target.container_id, action.command, timeout,
      [done = std::move(done), timeout](Result<ExecOutput, Error> result) {
        if (!result) {
          if (result.error().code == Error::Code::kTimeout) {
            return done({ProbeOutcome::Result::kFailure,
                         fmt::format("command timed out after {}s", timeout.count())});
          }
          return done({ProbeOutcome::Result::kError, result.error().message});
        }
        std::string output = clip(result->out + result->err);
        done({result->exit_code == 0 ? ProbeOutcome::Result::kSuccess
                                     : ProbeOutcome::Result::kFailure,
              result->exit_code == 0 || !output.empty()
                  ? std::move(output)
                  : fmt::format("command exited with {}", result->exit_code)});
      });
}

std::string host_or_pod(const std::string& host, const ProbeTarget& target) {
  return host.empty() ? target.pod_ip : host;
}

void run_http(BlockingPool& pool, const corev1::HTTPGetAction& action, const ProbeTarget& target,
              Seconds timeout, std::function<void(ProbeOutcome)> done) {
  auto port = resolve_port(action.port, *target.container);
  if (!port) return done({ProbeOutcome::Result::kError, port.error()});
  pool.post([host = host_or_pod(action.host, target), port = *port, timeout, action,
             done = std::move(done)] {
    done(probe_http(action.scheme.empty() ? "HTTP" : action.scheme, host, port, action.path,
                    action.httpHeaders, timeout));
  });
}

}  // namespace

std::string_view probe_name(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup:
      return "Startup";
    case ProbeKind::kLiveness:
      return "Liveness";
    case ProbeKind::kReadiness:
      break;
  }
  return "Readiness";
}

std::optional<bool> ProbeCounter::observe(ProbeOutcome::Result outcome) {
  const bool success = outcome == ProbeOutcome::Result::kSuccess;
  if (last_ == success) {
    ++run_;
  } else {
    last_ = success;
    run_ = 1;
  }
  if (run_ < (success ? success_threshold_ : failure_threshold_)) return std::nullopt;
  return success;
}

Result<int32_t, std::string> resolve_port(const api::IntOrString& port,
                                          const corev1::Container& container) {
  if (!port.is_string) {
    if (port.int_value > 0 && port.int_value < 65536) return port.int_value;
    return Err(fmt::format("invalid port number: {}", port.int_value));
  }
  for (const auto& p : container.ports) {
    if (p.name == port.string_value) return p.containerPort;
  }
  return Err(fmt::format("couldn't find port: {}", port.string_value));
}

void run_probe(ContainerRuntime& runtime, BlockingPool& pool, const corev1::ProbeHandler& handler,
               const ProbeTarget& target, Seconds timeout, std::function<void(ProbeOutcome)> done) {
  if (timeout.count() < 1) timeout = Seconds{1};
  if (handler.exec) return run_exec(runtime, *handler.exec, target, timeout, std::move(done));
  if (handler.httpGet) return run_http(pool, *handler.httpGet, target, timeout, std::move(done));
  if (handler.tcpSocket) {
    auto port = resolve_port(handler.tcpSocket->port, *target.container);
    if (!port) return done({ProbeOutcome::Result::kError, port.error()});
    return pool.post([host = host_or_pod(handler.tcpSocket->host, target), port = *port, timeout,
                      done = std::move(done)] { done(probe_tcp(host, port, timeout)); });
  }
  if (handler.grpc) {
    return pool.post([host = target.pod_ip, port = handler.grpc->port,
                      service = handler.grpc->service.value_or(""), timeout,
                      done = std::move(done)] { done(probe_grpc(host, port, service, timeout)); });
  }
  done({ProbeOutcome::Result::kError, "missing probe handler"});
}

void run_hook(ContainerRuntime& runtime, BlockingPool& pool,
              const corev1::LifecycleHandler& handler, const ProbeTarget& target, Seconds timeout,
              Strand& strand, std::function<void(ProbeOutcome)> done) {
  if (handler.exec) return run_exec(runtime, *handler.exec, target, timeout, std::move(done));
  if (handler.httpGet) return run_http(pool, *handler.httpGet, target, timeout, std::move(done));
  if (handler.sleep) {
    strand.post_after(Seconds{std::min<int64_t>(handler.sleep->seconds, timeout.count())},
                      [done = std::move(done)] {
                        done({ProbeOutcome::Result::kSuccess, ""});
                      });
    return;
  }
  done({ProbeOutcome::Result::kSuccess, ""});
}

}  // namespace orch::agent
