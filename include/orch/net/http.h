// HTTP/1.1 over TLS, server side. Connections are not threads: an epoll loop owns sockets and TLS;
// a readable connection is lent to a worker for one request; a watch becomes a stream owned by the
// loop; an upgrade is handed over as a raw byte stream.
//
// Handlers are plain blocking functions. GET and HEAD run on few workers (= cores); all other
// methods, and handlers that said they may block, run on a lazily grown pool, so that writers wait
// for their group commit without holding up readers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "orch/net/tls.h"

namespace orch::net {

// Header names compare case-insensitively.
struct IgnoreCase {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};
using Headers = std::multimap<std::string, std::string, IgnoreCase>;
std::string_view header(const Headers& headers, std::string_view name);  // first, or ""
// True if a comma-separated header holds the token (case-insensitive), e.g. Connection: Upgrade.
bool header_has_token(const Headers& headers, std::string_view name, std::string_view token);

using Query = std::multimap<std::string, std::string, std::less<>>;  // percent-decoded
Query parse_query(std::string_view raw);
std::string query_value(const Query& query, std::string_view key);  // first, or ""
std::string url_encode(std::string_view text);
std::string url_decode(std::string_view text);

// The peer's verified client certificate; empty common_name = none given, or one without a name.
struct PeerCertificate {
  std::string common_name;
  std::vector<std::string> organizations;
  std::string uid;                 // OID 1.3.6.1.4.1.57683.2 of the subject
  std::string fingerprint_sha256;  // hex
  WallTime not_after{};
  // A certificate was given but does not verify ("x509: ..."); the rest is empty then. To be
  // answered 401, as kube-apiserver does. Looked at anew for each request (expiry).
  std::string error;
  // The certificate is of the front proxies' authority: its common name, maybe "". All else but
  // `not_after` and `error` is empty then, unless it is of the clients' authority too.
  std::optional<std::string> front_proxy;
};

struct HttpRequest {
  std::string method;
  std::string target;  // raw, with query
  std::string path;    // percent-decoded
  std::string raw_query;
  Query query;
  Headers headers;
  std::string body;  // whole; over the limit the server answered 413 itself
  PeerCertificate peer;
  std::string remote_address;  // "10.0.0.1:4711"
};

// Writes to a response whose headers are out: a watch, a followed log. Any thread may write; owned
// jointly by the loop and the producer. Nothing blocks: beyond the buffer limit the peer is cut
// off.
class Stream {
 public:
  virtual ~Stream() = default;
  // False = the peer is gone or too slow (then it is cut off). Bytes are sent chunk-encoded.
  virtual bool write(std::string bytes) = 0;
  virtual bool write(std::shared_ptr<const std::string> bytes) = 0;
  virtual size_t buffered_bytes() const = 0;
  // For producers that can wait (a long log): blocks until at most `bytes` are buffered. False =
  // the peer is gone or `timeout` passed. Never call it on the loop (in on_close).
  virtual bool wait_below(size_t bytes, Millis timeout) = 0;
  virtual void finish() = 0;  // ends the response properly
  // `fn` runs once, on the loop, when the peer is gone or the stream ended; at once if already so.
  virtual void on_close(std::function<void()> fn) = 0;
};

// A connection after an upgrade: a plain duplex byte stream. Blocking calls, one reader and one
// writer thread at a time.
class RawConnection {
 public:
  virtual ~RawConnection() = default;
  virtual Result<size_t, std::string> read(char* buffer, size_t size) = 0;  // 0 = end of stream
  virtual Result<Unit, std::string> write_all(std::string_view bytes) = 0;
  virtual void shutdown_write() = 0;
  virtual void close() = 0;  // wakes a blocked reader; any thread
};
// Copies both ways until both sides ended; returns then. Uses one extra thread.
void pump(RawConnection& a, RawConnection& b);

class HttpResponse;
using HttpHandler = std::function<void(const HttpRequest&, HttpResponse&)>;

class HttpResponse {
 public:
  int status = 200;
  Headers headers;
  std::string body;
  // Body in pieces sent in order after `body` (LIST splices stored bytes without joining them).
  std::vector<std::shared_ptr<const std::string>> pieces;
  // The rest of the body, made while it is sent: next() is asked until `bytes` bytes came. It runs
  // on the thread that sends, must not block, and gives something each time.
  struct Tail {
    size_t bytes = 0;
    std::function<std::string()> next;
  };
  Tail tail;
  // Moves pieces and tail into `body`, for those who want it whole.
  void join_body();
  // Bodies over 128 KiB are gzipped (level 1) for peers that accept it and are not on loopback.
  bool allow_gzip = true;

  // Replaces every header of that name.
  void set(std::string name, std::string value);
  // Answers with a stream: `start` runs right after the headers are queued.
  void stream(std::function<void(std::shared_ptr<Stream>)> start) { stream_ = std::move(start); }
  // Sends status and headers as they are (the caller sets 101 and Upgrade) and hands the
  // connection over; `run` has its own thread and may block.
  void upgrade(std::function<void(std::unique_ptr<RawConnection>)> run) {
    upgrade_ = std::move(run);
  }

  // Answers later: the request waits without a thread. `wait` runs right after this handler
  // returned and is given what resumes the request: any thread, once. Then the handler given there
  // answers in place of this one, with a response of its own; it may park again.
  struct Resume {
    enum class On : uint8_t {
      kBlocking,   // a thread that may block
      kComputing,  // one that must not; within `wait`, that same thread goes on
    };
    std::function<void(HttpHandler, On)> run;
    bool alone = false;  // when it was parked, the server had no other request
    void operator()(HttpHandler handler, On on = On::kBlocking) const {
      run(std::move(handler), on);
    }
  };
  void park(std::function<void(Resume)> wait) { wait_ = std::move(wait); }

  const std::function<void(Resume)>& parked() const { return wait_; }
  const std::function<void(std::shared_ptr<Stream>)>& stream_start() const { return stream_; }
  const std::function<void(std::unique_ptr<RawConnection>)>& upgrade_run() const {
    return upgrade_;
  }

 private:
  std::function<void(std::shared_ptr<Stream>)> stream_;
  std::function<void(std::unique_ptr<RawConnection>)> upgrade_;
  std::function<void(Resume)> wait_;
};

struct HttpServerOptions {
  std::string address = "0.0.0.0";
  uint16_t port = 0;                      // 0 = any free one
  std::shared_ptr<TlsServerContext> tls;  // null = plain HTTP
  unsigned read_workers = 0;              // 0 = cores
  unsigned blocking_workers_max = 64;
  size_t body_bytes_max = 3 * 1024 * 1024;
  size_t stream_buffer_bytes_max = 16 * 1024 * 1024;
  size_t header_bytes_max = 1024 * 1024;
  Seconds header_timeout{32};
  Seconds idle_timeout{90};
  // What the handler of a request may wait for, by method and path. Null: GETs wait for nothing,
  // all others for a peer.
  enum class Waits : uint8_t {
    kNothing,
    kDisk,
    kPeer,  // logs, proxies
  };
  std::function<Waits(std::string_view method, std::string_view path)> waits;
  // Body of the server's own refusals (413, 400, 408 ...) as JSON; default: plain text.
  std::function<std::string(int status, std::string_view message)> error_body;
  bool gzip_on_loopback = false;
};

class HttpServer {
 public:
  // Listens at once; error "listen 0.0.0.0:6443: Address already in use".
  static Result<std::unique_ptr<HttpServer>, std::string> start(const HttpServerOptions& options,
                                                                HttpHandler handler);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  // Stops accepting, finishes running requests (up to `grace`), ends streams, joins. Idempotent.
  virtual void stop(Millis grace = Millis{2000}) = 0;
};

// ---- client ----

struct HttpClientOptions {
  std::string base_url;  // "https://host:6443", "http://...", "unix:///path"
  std::shared_ptr<TlsClientContext> tls;
  std::string server_name;  // verified instead of the host, if given
  Millis connect_timeout{5000};
  Millis request_timeout{60000};
  size_t connections_max = 8;  // kept alive and reused; more are opened and closed
};
struct HttpResult {
  int status = 0;
  Headers headers;
  std::string body;
};
// Thread-safe; keeps connections alive.
class HttpClient {
 public:
  static std::unique_ptr<HttpClient> create(const HttpClientOptions& options);
  virtual ~HttpClient() = default;
  // Error: "dial tcp HOST:PORT: connect: connection refused", "x509: ...", "timeout" ...
  virtual Result<HttpResult, std::string> request(std::string_view method, std::string_view target,
                                                  const Headers& headers, std::string body) = 0;
  // Calls on_head once, then on_data as bytes come (chunk-decoded), until the end, on_data returns
  // false, or the returned handle's cancel(). Blocks the calling thread.
  class Cancel {
   public:
    virtual ~Cancel() = default;
    virtual void cancel() = 0;  // any thread
  };
  static std::shared_ptr<Cancel> make_cancel();
  virtual Result<Unit, std::string> stream(std::string_view method, std::string_view target,
                                           const Headers& headers, std::string body,
                                           std::function<bool(const HttpResult&)> on_head,
                                           std::function<bool(std::string_view)> on_data,
                                           std::shared_ptr<Cancel> cancel) = 0;
  // Sends the request with its Upgrade headers. 101: `connection` is set and raw; else the whole
  // answer is in `answer`.
  struct Upgraded {
    HttpResult answer;
    std::unique_ptr<RawConnection> connection;
  };
  virtual Result<Upgraded, std::string> upgrade(std::string_view method, std::string_view target,
                                                const Headers& headers) = 0;
};

}  // namespace orch::net
