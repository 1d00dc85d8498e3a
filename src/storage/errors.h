// The store's errors, built in one place so that their texts agree; and what its files share.
#pragma once

#include "orch/storage/kv_store.h"

namespace orch::storage {

Error compacted_error(Revision asked, Revision compacted);
Error future_error(Revision asked, Revision newest);
Error lease_not_found(LeaseId id);
Error stopped_error();

// Makes what was created or renamed in `directory` durable.
StoreResult<Unit> sync_directory(const std::string& directory);
std::string parent_directory(const std::string& path);

}  // namespace orch::storage
