// Watches that map Pods to the Services that select them; shared by the endpoint controllers.
#pragma once

#include "orch/client/reconciler.h"
#include "server/controllers/endpoint_slices.h"

namespace orch::server {

client::Watch watch_service_pods(client::ControllerContext& context);
// The pods that the Service's selector matches, by name.
std::vector<PodPtr> selected_pods(const api::corev1::Service& service,
                                  const client::Lister<api::corev1::Pod>& pods);

}  // namespace orch::server
