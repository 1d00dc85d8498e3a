// etcd v3's services over a store: one object for all calls. On the gRPC server's thread, on its
// pool and on the store's threads.
#pragma once

#include <atomic>

#include "orch/base/env.h"
#include "orch/net/grpc.h"
#include "orch/storage/kv_store.h"
#include "server/etcd/convert.h"

namespace orch::server::etcd {

inline constexpr std::string_view kEtcdVersion = "3.5.17";  // what is spoken
inline constexpr size_t kRequestBytesMax = 1536 * 1024;     // etcd's default
inline constexpr size_t kMessageBytesMax = kRequestBytesMax + 512 * 1024;

struct FacadeOptions {
  uint64_t cluster_id = 1, member_id = 1;
  std::string member_name;
  Micros progress_interval = Seconds(600);  // of watches with progress_notify
};

class Facade final : public std::enable_shared_from_this<Facade> {
 public:
  Facade(storage::KvStore& store, FacadeOptions options)
      : store_(store), options_(std::move(options)) {}
  void attach(net::GrpcServer& server, std::vector<std::string> client_urls);

  std::shared_ptr<net::GrpcHandler> open(std::shared_ptr<net::GrpcStream> stream,
                                         std::string_view path);
  std::optional<std::string> get(std::string_view path) const;

  storage::KvStore& store() { return store_; }
  net::GrpcServer& server() { return *server_; }
  const FacadeOptions& options() const { return options_; }
  ResponseHeader header(storage::Revision revision) const;
  ResponseHeader header() const { return header(store_.revision()); }

 private:
  friend struct UnaryCall;
  using Stream = std::shared_ptr<net::GrpcStream>;
  using Method = void (Facade::*)(std::string_view message, const Stream& stream);
  struct Entry {
    std::string_view path;
    Method method;
    bool background;  // may block
  };
  static const Entry* find(std::string_view path);
  void serve(const Entry& entry, std::string message, const Stream& stream);

  // KV
  void range(std::string_view message, const Stream& stream);
  void put(std::string_view message, const Stream& stream);
  void delete_range(std::string_view message, const Stream& stream);
  void txn(std::string_view message, const Stream& stream);
  // Of one operation; `finish` makes the answer of its result.
  template <class Request, class Response>
  void write_one(std::string_view message, const Stream& stream,
                 Response (*finish)(storage::OpResult));
  void write(storage::TxnRequest txn, storage::KvStore::TxnDone done);
  void write_gathered();
  void compact(std::string_view message, const Stream& stream);
  // Lease
  void lease_grant(std::string_view message, const Stream& stream);
  void lease_revoke(std::string_view message, const Stream& stream);
  void lease_time_to_live(std::string_view message, const Stream& stream);
  void lease_leases(std::string_view message, const Stream& stream);
  // Cluster, Auth, health
  void member_list(std::string_view message, const Stream& stream);
  void member_change(std::string_view message, const Stream& stream);
  void auth_status(std::string_view message, const Stream& stream);
  void auth_refused(std::string_view message, const Stream& stream);
  void health(std::string_view message, const Stream& stream);
  // Maintenance (maintenance.cpp)
  void status(std::string_view message, const Stream& stream);
  void alarm(std::string_view message, const Stream& stream);
  void defragment(std::string_view message, const Stream& stream);
  void hash(std::string_view message, const Stream& stream);
  void hash_kv(std::string_view message, const Stream& stream);
  void snapshot(std::string_view message, const Stream& stream);
  void move_leader(std::string_view message, const Stream& stream);
  void downgrade(std::string_view message, const Stream& stream);
  storage::StoreResult<uint32_t> hash_at(storage::Revision revision);

  storage::KvStore& store_;
  const FacadeOptions options_;
  net::GrpcServer* server_ = nullptr;
  std::vector<std::string> client_urls_;
  // Writes of this turn of the server's thread.
  std::vector<std::pair<storage::TxnRequest, storage::KvStore::TxnDone>> gathered_;
  std::atomic<int> snapshots_{0};
};

// Sends the one answer of a unary call.
template <class T>
void reply(net::GrpcStream& stream, const T& message) {
  stream.send(encode(message));
  stream.finish({});
}

// The streams (watch_stream.cpp, lease_stream.cpp).
std::shared_ptr<net::GrpcHandler> make_watch_stream(std::shared_ptr<Facade> facade,
                                                    std::shared_ptr<net::GrpcStream> stream);
std::shared_ptr<net::GrpcHandler> make_keep_alive_stream(std::shared_ptr<Facade> facade,
                                                         std::shared_ptr<net::GrpcStream> stream);

}  // namespace orch::server::etcd
