#include "server/admission/admission.h"

#include <fmt/format.h>

#include <algorithm>

namespace orch::server {
namespace {

using List = std::vector<std::string>;

bool has(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// Plugins that upstream builds into the API server itself; naming them is no error.
bool is_built_in(std::string_view name) {
  static constexpr std::string_view kNames[] = {"CertificateApproval", "CertificateSigning",
                                                "CertificateSubjectRestriction", "NamespaceExists",
                                                "NamespaceLifecycle"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

Result<Unit, std::string> check_names(const char* flag, const List& names) {
  for (const auto& name : names) {
    if (PluginChain::knows(name) || is_built_in(name)) continue;
    return Err(fmt::format("--{}: {} plugin \"{}\" is unknown", flag, flag, name));
  }
  return Unit{};
}

}  // namespace

#define ORCH_ADMISSION(function, name, on) \
  std::unique_ptr<AdmissionPlugin> make_##function(const AdmissionContext& context);
#include "server/admission/admission.def"
#undef ORCH_ADMISSION

Result<Unit, std::string> AdmissionPlugin::configure(const std::string&) {
  return Err(fmt::format("{} takes no configuration", name()));
}

void PluginChain::fill(const AdmissionContext& context, const AdmissionSettings& settings) {
  const auto add = [&](std::string_view name, bool on, auto make) {
    if (has(settings.disabled, name) || (!on && !has(settings.enabled, name))) return;
    plugins_.push_back(make(context));
  };
#define ORCH_ADMISSION(function, name, on) add(name, on, make_##function);
#include "server/admission/admission.def"
#undef ORCH_ADMISSION
}

PluginChain::PluginChain(const AdmissionContext& context, const List& disabled) {
  fill(context, AdmissionSettings{{}, disabled, {}});
}

Result<std::unique_ptr<PluginChain>, std::string> PluginChain::create(
    const AdmissionContext& context, const AdmissionSettings& settings) {
  ORCH_CHECK(check_names("enable-admission-plugins", settings.enabled));
  for (const auto& name : settings.enabled) {
    if (!has(settings.disabled, name)) continue;
    return Err(fmt::format(
        "[{}] in enable-admission-plugins and disable-admission-plugins overlapped", name));
  }
  std::unique_ptr<PluginChain> chain(new PluginChain());
  chain->fill(context, settings);
  for (const auto& [name, json] : settings.configuration) {
    if (!knows(name) && !is_built_in(name)) {
      return Err(fmt::format("--admission-control-config-file: plugin \"{}\" is unknown", name));
    }
    if (json.empty()) continue;
    for (const auto& plugin : chain->plugins_) {
      if (plugin->name() != name) continue;
      auto configured = plugin->configure(json);
      if (configured) continue;
      return Err(fmt::format("--admission-control-config-file: {}: {}", name, configured.error()));
    }
  }
  return chain;
}

bool PluginChain::knows(std::string_view name) {
#define ORCH_ADMISSION(function, plugin, on) \
  if (name == plugin) return true;
#include "server/admission/admission.def"
#undef ORCH_ADMISSION
  return false;
}

List PluginChain::names() const {
  List out;
  for (const auto& plugin : plugins_) out.emplace_back(plugin->name());
  return out;
}

api::ApiResult<Unit> PluginChain::admit(AdmissionRequest& request) {
  for (const auto& plugin : plugins_) ORCH_CHECK(plugin->admit(request));
  return Unit{};
}

api::ApiResult<Unit> PluginChain::validate(const AdmissionRequest& request) {
  for (const auto& plugin : plugins_) ORCH_CHECK(plugin->validate(request));
  return Unit{};
}

void annotate(const AdmissionRequest& request, const std::string& key, const std::string& value) {
  if (request.audit_annotations != nullptr) (*request.audit_annotations)[key] = value;
}

bool is_write_of(const AdmissionRequest& request, std::string_view group, std::string_view plural) {
  return request.subresource.empty() && request.object != nullptr &&
         request.resource->group == group && request.resource->plural == plural &&
         (request.operation == Operation::kCreate || request.operation == Operation::kUpdate);
}

}  // namespace orch::server
