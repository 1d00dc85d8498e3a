#include "api/kinds/apps/workload.h"

#include <fmt/format.h>

#include "orch/api/selector.h"
#include "orch/base/strings.h"

namespace orch::api {

void validate_workload_selector(const Ptr<metav1::LabelSelector>& selector,
                                const corev1::PodTemplateSpec& pod, FieldErrors& errors) {
  if (!selector) {
    errors.required("spec.selector");
    return;
  }
  validate_label_selector(*selector, "spec.selector", errors);
  if (selector->matchLabels.empty() && selector->matchExpressions.empty()) {
    errors.invalid("spec.selector", "{}", "empty selector is invalid for deployment");
    return;
  }
  auto parsed = LabelSelector::from(*selector);
  if (parsed && !parsed->matches(pod.metadata.labels)) {
    std::string shown;
    for (const auto& [key, value] : pod.metadata.labels) {
      shown += fmt::format("{}\"{}\":\"{}\"", shown.empty() ? "" : ", ", key, value);
    }
    errors.invalid("spec.template.metadata.labels", fmt::format("map[string]string{{{}}}", shown),
                   "`selector` does not match template `labels`");
  }
}

void validate_immutable_selector(const Ptr<metav1::LabelSelector>& now,
                                 const Ptr<metav1::LabelSelector>& old, FieldErrors& errors) {
  if (now && old && !equal(*now, *old)) {
    errors.invalid("spec.selector", quoted(selector_text(*now)), kImmutable);
  }
}

void validate_always_restarts(const corev1::PodTemplateSpec& pod, FieldErrors& errors) {
  if (pod.spec.restartPolicy != "Always") {
    errors.not_supported("spec.template.spec.restartPolicy", pod.spec.restartPolicy, {"Always"});
  }
  if (pod.spec.activeDeadlineSeconds) {
    errors.forbidden("spec.template.spec.activeDeadlineSeconds",
                     "activeDeadlineSeconds in ReplicaSet is not Supported");
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
        path, quoted(shown),
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. "
        "'1%',  or '93%', regex used for validation is '[0-9]+%')");
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
