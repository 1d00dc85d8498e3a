#include "api/kinds/apps/workload.h"

#include <fmt/format.h>

#include "api/validation/go_value.h"
#include "orch/api/selector.h"
#include "orch/base/strings.h"

namespace orch::api {

void validate_workload_selector(const Ptr<metav1::LabelSelector>& selector,
                                const corev1::PodTemplateSpec& pod, std::string_view kind,
                                FieldErrors& errors) {
  if (!selector) {
    errors.required("spec.selector");
    return;
  }
  validate_label_selector(*selector, "spec.selector", errors);
  if (selector->matchLabels.empty() && selector->matchExpressions.empty()) {
    errors.invalid("spec.selector", go_value(selector),
                   fmt::format("empty selector is invalid for {}", kind));
    return;
  }
  auto parsed = LabelSelector::from(*selector);
  if (parsed && !parsed->matches(pod.metadata.labels)) {
    errors.invalid("spec.template.metadata.labels", go_value(pod.metadata.labels),
                   "`selector` does not match template `labels`");
  }
}

void validate_immutable_selector(const Ptr<metav1::LabelSelector>& now,
                                 const Ptr<metav1::LabelSelector>& old, FieldErrors& errors) {
  if (now && old && !equal(*now, *old)) {
    errors.invalid("spec.selector", go_value(now), kImmutable);
  }
}

void validate_always_restarts(const corev1::PodTemplateSpec& pod, std::string_view kind,
                              FieldErrors& errors) {
  if (pod.spec.restartPolicy != "Always") {
    errors.not_supported("spec.template.spec.restartPolicy", pod.spec.restartPolicy, {"Always"});
  }
  if (pod.spec.activeDeadlineSeconds) {
    errors.forbidden("spec.template.spec.activeDeadlineSeconds",
                     fmt::format("activeDeadlineSeconds in {} is not Supported", kind));
  }
}

void validate_int_or_percent(const IntOrString& value, const std::string& path,
                             FieldErrors& errors) {
  if (!value.is_string) return validate_non_negative(value.int_value, path, errors);
  const std::string& shown = value.string_value;
  const bool percent = shown.size() > 1 && shown.back() == '%' &&
                       shown.find_first_not_of("0123456789") == shown.size() - 1;
  if (!percent) {
    errors.invalid(
        path, go_value(value),
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. "
        "'1%',  or '93%', regex used for validation is '[0-9]+%')");
  }
}

void validate_at_most_all(const IntOrString& value, const std::string& path, FieldErrors& errors) {
  if (!value.is_string || !value.string_value.ends_with('%')) return;
  const auto percent =
      parse_int(std::string_view(value.string_value).substr(0, value.string_value.size() - 1));
  if (percent.value_or(0) > 100) {
    errors.invalid(path, go_value(value), "must not be greater than 100%");
  }
}

void validate_counts(std::initializer_list<StatusCount> counts, FieldErrors& errors) {
  for (const auto& count : counts) {
    const std::string path = std::string("status.") + count.field;
    validate_non_negative(count.value, path, errors);
    if (count.bound_name != nullptr && count.value > count.bound) {
      errors.invalid(path, std::to_string(count.value),
                     fmt::format("cannot be greater than {}", count.bound_name));
    }
  }
}

bool is_zero(const IntOrString& value) {
  return value.is_string ? value.string_value.find_first_not_of("0%") == std::string::npos
                         : value.int_value == 0;
}

void add_wide_columns(ResourceInfo& info) {
  info.columns.push_back(column("Containers", "string", "Names of its containers.", 1));
  info.columns.push_back(column("Images", "string", "Images of its containers.", 1));
  info.columns.push_back(column("Selector", "string", "Labels of its pods.", 1));
}

void add_wide_cells(std::vector<Cell>& cells, const corev1::PodSpec& spec,
                    const std::string& selector) {
  cells.push_back(containers_cell(spec));
  cells.push_back(images_cell(spec));
  cells.push_back(text(selector));
}

}  // namespace orch::api
