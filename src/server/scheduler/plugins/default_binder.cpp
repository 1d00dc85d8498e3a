// DefaultBinder: POST pods/<name>/binding.
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

class DefaultBinder final : public Bind {
 public:
  explicit DefaultBinder(const client::Client& client) : client_(client) {}
  std::string_view name() const override { return "DefaultBinder"; }
  Status bind(CycleState&, const PodInfo& pod, const std::string& node) override {
    auto binding = std::make_shared<corev1::Binding>();
    binding->metadata.name = pod.name();
    binding->metadata.namespace_ = pod.namespace_();
    binding->metadata.uid = pod.uid();
    binding->target.kind = "Node";
    binding->target.name = node;
    client::Request request;
    request.verb = "create";
    request.version = "v1";
    request.resource = "pods";
    request.subresource = "binding";
    request.namespace_ = pod.namespace_();
    request.name = pod.name();
    request.object = std::move(binding);
    auto answer = client_.raw().transport().call(request);
    if (!answer) return Status::error(answer.error().message);
    return Status::success();
  }

 private:
  const client::Client& client_;
};

}  // namespace

std::unique_ptr<Plugin> make_default_binder(const PluginContext& context) {
  return std::make_unique<DefaultBinder>(context.client);
}

}  // namespace orch::server::scheduler::plugins
