// What the workload kinds share.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "api/kinds/common.h"

namespace orch::api {

// A selector must be given and match the template's own labels, or the workload would never see
// the pods it makes.
// `kind` is how the message calls the workload.
void validate_workload_selector(const Ptr<metav1::LabelSelector>& selector,
                                const corev1::PodTemplateSpec& pod, std::string_view kind,
                                FieldErrors& errors);
void validate_immutable_selector(const Ptr<metav1::LabelSelector>& now,
                                 const Ptr<metav1::LabelSelector>& old, FieldErrors& errors);
void validate_always_restarts(const corev1::PodTemplateSpec& pod, std::string_view kind,
                              FieldErrors& errors);
// A count or percentage that is not negative.
void validate_int_or_percent(const IntOrString& value, const std::string& path,
                             FieldErrors& errors);
void validate_at_most_all(const IntOrString& value, const std::string& path, FieldErrors& errors);
// Counts of a status: none is negative, and none greater than its bound.
struct StatusCount {
  const char* field;
  int64_t value;
  int64_t bound;
  const char* bound_name;  // nullptr: no bound
};
void validate_counts(std::initializer_list<StatusCount> counts, FieldErrors& errors);
// True for 0 and "0%".
bool is_zero(const IntOrString& value);
// Containers, Images and Selector, shown with -o wide.
void add_wide_columns(ResourceInfo& info);
void add_wide_cells(std::vector<Cell>& cells, const corev1::PodSpec& spec,
                    const std::string& selector);

}  // namespace orch::api
