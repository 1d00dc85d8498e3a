#include "ctl/printers/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
using Row = std::vector<std::string>;

constexpr size_t kPadding = 3;
constexpr size_t kWidthMin = 6;

// Characters, not bytes.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string to_upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

// A cell on one line, without what would drive a terminal.
std::string cell_text(const JsonValue& cell) {
  if (cell.is_null()) return "<none>";
  std::string out;
  for (const char c : cell.is_object() || cell.is_array() ? cell.dump_go() : cell.text()) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\x1b') {
      out += "^[";
    } else {
      out += c;
    }
  }
  return out;
}

std::string labels_text(const JsonValue& labels) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : labels.members()) parts.push_back(key + "=" + value.text());
  std::sort(parts.begin(), parts.end());
  return parts.empty() ? "<none>" : join(parts, ",");
}

}  // namespace

std::string ColumnWriter::lay_out(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    if (widths_.size() < row.size()) widths_.resize(row.size(), kWidthMin);
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      widths_[i] = std::max(widths_[i], width_of(row[i]) + kPadding);
    }
  }
  std::string out;
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths_[i] - width_of(row[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

std::vector<Row> table_rows(const JsonValue& table, const TableOptions& options) {
  std::vector<size_t> shown;
  Row headers;
  if (options.with_namespace) headers.push_back("NAMESPACE");
  const auto columns = table.get("columnDefinitions").items();
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].get("priority").number() != 0 && !options.wide) continue;
    shown.push_back(i);
    headers.push_back(to_upper(columns[i].get("name").text()));
  }
  for (const std::string& label : options.label_columns) {
    headers.push_back(to_upper(label.substr(label.rfind('/') + 1)));
  }
  if (options.show_labels) headers.push_back("LABELS");
  std::vector<Row> out;
  if (options.headers) out.push_back(std::move(headers));
  for (const JsonValue& row : table.get("rows").items()) {
    const auto cells = row.get("cells").items();
    const JsonValue metadata = row.at("object.metadata");
    Row line;
    if (options.with_namespace) line.push_back(metadata.get("namespace").text());
    for (const size_t i : shown) {
      std::string text = i < cells.size() ? cell_text(cells[i]) : "";
      if (i == 0 && !options.name_prefix.empty()) text = options.name_prefix + "/" + text;
      line.push_back(std::move(text));
    }
    const JsonValue labels = metadata.get("labels");
    for (const std::string& label : options.label_columns) line.push_back(labels.get(label).text());
    if (options.show_labels) line.push_back(labels_text(labels));
    out.push_back(std::move(line));
  }
  return out;
}

std::string human_duration(int64_t seconds) {
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  const int64_t minutes = seconds / 60, hours = seconds / 3600, days = hours / 24;
  auto two = [](int64_t big, char unit, int64_t small, char small_unit) {
    return small == 0 ? fmt::format("{}{}", big, unit)
                      : fmt::format("{}{}{}{}", big, unit, small, small_unit);
  };
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return fmt::format("{}m", minutes);
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return fmt::format("{}h", hours);
  if (days < 8) return two(days, 'd', hours % 24, 'h');
  if (days < 365 * 2) return fmt::format("{}d", days);
  if (days < 365 * 8) return two(days / 365, 'y', days % 365, 'd');
  return fmt::format("{}y", days / 365);
}

}  // namespace orch::ctl
