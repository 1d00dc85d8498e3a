// The store's errors, built in one place so that their texts agree.
#pragma once

#include "orch/storage/kv_store.h"

namespace orch::storage {

Error compacted_error(Revision asked, Revision compacted);
Error future_error(Revision asked, Revision newest);
Error lease_not_found(LeaseId id);
Error stopped_error();

}  // namespace orch::storage
