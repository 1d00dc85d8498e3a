#include "server/scheduler/cluster_view.h"

#include <algorithm>

#include "orch/api/appsv1.h"

namespace orch::server::scheduler {
namespace {

namespace appsv1 = api::appsv1;

struct Kind {
  std::string_view group, kind;
};
constexpr Kind kKinds[] = {
    {"", "Namespace"},      {"", "Service"},         {"", "ReplicationController"},
    {"apps", "ReplicaSet"}, {"apps", "StatefulSet"}, {"policy", "PodDisruptionBudget"}};

const client::InformerBase* informer_of(client::InformerSet& informers, const Kind& kind) {
  const auto* resource = api::find_resource_by_kind(kind.group, "v1", kind.kind);
  return resource && resource->stored ? &informers.get(*resource) : nullptr;
}

bool selects(const api::Labels& selector, const api::Labels& labels) {
  return !selector.empty() && std::all_of(selector.begin(), selector.end(), [&](const auto& want) {
    auto at = labels.find(want.first);
    return at != labels.end() && at->second == want.second;
  });
}

struct Informers {
  const client::InformerBase *namespaces, *services, *controllers, *replica_sets, *stateful_sets;

  api::Labels service_selectors(const corev1::Pod& pod) const {
    api::Labels out;
    if (!services) return out;
    for (const auto& object : services->list(pod.metadata.namespace_)) {
      const auto& selector = static_cast<const corev1::Service&>(*object).spec.selector;
      if (!selects(selector, pod.metadata.labels)) continue;
      for (const auto& [key, value] : selector) out[key] = value;
    }
    return out;
  }

  api::LabelSelector select(const corev1::Pod& pod) const {
    api::Labels labels = service_selectors(pod);
    const auto& owners = pod.metadata.ownerReferences;
    auto owner = std::find_if(owners.begin(), owners.end(),
                              [](const auto& o) { return o.controller.value_or(false); });
    if (owner == owners.end()) return spread_selector(labels, nullptr);
    auto find = [&](const client::InformerBase* in) {
      return in ? in->get(pod.metadata.namespace_, owner->name) : nullptr;
    };
    if (owner->apiVersion == "v1" && owner->kind == "ReplicationController") {
      if (auto object = find(controllers)) {
        const auto& selector =
            static_cast<const corev1::ReplicationController&>(*object).spec.selector;
        labels.insert(selector.begin(), selector.end());
      }
    } else if (owner->apiVersion == "apps/v1" && owner->kind == "ReplicaSet") {
      if (auto object = find(replica_sets)) {
        return spread_selector(labels,
                               static_cast<const appsv1::ReplicaSet&>(*object).spec.selector.get());
      }
    } else if (owner->apiVersion == "apps/v1" && owner->kind == "StatefulSet") {
      if (auto object = find(stateful_sets)) {
        return spread_selector(
            labels, static_cast<const appsv1::StatefulSet&>(*object).spec.selector.get());
      }
    }
    return spread_selector(labels, nullptr);
  }
};

}  // namespace

std::vector<const api::ResourceInfo*> cluster_view_resources() {
  std::vector<const api::ResourceInfo*> out;
  for (const auto& kind : kKinds) {
    const auto* resource = api::find_resource_by_kind(kind.group, "v1", kind.kind);
    if (resource && resource->stored) out.push_back(resource);
  }
  for (const auto* resource : volume_view_resources()) out.push_back(resource);
  return out;
}

api::LabelSelector spread_selector(const api::Labels& service_selectors,
                                   const api::metav1::LabelSelector* owner_selector) {
  api::metav1::LabelSelector all;
  if (owner_selector) all = *owner_selector;
  for (const auto& [key, value] : service_selectors) {
    auto [at, fresh] = all.matchLabels.try_emplace(key, value);
    if (!fresh && at->second != value) return api::LabelSelector::nothing();
  }
  auto parsed = api::LabelSelector::from(all);
  return parsed ? std::move(parsed).value() : api::LabelSelector::everything();
}

ClusterView make_cluster_view(client::InformerSet& informers) {
  const Informers all{informer_of(informers, kKinds[0]), informer_of(informers, kKinds[1]),
                      informer_of(informers, kKinds[2]), informer_of(informers, kKinds[3]),
                      informer_of(informers, kKinds[4])};
  ClusterView view;
  view.namespace_labels = [all](const std::string& ns) -> api::Labels {
    const auto object = all.namespaces ? all.namespaces->get("", ns) : nullptr;
    return object ? object->metadata.labels : api::Labels{};
  };
  view.spread_selector = [all](const corev1::Pod& pod) { return all.select(pod); };
  if (const auto* budgets = informer_of(informers, kKinds[5])) {
    const client::Lister<api::policyv1::PodDisruptionBudget> lister(budgets);
    view.budgets = [lister] { return lister.list(); };
  }
  view.volumes = make_volume_view(informers);
  return view;
}

}  // namespace orch::server::scheduler
