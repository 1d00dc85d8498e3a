// ClusterView over informer caches.
#pragma once

#include "orch/client/informer.h"
#include "server/scheduler/snapshot.h"

namespace orch::server::scheduler {

// Makes (and so starts) the informers it reads: namespaces, services and the owners of pods.
ClusterView make_cluster_view(client::InformerSet& informers);
// The resources make_cluster_view reads, as far as the API has them.
std::vector<const api::ResourceInfo*> cluster_view_resources();

// What selects the pods of the same Services and owner; empty() = nothing does.
api::LabelSelector spread_selector(const api::Labels& service_selectors,
                                   const api::metav1::LabelSelector* owner_selector);

}  // namespace orch::server::scheduler
