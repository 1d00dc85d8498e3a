#include "orch/base/log.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

#include "orch/base/clock.h"

namespace orch::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};

std::string_view name_of(Level level) {
  switch (level) {
    case Level::kDebug: return "DEBUG";
    case Level::kInfo: return "INFO";
    case Level::kWarn: return "WARN";
    case Level::kError: return "ERROR";
    case Level::kOff: break;
  }
  return "";
}

}  // namespace

void set_level(Level level) { g_level.store(level, std::memory_order_relaxed); }

bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view component, std::string_view message) {
  const WallTime now = system_clock().now();
  const auto seconds = std::chrono::floor<Seconds>(now);
  std::string line =
      fmt::format("{:%FT%T}.{:03}Z {} {}: {}\n", fmt::gmtime(seconds.time_since_epoch().count()),
                  std::chrono::duration_cast<Millis>(now - seconds).count(), name_of(level),
                  component, message);
  // One write a line keeps lines whole; a lost log line is no reason to stop.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace orch::log
