// Whether a pod may be on a node, as far as node selectors, taints and host ports say: what
// scheduler, controllers and agent decide alike. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orch/api/corev1.h"

namespace orch::api {

// Every requirement of the term; an empty term matches nothing.
bool node_selector_term_matches(const corev1::NodeSelectorTerm& term, const corev1::Node& node);
// nodeSelector and required node affinity.
bool node_affinity_matches(const corev1::Pod& pod, const corev1::Node& node);
// True if the toleration, or one of the list, covers the taint (an empty key or effect covers any).
bool tolerates(const corev1::Toleration& toleration, const corev1::Taint& taint);
bool tolerates(const std::vector<corev1::Toleration>& tolerations, const corev1::Taint& taint);

struct HostPort {
  std::string ip;        // "0.0.0.0" = every address
  std::string protocol;  // TCP when unset
  int32_t port = 0;
  auto operator<=>(const HostPort&) const = default;
  bool conflicts(const HostPort& other) const;
};
// Of containers and sidecars.
std::vector<HostPort> host_ports_of(const corev1::PodSpec& spec);

}  // namespace orch::api
