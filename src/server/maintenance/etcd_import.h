// An etcd snapshot of another Kubernetes' API server as content of ours: values are protobuf in
// the "k8s\0" envelope or JSON under /registry/<plural>/...; ours are JSON under
// /registry/<group>/<plural>/.... Pure but for the transformer; any thread.
#pragma once

#include <map>
#include <string>

#include "orch/storage/etcd_snapshot.h"
#include "orch/storage/transformer.h"

namespace orch::server {

struct EtcdImport {
  storage::SnapshotContent content;
  int64_t objects = 0;
  std::map<std::string, int64_t> left_out;  // reason -> how many
};

// Revisions, versions and leases stay. What is no object of a kind that orch has is left out, and
// counted. `encryption` opens encrypted values by their keys there and gives them our form; null =
// none. Error: a value that must be readable is not.
storage::StoreResult<EtcdImport> import_kubernetes(storage::SnapshotContent foreign,
                                                   const storage::ValueTransformer* encryption);

}  // namespace orch::server
