// metav1.Table: what `kubectl get` shows, computed by the resource's own columns and rows.
#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/base/json_scan.h"
#include "server/api/encode.h"

namespace orch::server {
namespace {

constexpr api::Column kName{"Name", "string", "name", "Name must be unique within a namespace.", 0};
constexpr api::Column kAge{"Age", "date", "", "Time since the object was created.", 0};

std::vector<api::Column> columns_of(const api::ResourceInfo& resource) {
  if (!resource.columns.empty()) return resource.columns;
  return {kName, kAge};
}

// kubectl's short form of a duration (duration.HumanDuration).
std::string human_duration(int64_t seconds) {
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  const auto both = [](int64_t a, char au, int64_t b, char bu) {
    return b == 0 ? fmt::format("{}{}", a, au) : fmt::format("{}{}{}{}", a, au, b, bu);
  };
  const int64_t minutes = seconds / 60, hours = seconds / 3600, days = hours / 24;
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (minutes < 10) return both(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return fmt::format("{}m", minutes);
  if (hours < 8) return both(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return fmt::format("{}h", hours);
  if (hours < 192) return both(days, 'd', hours % 24, 'h');
  if (days < 365 * 2) return fmt::format("{}d", days);
  if (days < 365 * 8) return both(days / 365, 'y', days % 365, 'd');
  return fmt::format("{}y", days / 365);
}

void append_cells(std::string& out, const std::vector<api::Cell>& cells) {
  bool first = true;
  for (const api::Cell& cell : cells) {
    if (!first) out += ',';
    first = false;
    if (cell.is_number) {
      out += cell.text;
    } else {
      append_json_string(out, cell.text);
    }
  }
}

std::vector<api::Cell> cells_of(const Encoding& encoding, const api::ResourceInfo& resource,
                                const Stored& stored) {
  const size_t columns = columns_of(resource).size();
  auto object = Registry::decode(resource, stored);
  if (!object) {
    std::vector<api::Cell> cells(columns);
    cells.front().text = stored.string_at("metadata.name").value_or("");
    return cells;
  }
  if (resource.row != nullptr) return resource.row(**object, encoding.now);
  std::vector<api::Cell> cells(2);
  cells[0].text = (*object)->metadata.name;
  cells[1].text = table_age((*object)->metadata.creationTimestamp, encoding.now);
  return cells;
}

void append_columns(std::string& out, const api::ResourceInfo& resource) {
  out += '[';
  bool first = true;
  for (const api::Column& column : columns_of(resource)) {
    if (!first) out += ',';
    first = false;
    out += "{\"name\":" + json_quote(column.name) + ",\"type\":" + json_quote(column.type) +
           ",\"format\":" + json_quote(column.format) +
           ",\"description\":" + json_quote(column.description) +
           fmt::format(",\"priority\":{}}}", column.priority);
  }
  out += ']';
}

}  // namespace

std::string table_age(const api::Time& since, WallTime now) {
  if (!since) return "<unknown>";
  return human_duration(std::chrono::floor<Seconds>(now).time_since_epoch().count() -
                        since.unix_seconds);
}

std::string table_json(const Encoding& encoding, const api::ResourceInfo& resource,
                       const std::vector<Stored>& items, std::string_view list_meta,
                       bool with_columns) {
  std::string out = fmt::format(R"({{"kind":"Table","apiVersion":"{}","metadata":)",
                                encoding.form.meta_version());
  out += list_meta;
  out += ",\"columnDefinitions\":";
  if (with_columns) {
    append_columns(out, resource);
  } else {
    out += "null";
  }
  out += ",\"rows\":[";
  bool first = true;
  for (const Stored& item : items) {
    if (!first) out += ',';
    first = false;
    out += "{\"cells\":[";
    append_cells(out, cells_of(encoding, resource, item));
    out += "],\"object\":";
    switch (encoding.include) {
      case IncludeObject::kMetadata:
        out += partial_metadata_json(item, encoding.form);
        break;
      case IncludeObject::kObject:
        item.append_to(out);
        break;
      case IncludeObject::kNone:
        out += "null";
        break;
    }
    out += '}';
  }
  out += "]}";
  return out;
}

}  // namespace orch::server
