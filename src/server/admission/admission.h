// The admission chain: the built-in plugins of admission.def, in order. Mutating first, then
// validating. Plugins read informer caches; any thread.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/random.h"
#include "orch/client/informer.h"
#include "server/admission/settings.h"
#include "server/api/hooks.h"

namespace orch::server {

class AdmissionPlugin {
 public:
  virtual ~AdmissionPlugin() = default;
  virtual std::string_view name() const = 0;
  // Its part of --admission-control-config-file, as JSON; before the first request. Error: a
  // sentence.
  virtual Result<Unit, std::string> configure(const std::string& json);
  virtual api::ApiResult<Unit> admit(AdmissionRequest&) { return Unit{}; }
  virtual api::ApiResult<Unit> validate(const AdmissionRequest&) { return Unit{}; }
};

struct AdmissionContext {
  client::InformerSet& informers;
  Random& random;
  const client::Client& client;  // the server's own identity, for reads the cache may lag behind
  const Clock* clock = nullptr;  // for what counts by time; null = such plugins let all pass
  Authorizer* authorizer = nullptr;  // for those that ask what else a user may; null = everything
};

class PluginChain final : public AdmissionChain {
 public:
  // All plugins of admission.def but those in `disabled` (upstream's names) and those that are off
  // by default.
  PluginChain(const AdmissionContext& context, const std::vector<std::string>& disabled);
  // As the settings say. Error: the flag or file and what is wrong in it.
  static Result<std::unique_ptr<PluginChain>, std::string> create(
      const AdmissionContext& context, const AdmissionSettings& settings);
  // Whether admission.def has a plugin of this name.
  static bool knows(std::string_view name);
  // The names of the plugins that run, in order.
  std::vector<std::string> names() const;
  api::ApiResult<Unit> admit(AdmissionRequest& request) override;
  api::ApiResult<Unit> validate(const AdmissionRequest& request) override;

 private:
  PluginChain() = default;
  void fill(const AdmissionContext& context, const AdmissionSettings& settings);

  std::vector<std::unique_ptr<AdmissionPlugin>> plugins_;
};

// Into the request's audit events, where there are any.
void annotate(const AdmissionRequest& request, const std::string& key, const std::string& value);
// True for a write of a whole object of this resource (no subresource).
bool is_write_of(const AdmissionRequest& request, std::string_view group, std::string_view plural);

}  // namespace orch::server
