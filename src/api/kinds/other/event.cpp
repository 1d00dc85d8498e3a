// events.k8s.io/v1 Event: core/v1 Event under other names, and kept as that.
#include "api/kinds/other/event.h"

#include "api/kinds/common.h"
#include "api/kinds/core/event.h"

namespace orch::api {

using CoreEvent = corev1::Event;
using NewEvent = eventsv1::Event;

std::unique_ptr<Object> event_to_core(const Object& object) {
  const auto& from = static_cast<const NewEvent&>(object);
  auto to = std::make_unique<CoreEvent>();
  to->metadata = from.metadata;
  to->involvedObject = from.regarding;
  to->reason = from.reason;
  to->message = from.note;
  to->source = from.deprecatedSource;
  to->firstTimestamp = from.deprecatedFirstTimestamp;
  to->lastTimestamp = from.deprecatedLastTimestamp;
  to->count = from.deprecatedCount;
  to->type_ = from.type_;
  to->eventTime = from.eventTime;
  if (from.series) {
    to->series.emplace();
    to->series->count = from.series->count;
    to->series->lastObservedTime = from.series->lastObservedTime;
  }
  to->action = from.action;
  to->related = from.related;
  to->reportingComponent = from.reportingController;
  to->reportingInstance = from.reportingInstance;
  return to;
}

std::unique_ptr<Object> event_from_core(const Object& object) {
  const auto& from = static_cast<const CoreEvent&>(object);
  auto to = std::make_unique<NewEvent>();
  to->metadata = from.metadata;
  to->regarding = from.involvedObject;
  to->reason = from.reason;
  to->note = from.message;
  to->deprecatedSource = from.source;
  to->deprecatedFirstTimestamp = from.firstTimestamp;
  to->deprecatedLastTimestamp = from.lastTimestamp;
  to->deprecatedCount = from.count;
  to->type_ = from.type_;
  to->eventTime = from.eventTime;
  if (from.series) {
    to->series.emplace();
    to->series->count = from.series->count;
    to->series->lastObservedTime = from.series->lastObservedTime;
  }
  to->action = from.action;
  to->related = from.related;
  to->reportingController = from.reportingComponent;
  to->reportingInstance = from.reportingInstance;
  return to;
}

namespace {

std::vector<Cell> row(const Object& object, WallTime now) {
  return event_row(*event_to_core(object), now);
}

std::string field_value(const Object& object, std::string_view field) {
  const auto event = event_to_core(object);
  if (field == "reportingController") field = "reportingComponent";
  if (field.starts_with("regarding.")) {
    return event_field(*event, "involvedObject." + std::string(field.substr(10)));
  }
  return event_field(*event, field);
}

void validate(const Object& now, const Object* old, FieldErrors& errors) {
  const auto after = event_to_core(now);
  const auto before = old == nullptr ? nullptr : event_to_core(*old);
  validate_event(static_cast<const CoreEvent&>(*after), static_cast<const CoreEvent*>(before.get()),
                 true, errors);
}

}  // namespace

ResourceInfo new_events_resource() {
  auto info = stored_resource<NewEvent>("events", "event", true);
  const ResourceInfo core = events_resource();
  info.short_names = core.short_names;
  info.columns = core.columns;
  info.row = row;
  info.validate = validate;
  info.selectable_fields = {"regarding.kind",       "regarding.namespace",
                            "regarding.name",       "regarding.uid",
                            "regarding.apiVersion", "regarding.resourceVersion",
                            "regarding.fieldPath",  "reason",
                            "reportingController",  "type"};
  info.field_value = field_value;
  return info;
}

}  // namespace orch::api
