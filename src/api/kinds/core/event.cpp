// core/v1 Event.
#include "api/kinds/core/event.h"

#include "api/kinds/common.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using corev1::Event;

std::string source_text(const corev1::EventSource& source, const std::string& controller) {
  if (source.component.empty()) return controller;
  return source.host.empty() ? source.component : source.component + ", " + source.host;
}

Time first_seen(const Event& event) {
  if (event.firstTimestamp) return event.firstTimestamp;
  return event.eventTime ? Time(event.eventTime.wall()) : Time();
}

std::string last_seen_text(const Event& event, WallTime now) {
  if (event.series) return age_of(Time(event.series->lastObservedTime.wall()), now);
  return age_of(event.lastTimestamp ? event.lastTimestamp : first_seen(event), now);
}

int64_t times(const Event& event) {
  if (event.series) return event.series->count;
  return event.count == 0 ? 1 : event.count;
}

void validate(const Object& now, const Object* old, FieldErrors& errors) {
  validate_event(static_cast<const Event&>(now), static_cast<const Event*>(old), false, errors);
}

}  // namespace

std::vector<Cell> event_row(const Object& object, WallTime now) {
  const auto& event = static_cast<const Event&>(object);
  const auto& about = event.involvedObject;
  std::string target = to_lower(about.kind);
  if (!about.name.empty()) target += "/" + about.name;
  std::string message(trim(event.message));
  return {text(last_seen_text(event, now)),
          text(event.type_),
          text(event.reason),
          text(target),
          text(about.fieldPath),
          text(source_text(event.source, event.reportingComponent)),
          text(message),
          text(age_of(first_seen(event), now)),
          number(times(event)),
          name_cell(object)};
}

std::string event_field(const Object& object, std::string_view field) {
  const auto& event = static_cast<const Event&>(object);
  const auto& about = event.involvedObject;
  if (field == "involvedObject.kind") return about.kind;
  if (field == "involvedObject.namespace") return about.namespace_;
  if (field == "involvedObject.name") return about.name;
  if (field == "involvedObject.uid") return about.uid;
  if (field == "involvedObject.apiVersion") return about.apiVersion;
  if (field == "involvedObject.resourceVersion") return about.resourceVersion;
  if (field == "involvedObject.fieldPath") return about.fieldPath;
  if (field == "reason") return event.reason;
  if (field == "reportingComponent") return event.reportingComponent;
  if (field == "source") {
    return event.source.component.empty() ? event.reportingComponent : event.source.component;
  }
  return event.type_;
}

ResourceInfo events_resource() {
  auto info = stored_resource<Event>("events", "event", true);
  info.short_names = {"ev"};
  info.validate = validate;
  info.selectable_fields = {"involvedObject.kind",
                            "involvedObject.namespace",
                            "involvedObject.name",
                            "involvedObject.uid",
                            "involvedObject.apiVersion",
                            "involvedObject.resourceVersion",
                            "involvedObject.fieldPath",
                            "reason",
                            "reportingComponent",
                            "source",
                            "type"};
  info.field_value = event_field;
  info.columns = {column("Last Seen", "string", "When it happened last."),
                  column("Type", "string", "Normal or Warning."),
                  column("Reason", "string", "Why, in one word."),
                  column("Object", "string", "What it is about."),
                  column("Subobject", "string", "The part of it.", 1),
                  column("Source", "string", "Who says so.", 1),
                  column("Message", "string", "What happened."),
                  column("First Seen", "string", "When it happened first.", 1),
                  column("Count", "integer", "How often it happened.", 1),
                  {.name = "Name",
                   .type = "string",
                   .format = "name",
                   .description = "The event's own name.",
                   .priority = 1}};
  info.row = event_row;
  return info;
}

}  // namespace orch::api
