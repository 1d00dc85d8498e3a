#include <fmt/format.h>

#include <future>

#include "agent/pod/manager.h"

namespace orch::agent {
namespace {

constexpr const char* kDefaultContainer = "kubectl.kubernetes.io/default-container";

template <class T>
Result<T, Error> wait_for(const std::function<void(Done<T>)>& call) {
  auto promise = std::make_shared<std::promise<Result<T, Error>>>();
  auto answer = promise->get_future();
  call([promise](Result<T, Error> result) { promise->set_value(std::move(result)); });
  return answer.get();
}

std::string container_of(const corev1::Pod& pod, const std::string& asked) {
  if (!asked.empty()) return asked;
  auto it = pod.metadata.annotations.find(kDefaultContainer);
  if (it != pod.metadata.annotations.end() && has_container(pod, it->second)) return it->second;
  return pod.spec.containers.empty() ? "" : pod.spec.containers[0].name;
}

Error not_found(std::string message) { return {Error::Code::kNotFound, std::move(message)}; }

const corev1::ContainerStatus* status_of(const corev1::Pod& pod, const std::string& name) {
  for (const auto* list : {&pod.status.containerStatuses, &pod.status.initContainerStatuses,
                           &pod.status.ephemeralContainerStatuses}) {
    for (const auto& s : *list) {
      if (s.name == name) return &s;
    }
  }
  return nullptr;
}

// "containerd://ID" -> ID.
std::string bare_id(const std::string& id) {
  size_t at = id.find("://");
  return at == std::string::npos ? id : id.substr(at + 3);
}

std::string waiting_text(const corev1::ContainerStatus& s) {
  const std::string reason = s.state.waiting ? s.state.waiting->reason : "";
  if (reason == "ErrImagePull") return "image can't be pulled";
  if (reason == "ImagePullBackOff") return "trying and failing to pull image";
  return reason;
}

class Manager final : public PodManager {
 public:
  Manager(Env& env, PodManagerDeps deps)
      : body_(std::make_shared<PodManagerBody>(env, std::move(deps))) {}
  ~Manager() override { body_->stop(); }

  void start() override { body_->start(); }
  void stop() override { body_->stop(); }
  void on_pod_change(const api::ObjectPtr& old, const api::ObjectPtr& now) override {
    body_->on_pod_change(old, now);
  }
  void on_pods_synced() override { body_->on_pods_synced(); }
  void set_node_ips(std::vector<std::string> ips) override {
    std::lock_guard lock(body_->mutex);
    if (body_->node_ips == ips) return;
    body_->node_ips = std::move(ips);
    for (const auto& [uid, entry] : body_->entries) entry.worker->refresh();
  }

  std::vector<std::shared_ptr<const corev1::Pod>> pods() const override {
    std::lock_guard lock(body_->mutex);
    std::vector<std::shared_ptr<const corev1::Pod>> out;
    for (const auto& [uid, entry] : body_->entries) {
      if (!entry.pod->spec.containers.empty()) out.push_back(entry.worker->pod());
    }
    return out;
  }
  size_t pod_count() const override {
    std::lock_guard lock(body_->mutex);
    return body_->entries.size();
  }
  RuntimeInfo runtime_info() const override {
    std::lock_guard lock(body_->mutex);
    return body_->info;
  }
  void on_runtime_change(std::function<void()> fn) override {
    std::lock_guard lock(body_->mutex);
    body_->runtime_changed = std::move(fn);
  }

  Result<std::string, Error> exec_url(const ContainerTarget& target,
                                      const ExecOptions& options) override {
    ORCH_TRY(auto found, body_->running_container(target, nullptr));
    return wait_for<std::string>([&](Done<std::string> done) {
      body_->deps.runtime.exec(found.second.id, options, std::move(done));
    });
  }
  Result<std::string, Error> attach_url(const ContainerTarget& target,
                                        ExecOptions& options) override {
    corev1::Container spec;
    ORCH_TRY(auto found, body_->running_container(target, &spec));
    options.tty = spec.tty;
    options.stdin_open = options.stdin_open && spec.stdin;
    options.stderr_open = options.stderr_open && !spec.tty;
    return wait_for<std::string>([&](Done<std::string> done) {
      body_->deps.runtime.attach(found.second.id, options, std::move(done));
    });
  }
  Result<std::string, Error> port_forward_url(const ContainerTarget& target,
                                              const std::vector<int32_t>& ports) override {
    auto worker = body_->find(target.namespace_, target.pod, target.pod_uid);
    if (!worker) return Err(not_found("pod does not exist"));
    for (const auto& sandbox : worker->observed().sandboxes) {
      if (!sandbox.ready) continue;
      return wait_for<std::string>([&](Done<std::string> done) {
        body_->deps.runtime.port_forward(sandbox.id, ports, std::move(done));
      });
    }
    return Err(not_found(
        fmt::format("failed to find sandbox for pod {}_{}", target.pod, target.namespace_)));
  }
  Result<std::string, Error> log_path(const ContainerTarget& target, bool previous) override {
    return body_->log_path(target, previous);
  }
  bool container_running(const ContainerTarget& target) const override {
    return body_->running_container(target, nullptr).has_value();
  }
  Result<std::vector<PodUsage>, Error> usage() override { return body_->usage(); }
  Result<std::vector<FilesystemView>, Error> image_filesystems() override {
    return wait_for<std::vector<FilesystemView>>([&](Done<std::vector<FilesystemView>> done) {
      body_->deps.runtime.image_fs(std::move(done));
    });
  }
  std::vector<ProbeCount> probes() const override {
    std::lock_guard lock(body_->mutex);
    std::vector<ProbeCount> out;
    for (const auto& [uid, entry] : body_->entries) {
      for (auto& count : entry.worker->probe_counts()) out.push_back(std::move(count));
    }
    return out;
  }
  bool evict(const std::string& uid, const Eviction& eviction) override {
    std::lock_guard lock(body_->mutex);
    auto it = body_->entries.find(uid);
    return it != body_->entries.end() && it->second.worker->evict(eviction);
  }
  bool is_cleaned(const std::string& uid) const override {
    std::lock_guard lock(body_->mutex);
    auto it = body_->entries.find(uid);
    return it == body_->entries.end() || it->second.worker->is_terminated();
  }
  size_t remove_ended() override {
    std::lock_guard lock(body_->mutex);
    size_t left = 0;
    for (const auto& [uid, entry] : body_->entries) {
      if (!entry.worker->is_terminated()) continue;
      const PodObserved observed = entry.worker->observed();
      left += observed.containers.size() + observed.sandboxes.size();
      entry.worker->remove_ended();
    }
    return left;
  }
  const PodManagerConfig& config() const override { return body_->deps.config; }

 private:
  std::shared_ptr<PodManagerBody> body_;
};

}  // namespace

std::shared_ptr<PodWorker> PodManagerBody::find(const std::string& ns, const std::string& name,
                                                const std::string& uid) const {
  std::lock_guard lock(mutex);
  std::shared_ptr<PodWorker> found;
  for (const auto& [key, entry] : entries) {
    const auto& m = entry.pod->metadata;
    if (m.name != name || m.namespace_ != ns || (!uid.empty() && m.uid != uid)) continue;
    // Of two of that name, the one that is not going.
    if (!found || !m.deletionTimestamp.has_value()) found = entry.worker;
  }
  return found;
}

Result<std::pair<std::shared_ptr<PodWorker>, ContainerView>, Error>
PodManagerBody::running_container(const ContainerTarget& target, corev1::Container* spec) const {
  auto worker = find(target.namespace_, target.pod, target.pod_uid);
  if (!worker) return Err(not_found("pod does not exist"));
  auto pod = worker->pod();
  const std::string name = container_of(*pod, target.container);
  for (const auto& c : worker->observed().containers) {
    if (c.name != name || c.state != ContainerState::kRunning) continue;
    if (spec != nullptr) {
      for (auto& item : all_containers(*pod)) {
        if (item.spec.name == name) *spec = std::move(item.spec);
      }
    }
    return std::pair(worker, c);
  }
  return Err(not_found(fmt::format("container not found (\"{}\")", name)));
}

Result<std::string, Error> PodManagerBody::log_path(const ContainerTarget& target,
                                                    bool previous) const {
  auto worker = find(target.namespace_, target.pod, target.pod_uid);
  if (!worker) {
    return Err(not_found(fmt::format("pod \"{}\" not found", target.pod)));
  }
  auto pod = worker->pod();
  const std::string name = container_of(*pod, target.container);
  const corev1::ContainerStatus* s = status_of(*pod, name);
  if (s == nullptr) {
    return Err(Error{Error::Code::kConfig, fmt::format("container \"{}\" in pod \"{}\" is not "
                                                       "available",
                                                       name, target.pod)});
  }
  std::string id;
  if (previous) {
    if (s->lastState.terminated) id = s->lastState.terminated->containerID;
    if (id.empty()) {
      return Err(Error{Error::Code::kConfig,
                       fmt::format("previous terminated container \"{}\" in pod \"{}\" not found",
                                   name, target.pod)});
    }
  } else if (s->state.running) {
    id = s->containerID;
  } else if (s->state.terminated) {
    id = s->state.terminated->containerID;
  } else if (s->lastState.terminated) {
    id = s->lastState.terminated->containerID;
  } else {
    return Err(Error{Error::Code::kConfig,
                     fmt::format("container \"{}\" in pod \"{}\" is waiting to start: {}", name,
                                 target.pod, waiting_text(*s))});
  }
  for (const auto& c : worker->observed().containers) {
    if (c.id == bare_id(id) && !c.log_path.empty()) return c.log_path;
  }
  return Err(not_found(fmt::format("unable to retrieve container logs for {}", id)));
}

Result<std::vector<PodUsage>, Error> PodManagerBody::usage() {
  ORCH_TRY(auto all, wait_for<std::vector<UsageView>>([&](Done<std::vector<UsageView>> done) {
             deps.runtime.container_stats(std::move(done));
           }));
  std::vector<PodUsage> out;
  std::lock_guard lock(mutex);
  for (const auto& [uid, entry] : entries) {
    if (entry.pod->spec.containers.empty()) continue;  // an orphan on its way out
    PodUsage pod;
    pod.pod = entry.worker->pod();
    for (const auto& sandbox : entry.worker->observed().sandboxes) {
      if (sandbox.ready && pod.sandbox_id.empty()) pod.sandbox_id = sandbox.id;
    }
    for (auto& usage : all) {
      if (usage.pod_uid == uid) pod.containers.push_back(usage);
    }
    out.push_back(std::move(pod));
  }
  return out;
}

std::unique_ptr<PodManager> PodManager::create(Env& env, PodManagerDeps deps) {
  return std::make_unique<Manager>(env, std::move(deps));
}

}  // namespace orch::agent
