#include "storage/engine.h"
#include "storage/sqlite/sqlite_backend.h"

namespace orch::storage {

StoreResult<std::unique_ptr<KvStore>> open_sqlite_store(Env& env, const StoreOptions& options) {
  ORCH_TRY(std::unique_ptr<Backend> backend,
           SqliteBackend::open(options.path, options.transformer));
  auto engine = std::make_unique<Engine>(env, options, EngineLimits{}, std::move(backend));
  ORCH_CHECK(engine->start());
  return std::unique_ptr<KvStore>(std::move(engine));
}

}  // namespace orch::storage
