#include "server/scheduler/pod_info.h"

#include <algorithm>
#include <limits>

#include "orch/base/strings.h"

namespace orch::server::scheduler {
namespace {

constexpr int64_t kDefaultMilliCpu = 100;
constexpr int64_t kDefaultMemoryBytes = 200 * 1024 * 1024;

int64_t capped_sum(int64_t a, int64_t b) {
  int64_t out = 0;
  if (!__builtin_add_overflow(a, b, &out)) return out;
  return a > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

// Folds the requests of all containers as the kubelet runs them (KEP-753): `of` gives one's own.
template <class T, class Of, class Add, class Raise>
T fold_containers(const corev1::PodSpec& spec, Of of, Add add, Raise raise) {
  T running{}, sidecars{}, init_peak{};
  for (const auto& container : spec.containers) add(running, of(container));
  for (const auto& container : spec.initContainers) {
    T need = of(container);
    if (container.restartPolicy == "Always") {
      add(running, need);
      add(sidecars, need);
      need = sidecars;
    } else {
      add(need, sidecars);
    }
    raise(init_peak, need);
  }
  raise(running, init_peak);
  return running;
}

int64_t nonzero_request(const corev1::PodSpec& spec, const char* resource, bool milli,
                        int64_t fallback) {
  auto amount = [&](const std::map<std::string, api::Quantity>& list) -> std::optional<int64_t> {
    auto at = list.find(resource);
    if (at == list.end()) return std::nullopt;
    return milli ? at->second.milli() : at->second.value();
  };
  int64_t total = fold_containers<int64_t>(
      spec,
      [&](const corev1::Container& c) { return amount(c.resources.requests).value_or(fallback); },
      [](int64_t& to, int64_t by) { to = capped_sum(to, by); },
      [](int64_t& to, int64_t other) { to = std::max(to, other); });
  if (spec.resources) total = amount(spec.resources->requests).value_or(total);
  return capped_sum(total, amount(spec.overhead).value_or(0));
}

std::string id_of(const AffinityTerm& term) {
  std::string out = term.topology_key + '|' + std::to_string(term.weight) + '|';
  for (const auto& ns : term.namespaces) out += ns + ',';
  return out + '|' + text_of(term.namespace_selector) + '|' + text_of(term.selector);
}

AffinityTerm make_term(const corev1::PodAffinityTerm& term, const corev1::Pod& pod,
                       int32_t weight) {
  AffinityTerm out;
  out.weight = weight;
  out.topology_key = term.topologyKey;
  out.namespace_selector = selector_of(term.namespaceSelector);
  out.namespaces.insert(term.namespaces.begin(), term.namespaces.end());
  if (term.namespaces.empty() && !term.namespaceSelector) {
    out.namespaces.insert(pod.metadata.namespace_);
  }
  if (!term.labelSelector) {
    out.selector = api::LabelSelector::nothing();
    out.id = id_of(out);
    return out;
  }
  // The API server merges (mis)matchLabelKeys into the selector; done again it changes nothing.
  api::Ptr<api::metav1::LabelSelector> selector = term.labelSelector;
  auto require = [&](const std::string& key, const char* op) {
    auto at = pod.metadata.labels.find(key);
    if (at == pod.metadata.labels.end()) return;
    auto& requirement = selector->matchExpressions.emplace_back();
    requirement.key = key;
    requirement.operator_ = op;
    requirement.values = {at->second};
  };
  for (const auto& key : term.matchLabelKeys) require(key, "In");
  for (const auto& key : term.mismatchLabelKeys) require(key, "NotIn");
  out.selector = selector_of(selector);
  out.id = id_of(out);
  return out;
}

template <class Affinity>
void parse_affinity(const api::Ptr<Affinity>& affinity, const corev1::Pod& pod,
                    std::vector<AffinityTerm>& required, std::vector<AffinityTerm>& preferred) {
  if (!affinity) return;
  for (const auto& term : affinity->requiredDuringSchedulingIgnoredDuringExecution) {
    required.push_back(make_term(term, pod, 0));
  }
  for (const auto& term : affinity->preferredDuringSchedulingIgnoredDuringExecution) {
    preferred.push_back(make_term(term.podAffinityTerm, pod, term.weight));
  }
}

}  // namespace

void Resources::add(const Resources& other) {
  milli_cpu = capped_sum(milli_cpu, other.milli_cpu);
  memory_bytes = capped_sum(memory_bytes, other.memory_bytes);
  ephemeral_storage_bytes = capped_sum(ephemeral_storage_bytes, other.ephemeral_storage_bytes);
  for (const auto& [name, amount] : other.scalar) scalar[name] = capped_sum(scalar[name], amount);
}

void Resources::subtract(const Resources& other) {
  milli_cpu = capped_sum(milli_cpu, -other.milli_cpu);
  memory_bytes = capped_sum(memory_bytes, -other.memory_bytes);
  ephemeral_storage_bytes = capped_sum(ephemeral_storage_bytes, -other.ephemeral_storage_bytes);
  for (const auto& [name, amount] : other.scalar) scalar[name] = capped_sum(scalar[name], -amount);
}

bool Resources::capped() const {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  return milli_cpu == kMax || memory_bytes == kMax || ephemeral_storage_bytes == kMax ||
         std::any_of(scalar.begin(), scalar.end(),
                     [](const auto& entry) { return entry.second == kMax; });
}

void Resources::raise_to(const Resources& other) {
  milli_cpu = std::max(milli_cpu, other.milli_cpu);
  memory_bytes = std::max(memory_bytes, other.memory_bytes);
  ephemeral_storage_bytes = std::max(ephemeral_storage_bytes, other.ephemeral_storage_bytes);
  for (const auto& [name, amount] : other.scalar) scalar[name] = std::max(scalar[name], amount);
}

Resources resources_of(const std::map<std::string, api::Quantity>& list) {
  Resources out;
  for (const auto& [name, quantity] : list) {
    if (name == "cpu") {
      out.milli_cpu = quantity.milli();
    } else if (name == "memory") {
      out.memory_bytes = quantity.value();
    } else if (name == "ephemeral-storage") {
      out.ephemeral_storage_bytes = quantity.value();
    } else if (name == "pods") {
      out.pods = quantity.value();
    } else {
      out.scalar[name] = quantity.value();
    }
  }
  return out;
}

Resources pod_requests(const corev1::Pod& pod) {
  Resources out = fold_containers<Resources>(
      pod.spec, [](const corev1::Container& c) { return resources_of(c.resources.requests); },
      [](Resources& to, const Resources& by) { to.add(by); },
      [](Resources& to, const Resources& other) { to.raise_to(other); });
  if (pod.spec.resources) {
    const auto& whole = pod.spec.resources->requests;
    if (auto at = whole.find("cpu"); at != whole.end()) out.milli_cpu = at->second.milli();
    if (auto at = whole.find("memory"); at != whole.end()) out.memory_bytes = at->second.value();
  }
  out.add(resources_of(pod.spec.overhead));
  return out;
}

api::LabelSelector selector_of(const api::Ptr<api::metav1::LabelSelector>& selector) {
  if (!selector) return api::LabelSelector::nothing();
  auto parsed = api::LabelSelector::from(*selector);
  return parsed ? std::move(parsed).value() : api::LabelSelector::nothing();
}

std::string text_of(const api::LabelSelector& selector) {
  if (selector.empty()) return "*";
  return selector.requirements().empty() ? "-" : selector.str();
}

PodInfoPtr make_pod_info(std::shared_ptr<const corev1::Pod> pod) {
  auto out = std::make_shared<PodInfo>();
  const corev1::PodSpec& spec = pod->spec;
  out->requests = pod_requests(*pod);
  out->nonzero_milli_cpu = nonzero_request(spec, "cpu", true, kDefaultMilliCpu);
  out->nonzero_memory_bytes = nonzero_request(spec, "memory", false, kDefaultMemoryBytes);
  out->priority = spec.priority.value_or(0);
  out->host_ports = api::host_ports_of(spec);
  if (spec.affinity) {
    parse_affinity(spec.affinity->podAffinity, *pod, out->required_affinity,
                   out->preferred_affinity);
    parse_affinity(spec.affinity->podAntiAffinity, *pod, out->required_anti_affinity,
                   out->preferred_anti_affinity);
  }
  out->nominated_node = pod->status.nominatedNodeName;
  out->pod = std::move(pod);
  return out;
}

PodInfoPtr with_nomination(const PodInfo& pod, std::string node) {
  auto out = std::make_shared<PodInfo>(pod);
  out->nominated_node = std::move(node);
  return out;
}

bool is_terminal(const corev1::Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

const corev1::Taint* untolerated_taint(const corev1::Pod& pod, const corev1::Node& node) {
  for (const auto& taint : node.spec.taints) {
    if (taint.effect != "NoSchedule" && taint.effect != "NoExecute") continue;
    if (!tolerates(pod.spec.tolerations, taint)) return &taint;
  }
  return nullptr;
}

}  // namespace orch::server::scheduler
