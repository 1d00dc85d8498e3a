// HorizontalPodAutoscaler: the shell. Every 15 s it reads the target's scale and the metrics, and
// sets the size. Works on whatever has a scale subresource, custom resources included.
#include "server/controllers/hpa.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "orch/api/apiextensionsv1.h"
#include "orch/api/autoscalingv1.h"
#include "orch/api/codec.h"
#include "orch/api/selector.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using namespace autoscalingv2;
using Hpa = HorizontalPodAutoscaler;
using autoscalingv1::Scale;
using Condition = HorizontalPodAutoscalerCondition;
using apiextensionsv1::CustomResourceDefinition;

constexpr Micros kPeriod = Seconds{15};

// The selectors of all autoscalers' targets, as last seen.
using HpaSelectors = std::map<ObjectKey, std::string>;

// What one metric comes to.
struct Outcome {
  int32_t replicas = 0;
  std::string name;  // for "New size: 4; reason: NAME above target"
  MetricStatus status;
};
// The reason of the condition beside the text.
struct MetricError {
  std::string reason, detail;  // what the condition says
  std::string message;         // what the round fails with
};
using MetricResult = Result<Outcome, MetricError>;

Err<MetricError> metric_error(const char* reason, std::string detail, const std::string& what) {
  const std::string message = "failed to get " + what + " metric value: " + detail;
  return Err(MetricError{reason, std::move(detail), message});
}

MetricValueStatus average_of(int64_t milli) {
  MetricValueStatus out;
  out.averageValue = Quantity::of_milli(milli);
  return out;
}

// One round of one autoscaler.
class HpaRound {
 public:
  HpaRound(client::ControllerContext& context, HpaMetrics& metrics, const Hpa& hpa,
           HpaHistory& history, HpaSelectors& selectors)
      : context_(context),
        metrics_(metrics),
        hpa_(hpa),
        status_(hpa.status),
        history_(history),
        selectors_(selectors),
        now_(context.env.clock.now()) {}

  // The status to write.
  HorizontalPodAutoscalerStatus run() {
    auto scale = get_scale();
    if (!scale) {
      warn("FailedGetScale", scale.error());
      set("AbleToScale", false, "FailedGetScale",
          "the HPA controller was unable to get the target's current scale: " + scale.error());
      return std::move(status_);
    }
    set("AbleToScale", true, "SucceededGetScale",
        "the HPA controller was able to get the target's current scale");
    const int32_t current = scale->spec.replicas;
    if (history_.recommendations.empty()) history_.recommendations.push_back({current, now_});
    const auto desired = decide(*scale);
    status_.currentReplicas = current;
    status_.currentMetrics = std::move(shown_);
    if (!desired) return std::move(status_);
    const bool rescale = *desired != current;
    if (rescale && !resize(*scale, *desired)) return std::move(status_);
    status_.desiredReplicas = *desired;
    if (rescale) status_.lastScaleTime = Time(now_);
    return std::move(status_);
  }

 private:
  void set(const char* type, bool value, std::string reason, std::string message) {
    set_hpa_condition(status_, hpa_condition(type, value, std::move(reason), std::move(message)),
                      now_);
  }
  void warn(std::string_view reason, std::string_view message) {
    context_.events.record(client::subject_of(hpa_), "Warning", reason, message);
  }

  // ---- the target ----

  // Group, version and plural of the target's kind.
  Result<client::Request, std::string> scale_request(std::string_view verb) const {
    const auto& target = hpa_.spec.scaleTargetRef;
    const size_t slash = target.apiVersion.find('/');
    const bool core = slash == std::string::npos;
    client::Request request{
        .verb = std::string(verb),
        .group = core ? "" : target.apiVersion.substr(0, slash),
        .version = core ? target.apiVersion : target.apiVersion.substr(slash + 1),
        .resource = "",
        .namespace_ = hpa_.metadata.namespace_,
        .name = target.name,
        .subresource = "scale"};
    if (request.version.find('/') != std::string::npos) {
      return Err("unexpected GroupVersion string: " + target.apiVersion);
    }
    if (const auto* known = find_resource_by_kind(request.group, request.version, target.kind)) {
      request.resource = std::string(known->plural);
      return request;
    }
    for (const auto& custom : context_.informers.lister<CustomResourceDefinition>().list()) {
      if (custom->spec.group == request.group && custom->spec.names.kind == target.kind) {
        request.resource = custom->spec.names.plural;
        return request;
      }
    }
    return Err(
        fmt::format("no matches for kind \"{}\" in group \"{}\"", target.kind, request.group));
  }

  Result<Scale, std::string> get_scale() const {
    ORCH_TRY(const auto request, scale_request("get"));
    auto answer = context_.client.raw().transport().call(request);
    if (!answer) return Err(answer.error().message);
    auto scale = from_json<Scale>(answer->body);
    if (!scale) return Err(std::string("the scale subresource answers no Scale"));
    return std::move(*scale);
  }

  bool resize(Scale scale, int32_t replicas) {
    const int32_t before = scale.spec.replicas;
    scale.spec.replicas = replicas;
    auto request = scale_request("update");
    request->body = to_json(scale);
    auto answer = context_.client.raw().transport().call(*request);
    if (!answer) {
      const std::string& why = answer.error().message;
      warn("FailedRescale",
           fmt::format("New size: {}; reason: {}; error: {}", replicas, reason_, why));
      set("AbleToScale", false, "FailedUpdateScale",
          "the HPA controller was unable to update the target scale: " + why);
      return false;
    }
    set("AbleToScale", true, "SucceededRescale",
        fmt::format("the HPA controller was able to update the target scale to {}", replicas));
    context_.events.record(client::subject_of(hpa_), "Normal", "SuccessfulRescale",
                           fmt::format("New size: {}; reason: {}", replicas, reason_));
    remember_scaling(hpa_.spec, before, replicas, history_, now_);
    return true;
  }

  // ---- the decision ----

  // nullopt: the metrics say nothing.
  std::optional<int32_t> decide(const Scale& scale) {
    const int32_t current = scale.spec.replicas;
    const int32_t min = hpa_.spec.minReplicas.value_or(1);
    if (current == 0 && min != 0) {
      set("ScalingActive", false, "ScalingDisabled",
          "scaling is disabled since the replica count of the target is zero");
      return 0;
    }
    if (current > hpa_.spec.maxReplicas) {
      reason_ = "Current number of replicas above Spec.MaxReplicas";
      return hpa_.spec.maxReplicas;
    }
    if (current < min) {
      reason_ = "Current number of replicas below Spec.MinReplicas";
      return min;
    }
    const auto wanted = by_metrics(scale);
    if (!wanted) return std::nullopt;
    if (wanted->first > current) reason_ = wanted->second + " above target";
    if (wanted->first < current) reason_ = "All metrics below target";
    const auto verdict = limit_scaling(hpa_.spec, current, wanted->first, history_, now_);
    set_hpa_condition(status_, verdict.able, now_);
    set_hpa_condition(status_, verdict.limited, now_);
    return verdict.replicas;
  }

  // The most that any metric calls for, and its name.
  std::optional<std::pair<int32_t, std::string>> by_metrics(const Scale& scale) {
    HpaPods pods;
    if (auto bad = find_pods(scale, pods); !bad.empty()) {
      warn("FailedComputeMetricsReplicas", bad);
      return std::nullopt;
    }
    std::pair<int32_t, std::string> most{0, ""};
    std::optional<MetricError> first_error;
    size_t errors = 0;
    for (const auto& metric : hpa_.spec.metrics) {
      auto outcome = by_metric(metric, scale, pods);
      if (!outcome) {
        warn(outcome.error().reason, outcome.error().detail);
        if (errors++ == 0) first_error = outcome.error();
        continue;
      }
      shown_.push_back(std::move(outcome->status));
      if (most.second.empty() || outcome->replicas > most.first) {
        most = {outcome->replicas, outcome->name};
      }
    }
    // With a metric missing the size may grow by the others, but not shrink.
    const bool blind = errors >= hpa_.spec.metrics.size();
    if (first_error && (blind || most.first < scale.spec.replicas)) {
      set("ScalingActive", false, first_error->reason,
          "the HPA was unable to compute the replica count: " + first_error->detail);
      warn("FailedComputeMetricsReplicas",
           fmt::format("invalid metrics ({} invalid out of {}), first error is: {}", errors,
                       hpa_.spec.metrics.size(), first_error->message));
      return std::nullopt;
    }
    set("ScalingActive", true, "ValidMetricFound",
        "the HPA was able to successfully calculate a replica count from " + most.second);
    return most;
  }

  // Error: what is wrong with the target's selector.
  std::string find_pods(const Scale& scale, HpaPods& out) {
    selector_ = scale.status.selector;
    out.current = scale.spec.replicas;
    out.now = now_;
    if (selector_.empty()) {
      warn("SelectorRequired", "selector is required");
      set("ScalingActive", false, "InvalidSelector",
          "the HPA target's scale is missing a selector");
      return "selector is required";
    }
    const auto parsed = LabelSelector::parse(selector_);
    if (!parsed) {
      const std::string why =
          "couldn't convert selector into a corresponding internal selector object: " +
          parsed.error();
      warn("InvalidSelector", why);
      set("ScalingActive", false, "InvalidSelector", why);
      return why;
    }
    out.pods = context_.informers.lister<corev1::Pod>().list(hpa_.metadata.namespace_, *parsed);
    selectors_[key_of(hpa_)] = selector_;
    const std::string rivals = others_of(out.pods);
    if (rivals.empty()) return "";
    const std::string why =
        fmt::format("pods by selector {} are controlled by multiple HPAs: {}", selector_, rivals);
    warn("AmbiguousSelector", why);
    set("ScalingActive", false, "AmbiguousSelector", why);
    return why;
  }

  // This autoscaler and all others whose targets have some of these pods; "" = no others.
  std::string others_of(const std::vector<PodPtr>& pods) const {
    std::string names;
    bool others = false;
    for (const auto& [key, text] : selectors_) {
      if (key.namespace_ != hpa_.metadata.namespace_) continue;
      const bool self = key.name == hpa_.metadata.name;
      const auto selector = LabelSelector::parse(text);
      const bool shares = selector && std::any_of(pods.begin(), pods.end(), [&](const PodPtr& pod) {
                            return selector->matches(pod->metadata.labels);
                          });
      if (!self && !shares) continue;
      others = others || !self;
      names += fmt::format("{}{{{} {}}}", names.empty() ? "" : " ", key.name, key.namespace_);
    }
    return others ? "[" + names + "]" : "";
  }

  MetricResult by_metric(const MetricSpec& metric, const Scale& scale, const HpaPods& pods) {
    if (metric.resource) {
      return by_resource(pods, metric.resource->name, "", metric.resource->target);
    }
    if (metric.containerResource) {
      const auto& source = *metric.containerResource;
      return by_resource(pods, source.name, source.container, source.target);
    }
    if (metric.pods) return by_pods(pods, *metric.pods);
    if (metric.object) return by_object(scale, pods, *metric.object);
    if (metric.external) return by_external(scale, pods, *metric.external);
    return Err(MetricError{"InvalidMetricSourceType", "unknown metric source type " + metric.type,
                           "unknown metric source type " + metric.type});
  }

  MetricResult by_resource(const HpaPods& pods, const std::string& resource,
                           const std::string& container, const MetricTarget& target) {
    const bool of_container = !container.empty();
    const char* reason =
        of_container ? "FailedGetContainerResourceMetric" : "FailedGetResourceMetric";
    const std::string what = resource + (of_container ? " container" : " resource");
    const auto failed = [&](std::string why) {
      return metric_error(reason, std::move(why), of_container ? container + " container" : what);
    };
    if (!target.averageValue && !target.averageUtilization) {
      return failed(
          "invalid resource metric source: neither an average utilization target nor an "
          "average value (usage) target was set");
    }
    auto samples = metrics_.resource(hpa_.metadata.namespace_, selector_, resource, container);
    const std::string measure = target.averageValue ? "usage" : "utilization";
    const auto unable = [&](const std::string& why) {
      return failed(fmt::format("failed to get {} {}: {}", resource, measure, why));
    };
    if (!samples) {
      return unable(
          fmt::format("unable to get metrics for resource {}: {}", resource, samples.error()));
    }
    auto proposal = target.averageValue
                        ? replicas_for_average(pods, std::move(*samples),
                                               target.averageValue->milli(), resource == "cpu")
                        : replicas_for_utilization(pods, std::move(*samples),
                                                   *target.averageUtilization, resource, container);
    if (!proposal) return unable(proposal.error());
    MetricValueStatus current = average_of(proposal->value);
    if (!target.averageValue) current.averageUtilization = proposal->utilization;
    Outcome out{proposal->replicas, what, {}};
    if (!target.averageValue) out.name += " utilization (percentage of request)";
    if (of_container) {
      out.status.type = "ContainerResource";
      auto& shown = out.status.containerResource.ensure();
      shown.name = resource;
      shown.container = container;
      shown.current = current;
    } else {
      out.status.type = "Resource";
      auto& shown = out.status.resource.ensure();
      shown.name = resource;
      shown.current = current;
    }
    return out;
  }

  MetricResult by_pods(const HpaPods& pods, const PodsMetricSource& source) {
    auto samples = metrics_.pods(hpa_.metadata.namespace_, selector_, source.metric);
    if (!samples) {
      return metric_error(
          "FailedGetPodsMetric",
          fmt::format("unable to get metric {}: {}", source.metric.name, samples.error()), "pods");
    }
    const int64_t target = source.target.averageValue ? source.target.averageValue->milli() : 0;
    auto proposal = replicas_for_average(pods, std::move(*samples), target, false);
    if (!proposal) return metric_error("FailedGetPodsMetric", proposal.error(), "pods");
    Outcome out{proposal->replicas, "pods metric " + source.metric.name, {}};
    out.status.type = "Pods";
    auto& shown = out.status.pods.ensure();
    shown.metric = source.metric;
    shown.current = average_of(proposal->value);
    return out;
  }

  // One number: by itself, or shared by the replicas.
  static Proposal by_number(const Scale& scale, const HpaPods& pods, const MetricTarget& target,
                            int64_t usage, MetricValueStatus& shown) {
    if (target.averageValue) {
      auto proposal =
          replicas_for_shared(scale.status.replicas, usage, target.averageValue->milli());
      shown.averageValue = Quantity::of_milli(proposal.value);
      return proposal;
    }
    shown.value = Quantity::of_milli(usage);
    return replicas_for_value(pods, usage, target.value ? target.value->milli() : 0);
  }

  MetricResult by_object(const Scale& scale, const HpaPods& pods,
                         const ObjectMetricSource& source) {
    auto usage = metrics_.object(hpa_.metadata.namespace_, source.describedObject, source.metric);
    if (!usage) return metric_error("FailedGetObjectMetric", usage.error(), "object");
    Outcome out;
    out.status.type = "Object";
    auto& shown = out.status.object.ensure();
    shown.metric = source.metric;
    shown.describedObject = source.describedObject;
    out.replicas = by_number(scale, pods, source.target, *usage, shown.current).replicas;
    out.name = source.describedObject.kind + " metric " + source.metric.name;
    return out;
  }

  MetricResult by_external(const Scale& scale, const HpaPods& pods,
                           const ExternalMetricSource& source) {
    auto usage = metrics_.external(hpa_.metadata.namespace_, source.metric);
    if (!usage) {
      return metric_error("FailedGetExternalMetric", usage.error(),
                          source.metric.name + " external");
    }
    Outcome out;
    out.status.type = "External";
    auto& shown = out.status.external.ensure();
    shown.metric = source.metric;
    out.replicas = by_number(scale, pods, source.target, *usage, shown.current).replicas;
    const auto selector = source.metric.selector
                              ? LabelSelector::from(*source.metric.selector)
                              : Result<LabelSelector, std::string>(LabelSelector::everything());
    out.name =
        fmt::format("external metric {}({})", source.metric.name, selector ? selector->str() : "");
    return out;
  }

  client::ControllerContext& context_;
  HpaMetrics& metrics_;
  const Hpa& hpa_;
  HorizontalPodAutoscalerStatus status_;
  HpaHistory& history_;
  HpaSelectors& selectors_;
  const WallTime now_;
  std::string selector_, reason_;
  std::vector<MetricStatus> shown_;
};

class HpaReconciler final : public client::Reconciler {
 public:
  explicit HpaReconciler(client::ControllerContext& context)
      : context_(context), metrics_(context), hpas_(context.informers.lister<Hpa>()) {
    context.informers.get<CustomResourceDefinition>();
  }

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    const auto hpa = hpas_.get(key.namespace_, key.name);
    if (!hpa) {
      histories_.erase(key);
      selectors_.erase(key);
      return client::done();
    }
    auto status = HpaRound(context_, metrics_, *hpa, histories_[key], selectors_).run();
    if (!equal(status, hpa->status)) {
      Hpa changed = *hpa;
      changed.status = std::move(status);
      auto written = context_.client.update_status(changed);
      if (!written && !written.error().is("NotFound")) return Err(written.error());
    }
    return client::requeue_after(kPeriod);
  }

 private:
  client::ControllerContext context_;
  HpaMetrics metrics_;
  client::Lister<Hpa> hpas_;
  std::map<ObjectKey, HpaHistory> histories_;  // one strand
  HpaSelectors selectors_;
};

}  // namespace

client::ControllerSpec horizontal_pod_autoscaler(client::ControllerContext&,
                                                 const ControllersConfig&) {
  // What the controller writes itself must not bring the next round.
  client::Watch changed = {
      &resource_of<Hpa>(),
      [](const ObjectPtr& old, const ObjectPtr& now) -> std::vector<ObjectKey> {
        if (old && now &&
            equal(static_cast<const Hpa&>(*old).spec, static_cast<const Hpa&>(*now).spec)) {
          return {};
        }
        return {key_of(now ? *now : *old)};
      }};
  return {.name = "horizontal-pod-autoscaler-controller",
          .watches = {std::move(changed)},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<HpaReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
