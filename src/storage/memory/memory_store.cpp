#include "storage/engine.h"

namespace orch::storage {

std::unique_ptr<KvStore> make_memory_store(Env& env, const StoreOptions& options) {
  auto engine = std::make_unique<Engine>(env, options, EngineLimits{}, nullptr);
  const auto started = engine->start();
  ORCH_ASSERT(started.has_value());  // only a backend can fail
  return engine;
}

}  // namespace orch::storage
