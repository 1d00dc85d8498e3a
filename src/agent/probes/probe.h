// Probes and hooks: what they ask (adapters) and how answers become verdicts (pure).
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/blocking_pool.h"
#include "agent/pod/pod_access.h"
#include "agent/runtime.h"
#include "orch/base/executor.h"

namespace orch::agent {

enum class ProbeKind : uint8_t { kStartup, kLiveness, kReadiness };
std::string_view probe_name(ProbeKind kind);  // "Startup", ...

struct ProbeOutcome {
  enum class Result : uint8_t { kSuccess, kFailure, kError };
  Result result = Result::kError;
  std::string output;
};

// Counts outcomes to the thresholds of one probe of one run. Pure.
class ProbeCounter {
 public:
  ProbeCounter(int32_t success_threshold, int32_t failure_threshold)
      : success_threshold_(success_threshold < 1 ? 1 : success_threshold),
        failure_threshold_(failure_threshold < 1 ? 3 : failure_threshold) {}
  // The verdict, when this outcome decides one: true = success. Errors count as failures.
  std::optional<bool> observe(ProbeOutcome::Result outcome);

 private:
  const int32_t success_threshold_, failure_threshold_;
  std::optional<bool> last_;
  int32_t run_ = 0;
};

// Where a probe goes.
struct ProbeTarget {
  const corev1::Pod* pod;
  const corev1::Container* container;
  std::string container_id;
  std::string pod_ip;
};

// The port number of an IntOrString; names are looked up in the container. Error text on failure.
Result<int32_t, std::string> resolve_port(const api::IntOrString& port,
                                          const corev1::Container& container);

// Runs the handler once and calls `done` on some thread. Nothing in `target` is kept.
void run_probe(ContainerRuntime& runtime, BlockingPool& pool, const corev1::ProbeHandler& handler,
               const ProbeTarget& target, Seconds timeout, std::function<void(ProbeOutcome)> done);

// Lifecycle hooks: exec, httpGet, tcpSocket (ignored, as upstream), sleep.
void run_hook(ContainerRuntime& runtime, BlockingPool& pool,
              const corev1::LifecycleHandler& handler, const ProbeTarget& target, Seconds timeout,
              Strand& strand, std::function<void(ProbeOutcome)> done);

// Where a probe goes on after an answer; "" = nowhere: no redirect, or one to another host.
std::string redirect_target(const std::string& url, int status, std::string_view location);
// Adapters; they block.
ProbeOutcome probe_tcp(const std::string& host, int32_t port, Seconds timeout);
ProbeOutcome probe_http(const std::string& scheme, const std::string& host, int32_t port,
                        const std::string& path, const std::vector<corev1::HTTPHeader>& headers,
                        Seconds timeout);
ProbeOutcome probe_grpc(const std::string& host, int32_t port, const std::string& service,
                        Seconds timeout);

}  // namespace orch::agent
