// Cells and columns that many kinds' tables share.
#include <fmt/format.h>

#include "api/kinds/common.h"
#include "orch/api/selector.h"

namespace orch::api {

Column column(std::string_view name, std::string_view type, std::string_view description,
              int priority) {
  return {
      .name = name, .type = type, .format = "", .description = description, .priority = priority};
}
Column name_column() {
  return {.name = "Name",
          .type = "string",
          .format = "name",
          .description = "The object's name, unique in its namespace."};
}
Column age_column() { return column("Age", "string", "How long ago the object was created."); }

Cell text(std::string value) { return {std::move(value), false}; }
Cell number(int64_t value) { return {std::to_string(value), true}; }
Cell name_cell(const Object& object) { return text(object.metadata.name); }

std::string human_duration(Seconds duration) {
  const int64_t seconds = duration.count();
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 60 * 2) return fmt::format("{}s", seconds);
  const int64_t minutes = seconds / 60;
  if (minutes < 10) {
    const int64_t s = seconds % 60;
    return s == 0 ? fmt::format("{}m", minutes) : fmt::format("{}m{}s", minutes, s);
  }
  if (minutes < 60 * 3) return fmt::format("{}m", minutes);
  const int64_t hours = minutes / 60;
  if (hours < 8) {
    const int64_t m = minutes % 60;
    return m == 0 ? fmt::format("{}h", hours) : fmt::format("{}h{}m", hours, m);
  }
  if (hours < 48) return fmt::format("{}h", hours);
  if (hours < 24 * 8) {
    const int64_t h = hours % 24;
    return h == 0 ? fmt::format("{}d", hours / 24) : fmt::format("{}d{}h", hours / 24, h);
  }
  if (hours < 24 * 365 * 2) return fmt::format("{}d", hours / 24);
  if (hours < 24 * 365 * 8) {
    const int64_t days = hours / 24 % 365;
    const int64_t years = hours / 24 / 365;
    return days == 0 ? fmt::format("{}y", years) : fmt::format("{}y{}d", years, days);
  }
  return fmt::format("{}y", hours / 24 / 365);
}

std::string age_of(const Time& since, WallTime now) {
  if (!since) return "<unknown>";
  return human_duration(std::chrono::floor<Seconds>(now - since.wall()));
}
Cell age_cell(const Object& object, WallTime now) {
  return text(age_of(object.metadata.creationTimestamp, now));
}

std::string labels_text(const std::map<std::string, std::string>& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  }
  return out.empty() ? "<none>" : out;
}

std::string selector_text(const metav1::LabelSelector& selector) {
  auto parsed = LabelSelector::from(selector);
  if (!parsed) return "<error>";
  const std::string shown = parsed->str();
  return shown.empty() ? "<none>" : shown;
}

Cell containers_cell(const corev1::PodSpec& spec) {
  std::string out;
  for (const auto& c : spec.containers) out += (out.empty() ? "" : ",") + c.name;
  return text(out);
}
Cell images_cell(const corev1::PodSpec& spec) {
  std::string out;
  for (const auto& c : spec.containers) out += (out.empty() ? "" : ",") + c.image;
  return text(out);
}

}  // namespace orch::api
