#include <map>

#include "orch/api/corev1.h"
#include "orch/client/informer.h"

namespace orch::client {
namespace {

std::vector<std::string> controller_uid(const api::Object& object) {
  for (const auto& owner : object.metadata.ownerReferences) {
    if (owner.controller.value_or(false)) return {owner.uid};
  }
  return {};
}

std::vector<std::string> namespace_of_orphan(const api::Object& object) {
  if (!controller_uid(object).empty()) return {};
  return {object.metadata.namespace_};
}

std::vector<std::string> node_of(const api::Object& object) {
  const auto& node = static_cast<const api::corev1::Pod&>(object).spec.nodeName;
  if (node.empty()) return {};
  return {node};
}

}  // namespace

struct InformerSet::Impl {
  Env& env;
  Transport& transport;
  mutable std::mutex mutex;
  bool started = false;
  std::map<const api::ResourceInfo*, std::unique_ptr<InformerBase>> informers;
  std::vector<InformerBase*> in_order;  // of their making: where order shows, addresses must not
};

InformerSet::InformerSet(Env& env, Transport& transport)
    : impl_(new Impl{env, transport, {}, false, {}, {}}) {}
InformerSet::~InformerSet() { stop(); }

InformerBase& InformerSet::get(const api::ResourceInfo& resource) {
  std::lock_guard lock(impl_->mutex);
  auto& informer = impl_->informers[&resource];
  if (!informer) {
    informer = std::make_unique<InformerBase>(impl_->env, impl_->transport, resource);
    impl_->in_order.push_back(informer.get());
    informer->add_index("owner", controller_uid);
    if (resource.type == &api::corev1::Pod::type_info()) {
      informer->add_index("node", node_of);
      informer->add_index("orphan", namespace_of_orphan);
    }
    if (impl_->started) informer->start();
  }
  return *informer;
}

void InformerSet::start_all() {
  std::lock_guard lock(impl_->mutex);
  impl_->started = true;
  for (auto* informer : impl_->in_order) informer->start();
}

bool InformerSet::all_synced() const {
  std::lock_guard lock(impl_->mutex);
  for (const auto* informer : impl_->in_order) {
    if (!informer->synced()) return false;
  }
  return true;
}

void InformerSet::stop() {
  std::vector<InformerBase*> all;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->started = false;
    all = impl_->in_order;
  }
  // Unlocked: a handler that is waited for may call get().
  for (auto* informer : all) informer->stop();
}

}  // namespace orch::client
