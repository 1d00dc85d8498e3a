#include "sim/report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>

namespace orch::sim {
namespace {

constexpr size_t kReasonsShown = 10;

long peak_mib() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return use.ru_maxrss / 1024;
}

// "12.5 of 80 cores requested (15.6%)"
std::string use(std::string_view resource, const api::Quantity& part, const api::Quantity& whole) {
  const bool memory = resource == "memory";
  const auto in_units = [memory](const api::Quantity& q) {
    return memory ? static_cast<double>(q.value()) / (1 << 30)
                  : static_cast<double>(q.milli()) / 1000;
  };
  const double wanted = in_units(part), there = in_units(whole);
  const std::string share =
      there > 0 ? fmt::format("{:.1f}%", 100 * wanted / there) : std::string("-");
  return fmt::format("{:.1f} of {:.1f} {} requested ({})", wanted, there, memory ? "GiB" : "cores",
                     share);
}

}  // namespace

double Samples::quantile(double q) {
  if (values_.empty()) return 0;
  if (!sorted_) std::sort(values_.begin(), values_.end());
  sorted_ = true;
  const auto last = static_cast<double>(values_.size() - 1);
  return values_[static_cast<size_t>(std::lround(q * last))];
}

std::string Report::text() {
  std::string out = "Placements\n";
  std::vector<size_t> counts;
  for (const auto& [node, count] : pods_of_node) counts.push_back(count);
  counts.resize(std::max(nodes, counts.size()), 0);
  std::sort(counts.begin(), counts.end());
  out += fmt::format("  nodes                  {}\n", nodes);
  out += fmt::format("  pods on nodes          {} ({} running, {} finished)\n", bound, running,
                     finished);
  if (!counts.empty()) {
    out += fmt::format("  pods a node            min {}, median {}, max {}; {} nodes empty\n",
                       counts.front(), counts[counts.size() / 2], counts.back(),
                       std::count(counts.begin(), counts.end(), 0u));
  }
  for (const auto& [resource, total] : allocatable) {
    const auto is = requested.find(resource);
    const api::Quantity wanted = is == requested.end() ? api::Quantity() : is->second;
    out += fmt::format("  {:<22} {}\n", resource, use(resource, wanted, total));
  }
  out += fmt::format("  pods without a node    {}\n", waiting);
  std::vector<std::pair<size_t, std::string>> by_count;
  for (const auto& [reason, count] : reasons) by_count.emplace_back(count, reason);
  std::sort(by_count.begin(), by_count.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (size_t i = 0; i < std::min(by_count.size(), kReasonsShown); ++i) {
    out += fmt::format("    {:>8}  {}\n", by_count[i].first, by_count[i].second);
  }
  if (by_count.size() > kReasonsShown) {
    out += fmt::format("    and {} further reasons\n", by_count.size() - kReasonsShown);
  }
  out += "\nLatencies                p50          p99\n";
  const auto line = [&](std::string_view name, Samples& samples) {
    out += fmt::format("  {:<20} {:>9.3f} ms {:>9.3f} ms\n", name, samples.quantile(0.5),
                       samples.quantile(0.99));
  };
  line("API call, virtual", call_virtual_ms);
  line("API call, real", call_real_ms);
  line("pod start, virtual", startup_virtual_ms);
  out += fmt::format(
      "\nCost\n  virtual time           {:.1f} s\n  real time              {:.1f} s ({:.1f} s of "
      "CPU)\n  API calls              {}\n  peak memory            {} MiB\n",
      virtual_seconds, real_seconds, cpu_seconds, calls, peak_mib());
  return out;
}

}  // namespace orch::sim
