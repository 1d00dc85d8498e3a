#include "agent/storage/local_path_agent.h"

#include <fmt/format.h>

#include "orch/api/volume_binding.h"
#include "orch/base/json_scan.h"
#include "orch/base/log.h"

namespace orch::agent {

using namespace api;
using corev1::Node;
using corev1::PersistentVolume;

namespace {

constexpr Seconds kRetry{2};

bool is_deleted_here(const PersistentVolume& volume, const std::string& node) {
  const auto& meta = volume.metadata;
  return meta.deletionTimestamp && has_finalizer(meta, kLocalPathFinalizer) &&
         volume.status.phase != "Bound" && annotation(meta, kLocalPathNode) == node &&
         annotation(meta, kProvisionedBy) == kLocalPathProvisioner;
}

}  // namespace

std::shared_ptr<LocalPathAgent> LocalPathAgent::create(Env& env, const client::Client& client,
                                                       client::InformerSet& informers,
                                                       std::string node_name,
                                                       std::string directory) {
  return std::shared_ptr<LocalPathAgent>(
      new LocalPathAgent(env, client, informers, std::move(node_name), std::move(directory)));
}

LocalPathAgent::LocalPathAgent(Env& env, const client::Client& client,
                               client::InformerSet& informers, std::string node_name,
                               std::string directory)
    : env_(env),
      client_(client),
      informers_(informers),
      volumes_(informers.lister<PersistentVolume>()),
      node_name_(std::move(node_name)),
      store_(std::move(directory)),
      timers_(env.executor.make_strand("local-path")) {}

void LocalPathAgent::start() {
  informers_.get<Node>().add_handler(
      [weak = weak_from_this()](const ObjectPtr&, const ObjectPtr& now) {
        if (auto self = weak.lock(); self && now) self->on_node(*now);
      });
  informers_.get<PersistentVolume>().add_handler(
      [weak = weak_from_this()](const ObjectPtr&, const ObjectPtr& now) {
        auto self = weak.lock();
        if (self && now) self->on_volume(std::static_pointer_cast<const PersistentVolume>(now));
      });
}

void LocalPathAgent::stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  // Removing a huge tree may outlast us: then this object stays for good.
  if (!pool_.stop(Millis{1000})) new std::shared_ptr<LocalPathAgent>(shared_from_this());
}

void LocalPathAgent::on_node(const Object& node) {
  if (node.metadata.name != node_name_ ||
      annotation(node.metadata, kLocalPathDirectory) == store_.root()) {
    return;
  }
  post("", [this] { return announce(); });
}

void LocalPathAgent::on_volume(const std::shared_ptr<const PersistentVolume>& volume) {
  if (!is_deleted_here(*volume, node_name_)) return;
  post(volume->metadata.name, [this, name = volume->metadata.name] { return remove(name); });
}

// Runs the task on the pool until it says that it is done.
void LocalPathAgent::post(const std::string& what, std::function<bool()> task) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_ || !pending_.insert(what).second) return;
  }
  pool_.post([weak = weak_from_this(), what, task = std::move(task)] {
    auto self = weak.lock();
    if (!self) return;
    const bool done = task();
    if (done) {
      std::lock_guard lock(self->mutex_);
      self->pending_.erase(what);
      return;
    }
    self->timers_->post_after(kRetry, [weak, what, task] {
      auto self = weak.lock();
      if (!self) return;
      {
        std::lock_guard lock(self->mutex_);
        self->pending_.erase(what);
      }
      self->post(what, task);
    });
  });
}

bool LocalPathAgent::announce() const {
  auto patched = client_.patch<Node>("", node_name_, PatchType::kMerge,
                                     fmt::format(R"({{"metadata":{{"annotations":{{"{}":{}}}}}}})",
                                                 kLocalPathDirectory, json_quote(store_.root())));
  if (!patched) log::debug("agent", "annotating the node: {}", patched.error().message);
  return patched || patched.error().is("NotFound");  // it is told anew when it registers
}

bool LocalPathAgent::remove(const std::string& name) const {
  auto volume = volumes_.get("", name);
  if (!volume || !is_deleted_here(*volume, node_name_)) return true;
  const bool keep = volume->spec.persistentVolumeReclaimPolicy != "Delete";
  if (!keep && volume->spec.local) {
    if (auto removed = store_.remove(volume->spec.local->path); !removed) {
      log::warn("agent", "volume {}: {}", name, removed.error().message);
      return false;
    }
    log::info("agent", "removed the data of volume {}", name);
  }
  PersistentVolume wanted = *volume;
  std::erase(wanted.metadata.finalizers, kLocalPathFinalizer);
  auto written = client_.update(wanted);
  if (written || written.error().is("NotFound")) return true;
  log::debug("agent", "finalizer of volume {}: {}", name, written.error().message);
  return false;
}

}  // namespace orch::agent
