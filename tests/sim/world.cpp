#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "server/registry/stored.h"
#include "sim/chaos.h"
#include "sim/desired.h"
#include "sim/mutants.h"
#include "sim/workload.h"

namespace orch::sim {
namespace corev1 = api::corev1;

namespace {

constexpr Seconds kConvergence{75 * 60};  // retries back off up to 1000 s, some of them twice
constexpr Seconds kQuietTime{8 * 60};

WireOptions wire_options() {
  WireOptions out;
  out.latency_min = Micros{100};
  out.latency_max = Millis{15};
  out.watch_latency_max = Millis{200};
  return out;
}

HollowOptions hollow_options() {
  HollowOptions out;
  out.start_min = Millis{200};
  out.start_max = Seconds{3};
  out.stop_max = Seconds{8};
  out.run_max = Seconds{20};
  out.lag_max = Millis{300};
  out.failing = 700;
  return out;
}

bool is_transient(std::string_view key) {
  return key.starts_with("/registry/coordination.k8s.io/leases/") ||
         key.starts_with("/registry/core/events/") || key.starts_with("/registry/events.k8s.io/");
}

}  // namespace

// Collects what the store commits; judged in tasks of a strand, as a sink must not call out.
struct World::History final : storage::WatchSink {
  explicit History(World& w) : world(w) {}
  bool offer(const std::vector<const storage::Event*>& events, const storage::EventBatch&,
             storage::Revision) override {
    for (const auto* event : events) world.committed(*event);
    return true;
  }
  void closed(const storage::Error&) override {}
  World& world;
};

World::World(const WorldOptions& o)
    : options(o),
      product_random(seeded_random(o.seed * 8 + 0)),
      order_random(seeded_random(o.seed * 8 + 1)),
      wire_random(seeded_random(o.seed * 8 + 2)),
      node_random(seeded_random(o.seed * 8 + 3)),
      chaos_random(seeded_random(o.seed * 8 + 4)),
      mutant_random(seeded_random(o.seed * 8 + 5)),
      executor(clock, order_random.get()),
      env{clock, executor, *product_random, no_faults()},
      wire(env, executor, *wire_random, wire_options()) {}

World::~World() {
  wire.faults = {};
  if (nodes) nodes->stop();
  while (nodes && !nodes->idle()) executor.advance(Seconds{1});
  if (node_cache) node_cache->stop();
  nodes.reset();
  node_cache.reset();
  history_watch_.reset();
  if (plane) plane->stop();
  executor.advance(Micros{0});
}

Result<Unit, std::string> World::build() {
  ControlPlaneOptions plane_options;
  plane_options.wrap = mutant_wrap(*this, options.mutant);
  plane = std::make_unique<ControlPlane>(env, executor, wire, std::move(plane_options));
  wire.before = [this](const std::string& component, const client::Request& request) {
    const storage::Revision next = plane->store().revision() + 1;
    if (!writers_.empty() && writers_.back().from == next) writers_.pop_back();
    writers_.push_back({next, component, request.verb});
  };
  wire.after = [this](const CallSeen& seen) {
    const client::Request& r = seen.request;
    journal.add(fmt::format("{} {} {}{}{} {}/{} {} {}", seen.component, r.verb, r.resource,
                            r.subresource.empty() ? "" : "/", r.subresource, r.namespace_, r.name,
                            seen.code, seen.error));
    // Of their own rights nobody asks for too much. (Nodes may: their pods come and go.)
    const bool own =
        seen.component == ControlPlane::kControllers || seen.component == ControlPlane::kScheduler;
    if (own && seen.code == 403 && seen.error.find(" cannot ") != std::string::npos) {
      violate("rights", seen.error);
    }
  };
  watch_history();
  ORCH_CHECK(plane->start());
  user_line = plane->connect(
      "user", {.name = "admin", .uid = "", .groups = {"system:masters"}, .extra = {}});
  node_line = plane->connect(
      "kubelets", {.name = "kubelets", .uid = "", .groups = {"system:masters"}, .extra = {}});
  node_cache = std::make_unique<client::InformerSet>(env, *node_line);
  nodes = std::make_unique<HollowNodes>(env, *node_random, *plane, *node_cache, hollow_options());
  nodes->changed = [this](const corev1::Pod& pod, const std::string& node, bool running) {
    journal.add(fmt::format("{} {} {}/{} {}", node, running ? "runs" : "ended",
                            pod.metadata.namespace_, pod.metadata.name, pod.metadata.uid));
    invariants.containers(pod, node, running);
  };
  node_cache->start_all();
  add_nodes();
  return Unit{};
}

void World::watch_history() {
  history_ = std::make_shared<History>(*this);
  auto handle = plane->store().watch("/registry/", storage::prefix_end("/registry/"), 1, history_);
  if (handle) history_watch_ = std::move(*handle);
}

void World::add_nodes() {
  for (int i = 0; i < options.nodes; ++i) {
    corev1::Node node;
    node.metadata.name = fmt::format("n{}", i);
    node.metadata.labels = {{"kubernetes.io/hostname", node.metadata.name},
                            {"topology.kubernetes.io/zone", fmt::format("z{}", i % 3)}};
    node.status.allocatable = {{"cpu", api::Quantity::of(4)},
                               {"memory", api::Quantity::of_bytes(8LL << 30)},
                               {"pods", api::Quantity::of(20)}};
    node.status.capacity = node.status.allocatable;
    auto& address = node.status.addresses.emplace_back();
    address.type = "InternalIP";
    address.address = fmt::format("192.0.2.{}", i + 10);
    nodes->add(node);
  }
}

const World::Writer* World::writer_of(storage::Revision revision) const {
  auto at = std::upper_bound(writers_.begin(), writers_.end(), revision,
                             [](storage::Revision r, const Writer& w) { return r < w.from; });
  return at == writers_.begin() ? nullptr : &*std::prev(at);
}

void World::committed(const storage::Event& event) {
  const Writer* writer = writer_of(event.kv.mod_revision);
  const std::string who = writer != nullptr ? writer->component : "server";
  const std::string verb = writer != nullptr ? writer->verb : "";
  const bool gone = event.type == storage::Event::Type::kDelete;
  journal.add(fmt::format("  {} {} {} by {}", event.kv.mod_revision, gone ? "delete" : "put",
                          *event.kv.key, who),
              gone || !event.kv.value ? "" : *event.kv.value);
  invariants.committed(event, verb);
  if (!counting_writes_ || is_transient(*event.kv.key)) return;
  if (who != ControlPlane::kControllers && who != ControlPlane::kScheduler) return;
  unwanted_writes_.push_back(fmt::format("{} {} {}", who, verb, *event.kv.key));
  auto text = [](const storage::Bytes& value) {
    return value ? std::string(server::Stored(value, 1).raw()) : "";
  };
  journal.add("unwanted, before: " + text(event.prev_kv.value));
  journal.add("unwanted, after: " + text(event.kv.value));
}

void World::violate(std::string invariant, std::string what) {
  if (!other_violation_) other_violation_ = Violation{std::move(invariant), std::move(what)};
}

void World::let_pass(Micros time) { executor.advance(time); }

api::ApiResult<std::string> World::send(const std::string& verb, const std::string& resource,
                                        const std::string& ns, const std::string& name,
                                        const std::string& body, const std::string& sub) {
  client::Request request;
  request.verb = verb;
  const api::ResourceInfo* info = nullptr;
  for (const auto* one : api::all_resources()) {
    if (one->plural == resource && one->stored) {
      info = one;
      break;
    }
  }
  request.group = info->group;
  request.version = info->version;
  request.resource = resource;
  request.namespace_ = info->namespaced ? ns : "";
  request.name = name;
  request.subresource = sub;
  request.body = body;
  if (verb == "patch") {
    const bool spec_of_pods = resource != "nodes";
    request.content_type =
        spec_of_pods ? "application/merge-patch+json" : "application/strategic-merge-patch+json";
  }
  auto answer = user_line->call(request);
  if (!answer) return Err(std::move(answer).error());
  return std::move(answer->body);
}

Outcome World::run() {
  auto built = build();
  if (!built) {
    violate("converges", "the control plane does not start: " + built.error());
  } else {
    let_pass(Seconds{15});
    Chaos chaos(*this);
    Workload workload(*this);
    workload.begin();
    for (int step = 0; step < options.steps && !violated(); ++step) {
      let_pass(Millis{static_cast<int64_t>(choose(4000))});
      if (choose(100) < 65) {
        workload.step();
      } else {
        chaos.step();
      }
    }
    chaos.end();
    workload.end();
    if (!violated()) check_convergence();
    if (!violated() && !other_violation_) check_quiet();
  }
  Outcome out;
  out.violation = invariants.violation() ? invariants.violation() : other_violation_;
  out.hash = journal.hash();
  out.entries = journal.entries();
  out.tasks = executor.steps();
  out.virtual_time = Micros{clock.mono().time_since_epoch()};
  out.tail.assign(journal.tail().begin(), journal.tail().end());
  return out;
}

void World::check_convergence() {
  const MonoTime deadline = clock.mono() + kConvergence;
  std::vector<std::string> complaints;
  Seconds step{20};
  while (clock.mono() < deadline && !violated()) {
    let_pass(step);
    complaints = undesired(plane->admin());
    if (complaints.empty()) return;
    if (step < Seconds{120}) step += Seconds{20};
  }
  if (violated()) return;
  for (const auto& complaint : complaints) journal.add("not as desired: " + complaint);
  violate("converges", fmt::format("{} ({} in all)", complaints.front(), complaints.size()));
}

// Everything is as desired: to look at all of it again must change nothing.
void World::check_quiet() {
  let_pass(kQuietTime);
  journal.add("resync: controllers and scheduler start anew");
  counting_writes_ = true;
  for (const char* component : {ControlPlane::kControllers, ControlPlane::kScheduler}) {
    plane->crash(component);
    plane->restart(component);
  }
  let_pass(kQuietTime);
  counting_writes_ = false;
  if (unwanted_writes_.empty()) return;
  violate("quiet", fmt::format("at the fixpoint: {} ({} in all)", unwanted_writes_.front(),
                               unwanted_writes_.size()));
  for (const auto& write : unwanted_writes_) journal.add("unwanted: " + write);
}

}  // namespace orch::sim
