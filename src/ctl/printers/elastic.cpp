#include "ctl/printers/elastic.h"

#include <algorithm>
#include <vector>

namespace orch::ctl {
namespace {

constexpr size_t kPadding = 2;

size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// Cells as they stand between tabs; the last one of a line belongs to no column.
using Lines = std::vector<std::vector<std::string_view>>;

Lines cells_of(std::string_view text) {
  Lines lines{{}};
  size_t from = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != '\t' && text[i] != '\n') continue;
    lines.back().push_back(text.substr(from, i - from));
    from = i + 1;
    if (i < text.size() && text[i] == '\n') lines.emplace_back();
  }
  if (text.empty() || text.back() == '\n') lines.pop_back();
  return lines;
}

// widths[line][column]: a column's block is a run of lines that have a cell in it.
std::vector<std::vector<size_t>> widths_of(const Lines& lines) {
  std::vector<std::vector<size_t>> widths(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) widths[i].resize(lines[i].size() - 1);
  size_t columns = 0;
  for (const auto& line : lines) columns = std::max(columns, line.size() - 1);
  for (size_t column = 0; column < columns; ++column) {
    for (size_t from = 0; from < lines.size();) {
      size_t to = from, width = 0;
      for (; to < lines.size() && column < widths[to].size(); ++to) {
        width = std::max(width, width_of(lines[to][column]) + kPadding);
      }
      for (size_t i = from; i < to; ++i) widths[i][column] = width;
      from = std::max(to, from + 1);
    }
  }
  return widths;
}

}  // namespace

std::string elastic(std::string_view text) {
  const Lines lines = cells_of(text);
  const auto widths = widths_of(lines);
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t column = 0; column < lines[i].size(); ++column) {
      out += lines[i][column];
      if (column < widths[i].size()) {
        out.append(widths[i][column] - width_of(lines[i][column]), ' ');
      }
    }
    out += '\n';
  }
  return out;
}

}  // namespace orch::ctl
