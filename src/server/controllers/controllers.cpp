#include "server/controllers/controllers.h"

#include <algorithm>

#include "orch/base/log.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using SpecFunction = client::ControllerSpec (*)(client::ControllerContext&,
                                                const ControllersConfig&);

constexpr SpecFunction kSpecs[] = {
#define ORCH_CONTROLLER(function) function,
#include "server/controllers/controllers.def"
#undef ORCH_CONTROLLER
};

// Upstream's event sources, where they are not the controller's name.
std::string event_source(const std::string& name) {
  static constexpr std::pair<std::string_view, std::string_view> kSources[] = {
      {"disruption-controller", "controllermanager"},
      {"endpoints-controller", "endpoint-controller"},
      {"endpointslice-controller", "endpoint-slice-controller"},
      {"endpointslice-mirroring-controller", "endpoint-slice-mirroring-controller"},
      {"ephemeral-volume-controller", "ephemeral_volume"},
      {"horizontal-pod-autoscaler-controller", "horizontal-pod-autoscaler"},
      {"node-ipam-controller", "cidrAllocator"},
      {"node-lifecycle-controller", "node-controller"},
      {"persistentvolume-attach-detach-controller", "attachdetach-controller"},
      {"persistentvolume-binder-controller", "persistentvolume-controller"},
      {"replicationcontroller-controller", "replication-controller"},
      {"servicelb", "service-controller"},
  };
  for (const auto& [controller, source] : kSources) {
    if (name == controller) return std::string(source);
  }
  return name;
}

// One recorder for all, each controller's events under its own name.
class NamedRecorder final : public client::EventRecorder {
 public:
  NamedRecorder(client::EventRecorder& recorder, std::string component)
      : recorder_(recorder), component_(std::move(component)) {}
  void record(const client::EventSubject& subject, std::string_view type, std::string_view reason,
              std::string_view message) override {
    client::EventSubject mine = subject;
    mine.component = component_;
    recorder_.record(mine, type, reason, message);
  }

 private:
  client::EventRecorder& recorder_;
  const std::string component_;
};

}  // namespace

bool is_controller_selected(std::string_view name, const std::vector<std::string>& selection) {
  bool others = selection.empty();
  for (const std::string& item : selection) {
    if (item == name) return true;
    if (item.starts_with('-') && std::string_view(item).substr(1) == name) return false;
    others = others || item == "*";
  }
  return others;
}

struct Controllers::Impl {
  client::ControllerContext context;
  std::vector<std::unique_ptr<NamedRecorder>> recorders;
  std::vector<std::unique_ptr<client::Controller>> controllers;
  std::vector<std::string> names;  // of all, those that are disabled too
};

Controllers::Controllers(Env& env, const client::Client& client, client::InformerSet& informers,
                         client::EventRecorder& events, ControllersConfig config)
    : impl_(new Impl{{env, client, informers, events}, {}, {}, {}}) {
  std::vector<client::ControllerSpec> specs;
  for (const SpecFunction make : kSpecs) specs.push_back(make(impl_->context, config));
  std::move(config.more.begin(), config.more.end(), std::back_inserter(specs));
  for (auto& spec : specs) {
    impl_->names.push_back(spec.name);
    const auto& off = config.disabled;
    if (std::find(off.begin(), off.end(), spec.name) != off.end() ||
        !is_controller_selected(spec.name, config.selected)) {
      log::info("controllers", "{} is disabled", spec.name);
      continue;
    }
    auto& recorder = *impl_->recorders.emplace_back(
        std::make_unique<NamedRecorder>(events, event_source(spec.name)));
    const client::Client& own = config.client_of ? config.client_of(spec.name) : client;
    impl_->controllers.push_back(std::make_unique<client::Controller>(
        client::ControllerContext{env, own, informers, recorder}, std::move(spec)));
  }
}

Controllers::~Controllers() { stop(); }

bool Controllers::knows(std::string_view name) const {
  return std::find(impl_->names.begin(), impl_->names.end(), name) != impl_->names.end();
}

void Controllers::start() {
  for (auto& controller : impl_->controllers) controller->start();
}

void Controllers::stop() {
  for (auto& controller : impl_->controllers) controller->stop();
}

}  // namespace orch::server
