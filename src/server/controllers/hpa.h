// The HorizontalPodAutoscaler's pure core (autoscaling/v2): how many replicas the metrics call for,
// and how far the size may move there now.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/autoscalingv2.h"
#include "orch/api/corev1.h"
#include "orch/base/clock.h"
#include "server/controllers/pod_control.h"

namespace orch::server {

// ---- replicas by one metric ----

struct PodSample {
  int64_t milli = 0;
  WallTime at{};
  Micros window{};
};
using PodSamples = std::map<std::string, PodSample>;  // by pod name

struct Proposal {
  int32_t replicas = 0;
  int32_t utilization = 0;  // percent of the requests; of utilization targets only
  int64_t value = 0;        // milli: average of a pod, or the metric itself
};
using ProposalResult = Result<Proposal, std::string>;

struct HpaPods {
  std::vector<PodPtr> pods;  // those the target's selector matches
  int32_t current = 0;       // spec.replicas of the target
  WallTime now;
};
// A resource against the pods' requests, in percent. `container` "" = all.
ProposalResult replicas_for_utilization(const HpaPods& in, PodSamples samples, int32_t target,
                                        const std::string& resource, const std::string& container);
// An average a pod, in milli. `is_cpu`: samples of pods that start are not trusted.
ProposalResult replicas_for_average(const HpaPods& in, PodSamples samples, int64_t target,
                                    bool is_cpu);
// One value for the whole target, in milli.
Proposal replicas_for_value(const HpaPods& in, int64_t usage, int64_t target);
// One value shared by all replicas there are (status.replicas of the target).
Proposal replicas_for_shared(int32_t status_replicas, int64_t usage, int64_t target);

// ---- how far now ----

struct TimedNumber {
  int32_t number = 0;  // a recommendation, or a change of size
  WallTime at{};
};
// What is remembered of an autoscaler from round to round.
struct HpaHistory {
  std::vector<TimedNumber> recommendations;
  std::vector<TimedNumber> ups, downs;  // with behavior only
};
struct HpaVerdict {
  int32_t replicas = 0;
  api::autoscalingv2::HorizontalPodAutoscalerCondition able, limited;
};
// `desired` by the metrics, brought within stabilization windows, policies, minimum and maximum.
// Remembers the recommendation in `history` and forgets what no window reaches.
HpaVerdict limit_scaling(const api::autoscalingv2::HorizontalPodAutoscalerSpec& spec,
                         int32_t current, int32_t desired, HpaHistory& history, WallTime now);
// After the size was changed.
void remember_scaling(const api::autoscalingv2::HorizontalPodAutoscalerSpec& spec, int32_t from,
                      int32_t to, HpaHistory& history, WallTime now);

// Sets a condition; the time of transition moves with the status only.
void set_hpa_condition(api::autoscalingv2::HorizontalPodAutoscalerStatus& status,
                       api::autoscalingv2::HorizontalPodAutoscalerCondition condition,
                       WallTime now);
api::autoscalingv2::HorizontalPodAutoscalerCondition hpa_condition(const char* type, bool value,
                                                                   std::string reason,
                                                                   std::string message);

// ---- the metrics APIs ----

// Errors are texts as upstream's. Calls block.
class HpaMetrics {
 public:
  explicit HpaMetrics(client::ControllerContext& context) : context_(context) {}
  // metrics.k8s.io; `container` "" = all.
  Result<PodSamples, std::string> resource(const std::string& ns, const std::string& selector,
                                           const std::string& resource,
                                           const std::string& container);
  // custom.metrics.k8s.io
  Result<PodSamples, std::string> pods(const std::string& ns, const std::string& selector,
                                       const api::autoscalingv2::MetricIdentifier& metric);
  Result<int64_t, std::string> object(const std::string& ns,
                                      const api::autoscalingv2::CrossVersionObjectReference& target,
                                      const api::autoscalingv2::MetricIdentifier& metric);
  // external.metrics.k8s.io: the sum, in milli.
  Result<int64_t, std::string> external(const std::string& ns,
                                        const api::autoscalingv2::MetricIdentifier& metric);

 private:
  client::ControllerContext context_;
};

}  // namespace orch::server
