// PrioritySort: the queue's order, priority first, then age. The order itself is Queue's; this
// gives it the name by which profiles must enable it.
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

class PrioritySort final : public QueueSort {
 public:
  std::string_view name() const override { return "PrioritySort"; }
  ClusterEvent::Mask interests() const override { return 0; }
};

}  // namespace

std::unique_ptr<Plugin> make_priority_sort(const PluginContext&) {
  return std::make_unique<PrioritySort>();
}

}  // namespace orch::server::scheduler::plugins
