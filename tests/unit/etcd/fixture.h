// The etcd API over a Unix socket on a store in a directory of its own, and a client of it.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include <catch2/catch.hpp>

#include "orch/base/env.h"
#include "orch/base/executor.h"
#include "orch/base/faults.h"
#include "orch/base/random.h"
#include "orch/net/grpc.h"
#include "server/etcd/etcd_server.h"
#include "server/etcd/messages.h"

namespace orch::server::etcd {

class Fixture {
 public:
  Fixture() {
    char name[] = "/tmp/orch-etcd-XXXXXX";
    directory_ = mkdtemp(name);
    storage::StoreOptions options;
    options.path = directory_ + "/db";
    options.compaction_interval = Seconds(0);
    store = storage::open_sqlite_store(env_, options).value();
    restart();
  }
  ~Fixture() {
    client.reset();
    server.reset();
    store->stop();
    executor_->stop();
    std::filesystem::remove_all(directory_);
  }
  // The API; the store goes on.
  void restart() {
    server.reset();
    auto key = net::make_ca("test", system_clock().now() - Seconds(60), Seconds(3600)).value();
    server = EtcdServer::start(*store, {.listen_urls = "unix://" + directory_ + "/socket",
                                        .server_key_pair = key,
                                        .ca_pem = key.certificate_pem,
                                        .member_name = "test",
                                        .progress_interval = Millis(100)})
                 .value();
    client = connect();
  }
  std::shared_ptr<net::GrpcClient> connect() const {
    net::GrpcClientOptions options;
    options.url = "unix://" + directory_ + "/socket";
    return net::GrpcClient::connect(options).value();
  }
  template <class Response, class Request>
  Result<Response, net::GrpcStatus> call(const std::string& method, const Request& request) {
    ORCH_TRY(std::string bytes,
             client->call("/etcdserverpb." + method, encode(request), Millis(30'000)));
    Response response;
    REQUIRE(decode(bytes, response));
    return response;
  }
  // The error's text; "" when there is none.
  template <class Request>
  std::string error(const std::string& method, const Request& request) {
    auto answer = call<HeaderResponse>(method, request);
    return answer ? "" : answer.error().message;
  }
  int64_t put(const std::string& key, const std::string& value, int64_t lease = 0) {
    PutRequest request;
    request.key = key;
    request.value = std::make_shared<const std::string>(value);
    request.lease = lease;
    return call<PutResponse>("KV/Put", request).value().header.revision;
  }
  RangeResponse range(const RangeRequest& request) {
    return call<RangeResponse>("KV/Range", request).value();
  }

  const std::string& directory() const { return directory_; }
  std::unique_ptr<storage::KvStore> store;
  std::unique_ptr<EtcdServer> server;
  std::shared_ptr<net::GrpcClient> client;

 private:
  std::string directory_;
  std::unique_ptr<ThreadPoolExecutor> executor_ = ThreadPoolExecutor::create(2);
  Env env_{system_clock(), *executor_, system_random(), no_faults()};
};

// A Watch stream; answers wait in a queue.
class WatchClient final : public net::GrpcHandler {
 public:
  static std::shared_ptr<WatchClient> open(net::GrpcClient& client) {
    auto made = std::make_shared<WatchClient>();
    made->stream_ = client.open("/etcdserverpb.Watch/Watch", made, Millis(0));
    return made;
  }
  void send(const WatchRequest& request) { stream_->send(encode(request)); }
  void create(const WatchCreateRequest& create) {
    WatchRequest request;
    request.has_create = true;
    request.create = create;
    send(request);
  }
  void end() { stream_->finish({net::GrpcCode::kCancelled, "done"}); }
  // The next answer; fails the test when none comes.
  WatchResponse next() {
    std::unique_lock lock(mutex_);
    REQUIRE(ready_.wait_for(lock, Seconds(30), [&] { return !answers_.empty(); }));
    WatchResponse answer = std::move(answers_.front());
    answers_.erase(answers_.begin());
    return answer;
  }
  bool quiet_for(Millis time) {
    std::unique_lock lock(mutex_);
    return !ready_.wait_for(lock, time, [&] { return !answers_.empty(); });
  }
  void on_message(std::string message) override {
    WatchResponse answer;
    const bool good = decode(message, answer);
    std::lock_guard lock(mutex_);
    if (!good) answer.cancel_reason = "undecodable";
    answers_.push_back(std::move(answer));
    ready_.notify_one();
  }
  void on_closed(const net::GrpcStatus&) override {}

 private:
  std::shared_ptr<net::GrpcStream> stream_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<WatchResponse> answers_;
};

}  // namespace orch::server::etcd
