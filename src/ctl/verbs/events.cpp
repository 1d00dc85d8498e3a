// events: of a namespace or an object, the oldest first.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/describe.h"
#include "ctl/printers/output.h"
#include "ctl/printers/table.h"
#include "ctl/session.h"
#include "orch/base/clock.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

std::string last_seen(const JsonValue& event) {
  for (const JsonValue& time :
       {event.at("series.lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime")}) {
    if (!time.text().empty()) return time.text();
  }
  return event.at("metadata.creationTimestamp").text();
}

// "5m" or "5m (x3 over 1h)".
std::string interval_text(const JsonValue& event, WallTime now) {
  std::string first = event.get("firstTimestamp").text();
  if (first.empty()) first = event.get("eventTime").text();
  if (event.has("series")) {
    return fmt::format("{} (x{} over {})", age_of(event.at("series.lastObservedTime").text(), now),
                       event.at("series.count").number(), age_of(first, now));
  }
  const int64_t count = event.get("count").number();
  if (count > 1) {
    return fmt::format("{} (x{} over {})", age_of(event.get("lastTimestamp").text(), now), count,
                       age_of(first, now));
  }
  return age_of(first, now);
}

Outcome<std::string> query_of(Session& session) {
  std::vector<std::string> fields;
  if (const std::string about = session.flags.text("for"); !about.empty()) {
    const size_t slash = about.find('/');
    if (slash == std::string::npos) {
      return Err(error("--for must be in resource/name form"));
    }
    ORCH_TRY(const Discovery* known, session.discovery());
    ORCH_TRY(const Resource* resource, known->resolve(about.substr(0, slash)));
    fields = {"involvedObject.kind=" + resource->kind,
              "involvedObject.name=" + about.substr(slash + 1)};
  }
  return query_text({{"fieldSelector", join(fields, ",")}, {"limit", "500"}});
}

Outcome<int> run(Session& session) {
  const Flags& flags = session.flags;
  ORCH_TRY(const Output output, Output::of(flags));
  ORCH_TRY(const std::string ns, session.namespace_());
  ORCH_TRY(const std::string query, query_of(session));
  const bool everywhere = flags.on("all-namespaces");
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.target = (everywhere ? "/api/v1/events"
                            : fmt::format("/api/v1/namespaces/{}/events", net::url_encode(ns))) +
                query;
  ORCH_TRY(const JsonValue list, client->json(call));
  const auto types = flags.comma_list("types");
  std::vector<JsonValue> events;
  for (JsonValue& event : list.get("items").items()) {
    const std::string type = event.get("type").text();
    if (!types.empty() && std::none_of(types.begin(), types.end(), [&](const std::string& wanted) {
          return iequals(wanted, type);
        })) {
      continue;
    }
    events.push_back(std::move(event));
  }
  if (events.empty()) {
    fmt::print(stderr, "{}\n",
               everywhere ? std::string("No events found.")
                          : fmt::format("No events found in {} namespace.", ns));
    return 0;
  }
  std::stable_sort(events.begin(), events.end(), [](const JsonValue& a, const JsonValue& b) {
    return last_seen(a) < last_seen(b);
  });
  if (output.prints_objects()) {
    JsonValue out = list, items = JsonValue::array();
    for (JsonValue& event : events) {
      event.set("apiVersion", "v1");
      event.set("kind", "Event");
      items.push_back(std::move(event));
    }
    out.set("items", std::move(items));
    out.set("kind", "List");
    const std::string text = output.object_text(std::move(out));
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  if (!flags.on("no-headers")) {
    rows.push_back({"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"});
    if (everywhere) rows[0].insert(rows[0].begin(), "NAMESPACE");
  }
  const WallTime now = system_clock().now();
  for (const JsonValue& event : events) {
    const JsonValue about = event.get("involvedObject");
    std::vector<std::string> row{interval_text(event, now), event.get("type").text(),
                                 event.get("reason").text(),
                                 about.get("kind").text() + "/" + about.get("name").text(),
                                 std::string(trim(event.get("message").text()))};
    if (everywhere) row.insert(row.begin(), event.at("metadata.namespace").text());
    rows.push_back(std::move(row));
  }
  fmt::print("{}", ColumnWriter().lay_out(rows));
  return 0;
}

}  // namespace

Verb events_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"for", 0, Kind::kText, "", "only of this object, TYPE/NAME"},
      {"types", 0, Kind::kList, "", "only of these types: Normal, Warning"},
      {"no-headers", 0, Kind::kBool, "false", "no first line with the columns' names"},
      {"all-namespaces", 'A', Kind::kBool, "false", "in every namespace"}};
  return {"events", "List events, the oldest first", "events [--for=TYPE/NAME] [--types=Warning]",
          flags + output_flags(), run};
}

}  // namespace orch::ctl
