#include "server/admission/admission.h"

#include <algorithm>

namespace orch::server {

#define ORCH_ADMISSION(function, name) \
  std::unique_ptr<AdmissionPlugin> make_##function(const AdmissionContext& context);
#include "server/admission/admission.def"
#undef ORCH_ADMISSION

PluginChain::PluginChain(const AdmissionContext& context,
                         const std::vector<std::string>& disabled) {
  const auto add = [&](std::string_view name, auto make) {
    if (std::find(disabled.begin(), disabled.end(), name) == disabled.end()) {
      plugins_.push_back(make(context));
    }
  };
#define ORCH_ADMISSION(function, name) add(name, make_##function);
#include "server/admission/admission.def"
#undef ORCH_ADMISSION
}

bool PluginChain::knows(std::string_view name) {
#define ORCH_ADMISSION(function, plugin) \
  if (name == plugin) return true;
#include "server/admission/admission.def"
#undef ORCH_ADMISSION
  return false;
}

api::ApiResult<Unit> PluginChain::admit(AdmissionRequest& request) {
  for (const auto& plugin : plugins_) ORCH_CHECK(plugin->admit(request));
  return Unit{};
}

api::ApiResult<Unit> PluginChain::validate(const AdmissionRequest& request) {
  for (const auto& plugin : plugins_) ORCH_CHECK(plugin->validate(request));
  return Unit{};
}

bool is_write_of(const AdmissionRequest& request, std::string_view group, std::string_view plural) {
  return request.subresource.empty() && request.object != nullptr &&
         request.resource->group == group && request.resource->plural == plural &&
         (request.operation == Operation::kCreate || request.operation == Operation::kUpdate);
}

}  // namespace orch::server
