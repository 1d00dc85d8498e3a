#include "orch/sim/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "orch/api/appsv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/quota.h"
#include "orch/base/file.h"
#include "orch/base/json_scan.h"
#include "sim/control_plane.h"
#include "sim/hollow_nodes.h"
#include "sim/report.h"

namespace orch::sim {
namespace corev1 = api::corev1;
namespace appsv1 = api::appsv1;

namespace {

constexpr uint32_t kReplicasMax = 500;  // of a Deployment made
constexpr Seconds kStep{1};
constexpr Seconds kRest{60};  // without any change of a pod: nothing more will come
constexpr Seconds kPatience{24 * 3600};

// A modest machine's API server: two requests at once.
WireOptions wire_options() {
  WireOptions out;
  out.latency_min = Micros{200};
  out.latency_max = Micros{600};
  out.servers = 2;
  out.write_cost = Micros{150};
  out.read_cost = Micros{50};
  out.list_cost_per_kb = Micros{2};
  return out;
}

// The path of the first amount that is no quantity, of which the decoder says no more than that; ""
// = there is none.
std::string bad_quantity(std::string_view json, const std::string& path, int depth = 0) {
  constexpr std::string_view kAmounts[] = {"requests", "limits", "capacity", "allocatable", "hard"};
  constexpr int kDepthMax = 32;
  std::string found;
  if (depth > kDepthMax) return found;
  json_members(json, [&](std::string_view key, std::string_view value) {
    const std::string here = fmt::format("{}{}{}", path, path.empty() ? "" : ".", key);
    if (std::find(std::begin(kAmounts), std::end(kAmounts), key) == std::end(kAmounts)) {
      found = bad_quantity(value, here, depth + 1);
      return found.empty();
    }
    json_members(value, [&](std::string_view resource, std::string_view amount) {
      const std::string text = json_string(amount).value_or(std::string(amount));
      if (!api::Quantity::parse(text)) found = fmt::format("{}[{}]", here, resource);
      return found.empty();
    });
    return found.empty();
  });
  size_t index = 0;
  json_elements(json, [&](std::string_view element) {
    found = bad_quantity(element, fmt::format("{}[{}]", path, index++), depth + 1);
    return found.empty();
  });
  return found;
}

class Simulation {
 public:
  explicit Simulation(const SimulateConfig& config)
      : config_(config),
        product_random_(seeded_random(config.seed * 4)),
        wire_random_(seeded_random(config.seed * 4 + 1)),
        node_random_(seeded_random(config.seed * 4 + 2)),
        executor_(clock_, nullptr),
        env_{clock_, executor_, *product_random_, no_faults()},
        wire_(env_, executor_, *wire_random_, wire_options()),
        plane_(env_, executor_, wire_, {.shared_cache = true, .wrap = nullptr}) {}
  ~Simulation() {
    if (nodes_) nodes_->stop();
    while (nodes_ && !nodes_->idle()) executor_.advance(kStep);
    plane_.stop();
  }

  Result<Unit, std::string> run();
  std::string report();

 private:
  struct Wanted {
    std::string where;  // in which file
    const api::ResourceInfo* resource;
    std::unique_ptr<api::Object> object;
  };
  Result<Unit, std::string> load();
  Result<Unit, std::string> load_file(const std::string& path);
  Result<Unit, std::string> load_object(const std::string& where, const std::string& json);
  Result<Unit, std::string> load_node(const std::string& where, corev1::Node node);
  Result<Unit, std::string> size_nodes();
  Result<Unit, std::string> size_pods();
  Result<Unit, std::string> make_homes();
  void make_nodes();
  Result<Unit, std::string> make_objects();
  Result<Unit, std::string> make_pods();
  Result<Unit, std::string> create(const Wanted& wanted, bool dry_run);
  void on_pod(const api::ObjectPtr& old, const api::ObjectPtr& now);
  void wait_for_rest();

  const SimulateConfig& config_;
  SimClock clock_;
  const std::unique_ptr<Random> product_random_, wire_random_, node_random_;
  SimExecutor executor_;
  Env env_;
  Wire wire_;
  ControlPlane plane_;
  std::unique_ptr<HollowNodes> nodes_;
  std::vector<Wanted> objects_;  // of the files, without Nodes
  std::map<std::string, corev1::Node> machines_;
  std::map<std::string, api::Quantity> pod_size_;
  std::unordered_map<std::string, MonoTime> created_;  // pods not running yet, by uid
  std::unordered_set<std::string> ending_;             // pods that run and will end by themselves
  MonoTime last_change_{};
  Report report_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

// ---- what is asked for ----

Result<Unit, std::string> Simulation::load_file(const std::string& path) {
  ORCH_TRY(const std::string text, read_file(path));
  auto documents = api::yaml_documents_to_json(text);
  if (!documents) return Err(fmt::format("{}: {}", path, documents.error().message));
  size_t number = 0;
  for (const std::string& document : *documents) {
    const std::string where = fmt::format("{}: document {}", path, ++number);
    const auto kind = json_string_at(document, "kind").value_or("");
    const auto items = json_member(document, "items");
    if (!items || !kind.ends_with("List")) {
      ORCH_CHECK(load_object(where, document));
      continue;
    }
    Result<Unit, std::string> loaded = Unit{};
    size_t item = 0;
    const bool all = json_elements(*items, [&](std::string_view element) {
      loaded = load_object(fmt::format("{}: items[{}]", where, item++), std::string(element));
      return bool(loaded);
    });
    ORCH_CHECK(loaded);
    if (!all) return Err(fmt::format("{}: items: not a list", where));
  }
  return Unit{};
}

Result<Unit, std::string> Simulation::load_object(const std::string& where,
                                                  const std::string& json) {
  auto kind = api::peek_kind(json);
  if (!kind) return Err(fmt::format("{}: {}", where, kind.error().message));
  const auto* resource = api::find_resource_by_kind(kind->group, kind->version, kind->kind);
  if (resource == nullptr) {
    return Err(fmt::format("{}: no kind \"{}\" in \"{}\"", where, kind->kind, kind->api_version()));
  }
  std::vector<std::string> findings;
  api::DecodeOptions strict;
  strict.strict_findings = &findings;
  auto object = api::decode_object(json, *resource->type, strict);
  if (!object) {
    const std::string field = bad_quantity(json, "");
    return Err(
        fmt::format("{}: {}{}{}", where, field, field.empty() ? "" : ": ", object.error().message));
  }
  if (!findings.empty()) return Err(fmt::format("{}: {}", where, findings.front()));
  if (resource->type == &corev1::Node::type_info()) {
    return load_node(where, std::move(static_cast<corev1::Node&>(**object)));
  }
  if (resource->namespaced && (*object)->metadata.namespace_.empty()) {
    (*object)->metadata.namespace_ = "default";
  }
  objects_.push_back({where, resource, std::move(*object)});
  return Unit{};
}

Result<Unit, std::string> Simulation::load_node(const std::string& where, corev1::Node node) {
  const auto refuse = [&](std::string_view field, std::string_view why) {
    return Err(fmt::format("{}: Node {}: {}: {}", where, node.metadata.name, field, why));
  };
  auto& status = node.status;
  if (status.allocatable.empty()) status.allocatable = status.capacity;
  if (status.capacity.empty()) status.capacity = status.allocatable;
  if (status.allocatable.empty()) return refuse("status.allocatable", "Required value");
  for (const auto& [resource, quantity] : status.allocatable) {
    if (quantity.sign() < 0) {
      return refuse(fmt::format("status.allocatable[{}]", resource),
                    "must be greater than or equal to 0");
    }
  }
  if (!status.allocatable.contains("pods")) status.allocatable["pods"] = api::Quantity::of(110);
  node.metadata.labels.emplace("kubernetes.io/hostname", node.metadata.name);
  const auto wrong = api::validate(api::resource_of<corev1::Node>(), node, nullptr);
  if (!wrong.empty()) return refuse(wrong.front().field, wrong.front().message);
  if (machines_.contains(node.metadata.name)) return refuse("metadata.name", "Duplicate value");
  machines_.emplace(node.metadata.name, std::move(node));
  return Unit{};
}

Result<Unit, std::string> Simulation::size_nodes() {
  const std::pair<const char*, const std::string*> sizes[] = {
      {"cpu", &config_.node_cpu}, {"memory", &config_.node_memory}, {"pods", &config_.node_pods}};
  std::map<std::string, api::Quantity> size;
  for (const auto& [resource, text] : sizes) {
    auto quantity = api::Quantity::parse(*text);
    if (!quantity || quantity->sign() <= 0) {
      return Err(fmt::format("--node-{}: \"{}\" is not a positive quantity", resource, *text));
    }
    size[resource] = *quantity;
  }
  for (uint32_t i = 0; i < config_.nodes; ++i) {
    corev1::Node node;
    node.metadata.name = fmt::format("node-{:05}", i);
    node.metadata.labels = {{"kubernetes.io/hostname", node.metadata.name},
                            {"topology.kubernetes.io/zone", fmt::format("zone-{}", i % 3)}};
    node.status.allocatable = node.status.capacity = size;
    machines_.emplace(node.metadata.name, std::move(node));
  }
  if (machines_.empty()) {
    return Err(std::string("there are no nodes: give --nodes, or a file with Nodes"));
  }
  return Unit{};
}

Result<Unit, std::string> Simulation::size_pods() {
  for (const auto& [resource, text] :
       {std::pair{"cpu", &config_.pod_cpu}, std::pair{"memory", &config_.pod_memory}}) {
    auto quantity = api::Quantity::parse(*text);
    if (!quantity || quantity->sign() < 0) {
      return Err(fmt::format("--pod-{}: \"{}\" is not a quantity", resource, *text));
    }
    pod_size_[resource] = *quantity;
  }
  return Unit{};
}

// All that can be wrong is said before anything runs.
Result<Unit, std::string> Simulation::load() {
  for (const auto& file : config_.files) ORCH_CHECK(load_file(file));
  ORCH_CHECK(size_nodes());
  return size_pods();
}

// ---- the run ----

Result<Unit, std::string> Simulation::create(const Wanted& wanted, bool dry_run) {
  client::Request request;
  request.verb = "create";
  request.group = wanted.resource->group;
  request.version = wanted.resource->version;
  request.resource = wanted.resource->plural;
  if (wanted.resource->namespaced) request.namespace_ = wanted.object->metadata.namespace_;
  request.body = api::to_json(*wanted.object);
  if (dry_run) request.query.emplace_back("dryRun", "All");
  auto made = plane_.admin().raw().transport().call(request);
  if (made) return Unit{};
  return Err(wanted.where + ": " + made.error().message);
}

// Things that others live in or refer to, for good; and whether the API takes all the rest.
Result<Unit, std::string> Simulation::make_homes() {
  const auto others = std::stable_partition(objects_.begin(), objects_.end(), [](const auto& one) {
    const auto kind = one.resource->kind;
    return kind == "Namespace" || kind == "PriorityClass" || kind == "StorageClass" ||
           kind == "CustomResourceDefinition";
  });
  for (auto one = objects_.begin(); one != others; ++one) ORCH_CHECK(create(*one, false));
  executor_.advance(Seconds{1});  // a new namespace gets its service account
  objects_.erase(objects_.begin(), others);
  for (const auto& one : objects_) ORCH_CHECK(create(one, true));
  return Unit{};
}

void Simulation::make_nodes() {
  HollowOptions options;
  options.start_min = Millis{500};
  options.start_max = Millis{1500};
  nodes_ = std::make_unique<HollowNodes>(env_, *node_random_, plane_, plane_.informers(), options);
  for (const auto& [name, machine] : machines_) nodes_->add(machine);
  report_.nodes = machines_.size();
  // Heartbeats are spread over ten seconds; new nodes carry a taint until they are seen to be well.
  executor_.advance(Seconds{15});
}

Result<Unit, std::string> Simulation::make_objects() {
  for (const auto& one : objects_) ORCH_CHECK(create(one, false));
  return Unit{};
}

Result<Unit, std::string> Simulation::make_pods() {
  auto made_here = std::make_unique<appsv1::Deployment>();
  appsv1::Deployment& deployment = *made_here;
  const Wanted wanted{"--pods", &api::resource_of<appsv1::Deployment>(), std::move(made_here)};
  auto& container = deployment.spec.template_.spec.containers.emplace_back();
  container.name = "c";
  container.image = "registry.k8s.io/pause:3.10";
  container.resources.requests = pod_size_;
  deployment.metadata.namespace_ = "default";
  deployment.spec.selector.emplace();
  for (uint32_t made = 0, number = 0; made < config_.pods; ++number) {
    const uint32_t count =
        std::min({config_.pods - made, kReplicasMax, std::max(1u, config_.rate)});
    deployment.metadata.name = fmt::format("load-{:05}", number);
    deployment.spec.replicas = static_cast<int32_t>(count);
    deployment.spec.selector->matchLabels = {{"app", deployment.metadata.name}};
    deployment.spec.template_.metadata.labels = {{"app", deployment.metadata.name}};
    ORCH_CHECK(create(wanted, false));
    made += count;
    executor_.advance(Micros{1'000'000LL * count / config_.rate});
  }
  return Unit{};
}

void Simulation::on_pod(const api::ObjectPtr& old, const api::ObjectPtr& now) {
  last_change_ = clock_.mono();
  if (!now) {
    created_.erase(old->metadata.uid);
    ending_.erase(old->metadata.uid);
    return;
  }
  const auto& pod = static_cast<const corev1::Pod&>(*now);
  if (pod.status.phase == "Running" && pod.spec.restartPolicy != "Always") {
    ending_.insert(pod.metadata.uid);
  } else {
    ending_.erase(pod.metadata.uid);
  }
  if (!old) created_.emplace(pod.metadata.uid, clock_.mono());
  if (pod.status.phase == "Pending" || pod.status.phase.empty()) return;
  const auto at = created_.find(pod.metadata.uid);
  if (at == created_.end()) return;
  report_.startup_virtual_ms.add(
      std::chrono::duration<double, std::milli>(clock_.mono() - at->second).count());
  created_.erase(at);
}

void Simulation::wait_for_rest() {
  const MonoTime deadline = clock_.mono() + kPatience;
  last_change_ = clock_.mono();
  while (clock_.mono() < deadline && (clock_.mono() - last_change_ < kRest || !ending_.empty())) {
    executor_.advance(kStep);
    if (created_.empty() && ending_.empty() && clock_.mono() - last_change_ >= Seconds{5}) return;
  }
}

Result<Unit, std::string> Simulation::run() {
  ORCH_CHECK(load());
  wire_.after = [this](const CallSeen& seen) {
    if (seen.code == 0) return;
    ++report_.calls;
    report_.call_virtual_ms.add(
        std::chrono::duration<double, std::milli>(seen.virtual_took).count());
    report_.call_real_ms.add(std::chrono::duration<double, std::milli>(seen.real_took).count());
  };
  plane_.informers().get<corev1::Pod>().add_handler(
      [this](const api::ObjectPtr& old, const api::ObjectPtr& now) { on_pod(old, now); });
  ORCH_CHECK(plane_.start());
  ORCH_CHECK(make_homes());
  make_nodes();
  ORCH_CHECK(make_objects());
  ORCH_CHECK(make_pods());
  wait_for_rest();
  return Unit{};
}

// ---- the report ----

std::string Simulation::report() {
  for (const auto& object : plane_.informers().get<corev1::Node>().list()) {
    const auto& node = static_cast<const corev1::Node&>(*object);
    for (const char* resource : {"cpu", "memory"}) {
      const auto there = node.status.allocatable.find(resource);
      if (there != node.status.allocatable.end()) report_.allocatable[resource] += there->second;
    }
  }
  for (const auto& object : plane_.informers().get<corev1::Pod>().list()) {
    const auto& pod = static_cast<const corev1::Pod&>(*object);
    if (pod.spec.nodeName.empty()) {
      ++report_.waiting;
      std::string why = "not looked at yet";
      for (const auto& c : pod.status.conditions) {
        if (c.type == "PodScheduled" && c.status == "False") why = c.reason + ": " + c.message;
      }
      ++report_.reasons[why];
      continue;
    }
    ++report_.bound;
    ++report_.pods_of_node[pod.spec.nodeName];
    const bool finished = pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
    report_.running += pod.status.phase == "Running";
    report_.finished += finished;
    if (finished) continue;
    for (const auto& [resource, quantity] : api::pod_requests(pod.spec)) {
      if (resource == "cpu" || resource == "memory") report_.requested[resource] += quantity;
    }
  }
  report_.virtual_seconds = std::chrono::duration<double>(clock_.mono().time_since_epoch()).count();
  report_.real_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  report_.cpu_seconds = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return report_.text();
}

}  // namespace

Result<std::string, std::string> simulate(const SimulateConfig& config) {
  Simulation simulation(config);
  ORCH_CHECK(simulation.run());
  return simulation.report();
}

}  // namespace orch::sim
