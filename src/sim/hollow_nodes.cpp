#include "sim/hollow_nodes.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/coordinationv1.h"
#include "orch/base/json_scan.h"
#include "orch/base/strings.h"
#include "sim/hollow_status.h"

namespace orch::sim {
namespace corev1 = api::corev1;
namespace coordinationv1 = api::coordinationv1;

namespace {

constexpr Seconds kHeartbeat{10};
constexpr Seconds kRetry{2};
constexpr const char* kLeases = "kube-node-lease";
constexpr std::string_view kRunSeconds = "simulate.orch.dev/run-seconds";

bool is_finished(const corev1::Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

bool ends_by_itself(const corev1::Pod& pod) {
  return !pod.spec.restartPolicy.empty() && pod.spec.restartPolicy != "Always";
}

}  // namespace

// One node: a strand that looks at one pod at a time and does the next thing for it.
class HollowNodes::Node : public std::enable_shared_from_this<Node> {
 public:
  Node(HollowNodes& fleet, corev1::Node object, size_t index)
      : fleet_(fleet),
        wanted_(std::move(object)),
        name_(wanted_.metadata.name),
        index_(index),
        line_(fleet.plane_.connect("node/" + name_,
                                   {.name = "system:node:" + name_,
                                    .uid = "",
                                    .groups = {"system:nodes", "system:authenticated"},
                                    .extra = {}})),
        client_(*line_),
        strand_(fleet.env_.executor.make_strand("node/" + name_)) {}

  void begin() {
    // Spread over the interval, as machines start when they do.
    after(chance(kHeartbeat), [](Node& self) { self.heartbeat(); });
    strand_->post([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->look_at_node();
    });
  }
  void pod_changed(const api::ObjectKey& key) {
    after(chance(fleet_.options_.lag_max) * slowness_, [key](Node& self) { self.sync(key); });
  }

  void power_off() {
    on_ = false;
    line_->cut();
    for (auto& [key, pod] : pods_) show(pod, false);
    pods_.clear();
  }
  void partition() { line_->cut(); }
  void restore() {
    on_ = true;
    line_->mend();
    strand_->post([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->look_at_node();
    });
    look_at_pods();
  }
  void look_at_pods() {
    if (!on_) return;
    for (const auto& pod : fleet_.pods_.by_index("node", name_)) pod_changed(key_of(*pod));
  }
  void slow_down(unsigned factor) {
    slowness_ = std::max(1u, factor);
    line_->slow_down(slowness_);
  }
  bool idle() const { return line_->in_flight() == 0; }
  void cut() { line_->cut(); }

 private:
  struct Local {
    std::shared_ptr<const corev1::Pod> pod;  // as last seen
    PodView view;
    bool shown = false;     // to fleet_.changed
    bool starting = false;  // its timer runs
    bool stopping = false;
    std::string ip;
  };

  template <class Fn>
  void after(Micros delay, Fn fn) {
    auto task = [weak = weak_from_this(), fn = std::move(fn)] {
      if (auto self = weak.lock(); self && !self->fleet_.stopped_) fn(*self);
    };
    if (delay > Micros{0}) {
      strand_->post_after(delay, std::move(task));
    } else {
      strand_->post(std::move(task));
    }
  }
  Micros chance(Micros most) {
    if (most <= Micros{0}) return Micros{0};
    return Micros{static_cast<int64_t>(
        random_below(fleet_.random_, static_cast<uint64_t>(most.count()) + 1))};
  }
  void show(Local& local, bool running) {
    if (local.shown == running) return;
    local.shown = running;
    if (fleet_.changed) fleet_.changed(*local.pod, name_, running);
  }

  void heartbeat() {
    after(kHeartbeat, [](Node& self) { self.heartbeat(); });
    if (!on_) return;
    renew_lease();
    look_at_node();
  }
  void renew_lease();
  void look_at_node();
  void sync(const api::ObjectKey& key);
  void start(const api::ObjectKey& key, Local& local);
  void ended(const api::ObjectKey& key, const std::string& uid);
  void end(const api::ObjectKey& key, Local& local);
  void stopped(const api::ObjectKey& key, const std::string& uid);
  void remove(const api::ObjectKey& key, Local& local);
  void report(const api::ObjectKey& key, Local& local);
  // Whether the answer means that this very pod is no more.
  bool is_gone(const api::Error& error, const api::ObjectKey& key, const std::string& uid) const {
    if (error.code != 409) return error.code == 404;
    const auto now = fleet_.pods_.get(key.namespace_, key.name);
    return !now || now->metadata.uid != uid;
  }
  Local* find(const api::ObjectKey& key, const std::string& uid) {
    const auto at = pods_.find(key);
    return at != pods_.end() && at->second.pod->metadata.uid == uid ? &at->second : nullptr;
  }

  HollowNodes& fleet_;
  const corev1::Node wanted_;
  const std::string name_;
  const size_t index_;
  const std::unique_ptr<Wire::Line> line_;
  const client::Client client_;
  const std::shared_ptr<Strand> strand_;
  std::map<api::ObjectKey, Local> pods_;
  std::optional<coordinationv1::Lease> lease_;
  bool on_ = true;
  unsigned slowness_ = 1;
  unsigned addresses_ = 1;
};

void HollowNodes::Node::renew_lease() {
  const WallTime now = fleet_.env_.clock.now();
  if (!lease_) {
    coordinationv1::Lease lease;
    lease.metadata.name = name_;
    lease.metadata.namespace_ = kLeases;
    lease.spec.holderIdentity = name_;
    lease.spec.leaseDurationSeconds = 40;
    lease.spec.renewTime = api::MicroTime(now);
    auto made = client_.create(lease);
    if (!made && made.error().is("AlreadyExists")) {
      made = client_.get<coordinationv1::Lease>(kLeases, name_);
    }
    if (made) lease_ = std::move(*made);
    return;
  }
  lease_->spec.renewTime = api::MicroTime(now);
  auto renewed = client_.update(*lease_);
  if (renewed) {
    lease_ = std::move(*renewed);
  } else if (renewed.error().code < 500) {
    lease_.reset();
  }
}

// Registers the node, and says that it is well when others think otherwise.
void HollowNodes::Node::look_at_node() {
  if (!on_) return;
  const auto seen = fleet_.node_objects_.get("", name_);
  if (seen && is_ready(*seen)) return;
  if (!seen) {
    corev1::Node node = wanted_;
    node.status.conditions = node_conditions(fleet_.env_.clock.now());
    auto made = client_.create(node);
    if (made || made.error().is("AlreadyExists")) return;
    after(kRetry, [](Node& self) { self.look_at_node(); });
    return;
  }
  (void)client_.patch<corev1::Node>("", name_, api::PatchType::kStrategic,
                                    node_status_patch(fleet_.env_.clock.now()), "status");
}

// Level-triggered: compares what the API says with what runs here and takes one step.
void HollowNodes::Node::sync(const api::ObjectKey& key) {
  if (!on_) return;
  const auto pod = fleet_.pods_.get(key.namespace_, key.name);
  auto at = pods_.find(key);
  const bool mine = pod && pod->spec.nodeName == name_;
  if (at != pods_.end() && (!mine || pod->metadata.uid != at->second.pod->metadata.uid)) {
    // Gone, or another of the same name: what runs of the old one ends first.
    end(key, at->second);
    return;
  }
  if (!mine) return;
  if (at == pods_.end()) {
    if (is_finished(*pod) && !pod->metadata.deletionTimestamp) return;
    at = pods_.emplace(key, Local{pod, {}, false, false, false, ""}).first;
    // It ran here before the node was switched off.
    for (const auto& c : pod->status.containerStatuses) {
      at->second.view.restarts = std::max(at->second.view.restarts, c.restartCount + 1);
    }
  }
  Local& local = at->second;
  local.pod = pod;
  if (pod->metadata.deletionTimestamp) {
    end(key, local);
  } else if (local.view.state == PodView::kNew && !local.starting) {
    // Without a Node its pods are nobody's, and may be given away any moment.
    if (fleet_.node_objects_.get("", name_)) start(key, local);
  } else if (local.view.state != PodView::kNew) {
    report(key, local);
  }
}

void HollowNodes::Node::start(const api::ObjectKey& key, Local& local) {
  local.starting = true;
  const HollowOptions& o = fleet_.options_;
  const Micros delay = (o.start_min + chance(o.start_max - o.start_min)) * slowness_;
  after(delay, [key, uid = local.pod->metadata.uid](Node& self) {
    Local* found = self.find(key, uid);
    if (found == nullptr || !self.on_ || found->stopping) return;
    found->starting = false;
    if (found->ip.empty()) {
      found->ip = fmt::format("10.{}.{}.{}", 64 + (self.index_ >> 8), self.index_ & 255,
                              self.addresses_ = self.addresses_ % 253 + 2);
    }
    const WallTime now = self.fleet_.env_.clock.now();
    if (found->view.state == PodView::kNew) found->view.since = now;
    found->view.state = PodView::kRunning;
    found->view.started = now;
    self.show(*found, true);
    const bool fails = self.fleet_.options_.failing > 0 &&
                       random_below(self.fleet_.random_, 10'000) < self.fleet_.options_.failing;
    if (ends_by_itself(*found->pod) || fails) {
      const auto asked = found->pod->metadata.annotations.find(std::string(kRunSeconds));
      Micros runs = Seconds{1} + self.chance(self.fleet_.options_.run_max);
      if (asked != found->pod->metadata.annotations.end()) {
        runs = Seconds{parse_int(asked->second).value_or(1)};
      }
      found->view.exit_code = fails ? 1 : 0;
      self.after(runs, [key, uid](Node& again) { again.ended(key, uid); });
    }
    self.report(key, *found);
  });
}

// The containers ended by themselves.
void HollowNodes::Node::ended(const api::ObjectKey& key, const std::string& uid) {
  Local* local = find(key, uid);
  if (local == nullptr || local->stopping || !on_) return;
  if (local->view.state != PodView::kRunning) return;
  const std::string& policy = local->pod->spec.restartPolicy;
  local->view.finished = fleet_.env_.clock.now();
  if (policy == "Never" || (policy == "OnFailure" && local->view.exit_code == 0)) {
    local->view.state = local->view.exit_code == 0 ? PodView::kSucceeded : PodView::kFailed;
    show(*local, false);
  } else {
    ++local->view.restarts;
    local->view.state = PodView::kBackOff;
    start(key, *local);
  }
  report(key, *local);
}

// Ends what runs of a pod that is deleted, or no longer there.
void HollowNodes::Node::end(const api::ObjectKey& key, Local& local) {
  if (local.stopping) return;
  local.stopping = true;
  Micros delay{0};
  if (local.shown) {
    const Micros grace = Seconds{local.pod->metadata.deletionGracePeriodSeconds.value_or(
        local.pod->spec.terminationGracePeriodSeconds.value_or(30))};
    delay = std::min(chance(fleet_.options_.stop_max) * slowness_, grace);
  }
  after(delay, [key, uid = local.pod->metadata.uid](Node& self) { self.stopped(key, uid); });
}

void HollowNodes::Node::stopped(const api::ObjectKey& key, const std::string& uid) {
  Local* local = find(key, uid);
  if (local == nullptr || !on_) return;
  show(*local, false);
  if (local->view.state == PodView::kRunning || local->view.state == PodView::kBackOff) {
    local->view.exit_code = local->view.exit_code.value_or(0);
    local->view.state = *local->view.exit_code == 0 ? PodView::kSucceeded : PodView::kFailed;
    local->view.finished = fleet_.env_.clock.now();
  }
  remove(key, *local);
}

// The last word of a kubelet on a deleted pod: its end, then the object goes.
void HollowNodes::Node::remove(const api::ObjectKey& key, Local& local) {
  const std::string uid = local.pod->metadata.uid;
  const auto again = [key, uid](Node& self) { self.stopped(key, uid); };
  if (local.view.state != PodView::kNew) {
    auto told = client_.patch<corev1::Pod>(
        key.namespace_, key.name, api::PatchType::kStrategic,
        pod_status_patch(*local.pod, local.view, local.ip, wanted_), "status");
    if (!told && !is_gone(told.error(), key, uid)) return after(kRetry, again);
  }
  client::DeleteOptions options;
  options.grace_period_seconds = 0;
  options.uid = uid;
  auto gone = client_.remove<corev1::Pod>(key.namespace_, key.name, options);
  if (!gone && !is_gone(gone.error(), key, uid)) return after(kRetry, again);
  // Finalizers may keep the object; a second look finds it deleted and nothing running.
  if (find(key, uid) != nullptr) pods_.erase(key);
  const auto now = fleet_.pods_.get(key.namespace_, key.name);
  if (now && now->metadata.uid != uid) pod_changed(key);
}

void HollowNodes::Node::report(const api::ObjectKey& key, Local& local) {
  if (local.stopping || shows(*local.pod, local.view, local.ip)) return;
  const std::string uid = local.pod->metadata.uid;
  auto told = client_.patch<corev1::Pod>(
      key.namespace_, key.name, api::PatchType::kStrategic,
      pod_status_patch(*local.pod, local.view, local.ip, wanted_), "status");
  if (told || is_gone(told.error(), key, uid)) return;
  after(kRetry, [key, uid](Node& self) {
    if (Local* found = self.find(key, uid); found && self.on_) self.report(key, *found);
  });
}

// ---- the fleet ----

HollowNodes::HollowNodes(Env& env, Random& random, ControlPlane& plane,
                         client::InformerSet& informers, HollowOptions options)
    : env_(env),
      random_(random),
      plane_(plane),
      informers_(informers),
      pods_(informers.lister<corev1::Pod>()),
      node_objects_(informers.lister<corev1::Node>()),
      options_(options) {
  informers_.get<corev1::Pod>().add_handler(
      [this](const api::ObjectPtr& old, const api::ObjectPtr& now) { dispatch(old, now); });
  informers_.get<corev1::Node>().add_handler(
      [this](const api::ObjectPtr& old, const api::ObjectPtr& now) {
        if (stopped_ || old) return;
        const auto node = nodes_.find(static_cast<const corev1::Node&>(*now).metadata.name);
        if (node != nodes_.end()) node->second->look_at_pods();
      });
}

HollowNodes::~HollowNodes() { stop(); }

void HollowNodes::dispatch(const api::ObjectPtr& old, const api::ObjectPtr& now) {
  const auto& pod = static_cast<const corev1::Pod&>(now ? *now : *old);
  if (stopped_ || pod.spec.nodeName.empty()) return;
  const auto node = nodes_.find(pod.spec.nodeName);
  if (node != nodes_.end()) node->second->pod_changed(api::key_of(pod));
}

void HollowNodes::add(const corev1::Node& node) {
  auto added = std::make_shared<Node>(*this, node, nodes_.size());
  nodes_.emplace(node.metadata.name, added);
  added->begin();
}

void HollowNodes::power_off(const std::string& name) { nodes_.at(name)->power_off(); }
void HollowNodes::partition(const std::string& name) { nodes_.at(name)->partition(); }
void HollowNodes::restore(const std::string& name) { nodes_.at(name)->restore(); }
void HollowNodes::slow_down(const std::string& name, unsigned factor) {
  nodes_.at(name)->slow_down(factor);
}

std::vector<std::string> HollowNodes::names() const {
  std::vector<std::string> out;
  for (const auto& [name, node] : nodes_) out.push_back(name);
  return out;
}

void HollowNodes::stop() {
  stopped_ = true;
  for (auto& [name, node] : nodes_) node->cut();
}

bool HollowNodes::idle() const {
  return std::all_of(nodes_.begin(), nodes_.end(),
                     [](const auto& entry) { return entry.second->idle(); });
}

}  // namespace orch::sim
