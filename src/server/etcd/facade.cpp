#include "server/etcd/facade.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

namespace orch::server::etcd {

namespace {

constexpr int64_t kLeaseTtlMin = 2;  // etcd's with its default election timeout
constexpr int64_t kLeaseTtlMax = 9'000'000'000;
constexpr Millis kCompactionPoll{5};

}  // namespace

// Waits for the one message.
struct UnaryCall final : net::GrpcHandler {
  UnaryCall(std::shared_ptr<Facade> of, const Facade::Entry& what,
            std::shared_ptr<net::GrpcStream> s)
      : facade(std::move(of)), entry(what), stream(std::move(s)) {}
  void on_message(std::string message) override {
    if (std::exchange(asked, true)) {
      return stream->finish({GrpcCode::kInternal, "more than one message in a unary call"});
    }
    facade->serve(entry, std::move(message), stream);
  }
  void on_half_close() override {
    if (!asked) stream->finish({GrpcCode::kInternal, "no message in a unary call"});
  }
  void on_closed(const GrpcStatus&) override { stream.reset(); }

  std::shared_ptr<Facade> facade;
  const Facade::Entry& entry;
  std::shared_ptr<net::GrpcStream> stream;
  bool asked = false;
};

void Facade::attach(net::GrpcServer& server, std::vector<std::string> client_urls) {
  server_ = &server;
  // Where they are read.
  server.after(Micros(0), [self = shared_from_this(), urls = std::move(client_urls)] {
    self->client_urls_ = urls;
  });
}

ResponseHeader Facade::header(storage::Revision revision) const {
  return {options_.cluster_id, options_.member_id, revision, 2};
}

const Facade::Entry* Facade::find(std::string_view path) {
  static const Entry kEntries[] = {
      {"/etcdserverpb.KV/Range", &Facade::range, false},
      {"/etcdserverpb.KV/Put", &Facade::put, false},
      {"/etcdserverpb.KV/DeleteRange", &Facade::delete_range, false},
      {"/etcdserverpb.KV/Txn", &Facade::txn, false},
      {"/etcdserverpb.KV/Compact", &Facade::compact, true},
      {"/etcdserverpb.Lease/LeaseGrant", &Facade::lease_grant, true},
      {"/etcdserverpb.Lease/LeaseRevoke", &Facade::lease_revoke, true},
      {"/etcdserverpb.Lease/LeaseTimeToLive", &Facade::lease_time_to_live, true},
      {"/etcdserverpb.Lease/LeaseLeases", &Facade::lease_leases, true},
      {"/etcdserverpb.Cluster/MemberList", &Facade::member_list, false},
      {"/etcdserverpb.Cluster/MemberAdd", &Facade::member_change, false},
      {"/etcdserverpb.Cluster/MemberRemove", &Facade::member_change, false},
      {"/etcdserverpb.Cluster/MemberUpdate", &Facade::member_change, false},
      {"/etcdserverpb.Cluster/MemberPromote", &Facade::member_change, false},
      {"/etcdserverpb.Maintenance/Alarm", &Facade::alarm, false},
      {"/etcdserverpb.Maintenance/Status", &Facade::status, false},
      {"/etcdserverpb.Maintenance/Defragment", &Facade::defragment, true},
      {"/etcdserverpb.Maintenance/Hash", &Facade::hash, true},
      {"/etcdserverpb.Maintenance/HashKV", &Facade::hash_kv, true},
      {"/etcdserverpb.Maintenance/Snapshot", &Facade::snapshot, true},
      {"/etcdserverpb.Maintenance/MoveLeader", &Facade::move_leader, false},
      {"/etcdserverpb.Maintenance/Downgrade", &Facade::downgrade, false},
      {"/etcdserverpb.Auth/AuthStatus", &Facade::auth_status, false},
      {"/grpc.health.v1.Health/Check", &Facade::health, false},
  };
  for (const Entry& entry : kEntries) {
    if (entry.path == path) return &entry;
  }
  static const Entry kAuth = {"/etcdserverpb.Auth/", &Facade::auth_refused, false};
  return path.starts_with(kAuth.path) ? &kAuth : nullptr;
}

std::shared_ptr<net::GrpcHandler> Facade::open(std::shared_ptr<net::GrpcStream> stream,
                                               std::string_view path) {
  if (path == "/etcdserverpb.Watch/Watch") {
    return make_watch_stream(shared_from_this(), std::move(stream));
  }
  if (path == "/etcdserverpb.Lease/LeaseKeepAlive") {
    return make_keep_alive_stream(shared_from_this(), std::move(stream));
  }
  const Entry* entry = find(path);
  if (entry == nullptr) return nullptr;
  return std::make_shared<UnaryCall>(shared_from_this(), *entry, std::move(stream));
}

std::optional<std::string> Facade::get(std::string_view path) const {
  if (path == "/health") return R"({"health":"true","reason":""})";
  if (path == "/version") {
    return fmt::format(R"({{"etcdserver":"{}","etcdcluster":"3.5.0"}})", kEtcdVersion);
  }
  return std::nullopt;
}

void Facade::serve(const Entry& entry, std::string message, const Stream& stream) {
  if (!entry.background) return (this->*entry.method)(message, stream);
  server_->background([self = shared_from_this(), &entry, message = std::move(message), stream] {
    if (!stream->closed()) (self.get()->*entry.method)(message, stream);
  });
}

// ---- KV

void Facade::range(std::string_view message, const Stream& stream) {
  RangeRequest request;
  if (!decode(message, request)) return stream->finish(errors::malformed());
  auto wanted = to_store(request);
  if (!wanted) return stream->finish(wanted.error());
  auto answer = [self = shared_from_this(), request, wanted = std::move(*wanted), stream] {
    auto found = self->store_.range(wanted);
    if (!found) return stream->finish(errors::of(found.error()));
    const ResponseHeader header = self->header(found->revision);
    RangeResponse response = finish_range(request, std::move(*found));
    response.header = header;
    reply(*stream, response);
  };
  // A newest single key takes no longer than handing it to another thread; the others may have to
  // read the disk.
  if (request.range_end.empty() && request.revision <= 0) return answer();
  server_->background(std::move(answer));
}

template <class Request, class Response>
void Facade::write_one(std::string_view message, const Stream& stream,
                       Response (*finish)(storage::OpResult)) {
  Request request;
  if (!decode(message, request)) return stream->finish(errors::malformed());
  auto op = to_store(request);
  if (!op) return stream->finish(op.error());
  if (message.size() > kRequestBytesMax) return stream->finish(errors::too_large());
  storage::TxnRequest txn;
  txn.success.push_back(std::move(*op));
  write(std::move(txn), [self = shared_from_this(), stream, finish](auto answer) {
    if (!answer) return stream->finish(errors::of(answer.error()));
    Response response = finish(std::move(answer->results.front()));
    response.header = self->header(answer->revision);
    reply(*stream, response);
  });
}

void Facade::put(std::string_view message, const Stream& stream) {
  write_one<PutRequest>(message, stream, finish_put);
}

void Facade::delete_range(std::string_view message, const Stream& stream) {
  write_one<DeleteRangeRequest>(message, stream, finish_delete);
}

void Facade::txn(std::string_view message, const Stream& stream) {
  auto request = std::make_shared<TxnRequest>();
  if (!decode(message, *request)) return stream->finish(errors::malformed());
  auto wanted = to_store(*request);
  if (!wanted) return stream->finish(wanted.error());
  if (message.size() > kRequestBytesMax) return stream->finish(errors::too_large());
  auto done = [self = shared_from_this(), request, stream](auto answer) {
    if (!answer) return stream->finish(errors::of(answer.error()));
    const ResponseHeader header = self->header(answer->revision);
    reply(*stream, finish_txn(*request, std::move(*answer), header));
  };
  const auto reads = [](const storage::Op& op) { return op.type == storage::Op::Type::kRange; };
  const bool may_block = std::any_of(wanted->success.begin(), wanted->success.end(), reads) ||
                         std::any_of(wanted->failure.begin(), wanted->failure.end(), reads);
  if (!may_block) return write(std::move(*wanted), std::move(done));
  server_->background(
      [self = shared_from_this(), wanted = std::move(*wanted), done = std::move(done)]() mutable {
        self->store_.txn_async(std::move(wanted), std::move(done), false);
      });
}

// What all connections bring in one turn reaches the store at once, and a write that came alone
// costs no change of threads.
void Facade::write(storage::TxnRequest txn, storage::KvStore::TxnDone done) {
  gathered_.emplace_back(std::move(txn), std::move(done));
  if (gathered_.size() > 1) return;
  server_->after(Micros(0), [self = shared_from_this()] { self->write_gathered(); });
}

void Facade::write_gathered() {
  auto gathered = std::exchange(gathered_, {});
  const bool alone = gathered.size() == 1;
  for (auto& [txn, done] : gathered) store_.txn_async(std::move(txn), std::move(done), alone);
}

void Facade::compact(std::string_view message, const Stream& stream) {
  CompactionRequest request;
  if (!decode(message, request)) return stream->finish(errors::malformed());
  if (auto done = store_.compact(request.revision); !done) {
    return stream->finish(errors::of(done.error()));
  }
  while (request.physical && store_.compaction_pending() && !stream->closed()) {
    std::this_thread::sleep_for(kCompactionPoll);
  }
  reply(*stream, HeaderResponse{header()});
}

// ---- Lease

void Facade::lease_grant(std::string_view message, const Stream& stream) {
  LeaseGrantRequest request;
  if (!decode(message, request)) return stream->finish(errors::malformed());
  if (request.ttl > kLeaseTtlMax) return stream->finish(errors::ttl_too_large());
  auto lease = store_.lease_grant(request.id, std::max(request.ttl, kLeaseTtlMin));
  if (!lease) return stream->finish(errors::of(lease.error()));
  reply(*stream, LeaseGrantResponse{header(), lease->id, lease->ttl_seconds, ""});
}

void Facade::lease_revoke(std::string_view message, const Stream& stream) {
  LeaseIdRequest request;
  if (!decode(message, request)) return stream->finish(errors::malformed());
  if (auto done = store_.lease_revoke(request.id); !done) {
    return stream->finish(errors::of(done.error()));
  }
  reply(*stream, HeaderResponse{header()});
}

void Facade::lease_time_to_live(std::string_view message, const Stream& stream) {
  LeaseTimeToLiveRequest request;
  if (!decode(message, request)) return stream->finish(errors::malformed());
  LeaseTimeToLiveResponse response;
  response.header = header();
  response.id = request.id;
  auto lease = store_.lease_info(request.id, request.keys);
  if (lease) {
    response.ttl = lease->remaining_seconds;
    response.granted_ttl = lease->ttl_seconds;
    response.keys = std::move(lease->keys);
  } else if (lease.error().code == storage::ErrorCode::kLeaseNotFound) {
    response.ttl = -1;
  } else {
    return stream->finish(errors::of(lease.error()));
  }
  reply(*stream, response);
}

void Facade::lease_leases(std::string_view, const Stream& stream) {
  LeaseLeasesResponse response;
  response.header = header();
  for (const storage::LeaseId id : store_.leases()) response.leases.push_back({id});
  reply(*stream, response);
}

// ---- Cluster, Auth, health

void Facade::member_list(std::string_view, const Stream& stream) {
  MemberListResponse response;
  response.header = header();
  response.members.push_back({options_.member_id, options_.member_name, {}, client_urls_});
  reply(*stream, response);
}

void Facade::member_change(std::string_view, const Stream& stream) {
  stream->finish(errors::make(GrpcCode::kFailedPrecondition,
                              "re-configuration failed: the embedded store has one member"));
}

void Facade::auth_status(std::string_view, const Stream& stream) {
  reply(*stream, AuthStatusResponse{header(), false, 1});
}

void Facade::auth_refused(std::string_view, const Stream& stream) {
  stream->finish(errors::auth_disabled());
}

void Facade::health(std::string_view, const Stream& stream) { reply(*stream, HealthResponse{1}); }

}  // namespace orch::server::etcd
