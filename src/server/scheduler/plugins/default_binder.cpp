// DefaultBinder: POST pods/<name>/binding.
#include "orch/api/codec.h"
#include "server/scheduler/plugins/plugins.h"

namespace orch::server::scheduler::plugins {
namespace {

class DefaultBinder final : public Bind {
 public:
  explicit DefaultBinder(const client::Client& client) : client_(client) {}
  std::string_view name() const override { return "DefaultBinder"; }
  Status bind(CycleState&, const PodInfo& pod, const std::string& node) override {
    corev1::Binding binding;
    binding.metadata.name = pod.name();
    binding.metadata.namespace_ = pod.namespace_();
    binding.metadata.uid = pod.uid();
    binding.target.kind = "Node";
    binding.target.name = node;
    auto answer = client_.raw().post_subresource(api::resource_of<corev1::Pod>(), pod.namespace_(),
                                                 pod.name(), "binding", api::to_json(binding));
    if (!answer) return Status::error(answer.error().message);
    return Status::success();
  }

 private:
  const client::Client& client_;
};

}  // namespace

std::unique_ptr<Plugin> make_default_binder(const client::Client& client) {
  return std::make_unique<DefaultBinder>(client);
}

}  // namespace orch::server::scheduler::plugins
