// Events' validation: lax for those without eventTime, as clients older than events.k8s.io make
// them.
#include <fmt/format.h>

#include "api/kinds/core/event.h"
#include "api/validation/formats.h"
#include "orch/api/codec.h"

namespace orch::api {
namespace {

using corev1::Event;

constexpr size_t kShortMax = 128;  // reportingInstance, action, reason
constexpr size_t kNoteMax = 1024;

void at_most(const std::string& field, const std::string& value, size_t max, FieldErrors& errors) {
  if (value.size() <= max) return;
  errors.invalid(field, "\"\"", fmt::format("can have at most {} characters", max));
}

void required_short(const std::string& field, const std::string& value, FieldErrors& errors) {
  if (value.empty()) errors.required(field);
  at_most(field, value, kShortMax, errors);
}

void validate_namespace(const Event& event, FieldErrors& errors) {
  const std::string& about = event.involvedObject.namespace_;
  const std::string& own = event.metadata.namespace_;
  const bool cluster_scoped = about.empty() && (own.empty() || own == "default" ||
                                                (event.eventTime && own == "kube-system"));
  const bool agree = event.eventTime ? !about.empty() : about == own && !about.empty();
  if (!cluster_scoped && !agree) {
    errors.invalid("involvedObject.namespace", quoted(about), "does not match event.namespace");
  }
}

// Of events that carry eventTime, whichever version they came in.
void validate_new_style(const Event& event, bool strict, FieldErrors& errors) {
  const std::string controller = strict ? "reportingController" : "reportingComponent";
  if (event.reportingComponent.empty()) errors.required(controller);
  validate_qualified_name(event.reportingComponent, controller, errors);
  required_short("reportingInstance", event.reportingInstance, errors);
  required_short("action", event.action, errors);
  required_short("reason", event.reason, errors);
  at_most("message", event.message, kNoteMax, errors);
}

void validate_series(const Event& event, FieldErrors& errors) {
  if (!event.series) return;
  if (event.series->count < 2) errors.invalid("series.count", "\"\"", "should be at least 2");
  if (!event.series->lastObservedTime) errors.required("series.lastObservedTime");
}

void validate_create(const Event& event, FieldErrors& errors) {
  if (!event.eventTime) {
    errors.required("eventTime");
    validate_new_style(event, true, errors);
  }
  validate_series(event, errors);
  if (event.type_ != "Normal" && event.type_ != "Warning") {
    errors.invalid("type", "\"\"", fmt::format("has invalid value: {}", event.type_));
  }
}

void validate_change(const Event& now, const Event& old, FieldErrors& errors) {
  const bool same_series = now.series.has_value() == old.series.has_value() &&
                           (!now.series || equal(*now.series, *old.series));
  if (!same_series) validate_series(now, errors);
  const auto keep = [&](std::string_view field, bool same, std::string shown) {
    if (!same) errors.invalid(field, std::move(shown), kImmutable);
  };
  const auto keep_text = [&](std::string_view field, const std::string& a, const std::string& b) {
    keep(field, a == b, quoted(a));
  };
  keep("involvedObject", equal(now.involvedObject, old.involvedObject), "{}");
  keep_text("reason", now.reason, old.reason);
  keep_text("message", now.message, old.message);
  keep("source", equal(now.source, old.source), "{}");
  keep("firstTimestamp", now.firstTimestamp == old.firstTimestamp, now.firstTimestamp.str());
  keep("lastTimestamp", now.lastTimestamp == old.lastTimestamp, now.lastTimestamp.str());
  keep("count", now.count == old.count, std::to_string(now.count));
  keep_text("type", now.type_, old.type_);
  keep("eventTime", now.eventTime == old.eventTime, now.eventTime.str());
  keep_text("action", now.action, old.action);
  const bool same_related = now.related.has_value() == old.related.has_value() &&
                            (!now.related || equal(*now.related, *old.related));
  keep("related", same_related, "{}");
  keep_text("reportingController", now.reportingComponent, old.reportingComponent);
  keep_text("reportingInstance", now.reportingInstance, old.reportingInstance);
}

}  // namespace

void validate_event(const Event& now, const Event* old, bool strict, FieldErrors& errors) {
  validate_namespace(now, errors);
  if (now.eventTime) validate_new_style(now, strict, errors);
  if (!strict) return;
  if (old == nullptr) {
    validate_create(now, errors);
  } else {
    validate_change(now, *old, errors);
  }
}

}  // namespace orch::api
