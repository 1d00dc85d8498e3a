#include "server/scheduler/class_cache.h"

#include <algorithm>
#include <functional>

#include "orch/api/codec.h"

namespace orch::server::scheduler {
namespace {

constexpr size_t kClassesMax = 32;
constexpr size_t kMetMax = 256;
// A class that makes up reasons for every node is begun anew rather than kept growing.
constexpr size_t kRefusalsMax = 256;
constexpr size_t kPrioritiesMax = 4;

void append(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

void append(std::string& out, int64_t number) {
  out += std::to_string(number);
  out += ';';
}

}  // namespace

const Status* PodClass::keep(Status status) {
  for (const Status& kept : refusals_) {
    if (kept.code == status.code && kept.plugin == status.plugin &&
        kept.reasons == status.reasons) {
      return &kept;
    }
  }
  return &refusals_.emplace_back(std::move(status));
}

PodClass::OfPriority& PodClass::of_priority(int32_t priority) {
  if (!of_priority_.contains(priority) && of_priority_.size() >= kPrioritiesMax) {
    of_priority_.clear();
  }
  OfPriority& out = of_priority_[priority];
  if (out.trials.size() < rows.size()) {
    out.nominated.resize(rows.size());
    out.trials.resize(rows.size());
  }
  return out;
}

std::string class_of(const PodInfo& pod) {
  const corev1::PodSpec& spec = pod.pod->spec;
  std::string out;
  out.reserve(256);
  const Resources& want = pod.requests;
  append(out, want.milli_cpu);
  append(out, want.memory_bytes);
  append(out, want.ephemeral_storage_bytes);
  append(out, pod.nonzero_milli_cpu);
  append(out, pod.nonzero_memory_bytes);
  for (const auto& [name, amount] : want.scalar) {
    append(out, name);
    append(out, amount);
  }
  out += '#';
  for (const auto& port : pod.host_ports) {
    append(out, port.ip);
    append(out, port.protocol);
    append(out, port.port);
  }
  out += '#';
  append(out, spec.nodeName);
  for (const auto& [key, value] : spec.nodeSelector) {
    append(out, key);
    append(out, value);
  }
  out += '#';
  for (const auto& toleration : spec.tolerations) {
    append(out, toleration.key);
    append(out, toleration.operator_);
    append(out, toleration.value);
    append(out, toleration.effect);
  }
  if (spec.affinity && spec.affinity->nodeAffinity) {
    append(out, api::to_json(*spec.affinity->nodeAffinity));
  }
  return out;
}

PodClass* ClassCache::find(const PodInfo& pod, size_t slots) {
  const std::string key = class_of(pod);
  auto at = classes_.find(key);
  if (at == classes_.end()) {
    const size_t hash = std::hash<std::string>{}(key);
    if (std::find(met_.begin(), met_.end(), hash) == met_.end()) {
      if (met_.size() < kMetMax) {
        met_.push_back(hash);
      } else {
        met_[next_met_++ % kMetMax] = hash;
      }
      return nullptr;
    }
    if (classes_.size() >= kClassesMax) {
      classes_.erase(std::min_element(
          classes_.begin(), classes_.end(),
          [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
    }
    at = classes_.try_emplace(key).first;
  }
  PodClass& found = at->second;
  if (found.refusals() > kRefusalsMax) found = {};
  found.used = ++uses_;
  if (found.rows.size() < slots) found.rows.resize(slots);
  return &found;
}

}  // namespace orch::server::scheduler
