// Node IPAM: every node gets a /24 of the cluster CIDR for its pods.
#include <fmt/format.h>

#include <functional>
#include <map>
#include <set>

#include "orch/api/corev1.h"
#include "server/controllers/cidr.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;

constexpr int kNodeBits = 24;

constexpr const char* kByBlock = "pod-cidr";

// The first free block from the `from`th on, then from the first; nullopt when all are taken.
// `from` becomes the place of the one found. Pure.
std::optional<std::string> next_block(const Cidr& cluster, uint32_t& from,
                                      const std::function<bool(const std::string&)>& taken) {
  const uint32_t size = uint32_t{1} << (32 - kNodeBits);
  const uint32_t blocks = uint32_t{1} << (kNodeBits - cluster.bits);
  for (uint32_t i = 0; i < blocks; ++i) {
    const uint32_t at = (from + i) % blocks;
    std::string block = fmt::format("{}/{}", cluster.address(at * size), kNodeBits);
    if (taken(block)) continue;
    from = at;
    return block;
  }
  return std::nullopt;
}

class NodeIpamReconciler final : public client::Reconciler {
 public:
  NodeIpamReconciler(client::ControllerContext& context, Cidr cluster)
      : context_(context), cluster_(cluster), nodes_(context.informers.lister<Node>()) {
    context.informers.get<Node>().add_index(kByBlock, [](const Object& object) {
      const auto& block = static_cast<const Node&>(object).spec.podCIDR;
      return block.empty() ? std::vector<std::string>{} : std::vector<std::string>{block};
    });
  }

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    auto node = nodes_.get("", key.name);
    if (!node) from_ = 0;  // its block may be free
    if (!node || !node->spec.podCIDR.empty()) return client::done();
    // The cache may not show yet what was given out a moment ago. A node that is gone, or has come
    // back as another, holds nothing.
    std::erase_if(given_, [this](const auto& entry) {
      auto known = nodes_.get("", entry.first);
      return !known || known->metadata.uid != entry.second.uid ||
             known->spec.podCIDR == entry.second.block;
    });
    if (given_.count(key.name) != 0) return client::done();
    std::set<std::string_view> given;
    for (const auto& [name, one] : given_) given.insert(one.block);
    auto block = next_block(cluster_, from_, [&](const std::string& candidate) {
      return given.contains(candidate) || !nodes_.by_index(kByBlock, candidate).empty();
    });
    if (!block) {
      context_.events.record(client::subject_of(*node), "Normal", "CIDRNotAvailable",
                             fmt::format("Node {} status is now: CIDRNotAvailable", key.name));
      return Err(client::ReconcileError("no block of the cluster CIDR is left"));
    }
    auto patched = context_.client.patch<Node>(
        "", key.name, PatchType::kMerge,
        fmt::format(R"({{"spec":{{"podCIDR":"{0}","podCIDRs":["{0}"]}}}})", *block));
    if (!patched) {
      if (patched.error().is("NotFound")) return client::done();
      return Err(client::ReconcileError(patched.error()));
    }
    given_[key.name] = {node->metadata.uid, *block};
    return client::done();
  }

 private:
  client::ControllerContext context_;
  Cidr cluster_;
  client::Lister<Node> nodes_;
  struct Given {
    std::string uid, block;
  };
  // One strand, no lock.
  std::map<std::string, Given> given_;  // by node name
  uint32_t from_ = 0;                   // blocks before it were taken when last looked at
};

}  // namespace

client::ControllerSpec node_ipam_controller(client::ControllerContext&,
                                            const ControllersConfig& config) {
  const Cidr cluster = Cidr::parse(config.cluster_cidr).value_or(Cidr{});
  return {.name = "node-ipam-controller",
          .watches = {client::primary<Node>()},
          .strands = 1,
          .make = [cluster](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<NodeIpamReconciler>(c, cluster);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
