#include "server/api/metrics_window.h"

#include <cstdlib>
#include <thread>

#include "orch/base/strings.h"

namespace orch::server {
namespace {

struct Line {
  std::string_view name;
  std::map<std::string, std::string, std::less<>> labels;
  double value = 0;
  int64_t time_ms = 0;
};

// `name{label="value",...} value time`.
std::optional<Line> parse_line(std::string_view text) {
  Line line;
  const size_t name_end = text.find_first_of("{ ");
  if (text.empty() || text[0] == '#' || name_end == std::string_view::npos) return std::nullopt;
  line.name = text.substr(0, name_end);
  size_t at = name_end;
  if (text[at] == '{') {
    for (++at; at < text.size() && text[at] != '}';) {
      const size_t equals = text.find("=\"", at);
      if (equals == std::string_view::npos) return std::nullopt;
      const std::string key(text.substr(at, equals - at));
      std::string value;
      for (at = equals + 2; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size()) ++at;
        value += text[at];
      }
      line.labels[key] = std::move(value);
      if (++at < text.size() && text[at] == ',') ++at;
    }
    if (at >= text.size()) return std::nullopt;
    ++at;
  }
  const auto rest = split(trim(text.substr(at)), ' ');
  if (rest.empty()) return std::nullopt;
  line.value = std::strtod(rest[0].c_str(), nullptr);
  if (rest.size() > 1) line.time_ms = parse_int(rest[1]).value_or(0);
  return line;
}

std::string label(const Line& line, std::string_view name) {
  const auto it = line.labels.find(name);
  return it == line.labels.end() ? "" : it->second;
}

}  // namespace

NodeSample parse_resource_metrics(std::string_view text) {
  NodeSample out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const auto line = parse_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line) continue;
    const bool cpu = line->name.ends_with("_cpu_usage_seconds_total");
    if (!cpu && !line->name.ends_with("_memory_working_set_bytes")) continue;
    UsageSample* sample = nullptr;
    if (line->name.starts_with("node_")) {
      sample = &out.node;
    } else if (line->name.starts_with("container_")) {
      const PodName pod{label(*line, "namespace"), label(*line, "pod")};
      sample = &out.pods[pod][label(*line, "container")];
    }
    if (sample == nullptr) continue;
    if (cpu) {
      sample->cpu_seconds = line->value;
      sample->time_ms = line->time_ms;
    } else {
      sample->memory_bytes = static_cast<uint64_t>(std::max(0.0, line->value));
    }
  }
  return out;
}

std::optional<Usage> usage_between(const UsageSample& before, const UsageSample& now) {
  if (before.time_ms <= 0 || now.time_ms <= before.time_ms) return std::nullopt;
  if (now.cpu_seconds < before.cpu_seconds) return std::nullopt;
  Usage usage;
  const int64_t took_ms = now.time_ms - before.time_ms;
  usage.cpu_nanocores = static_cast<int64_t>((now.cpu_seconds - before.cpu_seconds) * 1e12 /
                                             static_cast<double>(took_ms));
  usage.memory_bytes = static_cast<int64_t>(now.memory_bytes);
  usage.end = WallTime{Millis{now.time_ms}};
  usage.window = Millis{took_ms};
  return usage;
}

UsageWindow window_between(const ClusterSample& before, const ClusterSample& now) {
  UsageWindow out;
  for (const auto& [name, node] : now) {
    const auto earlier = before.find(name);
    if (earlier == before.end()) continue;
    if (auto usage = usage_between(earlier->second.node, node.node)) out.nodes[name] = *usage;
    for (const auto& [pod, containers] : node.pods) {
      const auto known = earlier->second.pods.find(pod);
      if (known == earlier->second.pods.end()) continue;
      std::map<std::string, Usage> usages;
      for (const auto& [container, sample] : containers) {
        const auto first = known->second.find(container);
        if (first == known->second.end()) break;
        const auto usage = usage_between(first->second, sample);
        if (!usage) break;
        usages[container] = *usage;
      }
      if (usages.size() == containers.size()) out.pods[pod] = std::move(usages);
    }
  }
  return out;
}

std::shared_ptr<const UsageWindow> MetricsWindow::get() {
  std::lock_guard lock(mutex_);
  const MonoTime now = clock_.mono();
  if (window_ && now - taken_at_ < kFresh) return window_;
  auto sample = std::make_shared<const ClusterSample>(fetch_());
  if (!last_ || now - taken_at_ > kUsable) {
    last_ = std::move(sample);
    std::this_thread::sleep_for(first_);
    sample = std::make_shared<const ClusterSample>(fetch_());
  }
  window_ = std::make_shared<const UsageWindow>(window_between(*last_, *sample));
  last_ = std::move(sample);
  taken_at_ = clock_.mono();
  return window_;
}

}  // namespace orch::server
