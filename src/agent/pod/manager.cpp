#include "agent/pod/manager.h"

#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <set>

#include "agent/node/machine.h"
#include "agent/pod/cgroups.h"
#include "agent/pod/checkpoint.h"
#include "agent/pod/log_rotation.h"
#include "agent/pod/resources.h"
#include "agent/pod/sandbox_config.h"
#include "agent/volumes/sub_path.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

namespace fs = std::filesystem;

constexpr Micros kRelistPeriod = Seconds{1}, kRelistIdle = Seconds{5}, kRelistFailed = Millis{100};
constexpr Micros kStatusPeriod = Seconds{10}, kStatusNotReady = Millis{100};
constexpr Micros kRotatePeriod = Seconds{10}, kSaveDelay = Millis{500};

int64_t machine_memory() {
  struct sysinfo info {};
  ::sysinfo(&info);
  return static_cast<int64_t>(info.totalram) * info.mem_unit;
}

std::string label(const StringMap& labels, const char* key) {
  auto it = labels.find(key);
  return it == labels.end() ? "" : it->second;
}

uint64_t digest_of(const PodObserved& view) {
  std::string text;
  for (const auto& s : view.sandboxes) text += s.id + (s.ready ? '1' : '0');
  for (const auto& c : view.containers) {
    text += c.id + static_cast<char>('a' + static_cast<int>(c.state));
  }
  return fnv1a64(text);
}

// What is here of ours, by pod.
std::map<std::string, PodObserved> by_pod(const RuntimeView& view, const std::string& instance) {
  std::map<std::string, PodObserved> out;
  for (const auto& s : view.sandboxes) {
    if (label(s.labels, kCreatedByLabel) == instance) out[s.uid].sandboxes.push_back(s);
  }
  for (const auto& c : view.containers) {
    if (label(c.labels, kCreatedByLabel) != instance) continue;
    auto& list = out[label(c.labels, kPodUidLabel)].containers;
    list.push_back(c);
    list.back().name = label(c.labels, kContainerNameLabel);
  }
  for (auto& [uid, pod] : out) {
    auto newer = [](const auto& a, const auto& b) { return a.created_at_ns > b.created_at_ns; };
    std::sort(pod.sandboxes.begin(), pod.sandboxes.end(), newer);
    std::sort(pod.containers.begin(), pod.containers.end(), newer);
  }
  return out;
}

// Adds what only the status calls tell; then calls `done`. Records that are gone are dropped.
struct Detailer : std::enable_shared_from_this<Detailer> {
  Detailer(ContainerRuntime& r, PodObserved v, std::function<void(PodObserved)> d)
      : runtime(r), view(std::move(v)), done(std::move(d)) {}
  void next() {
    if (sandbox < view.sandboxes.size()) {
      return runtime.sandbox_status(
          view.sandboxes[sandbox].id, [self = shared_from_this()](auto result) {
            auto& list = self->view.sandboxes;
            if (result) {
              list[self->sandbox++] = std::move(*result);
            } else {
              list.erase(list.begin() + static_cast<ptrdiff_t>(self->sandbox));
            }
            self->next();
          });
    }
    if (container < view.containers.size()) {
      return runtime.container_status(
          view.containers[container].id, [self = shared_from_this()](auto result) {
            auto& list = self->view.containers;
            if (result) {
              ContainerView& known = list[self->container++];
              result->sandbox_id = known.sandbox_id;
              result->name = known.name;
              known = std::move(*result);
            } else {
              list.erase(list.begin() + static_cast<ptrdiff_t>(self->container));
            }
            self->next();
          });
    }
    done(std::move(view));
  }
  ContainerRuntime& runtime;
  PodObserved view;
  std::function<void(PodObserved)> done;
  size_t sandbox = 0, container = 0;
};

// A pod that only the runtime still knows, as far as its records tell.
std::shared_ptr<const corev1::Pod> ghost(const std::string& uid, const PodObserved& view) {
  auto pod = std::make_shared<corev1::Pod>();
  const StringMap& labels =
      view.sandboxes.empty() ? view.containers[0].labels : view.sandboxes[0].labels;
  pod->metadata.uid = uid;
  pod->metadata.name = label(labels, kPodNameLabel);
  pod->metadata.namespace_ = label(labels, kPodNamespaceLabel);
  for (const auto& c : view.containers) {
    auto grace = parse_int(label(c.annotations, kGraceAnnotation));
    if (grace) pod->spec.terminationGracePeriodSeconds = *grace;
  }
  return pod;
}

std::vector<const corev1::Pod*> pointers(
    const std::vector<std::shared_ptr<const corev1::Pod>>& pods) {
  std::vector<const corev1::Pod*> out;
  for (const auto& pod : pods) out.push_back(pod.get());
  return out;
}

bool same_for_checkpoint(const corev1::Pod& a, const corev1::Pod& b) {
  return api::equal(a.spec, b.spec) && a.metadata.labels == b.metadata.labels &&
         a.metadata.annotations == b.metadata.annotations &&
         a.metadata.deletionTimestamp == b.metadata.deletionTimestamp;
}

}  // namespace

PodManagerBody::PodManagerBody(Env& e, PodManagerDeps d)
    : env(e),
      deps(std::move(d)),
      agent_dir(deps.config.data_dir + "/agent"),
      checkpoint_file(agent_dir + "/pods.json"),
      instance(cgroup_root_of(deps.config.data_dir).substr(6)),
      cgroup_root(deps.config.cgroup_root.empty() ? cgroup_root_of(deps.config.data_dir)
                                                  : deps.config.cgroup_root),
      objects(e, deps.transport, agent_dir + "/objects"),
      writer(e, deps.transport, pool),
      strand(e.executor.make_strand("pod-manager")),
      node_ips(deps.config.node_ips) {}

uint64_t PodManagerBody::schedule(Micros delay, void (PodManagerBody::*task)()) {
  return strand->post_after(delay, [weak = weak_from_this(), task] {
    auto self = weak.lock();
    if (!self) return;
    {
      std::lock_guard lock(self->mutex);
      if (!self->running) return;
    }
    (self.get()->*task)();
  });
}

void PodManagerBody::start() {
  auto own = std::make_shared<WorkerContext>(WorkerContext{
      .env = env,
      .runtime = deps.runtime,
      .events = deps.events,
      .config = deps.config,
      .pool = pool,
      .objects = objects,
      .status_writer = writer,
      .services = deps.services,
      .node_ips =
          [weak = weak_from_this()] {
            auto self = weak.lock();
            if (!self) return std::vector<std::string>{};
            std::lock_guard lock(self->mutex);
            return self->node_ips;
          },
      .allocatable = deps.allocatable,
      .instance = instance,
      .agent_dir = agent_dir,
      .cgroup_root = cgroup_root,
      .node_memory_bytes = machine_memory(),
      .runtime_name =
          [weak = weak_from_this()] {
            auto self = weak.lock();
            if (!self) return std::string("containerd");
            std::lock_guard lock(self->mutex);
            return self->info.name.empty() ? std::string("containerd") : self->info.name;
          },
      .network_ready =
          [weak = weak_from_this()] {
            auto self = weak.lock();
            if (!self) return false;
            std::lock_guard lock(self->mutex);
            return self->info.network_ready;
          },
      .gone =
          [weak = weak_from_this()](const std::string& uid) {
            if (auto self = weak.lock()) self->worker_gone(uid);
          },
      .changed =
          [weak = weak_from_this()] {
            if (auto self = weak.lock()) self->mark_changed();
          },
      .may_resize =
          [weak = weak_from_this()](const corev1::Pod& wanted) {
            auto self = weak.lock();
            if (!self) return ResizeVerdict::kDeferred;
            return self->may_resize(wanted);
          }});
  // A worker that lives a little longer keeps the body, to which the context refers, alive too.
  struct Kept {
    std::shared_ptr<PodManagerBody> body;
    std::shared_ptr<WorkerContext> context;
  };
  auto kept = std::make_shared<Kept>(Kept{shared_from_this(), own});
  context = std::shared_ptr<WorkerContext>(kept, own.get());

  const MachinePids pids = read_machine_pids();
  for (const char* level : {"", "/burstable", "/besteffort"}) {
    CgroupLimits limits;
    if (std::string_view(level) == "/besteffort") limits.cpu_shares = 2;
    // Pods that fork without end leave the host some processes.
    if (*level == '\0' && pids.max > 0) limits.pids_max = pids.max - pids.max / 10;
    auto made = make_cgroup(cgroup_root + "/kubepods" + level, limits);
    if (!made) log::warn("agent", "{}", made.error());
  }
  {
    std::lock_guard lock(mutex);
    running = true;
    for (auto& pod : load_pods(checkpoint_file)) add(std::move(pod), false);
  }
  poll_runtime();
  relist();
  schedule(kRotatePeriod, &PodManagerBody::rotate_logs);
}

void PodManagerBody::stop() {
  std::map<std::string, Entry> taken;
  {
    std::lock_guard lock(mutex);
    if (!running) return;
    running = false;
    taken.swap(entries);
    runtime_changed = nullptr;
  }
  writer.stop();
  for (auto& [uid, entry] : taken) entry.worker->stop();
  // A call to a server that hangs may outlast us: then this body stays for good.
  if (!pool.stop(Millis{3000})) new std::shared_ptr<PodManagerBody>(shared_from_this());
  std::vector<std::shared_ptr<const corev1::Pod>> pods;
  for (auto& [uid, entry] : taken) pods.push_back(entry.worker->pod());
  if (synced) (void)save_pods(checkpoint_file, pods);
  context.reset();
}

void PodManagerBody::add(std::shared_ptr<const corev1::Pod> pod, bool from_server) {
  const std::string uid = pod->metadata.uid;
  Entry& entry = entries[uid];
  entry.pod = pod;
  entry.from_server = from_server;
  const auto rejection = from_server ? refuse(*pod) : std::nullopt;
  entry.worker = std::make_shared<PodWorker>(context, std::move(pod));
  if (rejection) {
    entry.rejected = true;
    entry.worker->reject(*rejection);
  }
  if (have_list) start_worker(uid, entry);
  if (idle_relist != 0) {
    strand->cancel_timer(std::exchange(idle_relist, 0));
    schedule(kRelistPeriod, &PodManagerBody::relist);
  }
}

std::optional<Rejection> PodManagerBody::refuse(const corev1::Pod& pod) const {
  // What was begun here was admitted then.
  if (is_terminal_phase(pod) || pod.metadata.deletionTimestamp || pod.status.startTime) {
    return std::nullopt;
  }
  if (deps.pressure) {
    if (auto no = check_pressure(pod, deps.pressure())) return no;
  }
  const auto node = deps.node ? deps.node() : nullptr;
  if (!node) return std::nullopt;
  const auto others = admitted_but(pod.metadata.uid);
  return check_admission(pod, *node, pointers(others));
}

std::vector<std::shared_ptr<const corev1::Pod>> PodManagerBody::admitted_but(
    const std::string& but) const {
  std::vector<std::shared_ptr<const corev1::Pod>> out;
  for (const auto& [uid, entry] : entries) {
    if (uid == but || entry.rejected || entry.worker->is_terminated()) continue;
    auto pod = entry.worker->pod();
    if (!is_terminal_phase(*pod)) out.push_back(std::move(pod));
  }
  return out;
}

ResizeVerdict PodManagerBody::may_resize(const corev1::Pod& wanted) const {
  const auto node = deps.node ? deps.node() : nullptr;
  if (!node) return ResizeVerdict::kDeferred;
  std::lock_guard lock(mutex);
  const auto others = admitted_but(wanted.metadata.uid);
  return judge_resize(wanted, *node, pointers(others));
}

void PodManagerBody::start_worker(const std::string& uid, Entry& entry) {
  entry.started = true;
  auto all = by_pod(last_list, instance);
  auto found = all.find(uid);
  if (found == all.end()) return entry.worker->start({});
  std::make_shared<Detailer>(
      deps.runtime, std::move(found->second),
      [worker = entry.worker](PodObserved view) { worker->start(std::move(view)); })
      ->next();
}

void PodManagerBody::on_pod_change(const api::ObjectPtr& old, const api::ObjectPtr& now) {
  auto before = std::static_pointer_cast<const corev1::Pod>(old);
  auto pod = std::static_pointer_cast<const corev1::Pod>(now);
  std::lock_guard lock(mutex);
  if (!running) return;
  if (before && (!pod || pod->metadata.uid != before->metadata.uid)) {
    auto it = entries.find(before->metadata.uid);
    if (it != entries.end()) it->second.worker->removed();
    mark_changed();
  }
  if (!pod) return;
  writer.seen(pod);
  auto it = entries.find(pod->metadata.uid);
  if (it == entries.end()) {
    add(pod, true);
    return mark_changed();
  }
  const bool same = same_for_checkpoint(*it->second.pod, *pod);
  it->second.pod = pod;
  it->second.from_server = true;
  it->second.worker->update(pod);
  if (!same) mark_changed();
}

void PodManagerBody::on_pods_synced() {
  {
    std::lock_guard lock(mutex);
    if (!running || synced) return;
    synced = true;
    for (auto& [uid, entry] : entries) {
      if (!entry.from_server) entry.worker->removed();
    }
    if (have_list) adopt_orphans();
    mark_changed();
  }
  pool.post([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->clean_folders();
  });
}

// Pods that run here but that nobody wants: a worker of their own ends them.
void PodManagerBody::adopt_orphans() {
  for (auto& [uid, view] : by_pod(last_list, instance)) {
    if (entries.contains(uid) || (view.sandboxes.empty() && view.containers.empty())) continue;
    auto pod = ghost(uid, view);
    log::info("agent", "removing orphaned pod {}", format_pod(*pod));
    add(pod, false);
    entries[uid].worker->removed();
  }
}

// Folders of pods that are neither wanted nor running.
void PodManagerBody::clean_folders() {
  std::error_code ec;
  std::vector<std::pair<std::string, std::string>> folders;  // uid, path
  for (const auto& entry : fs::directory_iterator(agent_dir + "/pods", ec)) {
    folders.emplace_back(entry.path().filename().string(), entry.path().string());
  }
  for (const auto& entry : fs::directory_iterator(agent_dir + "/logs/pods", ec)) {
    std::string name = entry.path().filename().string();
    folders.emplace_back(name.substr(name.rfind('_') + 1), entry.path().string());
  }
  for (const auto& [uid, path] : folders) {
    {
      std::lock_guard lock(mutex);
      if (!running || entries.contains(uid)) continue;
    }
    if (auto result = unmount_below(path); !result) {
      log::warn("agent", "{}", result.error().message);
      continue;
    }
    fs::remove_all(path, ec);
  }
}

void PodManagerBody::worker_gone(const std::string& uid) {
  strand->post([weak = weak_from_this(), uid] {
    auto self = weak.lock();
    if (!self) return;
    std::shared_ptr<PodWorker> worker;
    std::lock_guard lock(self->mutex);
    auto it = self->entries.find(uid);
    if (it == self->entries.end()) return;
    worker = it->second.worker;
    worker->stop();
    self->writer.forget(uid);
    self->entries.erase(it);
    self->mark_changed();
  });
}

void PodManagerBody::relist() {
  const MonoTime began = env.clock.mono();
  deps.runtime.list([weak = weak_from_this(), began](Result<RuntimeView, Error> view) {
    auto self = weak.lock();
    if (!self) return;
    auto shared = std::make_shared<Result<RuntimeView, Error>>(std::move(view));
    self->strand->post([weak, shared, began] {
      auto self = weak.lock();
      if (!self) return;
      if (*shared) {
        self->listed(std::move(**shared), began);
      } else {
        log::debug("agent", "list: {}", shared->error().message);
        self->schedule(kRelistFailed, &PodManagerBody::relist);
      }
    });
  });
}

void PodManagerBody::listed(RuntimeView view, MonoTime listed_at) {
  std::lock_guard lock(mutex);
  if (!running) return;
  idle_relist = 0;
  last_list = std::move(view);
  const bool first = !std::exchange(have_list, true);
  if (first) {
    for (auto& [uid, entry] : entries) start_worker(uid, entry);
  } else {
    auto pods = by_pod(last_list, instance);
    for (auto& [uid, entry] : entries) {
      PodObserved& seen = pods[uid];
      const uint64_t digest = digest_of(seen);
      entry.same = digest == entry.digest ? entry.same + 1 : 0;
      entry.digest = digest;
      // A list that crossed an action is dropped by the worker: so tell it some times, and now
      // and then.
      if (entry.same < 5 || entry.same % 30 == 0) {
        entry.worker->observe(std::move(seen), listed_at);
      }
    }
  }
  if (synced) adopt_orphans();
  if (entries.empty() && last_list.sandboxes.empty()) {
    idle_relist = schedule(kRelistIdle, &PodManagerBody::relist);
  } else {
    schedule(kRelistPeriod, &PodManagerBody::relist);
  }
}

void PodManagerBody::poll_runtime() {
  deps.runtime.status([weak = weak_from_this()](Result<RuntimeInfo, Error> result) {
    auto self = weak.lock();
    if (!self) return;
    RuntimeInfo fresh;
    if (result) {
      fresh = std::move(*result);
    } else {
      fresh.runtime_message = "the container runtime does not answer: " + result.error().message;
      fresh.network_message = fresh.runtime_message;
    }
    std::function<void()> tell;
    {
      std::lock_guard lock(self->mutex);
      if (!self->running) return;
      if (!result) {
        fresh.name = self->info.name;
        fresh.version = self->info.version;
      }
      const RuntimeInfo& known = self->info;
      if (known.runtime_ready != fresh.runtime_ready ||
          known.network_ready != fresh.network_ready || known.version != fresh.version ||
          known.runtime_message != fresh.runtime_message ||
          known.network_message != fresh.network_message) {
        tell = self->runtime_changed;
      }
      self->info = fresh;
    }
    if (tell) tell();
    self->schedule(fresh.runtime_ready && fresh.network_ready ? kStatusPeriod : kStatusNotReady,
                   &PodManagerBody::poll_runtime);
  });
}

void PodManagerBody::rotate_logs() {
  std::vector<std::pair<std::string, std::string>> logs;  // container id, file
  {
    std::lock_guard lock(mutex);
    for (const auto& [uid, entry] : entries) {
      for (const auto& c : entry.worker->observed().containers) {
        if (c.state == ContainerState::kRunning && !c.log_path.empty()) {
          logs.emplace_back(c.id, c.log_path);
        }
      }
    }
  }
  const LogLimits limits{deps.config.log_file_bytes_max, deps.config.log_files_max};
  for (const auto& [id, file] : logs) {
    if (!rotate_log(file, limits, env.clock.now())) continue;
    deps.runtime.reopen_log(id, [file = file](Result<Unit, Error> result) {
      if (!result) log::warn("agent", "reopen {}: {}", file, result.error().message);
    });
  }
  schedule(kRotatePeriod, &PodManagerBody::rotate_logs);
}

// Called with or without the lock.
void PodManagerBody::mark_changed() {
  strand->post([weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self || std::exchange(self->save_pending, true)) return;
    self->schedule(kSaveDelay, &PodManagerBody::save);
  });
}

void PodManagerBody::save() {
  save_pending = false;
  std::vector<std::shared_ptr<const corev1::Pod>> pods;
  {
    std::lock_guard lock(mutex);
    for (const auto& [uid, entry] : entries) {
      if (entry.pod->spec.containers.empty()) continue;  // orphans
      auto pod = std::make_shared<corev1::Pod>(*entry.pod);
      pod->status = entry.worker->pod()->status;
      pods.push_back(std::move(pod));
    }
  }
  pool.post([weak = weak_from_this(), pods = std::move(pods)] {
    auto self = weak.lock();
    if (!self) return;
    if (auto saved = save_pods(self->checkpoint_file, pods); !saved) {
      log::warn("agent", "{}", saved.error());
    }
    int64_t burstable = 0;
    for (const auto& pod : pods) {
      if (qos_class(*pod) == "Burstable") burstable += pod_request(*pod, "cpu", true);
    }
    CgroupLimits limits;
    limits.cpu_shares = cpu_shares_of_milli(burstable);
    (void)make_cgroup(self->cgroup_root + "/kubepods/burstable", limits);
    bool forget = false;
    {
      std::lock_guard lock(self->mutex);
      forget = self->synced;
    }
    if (forget) self->objects.retain(pods);
  });
}

}  // namespace orch::agent
