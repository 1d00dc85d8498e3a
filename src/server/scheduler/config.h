// What can be configured of the scheduler, as KubeSchedulerConfiguration says it
// (kubescheduler.config.k8s.io/v1). The defaults are upstream's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "server/scheduler/extenders.h"
#include "server/scheduler/framework.h"

namespace orch::server::scheduler {

struct ProfileConfig {
  std::string scheduler_name = "default-scheduler";
  int64_t percentage_of_nodes = 0;  // 0 = by the cluster's size
  PluginArgs args;
  bool default_points = true;  // `points` is not looked at
  PointLists points;
};

struct SchedulerConfig {
  std::vector<ProfileConfig> profiles{ProfileConfig{}};
  std::vector<ExtenderConfig> extenders;
  Micros pod_initial_backoff = Seconds{1}, pod_max_backoff = Seconds{10};
};

// Reads YAML or JSON, strictly. Error: all problems, a line each, every one with the field's path
// ("profiles[0].plugins.score.enabled[1].name: ...").
Result<SchedulerConfig, std::string> parse_scheduler_config(std::string_view text);
// The same of a file; "" = the defaults. Errors are one line that begins with the file's name.
Result<SchedulerConfig, std::string> load_scheduler_config(const std::string& file);

}  // namespace orch::server::scheduler
