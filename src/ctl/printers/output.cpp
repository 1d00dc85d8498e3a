#include "ctl/printers/output.h"

#include <fmt/format.h>

#include <cstdio>

#include "ctl/printers/table.h"
#include "orch/api/codec.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

JsonValue without_managed_fields(JsonValue object) {
  if (object.get("items").is_array()) {
    JsonValue items = JsonValue::array();
    for (JsonValue& item : object.get("items").items()) {
      items.push_back(without_managed_fields(std::move(item)));
    }
    object.set("items", std::move(items));
  }
  JsonValue metadata = object.get("metadata");
  if (metadata.has("managedFields")) {
    metadata.erase("managedFields");
    object.set("metadata", std::move(metadata));
  }
  return object;
}

Outcome<JsonPath> parse_path(std::string_view text, bool relaxed) {
  auto path = JsonPath::parse(text, relaxed);
  if (!path) return Err(error(path.error()));
  return std::move(*path);
}

}  // namespace

Outcome<Output> Output::of(const Flags& flags) {
  Output out;
  out.managed_fields_ = flags.on("show-managed-fields");
  const std::string given = flags.text("output");
  const size_t equals = given.find('=');
  const std::string format = given.substr(0, equals);
  std::string value = equals == std::string::npos ? "" : given.substr(equals + 1);
  const bool from_file = format.ends_with("-file");
  if (from_file) {
    auto content = read_file(value);
    if (!content) return Err(error(content.error()));
    value = std::string(trim(*content));
  }
  if (given.empty()) return out;
  if (given == "wide") {
    out.kind_ = Kind::kWide;
  } else if (given == "json") {
    out.kind_ = Kind::kJson;
  } else if (given == "yaml") {
    out.kind_ = Kind::kYaml;
  } else if (given == "name") {
    out.kind_ = Kind::kName;
  } else if (format == "jsonpath" || format == "jsonpath-file" || format == "jsonpath-as-json") {
    if (value.empty()) return Err(error("template format specified but no template given"));
    out.kind_ = Kind::kJsonPath;
    ORCH_TRY(JsonPath path, parse_path(value, true));
    out.paths_.push_back(std::move(path));
  } else if (format == "custom-columns") {
    if (value.empty()) {
      return Err(error("custom-columns format specified but no custom columns given"));
    }
    out.kind_ = Kind::kCustomColumns;
    for (const std::string& column : split(value, ',')) {
      const size_t colon = column.find(':');
      if (colon == std::string::npos) {
        return Err(
            error(fmt::format("unexpected custom-columns spec: {}, expected "
                              "<header>:<json-path-expr>",
                              column)));
      }
      out.headers_.push_back(column.substr(0, colon));
      ORCH_TRY(JsonPath path, parse_path(column.substr(colon + 1), true));
      out.paths_.push_back(std::move(path));
    }
  } else {
    return Err(error(fmt::format(
        "unable to match a printer suitable for the output format \"{}\", allowed formats are: "
        "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,"
        "jsonpath-as-json,jsonpath-file,name,template,templatefile,wide,yaml",
        given)));
  }
  return out;
}

std::string Output::object_text(JsonValue object) const {
  if (!managed_fields_) object = without_managed_fields(std::move(object));
  switch (kind_) {
    case Kind::kJson:
      return (keeps_order_ ? object.dump(4) : object.dump_go(4)) + "\n";
    case Kind::kYaml:
      return api::json_to_yaml(object.dump_go());
    case Kind::kJsonPath:
      return paths_[0].print(object);
    case Kind::kCustomColumns:
      return ColumnWriter().lay_out(column_rows({object}, true));
    default:
      return "";
  }
}

std::vector<std::vector<std::string>> Output::column_rows(const std::vector<JsonValue>& objects,
                                                          bool headers) const {
  std::vector<std::vector<std::string>> rows;
  if (headers) rows.push_back(headers_);
  for (const JsonValue& object : objects) {
    std::vector<std::string> row;
    for (const JsonPath& path : paths_) {
      std::vector<std::string> texts;
      for (const JsonValue& found : path.find(object)) {
        texts.push_back(found.is_null()                         ? "<nil>"
                        : found.is_object() || found.is_array() ? found.dump_go()
                                                                : found.text());
      }
      row.push_back(texts.empty() ? "<none>" : join(texts, ","));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

void Output::print_done(const Target& target, std::string_view done,
                        const JsonValue& object) const {
  if (kind_ == Kind::kName) {
    fmt::print("{}\n", target.label());
  } else if (prints_objects()) {
    const std::string text = object_text(object);
    if (printed_ && kind_ == Kind::kYaml) fmt::print("---\n");
    printed_ = true;
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    fmt::print("{} {}\n", target.label(), done);
  }
}

}  // namespace orch::ctl
