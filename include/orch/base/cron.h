// Cron schedules as CronJobs write them: five fields with ranges, lists, steps and names, the
// descriptors @hourly, @daily, ..., @every 1h30m, and an optional "TZ=Zone " before. Error texts
// are those clients know from Kubernetes (robfig/cron). Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "orch/base/result.h"
#include "orch/base/time_zone.h"

namespace orch {

class CronSchedule {
 public:
  // `zone` is what the fields are read in unless the text names its own.
  static Result<CronSchedule, std::string> parse(std::string_view text, const TimeZone& zone = {});

  // The first instant after this one; nullopt: none in the next five years ("0 0 31 2 *").
  std::optional<int64_t> next(int64_t after_unix_seconds) const;

 private:
  bool day_matches(uint32_t day, uint32_t weekday) const;

  // Bit n = value n is in the set.
  uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;
  // "*": the other day field alone decides.
  bool any_day_ = false, any_weekday_ = false;
  int64_t every_seconds_ = 0;  // @every; 0 = the fields
  TimeZone zone_;
};

}  // namespace orch
