// autoscaling/v2 and autoscaling/v1 HorizontalPodAutoscaler.
#include "api/kinds/autoscaling/horizontal_pod_autoscaler.h"

#include <fmt/format.h>

#include "orch/base/strings.h"

namespace orch::api {

namespace v1 = autoscalingv1;
namespace v2 = autoscalingv2;

namespace {

constexpr int32_t kDefaultCpuUtilization = 80;

v2::HPAScalingPolicy policy(std::string type, int32_t value, int32_t period_seconds) {
  v2::HPAScalingPolicy out;
  out.type = std::move(type);
  out.value = value;
  out.periodSeconds = period_seconds;
  return out;
}

// What is not said about scaling in one direction. A stabilization window has a default for
// scaling up only; for scaling down the controller has a setting.
void default_rules(Ptr<v2::HPAScalingRules>& rules, bool up) {
  if (!rules) rules.emplace();
  if (!rules->stabilizationWindowSeconds && up) rules->stabilizationWindowSeconds = 0;
  if (!rules->selectPolicy) rules->selectPolicy = "Max";
  if (!rules->policies.empty()) return;
  if (up) rules->policies.push_back(policy("Pods", 4, 15));
  rules->policies.push_back(policy("Percent", 100, 15));
}

const std::string kUnknown = "<unknown>";

std::string shown(const std::optional<Quantity>& quantity) {
  return quantity ? quantity->str() : kUnknown;
}
std::string percent(const std::optional<int32_t>& value, const std::string& otherwise) {
  return value ? fmt::format("{}%", *value) : otherwise;
}

// Of Resource and ContainerResource metrics: "cpu: 5%/80%".
std::string usage_text(const std::string& name, const v2::MetricTarget& target,
                       const v2::MetricValueStatus* current) {
  if (target.averageValue) {
    return fmt::format("{}: {}/{}", name, current ? shown(current->averageValue) : kUnknown,
                       shown(target.averageValue));
  }
  return fmt::format("{}: {}/{}", name,
                     current ? percent(current->averageUtilization, kUnknown) : kUnknown,
                     percent(target.averageUtilization, "<auto>"));
}
// Of Object and External metrics.
std::string value_text(const v2::MetricTarget& target, const v2::MetricValueStatus* current) {
  if (target.averageValue) {
    return fmt::format("{}/{} (avg)", current ? shown(current->averageValue) : kUnknown,
                       shown(target.averageValue));
  }
  return fmt::format("{}/{}", current ? shown(current->value) : kUnknown, shown(target.value));
}

std::string metric_text(const v2::MetricSpec& spec, const v2::MetricStatus* status) {
  const auto current = [&](const auto member) -> const v2::MetricValueStatus* {
    return status != nullptr && (status->*member) ? &(status->*member)->current : nullptr;
  };
  if (spec.type == "External" && spec.external) {
    return value_text(spec.external->target, current(&v2::MetricStatus::external));
  }
  if (spec.type == "Object" && spec.object) {
    return value_text(spec.object->target, current(&v2::MetricStatus::object));
  }
  if (spec.type == "Pods" && spec.pods) {
    const auto* value = current(&v2::MetricStatus::pods);
    return fmt::format("{}/{}", value ? shown(value->averageValue) : kUnknown,
                       shown(spec.pods->target.averageValue));
  }
  if (spec.type == "Resource" && spec.resource) {
    return usage_text(spec.resource->name, spec.resource->target,
                      current(&v2::MetricStatus::resource));
  }
  if (spec.type == "ContainerResource" && spec.containerResource) {
    return usage_text(spec.containerResource->name, spec.containerResource->target,
                      current(&v2::MetricStatus::containerResource));
  }
  return "<unknown type>";
}

std::string metrics_text(const v2::HorizontalPodAutoscaler& autoscaler) {
  constexpr size_t kShown = 2;
  const auto& specs = autoscaler.spec.metrics;
  const auto& statuses = autoscaler.status.currentMetrics;
  if (specs.empty()) return "<none>";
  std::vector<std::string> texts;
  for (size_t i = 0; i < specs.size() && i < kShown; ++i) {
    texts.push_back(metric_text(specs[i], i < statuses.size() ? &statuses[i] : nullptr));
  }
  const std::string out = join(texts, ", ");
  return specs.size() > kShown ? fmt::format("{} + {} more...", out, specs.size() - kShown) : out;
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& autoscaler = static_cast<const v2::HorizontalPodAutoscaler&>(object);
  const auto& spec = autoscaler.spec;
  return {name_cell(object),
          text(spec.scaleTargetRef.kind + "/" + spec.scaleTargetRef.name),
          text(metrics_text(autoscaler)),
          text(spec.minReplicas ? std::to_string(*spec.minReplicas) : "<unset>"),
          number(spec.maxReplicas),
          number(autoscaler.status.currentReplicas),
          age_cell(object, now)};
}

template <class T>
void prepare(Object& object, const Object* old, const StrategyContext&) {
  auto& now = static_cast<T&>(object);
  now.status = {};
  if (old != nullptr) now.status = static_cast<const T&>(*old).status;
}

// v1 keeps part of the status in annotations: these are not the client's to set either.
void prepare_v1(Object& object, const Object* old, const StrategyContext& context) {
  auto now = autoscaler_to_v2(object);
  const auto before = old == nullptr ? nullptr : autoscaler_to_v2(*old);
  prepare<v2::HorizontalPodAutoscaler>(*now, before.get(), context);
  auto back = autoscaler_to_v1(*now);
  static_cast<v1::HorizontalPodAutoscaler&>(object) =
      static_cast<const v1::HorizontalPodAutoscaler&>(*back);
}

void prepare_status(Object& object, const Object& old) {
  static_cast<v2::HorizontalPodAutoscaler&>(object).spec =
      static_cast<const v2::HorizontalPodAutoscaler&>(old).spec;
}
void prepare_status_v1(Object& object, const Object& old) {
  auto now = autoscaler_to_v2(object);
  prepare_status(*now, *autoscaler_to_v2(old));
  auto back = autoscaler_to_v1(*now);
  static_cast<v1::HorizontalPodAutoscaler&>(object) =
      static_cast<const v1::HorizontalPodAutoscaler&>(*back);
}

// The shortest form of what it says, defaults given.
void defaults_v1(Object& object) {
  auto full = autoscaler_to_v2(object);
  default_autoscaler(static_cast<v2::HorizontalPodAutoscaler&>(*full));
  auto back = autoscaler_to_v1(*full);
  static_cast<v1::HorizontalPodAutoscaler&>(object) =
      static_cast<const v1::HorizontalPodAutoscaler&>(*back);
}

template <class T>
ResourceInfo autoscalers() {
  auto info = stored_resource<T>("horizontalpodautoscalers", "horizontalpodautoscaler", true);
  info.short_names = {"hpa"};
  info.categories = {"all"};
  info.has_status = true;
  info.columns = {name_column(),
                  column("Reference", "string", "What it scales."),
                  column("Targets", "string", "Measured and wanted values."),
                  column("MinPods", "string", "The least there may be."),
                  column("MaxPods", "integer", "The most there may be."),
                  column("Replicas", "integer", "How many there are."),
                  age_column()};
  return info;
}

}  // namespace

void default_autoscaler(v2::HorizontalPodAutoscaler& autoscaler) {
  auto& spec = autoscaler.spec;
  if (!spec.minReplicas) spec.minReplicas = 1;
  if (spec.metrics.empty()) {
    auto& metric = spec.metrics.emplace_back();
    metric.type = "Resource";
    metric.resource.ensure().name = "cpu";
    metric.resource->target.type = "Utilization";
    metric.resource->target.averageUtilization = kDefaultCpuUtilization;
  }
  if (!spec.behavior) return;
  default_rules(spec.behavior->scaleUp, true);
  default_rules(spec.behavior->scaleDown, false);
}

ResourceInfo autoscalers_v2_resource() {
  auto info = autoscalers<v2::HorizontalPodAutoscaler>();
  info.set_defaults = [](Object& object) {
    default_autoscaler(static_cast<v2::HorizontalPodAutoscaler&>(object));
  };
  info.prepare = prepare<v2::HorizontalPodAutoscaler>;
  info.prepare_status = prepare_status;
  info.validate = [](const Object& now, const Object*, FieldErrors& errors) {
    validate_autoscaler(now, errors);
  };
  info.validate_status = [](const Object& now, const Object&, FieldErrors& errors) {
    validate_autoscaler_status(now, errors);
  };
  info.row = row;
  return info;
}

ResourceInfo autoscalers_v1_resource() {
  auto info = autoscalers<v1::HorizontalPodAutoscaler>();
  info.set_defaults = defaults_v1;
  info.prepare = prepare_v1;
  info.prepare_status = prepare_status_v1;
  info.validate = [](const Object& now, const Object*, FieldErrors& errors) {
    validate_autoscaler(*autoscaler_to_v2(now), errors);
  };
  info.validate_status = [](const Object& now, const Object&, FieldErrors& errors) {
    validate_autoscaler_status(*autoscaler_to_v2(now), errors);
  };
  info.row = [](const Object& object, WallTime now) { return row(*autoscaler_to_v2(object), now); };
  return info;
}

}  // namespace orch::api
