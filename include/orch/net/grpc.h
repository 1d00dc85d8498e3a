// gRPC over HTTP/2, server and client: what etcd's protocol needs. Messages are bytes here.
//
// All sockets of a server live on one thread, those of all clients on another. Handlers are called
// on these threads and must not block; streams may be written to from any thread. Nothing is
// buffered without bound: a message has a maximum size, and who sends faster than the peer reads
// finds out by buffered_bytes().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/net/tls.h"

namespace orch::net {

enum class GrpcCode : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

struct GrpcStatus {
  GrpcCode code = GrpcCode::kOk;
  std::string message;
  bool unsent = false;  // client: the peer has certainly not acted on the call
  bool ok() const { return code == GrpcCode::kOk; }
};

// One call. Any thread; after its end nothing happens any more.
class GrpcStream {
 public:
  virtual ~GrpcStream() = default;
  virtual void send(std::string message) = 0;
  // Server: ends the call. Client: ends its own side if ok, else the whole call (on_closed
  // follows).
  virtual void finish(GrpcStatus status) = 0;
  virtual size_t buffered_bytes() const = 0;  // handed to send(), not yet to the socket
  virtual bool closed() const = 0;
  // Blocks until at most `bytes` are buffered. False: the call ended or `timeout` passed. Not on
  // the handlers' thread.
  virtual bool wait_below(size_t bytes, Millis timeout) = 0;
  // Calls `fn` once, on the handlers' thread, when at most `bytes` are buffered; not if the call
  // ends before.
  virtual void when_below(size_t bytes, std::function<void()> fn) = 0;
};

// Receives a call's events, on the thread of its server or client. Kept by it until on_closed().
class GrpcHandler {
 public:
  virtual ~GrpcHandler() = default;
  virtual void on_message(std::string message) = 0;
  virtual void on_half_close() {}                 // server: no more messages will come
  virtual void on_closed(const GrpcStatus&) = 0;  // the last call
  virtual void on_stopping() {}                   // server: calls without an end should finish now
};

// ---- server ----

struct GrpcServerOptions {
  struct Listener {
    std::string address;  // IP address, or path of a Unix socket (mode 600)
    uint16_t port = 0;    // 0 = any free one
    bool unix_socket = false;
    std::shared_ptr<TlsServerContext> tls;  // made with http2; null = plain
  };
  size_t message_bytes_max = 4 * 1024 * 1024;
  size_t connection_bytes_max = 64 * 1024 * 1024;  // of unfinished messages of one connection
  unsigned connections_max = 4096;
  uint32_t streams_max = 4096;  // of one connection
  Seconds ping_interval{30};    // towards silent peers with open calls; they have as long to answer
};

class GrpcServer {
 public:
  // Called for each call before its first message; null = there is no such method.
  using Service = std::function<std::shared_ptr<GrpcHandler>(std::shared_ptr<GrpcStream>,
                                                             std::string_view path)>;
  // Answers plain GET requests: body (JSON), or nothing = 404.
  using Get = std::function<std::optional<std::string>(std::string_view path)>;

  static Result<std::unique_ptr<GrpcServer>, std::string> start(const GrpcServerOptions& options,
                                                                Service service, Get get);
  virtual ~GrpcServer() = default;
  // From then on it accepts. Error: "listen tcp 127.0.0.1:2379: bind: address already in use".
  // The port.
  virtual Result<uint16_t, std::string> listen(const GrpcServerOptions::Listener& listener) = 0;
  // Runs `work`, which may block, on a thread of its pool. Any thread. Dropped after stop().
  virtual void background(std::function<void()> work) = 0;
  virtual void after(Micros delay, std::function<void()> fn) = 0;  // on the handlers' thread
  // Tells all peers, waits up to `grace` for running calls, closes. Idempotent.
  virtual void stop(Millis grace = Millis{1000}) = 0;
};

// ---- client ----

struct GrpcClientOptions {
  std::string url;                        // "https://host:2379", "http://...", "unix:///path"
  std::shared_ptr<TlsClientContext> tls;  // made with http2
  Millis connect_timeout{2000};
  size_t message_bytes_max = 512 * 1024 * 1024;
  Seconds ping_interval{3};  // as the server's
};

// One connection; when it is gone it stays gone.
class GrpcClient {
 public:
  // Blocks until connected. Errors: "dial tcp ...: connect: connection refused", "x509: ...".
  static Result<std::shared_ptr<GrpcClient>, std::string> connect(const GrpcClientOptions& options);
  virtual ~GrpcClient() = default;
  virtual bool usable() const = 0;  // any thread
  // `timeout` 0 = none. The handler's on_closed() comes in any case.
  virtual std::shared_ptr<GrpcStream> open(std::string path, std::shared_ptr<GrpcHandler> handler,
                                           Millis timeout) = 0;
  // One message there, one back. Blocks; not on the handlers' thread.
  virtual Result<std::string, GrpcStatus> call(std::string path, std::string message,
                                               Millis timeout) = 0;
  virtual void close() = 0;
};

}  // namespace orch::net
