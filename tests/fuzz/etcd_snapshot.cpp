// Snapshot files of etcd's form from any bytes: parsed or refused within bounds.
#include "orch/storage/etcd_snapshot.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto parsed = orch::storage::parse_etcd_snapshot({reinterpret_cast<const char*>(data), size});
  if (!parsed) return parsed.error().message.empty() ? (abort(), 0) : 0;
  for (const auto& entry : parsed->entries) {
    if (!entry.kv.key || entry.kv.mod_revision > parsed->revision) abort();
  }
  return 0;
}
