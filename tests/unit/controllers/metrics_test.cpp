#include "orch/base/metrics.h"

#include "unit/controllers/cluster.h"

namespace orch::server::test {
namespace {

TEST_CASE("controllers: work queues tell depth, adds, waits, work and retries by name") {
  Cluster cluster;
  cluster.must_post(kDeployments, deployment("web", 1));
  cluster.settle();
  const std::string text = metrics::render();
  for (const char* series :
       {"workqueue_depth{name=\"deployment-controller\"} 0\n",
        "workqueue_adds_total{name=\"deployment-controller\"} ",
        "workqueue_retries_total{name=\"deployment-controller\"} ",
        "workqueue_queue_duration_seconds_count{name=\"deployment-controller\"} ",
        "workqueue_queue_duration_seconds_bucket{name=\"deployment-controller\",le=\"+Inf\"} ",
        "workqueue_work_duration_seconds_count{name=\"deployment-controller\"} "}) {
    INFO(series);
    CHECK(text.find(series) != std::string::npos);
  }
  const auto value = [&](const std::string& series) {
    const size_t at = text.find(series);
    return at == std::string::npos ? -1.0 : std::stod(text.substr(at + series.size()));
  };
  const double waits =
      value("workqueue_queue_duration_seconds_count{name=\"deployment-controller\"} ");
  CHECK(waits >= 1);
  CHECK(waits <= value("workqueue_work_duration_seconds_count{name=\"deployment-controller\"} "));
}

}  // namespace
}  // namespace orch::server::test
