// Cron schedules and time zone rules from any bytes: no crash, no endless search, and times that
// only grow.
#include "orch/base/cron.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto schedule = orch::CronSchedule::parse(text)) {
    int64_t at = 1'700'000'000;
    for (int i = 0; i < 3; ++i) {
      const auto next = schedule->next(at);
      if (!next) break;
      if (*next <= at) abort();
      at = *next;
    }
  }
  if (auto zone = orch::TimeZone::parse(text)) {
    for (const int64_t at : {int64_t{0}, int64_t{1'700'000'000}, int64_t{4'000'000'000}}) {
      zone->rfc3339(zone->from_local(at));
    }
  }
  if (auto rule = orch::ZoneRule::parse(text)) rule->offset_at(1'700'000'000);
  return 0;
}
