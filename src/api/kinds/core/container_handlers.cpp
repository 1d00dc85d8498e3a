// Probes and lifecycle hooks of a container.
#include <fmt/format.h>

#include "api/kinds/core/pod_parts.h"

namespace orch::api {
namespace {

using namespace corev1;

// What probes and hooks can do, each with what the other lacks.
struct Handler {
  const ExecAction* exec = nullptr;
  const HTTPGetAction* http_get = nullptr;
  const TCPSocketAction* tcp_socket = nullptr;
  const GRPCAction* grpc = nullptr;
  const SleepAction* sleep = nullptr;
};

void validate_http_get(const HTTPGetAction& get, const std::string& path, FieldErrors& errors) {
  check_required(get.path, path + ".path", errors);
  validate_port_reference(get.port, path + ".port", errors);
  check_one_of(get.scheme, path + ".scheme", {"HTTP", "HTTPS"}, errors);
  for (const auto& header : get.httpHeaders) {
    validate_by(check_http_header_name, header.name, path + ".httpHeaders", errors);
  }
}

void validate_sleep(const SleepAction& sleep, int64_t grace_seconds, const std::string& path,
                    FieldErrors& errors) {
  if (sleep.seconds > 0 && sleep.seconds <= grace_seconds) return;
  errors.invalid(path, std::to_string(sleep.seconds),
                 fmt::format("must be greater than 0 and less than terminationGracePeriodSeconds "
                             "({}). Enable AllowPodLifecycleSleepActionZeroValue feature gate for "
                             "zero sleep.",
                             grace_seconds));
}

void validate_handler(const Handler& handler, int64_t grace_seconds, const std::string& path,
                      FieldErrors& errors) {
  int given = 0;
  // The first one counts.
  const auto alone = [&](const void* action, const char* field) {
    if (action == nullptr) return false;
    if (given++ == 0) return true;
    errors.forbidden(path + field, "may not specify more than 1 handler type");
    return false;
  };
  if (alone(handler.exec, ".exec") && handler.exec->command.empty()) {
    errors.required(path + ".exec.command");
  }
  if (alone(handler.http_get, ".httpGet")) {
    validate_http_get(*handler.http_get, path + ".httpGet", errors);
  }
  if (alone(handler.tcp_socket, ".tcpSocket")) {
    validate_port_reference(handler.tcp_socket->port, path + ".tcpSocket.port", errors);
  }
  if (alone(handler.grpc, ".grpc")) {
    validate_port_number(handler.grpc->port, path + ".grpc.port", errors);
  }
  if (alone(handler.sleep, ".sleep")) {
    validate_sleep(*handler.sleep, grace_seconds, path + ".sleep", errors);
  }
  if (given == 0) errors.required(path, "must specify a handler type");
}

enum class Purpose : uint8_t { kLiveness, kReadiness, kStartup };

void validate_probe(const Ptr<Probe>& probe, Purpose purpose, int64_t grace_seconds,
                    const std::string& path, FieldErrors& errors) {
  if (!probe) return;
  validate_handler({.exec = probe->exec.get(),
                    .http_get = probe->httpGet.get(),
                    .tcp_socket = probe->tcpSocket.get(),
                    .grpc = probe->grpc.get()},
                   grace_seconds, path, errors);
  validate_non_negative(probe->initialDelaySeconds, path + ".initialDelaySeconds", errors);
  validate_non_negative(probe->timeoutSeconds, path + ".timeoutSeconds", errors);
  validate_non_negative(probe->periodSeconds, path + ".periodSeconds", errors);
  validate_non_negative(probe->successThreshold, path + ".successThreshold", errors);
  validate_non_negative(probe->failureThreshold, path + ".failureThreshold", errors);
  const auto& grace = probe->terminationGracePeriodSeconds;
  const std::string grace_path = path + ".terminationGracePeriodSeconds";
  if (grace && *grace <= 0) {
    errors.invalid(grace_path, std::to_string(*grace), "must be greater than 0");
  }
  if (purpose == Purpose::kReadiness) {
    if (grace) {
      errors.invalid(grace_path, std::to_string(*grace), "must not be set for readinessProbes");
    }
  } else if (probe->successThreshold != 1) {
    errors.invalid(path + ".successThreshold", std::to_string(probe->successThreshold),
                   "must be 1");
  }
}

void validate_hook(const Ptr<LifecycleHandler>& hook, int64_t grace_seconds,
                   const std::string& path, FieldErrors& errors) {
  if (!hook) return;
  validate_handler({.exec = hook->exec.get(),
                    .http_get = hook->httpGet.get(),
                    .tcp_socket = hook->tcpSocket.get(),
                    .sleep = hook->sleep.get()},
                   grace_seconds, path, errors);
}

}  // namespace

void validate_probes(const Container& c, int64_t grace_seconds, const std::string& path,
                     FieldErrors& errors) {
  validate_probe(c.livenessProbe, Purpose::kLiveness, grace_seconds, path + ".livenessProbe",
                 errors);
  validate_probe(c.readinessProbe, Purpose::kReadiness, grace_seconds, path + ".readinessProbe",
                 errors);
  validate_probe(c.startupProbe, Purpose::kStartup, grace_seconds, path + ".startupProbe", errors);
}

void validate_lifecycle(const Container& c, int64_t grace_seconds, const std::string& path,
                        FieldErrors& errors) {
  if (!c.lifecycle) return;
  validate_hook(c.lifecycle->postStart, grace_seconds, path + ".lifecycle.postStart", errors);
  validate_hook(c.lifecycle->preStop, grace_seconds, path + ".lifecycle.preStop", errors);
}

}  // namespace orch::api
