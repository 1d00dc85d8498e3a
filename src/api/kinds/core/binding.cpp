// core/v1 Binding, posted to a namespace: the older way to say where a Pod runs. Never stored.
#include "api/kinds/common.h"

namespace orch::api {

ResourceInfo bindings_resource() {
  return review_resource<corev1::Binding>("bindings", "binding", true);
}

}  // namespace orch::api
