// The admission chain: the built-in plugins of admission.def, in order. Mutating first, then
// validating. Plugins read informer caches; any thread.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "orch/base/random.h"
#include "orch/client/informer.h"
#include "server/api/hooks.h"

namespace orch::server {

class AdmissionPlugin {
 public:
  virtual ~AdmissionPlugin() = default;
  virtual std::string_view name() const = 0;
  virtual api::ApiResult<Unit> admit(AdmissionRequest&) { return Unit{}; }
  virtual api::ApiResult<Unit> validate(const AdmissionRequest&) { return Unit{}; }
};

struct AdmissionContext {
  client::InformerSet& informers;
  Random& random;
  const client::Client& client;  // the server's own identity, for reads the cache may lag behind
};

class PluginChain final : public AdmissionChain {
 public:
  // All plugins of admission.def but those in `disabled` (upstream's names).
  PluginChain(const AdmissionContext& context, const std::vector<std::string>& disabled);
  // Whether admission.def has a plugin of this name.
  static bool knows(std::string_view name);
  api::ApiResult<Unit> admit(AdmissionRequest& request) override;
  api::ApiResult<Unit> validate(const AdmissionRequest& request) override;

 private:
  std::vector<std::unique_ptr<AdmissionPlugin>> plugins_;
};

// True for a write of a whole object of this resource (no subresource).
bool is_write_of(const AdmissionRequest& request, std::string_view group, std::string_view plural);

}  // namespace orch::server
