// What the workload kinds share.
#pragma once

#include <string>

#include "api/kinds/common.h"

namespace orch::api {

// A selector must be given and match the template's own labels, or the workload would never see
// the pods it makes.
void validate_workload_selector(const Ptr<metav1::LabelSelector>& selector,
                                const corev1::PodTemplateSpec& pod, FieldErrors& errors);
void validate_immutable_selector(const Ptr<metav1::LabelSelector>& now,
                                 const Ptr<metav1::LabelSelector>& old, FieldErrors& errors);
void validate_always_restarts(const corev1::PodTemplateSpec& pod, FieldErrors& errors);
// A count or percentage that is not negative.
void validate_int_or_percent(const IntOrString& value, const std::string& path,
                             FieldErrors& errors);
// True for 0 and "0%".
bool is_zero(const IntOrString& value);
// Containers, Images and Selector, shown with -o wide.
void add_wide_columns(ResourceInfo& info);
void add_wide_cells(std::vector<Cell>& cells, const corev1::PodSpec& spec,
                    const std::string& selector);

}  // namespace orch::api
