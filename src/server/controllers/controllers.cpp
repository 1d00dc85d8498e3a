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
  std::vector<std::unique_ptr<client::Controller>> controllers;
  std::vector<std::string> names;  // of all, those that are disabled too
};

Controllers::Controllers(Env& env, const client::Client& client, client::InformerSet& informers,
                         client::EventRecorder& events, ControllersConfig config)
    : impl_(new Impl{{env, client, informers, events}, {}, {}}) {
  for (const SpecFunction make : kSpecs) {
    auto spec = make(impl_->context, config);
    impl_->names.push_back(spec.name);
    const auto& off = config.disabled;
    if (std::find(off.begin(), off.end(), spec.name) != off.end() ||
        !is_controller_selected(spec.name, config.selected)) {
      log::info("controllers", "{} is disabled", spec.name);
      continue;
    }
    impl_->controllers.push_back(
        std::make_unique<client::Controller>(impl_->context, std::move(spec)));
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
