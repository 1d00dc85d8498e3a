// A store that is an etcd cluster (`--datastore-endpoint`), shared with other servers.
//
// Writes go to etcd. Reads and watches are served from an image in memory that follows etcd's
// watch; before a read of the newest state etcd is asked for its revision, and the image waited
// for, so that nothing stale is ever read. Unreachable etcd: kUnavailable for both; watches pause
// and go on without gaps. With a transformer values lie in etcd as it makes them, and in the image
// as they are; one that cannot be read is logged, and stays in the image as it lies.
#pragma once

#include "orch/storage/kv_store.h"
#include "orch/storage/transformer.h"
#include "server/etcd/etcd_client.h"

namespace orch::server::etcd {

struct RemoteStoreOptions {
  Seconds compaction_interval{300};  // of the cluster, by one of its servers; 0 = never
  std::shared_ptr<const storage::ValueTransformer> transformer;  // null = values lie as they are
};

// Waits until the image is there. Error: which endpoint fails and why.
Result<std::unique_ptr<storage::KvStore>, std::string> open_remote_store(
    std::shared_ptr<EtcdClient> client, const RemoteStoreOptions& options,
    Millis patience = Seconds(60));

}  // namespace orch::server::etcd
