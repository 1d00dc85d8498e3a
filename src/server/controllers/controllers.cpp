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

struct Controllers::Impl {
  client::ControllerContext context;
  std::vector<std::unique_ptr<client::Controller>> controllers;
};

Controllers::Controllers(Env& env, const client::Client& client, client::InformerSet& informers,
                         client::EventRecorder& events, ControllersConfig config)
    : impl_(new Impl{{env, client, informers, events}, {}}) {
  for (const SpecFunction make : kSpecs) {
    auto spec = make(impl_->context, config);
    const auto& off = config.disabled;
    if (std::find(off.begin(), off.end(), spec.name) != off.end()) {
      log::info("controllers", "{} is disabled", spec.name);
      continue;
    }
    impl_->controllers.push_back(
        std::make_unique<client::Controller>(impl_->context, std::move(spec)));
  }
}

Controllers::~Controllers() { stop(); }

void Controllers::start() {
  for (auto& controller : impl_->controllers) controller->start();
}

void Controllers::stop() {
  for (auto& controller : impl_->controllers) controller->stop();
}

}  // namespace orch::server
