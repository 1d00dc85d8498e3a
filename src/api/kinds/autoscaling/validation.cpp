// The rules of a HorizontalPodAutoscaler, on its autoscaling/v2 form.
#include <fmt/format.h>

#include "api/kinds/autoscaling/horizontal_pod_autoscaler.h"
#include "api/kinds/checks.h"
#include "api/validation/formats.h"

namespace orch::api {
namespace {

using namespace autoscalingv2;

constexpr int32_t kWindowSecondsMax = 3600;
constexpr int32_t kPeriodSecondsMax = 1800;

void required_segment(const std::string& value, const std::string& path, FieldErrors& errors,
                      std::string_view detail = "") {
  if (value.empty()) return errors.required(path, detail);
  validate_by(check_path_segment, value, path, errors);
}

void validate_reference(const CrossVersionObjectReference& ref, const std::string& path,
                        FieldErrors& errors) {
  validate_by(check_group_version, ref.apiVersion, path + ".apiVersion", errors);
  required_segment(ref.kind, path + ".kind", errors);
  required_segment(ref.name, path + ".name", errors);
}

void validate_metric(const MetricIdentifier& metric, const std::string& path, FieldErrors& errors) {
  required_segment(metric.name, path + ".name", errors, "must specify a metric name");
}

void validate_target(const MetricTarget& target, const std::string& path, FieldErrors& errors) {
  if (target.type.empty()) errors.required(path + ".type", "must specify a metric target type");
  if (!listed(std::initializer_list<std::string_view>{"Utilization", "Value", "AverageValue"},
              target.type)) {
    errors.invalid(path + ".type", quoted(target.type),
                   "must be either Utilization, Value, or AverageValue");
  }
  const auto positive = [&](const std::optional<Quantity>& value, const char* field) {
    if (value && value->sign() != 1) {
      errors.invalid(path + field, quoted(value->str()), "must be positive");
    }
  };
  positive(target.value, ".value");
  positive(target.averageValue, ".averageValue");
  if (target.averageUtilization && *target.averageUtilization < 1) {
    errors.invalid(path + ".averageUtilization", std::to_string(*target.averageUtilization),
                   "must be greater than 0");
  }
}

// Of Object and External metrics.
void require_some_value(const MetricTarget& target, const std::string& path, FieldErrors& errors) {
  if (!target.value && !target.averageValue) {
    errors.required(path + ".target.averageValue",
                    "must set either a target value for metric or a per-pod target");
  }
}

// Of Resource and ContainerResource metrics.
void validate_usage(const std::string& name, const MetricTarget& target, const std::string& path,
                    FieldErrors& errors) {
  if (name.empty()) errors.required(path + ".name", "must specify a resource name");
  validate_target(target, path + ".target", errors);
  if (!target.averageUtilization && !target.averageValue) {
    errors.required(path + ".target.averageUtilization",
                    "must set either a target raw value or a target utilization");
  }
  if (target.averageUtilization && target.averageValue) {
    errors.forbidden(path + ".target.averageValue",
                     "may not set both a target raw value and a target utilization");
  }
}

void validate_source(const MetricSpec& spec, const std::string& field, const std::string& path,
                     FieldErrors& errors) {
  if (field == "object") {
    validate_reference(spec.object->describedObject, path + ".describedObject", errors);
    validate_metric(spec.object->metric, path + ".metric", errors);
    validate_target(spec.object->target, path + ".target", errors);
    require_some_value(spec.object->target, path, errors);
  } else if (field == "external") {
    const auto& target = spec.external->target;
    validate_metric(spec.external->metric, path + ".metric", errors);
    validate_target(target, path + ".target", errors);
    require_some_value(target, path, errors);
    if (target.value && target.averageValue) {
      errors.forbidden(path + ".target.value",
                       "may not set both a target value for metric and a per-pod target");
    }
  } else if (field == "pods") {
    const auto& target = spec.pods->target;
    validate_metric(spec.pods->metric, path + ".metric", errors);
    validate_target(target, path + ".target", errors);
    if (!target.averageValue || target.averageValue->sign() != 1) {
      errors.required(path + ".target.averageValue", "must specify a positive target averageValue");
    }
  } else if (field == "resource") {
    validate_usage(spec.resource->name, spec.resource->target, path, errors);
  } else {
    validate_usage(spec.containerResource->name, spec.containerResource->target, path, errors);
    if (spec.containerResource->container.empty()) {
      errors.required(path + ".container", "must specify a container");
    }
  }
}

void validate_metric_spec(const MetricSpec& spec, const std::string& path, FieldErrors& errors) {
  const struct {
    const char* type;
    const char* field;
    bool given;
  } sources[] = {{"Object", "object", spec.object.has_value()},
                 {"External", "external", spec.external.has_value()},
                 {"Pods", "pods", spec.pods.has_value()},
                 {"Resource", "resource", spec.resource.has_value()},
                 {"ContainerResource", "containerResource", spec.containerResource.has_value()}};
  if (spec.type.empty()) {
    errors.required(path + ".type", "must specify a metric source type");
  }
  check_one_of(spec.type, path + ".type",
               {"ContainerResource", "External", "Object", "Pods", "Resource"}, errors);
  int given = 0;
  for (const auto& source : sources) {
    if (source.given && ++given == 1) {
      validate_source(spec, source.field, path + "." + source.field, errors);
    }
  }
  for (const auto& source : sources) {
    if (source.type == spec.type && !source.given) {
      errors.required(path + "." + source.field,
                      "must populate information for the given metric source");
    }
  }
  if (given == 1) return;
  for (const auto& source : sources) {
    if (source.given && source.type != spec.type) {
      errors.forbidden(path + "." + source.field, "must populate the given metric source only");
    }
  }
}

void validate_rules(const Ptr<HPAScalingRules>& rules, const std::string& path,
                    FieldErrors& errors) {
  if (!rules) return;
  const auto below = [&](int32_t value, int32_t max, const std::string& at) {
    if (value > max) {
      errors.invalid(at, std::to_string(value),
                     fmt::format("must be less than or equal to {}", max));
    }
  };
  if (const auto& window = rules->stabilizationWindowSeconds; window) {
    const std::string at = path + ".stabilizationWindowSeconds";
    if (*window < 0) {
      errors.invalid(at, std::to_string(*window), "must be greater than or equal to zero");
    }
    below(*window, kWindowSecondsMax, at);
  }
  if (rules->selectPolicy) {
    check_one_of(*rules->selectPolicy, path + ".selectPolicy", {"Disabled", "Max", "Min"}, errors);
  }
  if (rules->policies.empty()) {
    errors.required(path + ".policies", "must specify at least one Policy");
  }
  for (size_t i = 0; i < rules->policies.size(); ++i) {
    const auto& policy = rules->policies[i];
    const std::string at = indexed(path + ".policies", i);
    check_one_of(policy.type, at + ".type", {"Percent", "Pods"}, errors);
    if (policy.value <= 0) {
      errors.invalid(at + ".value", std::to_string(policy.value), "must be greater than zero");
    }
    if (policy.periodSeconds <= 0) {
      errors.invalid(at + ".periodSeconds", std::to_string(policy.periodSeconds),
                     "must be greater than zero");
    }
    below(policy.periodSeconds, kPeriodSecondsMax, at + ".periodSeconds");
  }
}

}  // namespace

void validate_autoscaler(const Object& object, FieldErrors& errors) {
  const auto& spec = static_cast<const HorizontalPodAutoscaler&>(object).spec;
  if (spec.minReplicas && *spec.minReplicas < 1) {
    errors.invalid("spec.minReplicas", std::to_string(*spec.minReplicas),
                   "must be greater than or equal to 1");
  }
  if (spec.maxReplicas < 1) {
    errors.invalid("spec.maxReplicas", std::to_string(spec.maxReplicas), "must be greater than 0");
  }
  if (spec.minReplicas && spec.maxReplicas < *spec.minReplicas) {
    errors.invalid("spec.maxReplicas", std::to_string(spec.maxReplicas),
                   "must be greater than or equal to `minReplicas`");
  }
  validate_reference(spec.scaleTargetRef, "spec.scaleTargetRef", errors);
  for (size_t i = 0; i < spec.metrics.size(); ++i) {
    validate_metric_spec(spec.metrics[i], indexed("spec.metrics", i), errors);
  }
  if (!spec.behavior) return;
  validate_rules(spec.behavior->scaleUp, "spec.behavior.scaleUp", errors);
  validate_rules(spec.behavior->scaleDown, "spec.behavior.scaleDown", errors);
}

void validate_autoscaler_status(const Object& object, FieldErrors& errors) {
  const auto& status = static_cast<const HorizontalPodAutoscaler&>(object).status;
  validate_non_negative(status.currentReplicas, "status.currentReplicas", errors);
  validate_non_negative(status.desiredReplicas, "status.desiredReplicas", errors);
}

}  // namespace orch::api
