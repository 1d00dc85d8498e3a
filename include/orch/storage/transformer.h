// How values lie on disk: the store hands it what it writes and reads back (encryption at rest).
// Memory and watchers have the plain value. Implementations are safe for any thread.
#pragma once

#include <string_view>

#include "orch/storage/kv_store.h"

namespace orch::storage {

class ValueTransformer {
 public:
  virtual ~ValueTransformer() = default;
  // The form in which `value` of `key` is written now. The value itself when it is to lie plain.
  virtual StoreResult<Bytes> to_disk(std::string_view key, const Bytes& value) const = 0;
  struct Read {
    Bytes value;
    bool stale = false;  // to_disk() would write it in another form
  };
  // kCorrupt: changed, or sealed with a key that is not known; the message says which.
  virtual StoreResult<Read> from_disk(std::string_view key, const Bytes& stored) const = 0;
};

}  // namespace orch::storage
