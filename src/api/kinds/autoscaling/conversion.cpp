// HorizontalPodAutoscaler between autoscaling/v1 and v2.
#include <algorithm>
#include <cctype>

#include "api/kinds/autoscaling/horizontal_pod_autoscaler.h"
#include "orch/api/codec.h"
#include "orch/api/json_value.h"

namespace orch::api {
namespace {

namespace v1 = autoscalingv1;
namespace v2 = autoscalingv2;

constexpr const char* kMetrics = "autoscaling.alpha.kubernetes.io/metrics";
constexpr const char* kCurrentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr const char* kBehavior = "autoscaling.alpha.kubernetes.io/behavior";
constexpr const char* kConditions = "autoscaling.alpha.kubernetes.io/conditions";

template <class To, class From>
To reference(const From& from) {
  To to;
  to.kind = from.kind;
  to.name = from.name;
  to.apiVersion = from.apiVersion;
  return to;
}
template <class To, class From>
To same_condition(const From& from) {
  To to;
  to.type = from.type;
  to.status = from.status;
  to.lastTransitionTime = from.lastTransitionTime;
  to.reason = from.reason;
  to.message = from.message;
  return to;
}

// ---- lists and structs in annotations ----

template <class T>
std::string list_json(const std::vector<T>& list) {
  std::string out = "[";
  for (const auto& element : list) {
    if (out.size() > 1) out += ",";
    encode_json(T::type_info(), &element, out);
  }
  return out + "]";
}
template <class T>
std::vector<T> list_of(const std::string& json) {
  std::vector<T> out;
  const auto parsed = JsonValue::parse(json);
  if (!parsed || !parsed->is_array()) return out;
  for (const auto& item : parsed->items()) {
    auto element = from_json<T>(item.dump());
    if (!element) return {};
    out.push_back(std::move(*element));
  }
  return out;
}

// Upstream writes this annotation from structs without names for JSON: fields are spelled as in
// Go, absent ones are null.
JsonValue rules_json(const Ptr<v2::HPAScalingRules>& rules) {
  if (!rules) return {};
  JsonValue out = JsonValue::object();
  const auto& window = rules->stabilizationWindowSeconds;
  out.set("StabilizationWindowSeconds", window ? JsonValue(*window) : JsonValue());
  out.set("SelectPolicy", rules->selectPolicy ? JsonValue(*rules->selectPolicy) : JsonValue());
  JsonValue policies;
  for (const auto& policy : rules->policies) {
    JsonValue one = JsonValue::object();
    one.set("Type", policy.type);
    one.set("Value", policy.value);
    one.set("PeriodSeconds", policy.periodSeconds);
    policies.push_back(std::move(one));
  }
  out.set("Policies", std::move(policies));
  return out;
}
std::string behavior_json(const v2::HorizontalPodAutoscalerBehavior& behavior) {
  JsonValue out = JsonValue::object();
  out.set("ScaleUp", rules_json(behavior.scaleUp));
  out.set("ScaleDown", rules_json(behavior.scaleDown));
  return out.dump();
}
// "ScaleUp" -> "scaleUp", at every level.
JsonValue with_wire_names(const JsonValue& value) {
  if (value.is_array()) {
    JsonValue out = JsonValue::array();
    for (const auto& item : value.items()) out.push_back(with_wire_names(item));
    return out;
  }
  if (!value.is_object()) return value;
  JsonValue out = JsonValue::object();
  for (const auto& [name, member] : value.members()) {
    std::string wire = name;
    if (!wire.empty()) wire[0] = static_cast<char>(std::tolower(wire[0]));
    out.set(wire, with_wire_names(member));
  }
  return out;
}
Ptr<v2::HorizontalPodAutoscalerBehavior> behavior_of(const std::string& json) {
  const auto parsed = JsonValue::parse(json);
  if (!parsed || !parsed->is_object()) return nullptr;
  auto read = from_json<v2::HorizontalPodAutoscalerBehavior>(with_wire_names(*parsed).dump());
  if (!read) return nullptr;
  return std::move(*read);
}

// ---- metric specs ----

v1::MetricSpec to_v1(const v2::MetricSpec& from) {
  v1::MetricSpec to;
  to.type = from.type;
  if (from.object) {
    auto& object = to.object.emplace();
    object.target = reference<v1::CrossVersionObjectReference>(from.object->describedObject);
    object.metricName = from.object->metric.name;
    object.selector = from.object->metric.selector;
    object.targetValue = from.object->target.value.value_or(Quantity());
    object.averageValue = from.object->target.averageValue;
  }
  if (from.pods) {
    auto& pods = to.pods.emplace();
    pods.metricName = from.pods->metric.name;
    pods.selector = from.pods->metric.selector;
    pods.targetAverageValue = from.pods->target.averageValue.value_or(Quantity());
  }
  if (from.resource) {
    auto& resource = to.resource.emplace();
    resource.name = from.resource->name;
    resource.targetAverageUtilization = from.resource->target.averageUtilization;
    resource.targetAverageValue = from.resource->target.averageValue;
  }
  if (from.containerResource) {
    auto& resource = to.containerResource.emplace();
    resource.name = from.containerResource->name;
    resource.container = from.containerResource->container;
    resource.targetAverageUtilization = from.containerResource->target.averageUtilization;
    resource.targetAverageValue = from.containerResource->target.averageValue;
  }
  if (from.external) {
    auto& external = to.external.emplace();
    external.metricName = from.external->metric.name;
    external.metricSelector = from.external->metric.selector;
    external.targetValue = from.external->target.value;
    external.targetAverageValue = from.external->target.averageValue;
  }
  return to;
}

v2::MetricTarget utilization_or_value(const std::optional<int32_t>& utilization,
                                      const std::optional<Quantity>& value) {
  v2::MetricTarget target;
  target.type = utilization ? "Utilization" : "AverageValue";
  target.averageUtilization = utilization;
  target.averageValue = value;
  return target;
}

v2::MetricSpec to_v2(const v1::MetricSpec& from) {
  v2::MetricSpec to;
  to.type = from.type;
  if (from.object) {
    auto& object = to.object.emplace();
    object.describedObject = reference<v2::CrossVersionObjectReference>(from.object->target);
    object.metric.name = from.object->metricName;
    object.metric.selector = from.object->selector;
    object.target.type = from.object->averageValue ? "AverageValue" : "Value";
    object.target.averageValue = from.object->averageValue;
    // v1 always has the value; zero beside an average says there was none.
    if (!from.object->averageValue || !from.object->targetValue.is_zero()) {
      object.target.value = from.object->targetValue;
    }
  }
  if (from.pods) {
    auto& pods = to.pods.emplace();
    pods.metric.name = from.pods->metricName;
    pods.metric.selector = from.pods->selector;
    pods.target.type = "AverageValue";
    pods.target.averageValue = from.pods->targetAverageValue;
  }
  if (from.resource) {
    auto& resource = to.resource.emplace();
    resource.name = from.resource->name;
    resource.target = utilization_or_value(from.resource->targetAverageUtilization,
                                           from.resource->targetAverageValue);
  }
  if (from.containerResource) {
    auto& resource = to.containerResource.emplace();
    resource.name = from.containerResource->name;
    resource.container = from.containerResource->container;
    resource.target = utilization_or_value(from.containerResource->targetAverageUtilization,
                                           from.containerResource->targetAverageValue);
  }
  if (from.external) {
    auto& external = to.external.emplace();
    external.metric.name = from.external->metricName;
    external.metric.selector = from.external->metricSelector;
    external.target.type = from.external->targetValue ? "Value" : "AverageValue";
    external.target.value = from.external->targetValue;
    external.target.averageValue = from.external->targetAverageValue;
  }
  return to;
}

// ---- metric statuses ----

v1::MetricStatus to_v1(const v2::MetricStatus& from) {
  v1::MetricStatus to;
  to.type = from.type;
  if (from.object) {
    auto& object = to.object.emplace();
    object.target = reference<v1::CrossVersionObjectReference>(from.object->describedObject);
    object.metricName = from.object->metric.name;
    object.selector = from.object->metric.selector;
    object.currentValue = from.object->current.value.value_or(Quantity());
    object.averageValue = from.object->current.averageValue;
  }
  if (from.pods) {
    auto& pods = to.pods.emplace();
    pods.metricName = from.pods->metric.name;
    pods.selector = from.pods->metric.selector;
    pods.currentAverageValue = from.pods->current.averageValue.value_or(Quantity());
  }
  if (from.resource) {
    auto& resource = to.resource.emplace();
    resource.name = from.resource->name;
    resource.currentAverageUtilization = from.resource->current.averageUtilization;
    resource.currentAverageValue = from.resource->current.averageValue.value_or(Quantity());
  }
  if (from.containerResource) {
    auto& resource = to.containerResource.emplace();
    resource.name = from.containerResource->name;
    resource.container = from.containerResource->container;
    resource.currentAverageUtilization = from.containerResource->current.averageUtilization;
    resource.currentAverageValue =
        from.containerResource->current.averageValue.value_or(Quantity());
  }
  if (from.external) {
    auto& external = to.external.emplace();
    external.metricName = from.external->metric.name;
    external.metricSelector = from.external->metric.selector;
    external.currentValue = from.external->current.value.value_or(Quantity());
    external.currentAverageValue = from.external->current.averageValue;
  }
  return to;
}

v2::MetricStatus to_v2(const v1::MetricStatus& from) {
  v2::MetricStatus to;
  to.type = from.type;
  if (from.object) {
    auto& object = to.object.emplace();
    object.describedObject = reference<v2::CrossVersionObjectReference>(from.object->target);
    object.metric.name = from.object->metricName;
    object.metric.selector = from.object->selector;
    object.current.value = from.object->currentValue;
    object.current.averageValue = from.object->averageValue;
  }
  if (from.pods) {
    auto& pods = to.pods.emplace();
    pods.metric.name = from.pods->metricName;
    pods.metric.selector = from.pods->selector;
    pods.current.averageValue = from.pods->currentAverageValue;
  }
  if (from.resource) {
    auto& resource = to.resource.emplace();
    resource.name = from.resource->name;
    resource.current.averageUtilization = from.resource->currentAverageUtilization;
    resource.current.averageValue = from.resource->currentAverageValue;
  }
  if (from.containerResource) {
    auto& resource = to.containerResource.emplace();
    resource.name = from.containerResource->name;
    resource.container = from.containerResource->container;
    resource.current.averageUtilization = from.containerResource->currentAverageUtilization;
    resource.current.averageValue = from.containerResource->currentAverageValue;
  }
  if (from.external) {
    auto& external = to.external.emplace();
    external.metric.name = from.external->metricName;
    external.metric.selector = from.external->metricSelector;
    external.current.value = from.external->currentValue;
    external.current.averageValue = from.external->currentAverageValue;
  }
  return to;
}

template <class Metric>
bool is_cpu(const Metric& metric) {
  return metric.type == "Resource" && metric.resource && metric.resource->name == "cpu";
}

void drop_annotations(metav1::ObjectMeta& meta) {
  for (const char* name : {kMetrics, kCurrentMetrics, kBehavior, kConditions}) {
    meta.annotations.erase(name);
  }
}

void spec_to_v1(const v2::HorizontalPodAutoscaler& from, v1::HorizontalPodAutoscaler& to) {
  to.spec.scaleTargetRef = reference<v1::CrossVersionObjectReference>(from.spec.scaleTargetRef);
  to.spec.minReplicas = from.spec.minReplicas;
  to.spec.maxReplicas = from.spec.maxReplicas;
  const auto cpu = std::find_if(from.spec.metrics.begin(), from.spec.metrics.end(),
                                [](const auto& metric) { return is_cpu(metric); });
  if (cpu != from.spec.metrics.end()) {
    to.spec.targetCPUUtilizationPercentage = cpu->resource->target.averageUtilization;
  }
  std::vector<v1::MetricSpec> others;
  for (const auto& metric : from.spec.metrics) {
    if (!is_cpu(metric) || !metric.resource->target.averageUtilization) {
      others.push_back(to_v1(metric));
    }
  }
  if (!others.empty()) to.metadata.annotations[kMetrics] = list_json(others);
  if (from.spec.behavior) {
    to.metadata.annotations[kBehavior] = behavior_json(*from.spec.behavior);
  }
}

void status_to_v1(const v2::HorizontalPodAutoscaler& from, v1::HorizontalPodAutoscaler& to) {
  to.status.observedGeneration = from.status.observedGeneration;
  to.status.lastScaleTime = from.status.lastScaleTime;
  to.status.currentReplicas = from.status.currentReplicas;
  to.status.desiredReplicas = from.status.desiredReplicas;
  std::vector<v1::MetricStatus> metrics;
  for (const auto& metric : from.status.currentMetrics) {
    metrics.push_back(to_v1(metric));
    if (is_cpu(metric) && metric.resource->current.averageUtilization) {
      to.status.currentCPUUtilizationPercentage = metric.resource->current.averageUtilization;
    }
  }
  if (!metrics.empty()) to.metadata.annotations[kCurrentMetrics] = list_json(metrics);
  std::vector<v1::HorizontalPodAutoscalerCondition> conditions;
  for (const auto& condition : from.status.conditions) {
    conditions.push_back(same_condition<v1::HorizontalPodAutoscalerCondition>(condition));
  }
  if (!conditions.empty()) to.metadata.annotations[kConditions] = list_json(conditions);
}

void status_to_v2(const v1::HorizontalPodAutoscaler& from, v2::HorizontalPodAutoscaler& to) {
  to.status.observedGeneration = from.status.observedGeneration;
  to.status.lastScaleTime = from.status.lastScaleTime;
  to.status.currentReplicas = from.status.currentReplicas;
  to.status.desiredReplicas = from.status.desiredReplicas;
  const auto& annotations = from.metadata.annotations;
  if (const auto it = annotations.find(kCurrentMetrics); it != annotations.end()) {
    for (const auto& metric : list_of<v1::MetricStatus>(it->second)) {
      to.status.currentMetrics.push_back(to_v2(metric));
    }
  }
  if (to.status.currentMetrics.empty() && from.status.currentCPUUtilizationPercentage) {
    auto& metric = to.status.currentMetrics.emplace_back();
    metric.type = "Resource";
    metric.resource.ensure().name = "cpu";
    metric.resource->current.averageUtilization = from.status.currentCPUUtilizationPercentage;
  }
  if (const auto it = annotations.find(kConditions); it != annotations.end()) {
    for (const auto& condition : list_of<v1::HorizontalPodAutoscalerCondition>(it->second)) {
      to.status.conditions.push_back(
          same_condition<v2::HorizontalPodAutoscalerCondition>(condition));
    }
  }
}

}  // namespace

std::unique_ptr<Object> autoscaler_to_v1(const Object& object) {
  const auto& from = static_cast<const v2::HorizontalPodAutoscaler&>(object);
  auto to = std::make_unique<v1::HorizontalPodAutoscaler>();
  to->metadata = from.metadata;
  // None but those made here count.
  drop_annotations(to->metadata);
  spec_to_v1(from, *to);
  status_to_v1(from, *to);
  return to;
}

std::unique_ptr<Object> autoscaler_to_v2(const Object& object) {
  const auto& from = static_cast<const v1::HorizontalPodAutoscaler&>(object);
  auto to = std::make_unique<v2::HorizontalPodAutoscaler>();
  to->metadata = from.metadata;
  drop_annotations(to->metadata);
  to->spec.scaleTargetRef = reference<v2::CrossVersionObjectReference>(from.spec.scaleTargetRef);
  to->spec.minReplicas = from.spec.minReplicas;
  to->spec.maxReplicas = from.spec.maxReplicas;
  if (from.spec.targetCPUUtilizationPercentage) {
    auto& metric = to->spec.metrics.emplace_back();
    metric.type = "Resource";
    metric.resource.ensure().name = "cpu";
    metric.resource->target =
        utilization_or_value(from.spec.targetCPUUtilizationPercentage, std::nullopt);
  }
  const auto& annotations = from.metadata.annotations;
  if (const auto it = annotations.find(kMetrics); it != annotations.end()) {
    for (const auto& metric : list_of<v1::MetricSpec>(it->second)) {
      to->spec.metrics.push_back(to_v2(metric));
    }
  }
  if (const auto it = annotations.find(kBehavior); it != annotations.end()) {
    to->spec.behavior = behavior_of(it->second);
  }
  status_to_v2(from, *to);
  return to;
}

}  // namespace orch::api
