// A pod as the scheduler sees it: the object, and what is computed of it once (requests, ports,
// affinity terms). Immutable; shared between cache, queue and snapshots; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/api/node_match.h"
#include "orch/api/selector.h"

namespace orch::server::scheduler {

namespace corev1 = api::corev1;

struct Resources {
  int64_t milli_cpu = 0;
  int64_t memory_bytes = 0;
  int64_t ephemeral_storage_bytes = 0;
  int64_t pods = 0;                       // of allocatable only
  std::map<std::string, int64_t> scalar;  // hugepages and extended resources

  void add(const Resources& other);
  void subtract(const Resources& other);
  void raise_to(const Resources& other);  // the larger of each
  bool capped() const;                    // a sum met the largest number: it cannot be undone
  bool operator==(const Resources&) const = default;
};
Resources resources_of(const std::map<std::string, api::Quantity>& list);

using api::HostPort;

// A term of pod (anti-)affinity, parsed.
struct AffinityTerm {
  std::set<std::string> namespaces;
  api::LabelSelector namespace_selector;
  api::LabelSelector selector;
  std::string topology_key;
  int32_t weight = 0;  // of preferred terms
  std::string id;      // all of the above as one text: equal ids, equal terms
  // Whether labels of namespaces decide.
  bool asks_namespaces() const { return !namespace_selector.requirements().empty(); }
};
// A text that is equal for equal selectors only.
std::string text_of(const api::LabelSelector& selector);

struct PodInfo {
  std::shared_ptr<const corev1::Pod> pod;
  Resources requests;
  // Requests for scoring: containers that ask for nothing count as 100m CPU and 200 MB.
  int64_t nonzero_milli_cpu = 0, nonzero_memory_bytes = 0;
  std::vector<HostPort> host_ports;
  std::vector<AffinityTerm> required_affinity, required_anti_affinity;
  std::vector<AffinityTerm> preferred_affinity, preferred_anti_affinity;
  int32_t priority = 0;
  // Where preemption makes room for it; what the scheduler knows goes before what status says.
  std::string nominated_node;

  const std::string& name() const { return pod->metadata.name; }
  const std::string& namespace_() const { return pod->metadata.namespace_; }
  const std::string& uid() const { return pod->metadata.uid; }
  const api::Labels& labels() const { return pod->metadata.labels; }
  bool has_affinity() const {
    return !required_affinity.empty() || !required_anti_affinity.empty() ||
           !preferred_affinity.empty() || !preferred_anti_affinity.empty();
  }
};
using PodInfoPtr = std::shared_ptr<const PodInfo>;
PodInfoPtr make_pod_info(std::shared_ptr<const corev1::Pod> pod);
PodInfoPtr with_nomination(const PodInfo& pod, std::string node);

bool is_terminal(const corev1::Pod& pod);  // Succeeded or Failed
// The pod's effective requests: containers, init containers, sidecars (KEP-753), what the pod as a
// whole asks for instead (KEP-2837), overhead. Sums stop at the largest number.
Resources pod_requests(const corev1::Pod& pod);
// A nullable selector of the API; null matches nothing, a malformed one too.
api::LabelSelector selector_of(const api::Ptr<api::metav1::LabelSelector>& selector);

using api::node_affinity_matches;
using api::node_selector_term_matches;
using api::tolerates;
// The first NoSchedule or NoExecute taint that is not tolerated, or null.
const corev1::Taint* untolerated_taint(const corev1::Pod& pod, const corev1::Node& node);

}  // namespace orch::server::scheduler
