// TTL: every node is told how long what it reads may be cached, the longer the more nodes there are
// (annotation node.alpha.kubernetes.io/ttl).
#include <fmt/format.h>

#include "server/controllers/node_lifecycle.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node;

constexpr const char* kTtl = "node.alpha.kubernetes.io/ttl";

class TtlReconciler final : public client::Reconciler {
 public:
  explicit TtlReconciler(client::ControllerContext& context)
      : context_(context),
        informer_(context.informers.get<Node>()),
        nodes_(context.informers.lister<Node>()) {}

  client::ReconcileResult reconcile(const ObjectKey& key) override {
    step_ = ttl_step(step_, informer_.size());
    auto node = nodes_.get("", key.name);
    if (!node) return client::done();
    const std::string wanted = std::to_string(ttl_seconds(step_));
    auto it = node->metadata.annotations.find(kTtl);
    if (it != node->metadata.annotations.end() && it->second == wanted) return client::done();
    auto written = context_.client.patch<Node>(
        "", key.name, PatchType::kMerge,
        fmt::format(R"({{"metadata":{{"annotations":{{"{}":"{}"}}}}}})", kTtl, wanted));
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

 private:
  client::ControllerContext context_;
  client::InformerBase& informer_;
  client::Lister<Node> nodes_;
  size_t step_ = 0;  // one strand, no lock
};

}  // namespace

client::ControllerSpec ttl_controller(client::ControllerContext&, const ControllersConfig&) {
  return {.name = "ttl-controller",
          .watches = {client::primary<Node>()},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<TtlReconciler>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
