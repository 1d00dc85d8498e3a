#include "agent/node/node_agent.h"

#include <fmt/format.h>

#include "agent/wait_for.h"
#include "orch/base/log.h"

namespace orch::agent {

using namespace api;
using coordinationv1::Lease;
using corev1::Node;

namespace {

constexpr Seconds kLeasePeriod{10};
constexpr int32_t kLeaseDurationSeconds = 40;
constexpr Seconds kStatusPeriod{10};
constexpr Millis kStatusPeriodNotReady{100};
constexpr Seconds kStatusWrittenAtLeast{300};
constexpr Seconds kImagesPeriod{60};
constexpr const char* kLeaseNamespace = "kube-node-lease";

}  // namespace

std::shared_ptr<NodeAgent> NodeAgent::create(Env& env, NodeAgentDeps deps) {
  return std::shared_ptr<NodeAgent>(new NodeAgent(env, std::move(deps)));
}

NodeAgent::NodeAgent(Env& env, NodeAgentDeps deps)
    : env_(env),
      deps_(std::move(deps)),
      status_strand_(env.executor.make_strand("node-status")),
      lease_strand_(env.executor.make_strand("node-lease")) {}

void NodeAgent::start() {
  status_strand_->post([self = shared_from_this()] { self->report_and_repeat(); });
  lease_strand_->post([self = shared_from_this()] { self->renew(); });
}

void NodeAgent::stop() { stopped_ = true; }

void NodeAgent::poke() {
  if (poked_.exchange(true)) return;
  status_strand_->post([weak = weak_from_this()] {
    auto self = weak.lock();
    if (self && !self->stopped_) {
      self->poked_ = false;
      self->report();
    }
  });
}

void NodeAgent::set_address(const std::string& address) {
  status_strand_->post([weak = weak_from_this(), address] {
    auto self = weak.lock();
    if (!self || self->stopped_ || self->deps_.facts.ip == address) return;
    self->deps_.facts.ip = address;
    self->registered_ = false;  // an annotation of the Node names it too
    self->report();
  });
}

std::map<std::string, Quantity> NodeAgent::allocatable() const {
  std::lock_guard lock(mutex_);
  return allocatable_;
}

void NodeAgent::report_and_repeat() {
  if (stopped_) return;
  report();
  const Micros next = ready_ ? Micros(kStatusPeriod) : Micros(kStatusPeriodNotReady);
  status_strand_->post_after(next, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->report_and_repeat();
  });
}

void NodeAgent::refresh_facts() {
  auto& facts = deps_.facts;
  facts.machine = read_machine(deps_.data_dir);
  facts.pressure = deps_.board->get();
  auto info = wait_for<RuntimeInfo>([this](auto done) { deps_.runtime.status(std::move(done)); });
  if (info) {
    facts.runtime = std::move(*info);
  } else {
    facts.runtime.runtime_ready = false;
    facts.runtime.runtime_message = info.error().message;
  }
  const MonoTime now = env_.clock.mono();
  if (facts.runtime.runtime_ready &&
      (images_at_ == MonoTime{} || now - images_at_ > kImagesPeriod)) {
    auto images = wait_for<std::vector<ImageView>>(
        [this](auto done) { deps_.runtime.list_images(std::move(done)); });
    if (images) {
      facts.images = std::move(*images);
      images_at_ = now;
    }
  }
}

void NodeAgent::report() {
  refresh_facts();
  auto node = deps_.nodes.get("", deps_.facts.name);
  if (!node || !registered_) return register_node();
  deps_.facts.not_ready_reason = node->spec.podCIDR.empty()
                                     ? "no pod CIDR assigned yet"
                                     : deps_.set_up_network(node->spec.podCIDR);
  write_status(*node);
}

void NodeAgent::register_node() {
  auto existing = deps_.client.get<Node>("", deps_.facts.name);
  if (!existing && existing.error().is("NotFound")) {
    auto created = deps_.client.create(make_node(deps_.facts, env_.clock.now()));
    if (!created) {
      log::warn("node", "registering {}: {}", deps_.facts.name, created.error().message);
      return;
    }
    log::info("node", "registered node {}", deps_.facts.name);
    registered_ = true;
    return;
  }
  if (!existing) {
    log::debug("node", "reading own node: {}", existing.error().message);
    return;
  }
  Node changed = *existing;
  if (apply_labels(deps_.facts, changed)) {
    auto updated = deps_.client.update(changed);
    if (!updated) {
      log::warn("node", "labels of {}: {}", deps_.facts.name, updated.error().message);
      return;
    }
  }
  registered_ = true;
}

bool NodeAgent::write_status(const Node& node) {
  Node changed = node;
  changed.status = make_status(deps_.facts, node.status, env_.clock.now());
  for (const auto& condition : changed.status.conditions) {
    if (condition.type == "Ready") ready_ = condition.status == "True";
  }
  {
    std::lock_guard lock(mutex_);
    allocatable_ = changed.status.allocatable;
  }
  const MonoTime now = env_.clock.mono();
  const bool due = written_at_ == MonoTime{} || now - written_at_ > kStatusWrittenAtLeast;
  // The cache may not show yet what was written a moment ago.
  const bool differs = status_differs(changed.status, node.status);
  const bool just_written = now - written_at_ < Seconds{1} && written_at_ != MonoTime{} &&
                            !status_differs(changed.status, last_written_);
  if ((!differs && !due) || just_written) return true;
  // No precondition on the revision: nobody else writes what is in here. The status alone: taints
  // and labels, which the cache may show as they were, are not the node's to change.
  auto written = deps_.client.patch<Node>("", deps_.facts.name, PatchType::kMerge,
                                          "{\"status\":" + to_json(changed.status) + "}", "status");
  if (!written) {
    if (written.error().is("NotFound")) registered_ = false;
    log::debug("node", "status of {}: {}", deps_.facts.name, written.error().message);
    return false;
  }
  written_at_ = now;
  last_written_ = changed.status;
  tell_pressure(node);
  if (ready_ != was_ready_) {
    deps_.events.record(client::subject_of(node), "Normal", ready_ ? "NodeReady" : "NodeNotReady",
                        fmt::format("Node {} status is now: {}", deps_.facts.name,
                                    ready_ ? "NodeReady" : "NodeNotReady"));
    log::info("node", "{} is {}", deps_.facts.name, ready_ ? "Ready" : "NotReady");
    was_ready_ = ready_;
  }
  return true;
}

// Events of the conditions that `node`, as it was, showed otherwise.
void NodeAgent::tell_pressure(const Node& node) {
  struct Row {
    const char* type;
    bool now;
    const char *bad, *good;
  };
  const Pressure& pressure = deps_.facts.pressure;
  for (const Row& row :
       {Row{"MemoryPressure", pressure.memory, "NodeHasInsufficientMemory",
            "NodeHasSufficientMemory"},
        Row{"DiskPressure", pressure.disk, "NodeHasDiskPressure", "NodeHasNoDiskPressure"},
        Row{"PIDPressure", pressure.pid, "NodeHasInsufficientPID", "NodeHasSufficientPID"}}) {
    for (const auto& condition : node.status.conditions) {
      if (condition.type != row.type || (condition.status == "True") == row.now) continue;
      const char* reason = row.now ? row.bad : row.good;
      deps_.events.record(client::subject_of(node), "Normal", reason,
                          fmt::format("Node {} status is now: {}", deps_.facts.name, reason));
    }
  }
}

void NodeAgent::renew() {
  if (stopped_) return;
  const std::string& name = deps_.facts.name;
  if (!lease_) {
    auto existing = deps_.client.get<Lease>(kLeaseNamespace, name);
    if (existing) lease_ = std::make_unique<Lease>(std::move(*existing));
  }
  Lease wanted = lease_ ? *lease_ : Lease();
  wanted.metadata.name = name;
  wanted.metadata.namespace_ = kLeaseNamespace;
  wanted.spec.holderIdentity = name;
  wanted.spec.leaseDurationSeconds = kLeaseDurationSeconds;
  wanted.spec.renewTime = MicroTime(env_.clock.now());
  if (auto node = deps_.nodes.get("", name); node && wanted.metadata.ownerReferences.empty()) {
    auto& owner = wanted.metadata.ownerReferences.emplace_back();
    owner.apiVersion = "v1";
    owner.kind = "Node";
    owner.name = name;
    owner.uid = node->metadata.uid;
  }
  auto written = lease_ ? deps_.client.update(wanted) : deps_.client.create(wanted);
  if (written) {
    lease_ = std::make_unique<Lease>(std::move(*written));
  } else {
    log::debug("node", "lease of {}: {}", name, written.error().message);
    lease_.reset();  // read afresh next time
  }
  lease_strand_->post_after(written ? Micros(kLeasePeriod) : Micros(Seconds{1}),
                            [weak = weak_from_this()] {
                              if (auto self = weak.lock()) self->renew();
                            });
}

}  // namespace orch::agent
