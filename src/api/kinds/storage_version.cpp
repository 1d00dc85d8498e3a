#include "orch/api/storage_version.h"

#include <iterator>

#include "api/kinds/autoscaling/horizontal_pod_autoscaler.h"
#include "api/kinds/other/event.h"

namespace orch::api {

const StorageVersion* storage_version(const ResourceInfo& resource) {
  static const struct {
    const TypeInfo* type;
    StorageVersion version;
  } kOthers[] = {
      {&eventsv1::Event::type_info(),
       {&resource_of<corev1::Event>(), event_to_core, event_from_core}},
      {&autoscalingv1::HorizontalPodAutoscaler::type_info(),
       {&resource_of<autoscalingv2::HorizontalPodAutoscaler>(), autoscaler_to_v2,
        autoscaler_to_v1}},
  };
  for (const auto& other : kOthers) {
    if (other.type == resource.type) return &other.version;
  }
  return nullptr;
}

}  // namespace orch::api
