// get: tables as the server makes them, objects, and watches of either.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "ctl/printers/output.h"
#include "ctl/printers/table.h"
#include "ctl/session.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr char kTableAccept[] =
    "application/json;as=Table;v=v1;g=meta.k8s.io,"
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

// What one run of `get` is asked for.
struct Get {
  Session& session;
  ApiClient& client;
  Output output;
  std::vector<Selection> selections;
  std::string namespace_;  // "" = all
  bool several_kinds = false;
  bool tables = true;
  int exit_code = 0;
};

std::string list_target(const Get& get, const Resource& resource, const std::string& name,
                        std::vector<std::pair<std::string, std::string>> extra) {
  const Flags& flags = get.session.flags;
  std::string fields = flags.text("field-selector");
  if (!name.empty()) fields = "metadata.name=" + name;
  extra.insert(extra.begin(),
               {{"labelSelector", flags.text("selector")}, {"fieldSelector", fields}});
  return resource.path(get.namespace_) + query_text(extra);
}

std::string include_objects(const Get& get) {
  return get.session.flags.given("sort-by") ? "Object" : "";
}

// The documents of one selection, each a Table, a List or an object; failures are printed.
std::vector<JsonValue> documents_of(Get& get, const Selection& selection) {
  std::vector<JsonValue> out;
  const std::string accept = get.tables ? kTableAccept : "application/json";
  auto fetch = [&](std::string target) -> std::string {
    Call call;
    call.target = std::move(target);
    call.accept = accept;
    auto document = get.client.json(call);
    if (!document) {
      const bool ignored =
          document.error().reason == "NotFound" && get.session.flags.on("ignore-not-found");
      if (!ignored) {
        print_failure(document.error());
        get.exit_code = 1;
      }
      return "";
    }
    out.push_back(std::move(*document));
    return out.back().at("metadata.continue").text();
  };
  for (const std::string& name : selection.names) {
    fetch(selection.resource->path(get.namespace_, name, get.session.flags.text("subresource")) +
          query_text({{"includeObject", include_objects(get)}}));
  }
  if (!selection.names.empty()) return out;
  const std::string chunk = get.session.flags.text("chunk-size");
  std::string next;
  do {
    next = fetch(list_target(get, *selection.resource, "",
                             {{"limit", chunk == "0" ? "" : chunk},
                              {"continue", next},
                              {"includeObject", include_objects(get)}}));
  } while (!next.empty());
  return out;
}

// Quantities and numbers by value, the rest as text.
bool sorts_before(const JsonValue& a, const JsonValue& b) {
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  return a.text() < b.text();
}

Outcome<Unit> sort_items(const std::string& sort_by, const std::string& prefix,
                         std::vector<JsonValue>& items) {
  auto path = JsonPath::parse(sort_by, true);
  if (!path) return Err(error(path.error()));
  std::vector<std::pair<JsonValue, size_t>> keys;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto found = path->find(prefix.empty() ? items[i] : items[i].get(prefix));
    keys.emplace_back(found.empty() ? JsonValue() : found[0], i);
  }
  std::stable_sort(keys.begin(), keys.end(),
                   [](const auto& a, const auto& b) { return sorts_before(a.first, b.first); });
  std::vector<JsonValue> sorted;
  for (const auto& [key, at] : keys) sorted.push_back(std::move(items[at]));
  items = std::move(sorted);
  return Unit{};
}

void no_resources_found(const Get& get) {
  std::fflush(stdout);
  const bool namespaced =
      std::any_of(get.selections.begin(), get.selections.end(),
                  [](const Selection& selection) { return selection.resource->namespaced; });
  if (get.session.flags.on("ignore-not-found")) return;
  if (!namespaced || get.namespace_.empty()) {
    fmt::print(stderr, "No resources found\n");
  } else {
    fmt::print(stderr, "No resources found in {} namespace.\n", get.namespace_);
  }
}

TableOptions table_options(const Get& get, const Resource& resource) {
  const Flags& flags = get.session.flags;
  TableOptions out;
  out.wide = get.output.kind() == Output::Kind::kWide;
  out.headers = !flags.on("no-headers");
  out.with_namespace = resource.namespaced && get.namespace_.empty();
  out.show_labels = flags.on("show-labels");
  for (const std::string& listed : flags.list("label-columns")) {
    for (const std::string& label : split(listed, ',')) out.label_columns.push_back(label);
  }
  if (get.several_kinds) out.name_prefix = resource.kind_group();
  return out;
}

// One Table of all rows; its definitions are the first's.
Outcome<JsonValue> joined_table(Get& get, const std::vector<JsonValue>& tables) {
  JsonValue out = tables[0];
  std::vector<JsonValue> rows;
  for (const JsonValue& table : tables) {
    for (JsonValue& row : table.get("rows").items()) rows.push_back(std::move(row));
  }
  if (get.session.flags.given("sort-by")) {
    ORCH_CHECK(sort_items(get.session.flags.text("sort-by"), "object", rows));
  }
  JsonValue list = JsonValue::array();
  for (JsonValue& row : rows) list.push_back(std::move(row));
  out.set("rows", std::move(list));
  return out;
}

Outcome<int> print_tables(Get& get) {
  bool any = false;
  for (const Selection& selection : get.selections) {
    const auto tables = documents_of(get, selection);
    if (tables.empty()) continue;
    ORCH_TRY(const JsonValue table, joined_table(get, tables));
    if (table.get("rows").size() == 0) continue;
    if (any) std::putchar('\n');
    any = true;
    const auto rows = table_rows(table, table_options(get, *selection.resource));
    const std::string text = ColumnWriter().lay_out(rows);
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  if (!any && get.exit_code == 0) no_resources_found(get);
  return get.exit_code;
}

// TYPE.GROUP/NAME; what a subresource answers may be of another kind.
std::string shown_name(const Get& get, const Resource& resource, const JsonValue& object) {
  std::string kind = resource.kind_group();
  if (get.session.flags.given("subresource") && object.get("kind").text() != resource.kind) {
    const std::string version = object.get("apiVersion").text();
    const size_t slash = version.find('/');
    kind = to_lower(object.get("kind").text());
    if (slash != std::string::npos) kind += "." + version.substr(0, slash);
  }
  return kind + "/" + object.at("metadata.name").text();
}

// Items of lists carry no kind of their own.
std::vector<JsonValue> objects_of(const Resource& resource,
                                  const std::vector<JsonValue>& documents) {
  std::vector<JsonValue> out;
  for (const JsonValue& document : documents) {
    if (!document.get("items").is_array() || !document.get("kind").text().ends_with("List")) {
      out.push_back(document);
      continue;
    }
    for (JsonValue& item : document.get("items").items()) {
      item.set("kind", resource.kind);
      item.set("apiVersion", resource.api_version());
      out.push_back(std::move(item));
    }
  }
  return out;
}

Outcome<int> print_objects(Get& get) {
  std::vector<JsonValue> objects;
  std::vector<std::string> names;
  for (const Selection& selection : get.selections) {
    for (JsonValue& object : objects_of(*selection.resource, documents_of(get, selection))) {
      names.push_back(shown_name(get, *selection.resource, object));
      objects.push_back(std::move(object));
    }
  }
  if (get.output.kind() == Output::Kind::kName) {
    for (const std::string& name : names) fmt::print("{}\n", name);
    return get.exit_code;
  }
  if (get.session.flags.given("sort-by")) {
    ORCH_CHECK(sort_items(get.session.flags.text("sort-by"), "", objects));
  }
  std::string text;
  const bool single = get.selections.size() == 1 && get.selections[0].names.size() == 1;
  if (get.output.kind() == Output::Kind::kCustomColumns) {
    if (objects.empty() && get.exit_code == 0) no_resources_found(get);
    if (!objects.empty()) {
      text = ColumnWriter().lay_out(
          get.output.column_rows(objects, !get.session.flags.on("no-headers")));
    }
  } else if (single) {
    if (!objects.empty()) text = get.output.object_text(std::move(objects[0]));
  } else {
    JsonValue list = JsonValue::object(), items = JsonValue::array();
    for (JsonValue& object : objects) items.push_back(std::move(object));
    list.set("apiVersion", "v1");
    list.set("items", std::move(items));
    list.set("kind", "List");
    list.set_at("metadata.resourceVersion", "");
    text = get.output.object_text(std::move(list));
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return get.exit_code;
}

// Prints what a watch says: rows below the headers already out, or objects.
class WatchPrinter {
 public:
  WatchPrinter(Get& get, const Resource& resource) : get_(get), resource_(resource) {}

  Outcome<Unit> show(const JsonValue& document) {
    std::string text;
    if (document.get("kind").text() == "Table") {
      TableOptions options = table_options(get_, resource_);
      JsonValue table = document;
      if (columns_.is_null()) columns_ = table.get("columnDefinitions");
      if (table.get("columnDefinitions").size() == 0) table.set("columnDefinitions", columns_);
      if (table.get("rows").size() == 0) return Unit{};
      options.headers = options.headers && !headers_out_;
      headers_out_ = true;
      text = columns_writer_.lay_out(table_rows(table, options));
    } else if (get_.output.kind() == Output::Kind::kName) {
      text = resource_.kind_group() + "/" + document.at("metadata.name").text() + "\n";
    } else if (get_.output.kind() == Output::Kind::kCustomColumns) {
      const bool headers = !headers_out_ && !get_.session.flags.on("no-headers");
      headers_out_ = true;
      text = columns_writer_.lay_out(get_.output.column_rows({document}, headers));
    } else {
      text = get_.output.object_text(document);
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    return Unit{};
  }

 private:
  Get& get_;
  const Resource& resource_;
  ColumnWriter columns_writer_;
  JsonValue columns_;
  bool headers_out_ = false;
};

// Follows from `version` until the server ends the watch.
Outcome<Unit> follow(Get& get, const Resource& resource, const std::string& name,
                     std::string version, WatchPrinter& printer) {
  std::string pending;
  Outcome<Unit> outcome = Unit{};
  auto on_line = [&](std::string_view line) {
    auto event = JsonValue::parse(line);
    if (!event) {
      outcome = Err(error(event.error()));
      return false;
    }
    const JsonValue object = event->get("object");
    const std::string type = event->get("type").text();
    if (type == "ERROR") {
      outcome = Err(server_failure(api::error_from_response(500, object.dump())));
      return false;
    }
    if (type != "BOOKMARK") outcome = printer.show(object);
    return outcome.has_value();
  };
  auto on_data = [&](std::string_view bytes) {
    pending += bytes;
    size_t from = 0;
    for (size_t end; (end = pending.find('\n', from)) != std::string::npos; from = end + 1) {
      const std::string_view line = std::string_view(pending).substr(from, end - from);
      if (!trim(line).empty() && !on_line(line)) return false;
    }
    pending.erase(0, from);
    return true;
  };
  const std::string target = list_target(
      get, resource, name, {{"resourceVersion", std::move(version)}, {"watch", "true"}});
  auto ended = get.client.stream(target, get.tables ? kTableAccept : "application/json", on_data);
  if (!outcome) return outcome;
  return ended;
}

Outcome<int> watch(Get& get) {
  if (get.selections.size() != 1 || get.selections[0].names.size() > 1) {
    return Err(error("you may only specify a single resource type"));
  }
  const Selection& selection = get.selections[0];
  const std::string name = selection.names.empty() ? "" : selection.names[0];
  WatchPrinter printer(get, *selection.resource);
  std::string version;
  if (!get.session.flags.on("watch-only")) {
    const auto documents = documents_of(get, selection);
    if (documents.empty()) return 1;
    version = documents.back().at("metadata.resourceVersion").text();
    if (get.tables) {
      ORCH_TRY(const JsonValue table, joined_table(get, documents));
      ORCH_CHECK(printer.show(table));
    } else {
      for (const JsonValue& object : objects_of(*selection.resource, documents)) {
        ORCH_CHECK(printer.show(object));
      }
    }
  }
  ORCH_CHECK(follow(get, *selection.resource, name, version, printer));
  return get.exit_code;
}

Outcome<std::vector<Selection>> manifest_selections(Session& session, std::string& ns) {
  ORCH_TRY(const auto targets, session.targets({}));
  std::vector<Selection> out;
  for (const Target& target : targets) {
    if (!target.namespace_.empty()) ns = target.namespace_;
    out.push_back({target.resource, {target.name}});
  }
  return out;
}

Outcome<int> run(Session& session) {
  ORCH_TRY(Output output, Output::of(session.flags));
  const auto& args = session.flags.args();
  if (session.flags.given("raw")) {
    ORCH_TRY(ApiClient * client, session.api());
    Call call;
    call.target = session.flags.text("raw");
    ORCH_TRY(const std::string body, client->call(call));
    std::fwrite(body.data(), 1, body.size(), stdout);
    return 0;
  }
  const bool from_files = session.flags.given("filename");
  if (args.empty() && !from_files) {
    return Err(Failure{
        fmt::format("You must specify the type of resource to get. Use \"{0} api-resources\" for a "
                    "complete list of supported resources.\n\nerror: Required resource not "
                    "specified.\nUse \"{0} explain <resource>\" for a detailed description of that "
                    "resource (e.g. {0} explain pods).\nSee '{0} get -h' for help and examples",
                    session.program),
        1, ""});
  }
  ORCH_TRY(ApiClient * client, session.api());
  ORCH_TRY(std::string ns, session.namespace_());
  if (session.flags.on("all-namespaces")) ns.clear();
  std::vector<Selection> selections;
  if (from_files) {
    ORCH_TRY(selections, manifest_selections(session, ns));
  } else {
    ORCH_TRY(selections, session.selections(args));
  }
  const bool objects = output.prints_objects() || output.kind() == Output::Kind::kName;
  Get get{session, *client, std::move(output), std::move(selections), ns};
  get.tables = !objects;
  for (const Selection& selection : get.selections) {
    if (selection.resource != get.selections[0].resource) get.several_kinds = true;
    if (selection.names.empty()) {
      if (!session.flags.given("subresource")) continue;
      return Err(error("subresource cannot be used when bulk resources are specified"));
    }
    if (ns.empty() && selection.resource->namespaced) {
      return Err(error("a resource cannot be retrieved by name across all namespaces"));
    }
    if (session.flags.given("selector")) {
      return Err(error("name cannot be provided when a selector is specified"));
    }
  }
  if (session.flags.on("watch") || session.flags.on("watch-only")) return watch(get);
  return objects ? print_objects(get) : print_tables(get);
}

}  // namespace

Verb get_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"watch", 'w', Kind::kBool, "false", "after listing, print changes as they come"},
      {"watch-only", 0, Kind::kBool, "false", "print changes only"},
      {"no-headers", 0, Kind::kBool, "false", "no first line with the columns' names"},
      {"show-labels", 0, Kind::kBool, "false", "labels as the last column"},
      {"label-columns", 'L', Kind::kList, "", "labels to show as columns, a,b"},
      {"sort-by", 0, Kind::kText, "", "a JSONPath whose values order the list"},
      {"chunk-size", 0, Kind::kText, "500", "objects per request, 0 = all at once"},
      {"subresource", 0, Kind::kText, "", "get this subresource of what is named: status, scale"},
      {"ignore-not-found", 0, Kind::kBool, "false", "what is not there is no error"},
      {"raw", 0, Kind::kText, "", "print the server's answer to this path"}};
  return {"get", "Show one or many resources",
          "get (TYPE[,TYPE...] [NAME... | -l SELECTOR] | TYPE/NAME... | -f FILE)",
          flags + output_flags() + selector_flags() + file_flags(), run};
}

}  // namespace orch::ctl
