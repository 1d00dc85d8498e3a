#include "orch/base/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace orch::metrics {
namespace {

void add_to(std::atomic<double>& value, double by) {
  double seen = value.load(std::memory_order_relaxed);
  while (!value.compare_exchange_weak(seen, seen + by, std::memory_order_relaxed)) {
  }
}

struct Family {
  std::string help;
  std::string_view type;
  std::map<std::string, std::unique_ptr<Counter>> counters;
  std::map<std::string, std::unique_ptr<Gauge>> gauges;
  std::map<std::string, std::unique_ptr<Histogram>> histograms;
};

struct Registry {
  std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;
};

Registry& registry() {
  static Registry* registry = new Registry;  // lives to the end: metrics are used until then
  return *registry;
}

Family& family(std::string_view name, std::string_view help, std::string_view type) {
  auto& families = registry().families;
  auto it = families.find(name);
  if (it == families.end()) {
    it = families.emplace(std::string(name), Family{std::string(help), type, {}, {}, {}}).first;
  }
  return it->second;
}

std::string braced(std::string_view labels) {
  return labels.empty() ? std::string() : fmt::format("{{{}}}", labels);
}

}  // namespace

void Counter::add(double by) { add_to(value_, by); }
double Counter::value() const { return value_.load(std::memory_order_relaxed); }
void Gauge::add(double by) { add_to(value_, by); }

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

void Histogram::observe(double value) {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[static_cast<size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  add_to(sum_, value);
  count_.fetch_add(1, std::memory_order_relaxed);
}

void Histogram::render(std::string& out, std::string_view name, std::string_view labels) const {
  const std::string separator = labels.empty() ? "" : ",";
  uint64_t below = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    below += counts_[i].load(std::memory_order_relaxed);
    fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels,
                   separator, bounds_[i], below);
  }
  const uint64_t count = count_.load(std::memory_order_relaxed);
  fmt::format_to(std::back_inserter(out), "{0}_bucket{{{1}{2}le=\"+Inf\"}} {3}\n", name, labels,
                 separator, count);
  fmt::format_to(std::back_inserter(out), "{0}_sum{1} {2}\n{0}_count{1} {3}\n", name,
                 braced(labels), sum_.load(std::memory_order_relaxed), count);
}

Counter& counter(std::string_view name, std::string_view help, std::string_view labels) {
  std::lock_guard lock(registry().mutex);
  auto& slot = family(name, help, "counter").counters[std::string(labels)];
  if (!slot) slot = std::make_unique<Counter>();
  return *slot;
}

Gauge& gauge(std::string_view name, std::string_view help, std::string_view labels) {
  std::lock_guard lock(registry().mutex);
  auto& slot = family(name, help, "gauge").gauges[std::string(labels)];
  if (!slot) slot = std::make_unique<Gauge>();
  return *slot;
}

Histogram& histogram(std::string_view name, std::string_view help, std::string_view labels,
                     std::vector<double> bounds) {
  if (bounds.empty()) {
    bounds = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  }
  std::lock_guard lock(registry().mutex);
  auto& slot = family(name, help, "histogram").histograms[std::string(labels)];
  if (!slot) slot = std::make_unique<Histogram>(std::move(bounds));
  return *slot;
}

std::string render() {
  std::string out;
  std::lock_guard lock(registry().mutex);
  for (const auto& [name, f] : registry().families) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, f.help,
                   f.type);
    for (const auto& [labels, c] : f.counters) {
      fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braced(labels), c->value());
    }
    for (const auto& [labels, g] : f.gauges) {
      fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braced(labels), g->value());
    }
    for (const auto& [labels, h] : f.histograms) h->render(out, name, labels);
  }
  return out;
}

}  // namespace orch::metrics
