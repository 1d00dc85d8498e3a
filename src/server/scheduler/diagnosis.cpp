#include "server/scheduler/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "orch/base/strings.h"

namespace orch::server::scheduler {

void Diagnosis::refuse(const NodeInfo& node, Status status) {
  // Neighbours refuse for the same reason more often than not.
  if (kept_.empty() || kept_.back().code != status.code || kept_.back().plugin != status.plugin ||
      kept_.back().reasons != status.reasons) {
    kept_.push_back(std::move(status));
  }
  refuse(node.slot, &kept_.back());
}

void Diagnosis::refuse(uint32_t slot, const Status* status) {
  if (by_slot_.size() <= slot) by_slot_.resize(std::max<size_t>(all_nodes, slot + size_t{1}));
  if (!by_slot_[slot]) ++refused_;
  by_slot_[slot] = status;
  if (status == last_) return;
  last_ = status;
  if (!status->plugin.empty()) plugins.insert(std::string(status->plugin));
}

const Status* Diagnosis::of(uint32_t slot) const {
  const Status* own = slot < by_slot_.size() ? by_slot_[slot] : nullptr;
  if (own) return own;
  return absent ? &*absent : nullptr;
}

std::string Diagnosis::message() const {
  std::string out = fmt::format("0/{} nodes are available:", all_nodes);
  if (!pre_filter_message.empty()) {
    out += " " + pre_filter_message + ".";
  } else {
    std::unordered_map<const Status*, size_t> nodes;
    for (size_t i = 0; i < by_slot_.size();) {
      size_t end = i + 1;  // of a run of the same
      while (end < by_slot_.size() && by_slot_[end] == by_slot_[i]) ++end;
      if (by_slot_[i]) nodes[by_slot_[i]] += end - i;
      i = end;
    }
    std::map<std::string, size_t> counts;
    for (const auto& [status, count] : nodes) {
      for (const auto& reason : status->reasons) counts[reason] += count;
    }
    if (absent && refused_ < all_nodes) {
      for (const auto& reason : absent->reasons) counts[reason] += all_nodes - refused_;
    }
    std::vector<std::string> parts;
    for (const auto& [reason, count] : counts) parts.push_back(fmt::format("{} {}", count, reason));
    std::sort(parts.begin(), parts.end());
    if (!parts.empty()) out += " " + join(parts, ", ") + ".";
  }
  if (!post_filter_message.empty()) out += " " + post_filter_message;
  return out;
}

}  // namespace orch::server::scheduler
