// One connection's way through its requests: handshake, head, body, handler, answer.
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "net/http/gzip.h"
#include "net/http/http_text.h"
#include "net/http/server_core.h"
#include "net/http/thread.h"
#include "orch/base/log.h"

namespace orch::net {
namespace {

constexpr int kRequestsPerTurn = 64;
constexpr Millis kLingerTime{2000};
constexpr Millis kLingerTimeStopping{100};
constexpr Seconds kExtraReaderIdle{10};
constexpr Millis kReaderStall{50};
constexpr size_t kLingerBytesMax = 64u << 20;
constexpr size_t kIdleCapacity = 4096;
constexpr size_t kBodyStep = 64 * 1024;  // of a body, to arrive within header_timeout

// Header text from handlers may carry what a client sent: it cannot break out of its line.
void append_clean(std::string& out, std::string_view text) {
  for (char c : text) out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
}

// No exception of a handler's continuation reaches the server's threads.
template <class Run>
void run_guarded(const Run& run) {
  try {
    run();
  } catch (const std::exception& e) {
    log::error("http", "unexpected exception: {}", e.what());
  }
}

bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

std::string_view date_line() {
  static thread_local time_t at = 0;
  static thread_local std::string line;
  time_t now = time(nullptr);
  if (now != at) {
    at = now;
    line = "Date: " + http_date_now() + "\r\n";
  }
  return line;
}

}  // namespace

char* read_buffer() {
  static thread_local std::unique_ptr<char[]> buffer(new char[kReadBytes]);
  return buffer.get();
}

void ServerCore::read_worker(bool extra) {
  int timeout = extra ? static_cast<int>(Millis(kExtraReaderIdle).count()) : -1;
  epoll_event event;
  while (true) {
    ++waiting_readers_;
    int count = epoll_wait(work_epoll_, &event, 1, timeout);
    --waiting_readers_;
    if (count == 0) break;  // an extra worker that is no longer needed
    if (count < 0) continue;
    if (event.data.ptr == nullptr) {
      if (closing_) break;
      continue;
    }
    auto* c = static_cast<Connection*>(event.data.ptr);
    c->take();
    drive(c, true);
  }
  if (extra) {
    --readers_;
    std::lock_guard lock(mutex_);
    --extra_readers_;
    gone_.notify_all();
  }
}

void ServerCore::drive(Connection* c, bool reader) {
  int requests = 0;
  bool go_on = true;
  while (go_on) {
    switch (c->phase) {
      case Phase::kHandshake:
        go_on = on_handshake(c);
        break;
      case Phase::kHead:
        if (++requests > kRequestsPerTurn) {
          // A pipeline must not keep a worker for itself.
          arm(c, EPOLLIN | EPOLLOUT);
          return;
        }
        go_on = on_head(c);
        break;
      case Phase::kBody:
        go_on = on_body(c);
        break;
      case Phase::kWrite:
        go_on = on_write(c, reader);
        break;
      case Phase::kLinger:
        go_on = on_linger(c);
        break;
      case Phase::kStream:
        return;
    }
  }
}

// With the first byte: connections that say nothing cost next to nothing.
bool ServerCore::start_tls(Connection* c) {
  c->tls = static_cast<TlsServerContextImpl*>(options_.tls.get())->current();
  SslPtr ssl(SSL_new(c->tls.get()));
  if (!ssl || !attach_socket(ssl.get(), c->channel.fd())) return false;
  SSL_set_accept_state(ssl.get());
  c->channel.secure(std::move(ssl));
  return true;
}

bool ServerCore::on_handshake(Connection* c) {
  if (options_.tls && c->channel.ssl() == nullptr && !start_tls(c)) {
    drop(c);
    return false;
  }
  Io io = c->channel.handshake();
  if (io == Io::kOk) {
    if (c->channel.ssl() != nullptr) {
      const auto& tls = static_cast<const TlsServerContextImpl&>(*options_.tls);
      c->peer = tls.peer_certificate(c->channel.ssl());
      drop_peer_certificate(c->channel.ssl());
    }
    c->phase = Phase::kHead;
    return true;
  }
  if (io == Io::kWantRead || io == Io::kWantWrite) {
    arm(c, io == Io::kWantRead ? EPOLLIN : EPOLLOUT);
    return false;
  }
  if (c->channel.plain_http_on_tls()) {
    constexpr std::string_view kAnswer =
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    ::send(c->channel.fd(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
    c->phase = Phase::kLinger;
    return true;
  }
  log::debug("http", "TLS handshake error from {}: {}", c->remote,
             io == Io::kEnd ? "EOF" : c->channel.error());
  drop(c);
  return false;
}

bool ServerCore::read_more(Connection* c) {
  if (c->expired) {
    c->half_read = false;
    return refuse(c, 408, "the request did not arrive in time");
  }
  size_t got = 0;
  Io io = c->channel.read(read_buffer(), kReadBytes, got);
  if (io == Io::kOk) {
    c->in.append(read_buffer(), got);
    c->half_read = false;
    bool extend = c->idle.exchange(false);
    if (c->phase == Phase::kBody) {
      // A body may take long, but not for ever.
      Exchange& exchange = *c->exchange;
      const size_t have = exchange.request.body.size() + c->in.size();
      if (have >= exchange.body_extended + kBodyStep) {
        exchange.body_extended = have;
        extend = true;
      }
    }
    if (extend) set_deadline(c, options_.header_timeout);
    return true;
  }
  if (io == Io::kEnd || io == Io::kError) {
    drop(c);
    return false;
  }
  c->half_read = c->phase == Phase::kBody || !c->in.empty();
  arm(c, io == Io::kWantRead ? EPOLLIN : EPOLLOUT);
  return false;
}

bool ServerCore::on_head(Connection* c) {
  // Some clients end a body with a stray line (RFC 9112 2.2).
  if (c->scanned == 0 && c->in.starts_with("\r\n")) c->in.erase(0, 2);
  // No method starts like this: a TLS hello or another protocol, which would wait for us.
  if (!c->in.empty() && c->in[0] != '\r' && !is_token({c->in.data(), 1})) {
    return refuse(c, 400, "malformed request line");
  }
  size_t end = find_head_end(c->in, c->scanned);
  if (std::min(end, c->in.size()) > options_.header_bytes_max) {
    return refuse(c, 431, "request header too large");
  }
  if (end == std::string::npos) return read_more(c);
  auto head = parse_request_head(std::string_view(c->in).substr(0, end));
  c->in.erase(0, end);
  c->scanned = 0;
  if (!head) return refuse(c, head.error().status, head.error().message);
  return begin_exchange(c, std::move(*head));
}

bool ServerCore::begin_exchange(Connection* c, RequestHead head) {
  c->exchange = std::make_unique<Exchange>();
  Exchange& exchange = *c->exchange;
  HttpRequest& request = exchange.request;
  request.method = std::move(head.method);
  request.target = std::move(head.target);
  request.headers = std::move(head.headers);
  request.remote_address = c->remote;
  request.peer = c->peer;
  const bool named = !request.peer.common_name.empty() || request.peer.front_proxy.has_value();
  if (named && request.peer.not_after < system_clock().now()) {
    request.peer = PeerCertificate{};
    request.peer.error = verify_error_text(X509_V_ERR_CERT_HAS_EXPIRED);
  }
  exchange.minor_version = head.minor_version;
  exchange.framing = head.framing;
  exchange.keep_alive = head.keep_alive;
  if (auto split = split_target(request); !split) {
    return refuse(c, split.error().status, split.error().message);
  }
  if (head.framing.length.value_or(0) > options_.body_bytes_max) {
    return refuse(c, 413, "request body too large");
  }
  if (!head.framing.chunked && head.framing.length.value_or(0) == 0) return dispatch(c);
  c->phase = Phase::kBody;
  set_deadline(c, options_.header_timeout);
  if (head.expect_continue && c->in.empty()) {
    c->out.push(std::string("HTTP/1.1 100 Continue\r\n\r\n"));
    c->after = After::kBody;
    c->phase = Phase::kWrite;
  }
  return true;
}

bool ServerCore::on_body(Connection* c) {
  Exchange& exchange = *c->exchange;
  std::string& body = exchange.request.body;
  if (exchange.framing.chunked) {
    auto used = exchange.chunks.decode(c->in, body, options_.body_bytes_max);
    if (!used) return refuse(c, used.error().status, used.error().message);
    c->in.erase(0, *used);
    if (exchange.chunks.done()) return dispatch(c);
  } else {
    size_t length = static_cast<size_t>(*exchange.framing.length);
    size_t take = std::min(length - body.size(), c->in.size());
    // Not the whole at once: a head alone must not cost the server megabytes.
    body.append(c->in, 0, take);
    c->in.erase(0, take);
    if (body.size() == length) return dispatch(c);
  }
  return read_more(c);
}

bool ServerCore::dispatch(Connection* c) {
  c->deadline_us = 0;
  const HttpRequest& request = c->exchange->request;
  const bool read = request.method == "GET" || request.method == "HEAD";
  using Waits = HttpServerOptions::Waits;
  const Waits waits = options_.waits ? options_.waits(request.method, request.path)
                      : read         ? Waits::kNothing
                                     : Waits::kPeer;
  // A thread change costs as much as a quick disk: this thread waits for it itself as long as
  // enough others wait for connections.
  if (waits == Waits::kPeer || (waits == Waits::kDisk && waiting_readers_.load() < base_readers_)) {
    blocking_.submit([this, c] {
      HttpResponse response;
      run_handler(handler_, c, response);
      if (answer(c, std::move(response))) drive(c, false);
    });
    return false;
  }
  if (busy_readers_.fetch_add(1) + 1 >= readers_.load() && stall_check_us_.load() == 0) {
    int64_t at = now_us() + Micros(kReaderStall).count();
    stall_check_us_ = at;
    ask_scan(at);
  }
  HttpResponse response;
  run_handler(handler_, c, response);
  ++handled_;
  --busy_readers_;
  return answer(c, std::move(response));
}

bool ServerCore::answer(Connection* c, HttpResponse response) {
  while (response.parked()) {
    const auto again = park(c, response);
    if (!again) return false;
    response = HttpResponse();
    run_handler(*again, c, response);
  }
  return respond(c, std::move(response));
}

// Nobody drives the connection until it is resumed, and the request stays where it is. A handler
// comes back if it was resumed at once.
std::optional<HttpHandler> ServerCore::park(Connection* c, const HttpResponse& response) {
  using On = HttpResponse::Resume::On;
  // What resumes while `wait` runs, on its thread.
  struct Here {
    const std::thread::id thread = std::this_thread::get_id();
    bool waiting = true;
    std::optional<HttpHandler> again;
  };
  const auto here = std::make_shared<Here>();
  HttpResponse::Resume resume;
  resume.alone = parked_.fetch_add(1) == 0 && waiting_readers_.load() >= base_readers_;
  resume.run = [this, c, here, parking = parking_](HttpHandler again, On on) {
    if (on == On::kComputing && here->thread == std::this_thread::get_id() && here->waiting) {
      here->again = std::move(again);
      return;
    }
    std::lock_guard lock(parking->mutex);
    if (parking->server == nullptr) return;
    --parked_;
    (on == On::kComputing ? computing_ : blocking_).submit([this, c, again = std::move(again)] {
      HttpResponse response;
      run_handler(again, c, response);
      if (answer(c, std::move(response))) drive(c, false);
    });
  };
  const auto wait = response.parked();
  run_guarded([&] { wait(std::move(resume)); });
  here->waiting = false;
  if (here->again) --parked_;
  return std::move(here->again);
}

void ServerCore::run_handler(const HttpHandler& handler, Connection* c, HttpResponse& response) {
  try {
    handler(c->exchange->request, response);
    return;
  } catch (const std::exception& e) {
    log::error("http", "{} {}: unexpected exception: {}", c->exchange->request.method,
               c->exchange->request.path, e.what());
  }
  response = HttpResponse{};
  response.status = 500;
  response.body = options_.error_body ? options_.error_body(500, "internal error")
                                      : std::string("internal error\n");
}

bool ServerCore::refuse(Connection* c, int status, const std::string& message) {
  if (!c->exchange) c->exchange = std::make_unique<Exchange>();
  // What follows on this connection cannot be told apart any more.
  c->exchange->keep_alive = false;
  HttpResponse response;
  response.status = status;
  if (options_.error_body) {
    response.body = options_.error_body(status, message);
    response.set("Content-Type", "application/json");
  } else {
    response.body = message + "\n";
    response.set("Content-Type", "text/plain; charset=utf-8");
  }
  return respond(c, std::move(response));
}

std::string ServerCore::response_head(const Connection& c, const HttpResponse& response,
                                      std::string_view framing, bool keep_alive) const {
  std::string head;
  head.reserve(512);
  head += c.exchange->minor_version == 0 ? "HTTP/1.0 " : "HTTP/1.1 ";
  head += std::to_string(response.status);
  head += ' ';
  head += status_text(response.status);
  head += "\r\n";
  for (const auto& [name, value] : response.headers) {
    if (!is_token(name)) continue;
    head += name;
    head += ": ";
    append_clean(head, value);
    head += "\r\n";
  }
  head += framing;
  if (response.status >= 200) {
    if (!response.headers.contains("Date")) head += date_line();
    if (!keep_alive) {
      head += "Connection: close\r\n";
    } else if (c.exchange->minor_version == 0) {
      head += "Connection: keep-alive\r\n";
    }
  }
  head += "\r\n";
  return head;
}

bool ServerCore::respond(Connection* c, HttpResponse response) {
  Exchange& exchange = *c->exchange;
  // The server frames its answers itself.
  response.headers.erase("Content-Length");
  response.headers.erase("Transfer-Encoding");
  bool handed_over = response.upgrade_run() || response.stream_start();
  if (!response.upgrade_run() && header_has_token(response.headers, "Connection", "close")) {
    exchange.keep_alive = false;
  }
  if (!response.upgrade_run()) response.headers.erase("Connection");
  bool keep_alive = exchange.keep_alive && !stopping_;
  if (response.upgrade_run()) {
    c->upgrade = response.upgrade_run();
    c->out.push(response_head(*c, response, "", true));
    c->after = After::kUpgrade;
  } else if (response.stream_start() && exchange.request.method != "HEAD") {
    bool chunked = exchange.minor_version == 1;
    exchange.keep_alive = keep_alive && chunked;
    return start_stream(c, response,
                        response_head(*c, response, chunked ? "Transfer-Encoding: chunked\r\n" : "",
                                      exchange.keep_alive));
  } else {
    if (response.allow_gzip && !handed_over && (!c->loopback || options_.gzip_on_loopback)) {
      gzip_response(exchange.request.headers, response);
    }
    size_t length = response.body.size();
    for (const auto& piece : response.pieces) length += piece ? piece->size() : 0;
    length += response.tail.bytes;
    std::string framing;
    if (!has_no_body(response.status) && !handed_over) {
      framing = "Content-Length: " + std::to_string(length) + "\r\n";
    }
    std::string head = response_head(*c, response, framing, keep_alive);
    if (exchange.request.method != "HEAD" && !has_no_body(response.status)) {
      if (head.size() + response.body.size() <= kRecordBytes) {
        head += response.body;
      } else {
        c->out.push(std::exchange(head, {}));
        c->out.push(std::move(response.body));
      }
      c->out.push(std::move(head));
      for (auto& piece : response.pieces) c->out.push(std::move(piece), false);
      c->out.push_tail(response.tail.bytes, std::move(response.tail.next));
    } else {
      c->out.push(std::move(head));
    }
    c->after = keep_alive ? After::kNext : After::kClose;
  }
  c->phase = Phase::kWrite;
  return true;
}

bool ServerCore::on_write(Connection* c, bool reader) {
  constexpr size_t kTurnBytes = 4u << 20;
  Io io = send_all(
      c, [c](std::string& record) { c->out.gather(record); }, kTurnBytes);
  if (io == Io::kOk && c->out.empty()) return finish_answer(c, reader);
  if (io == Io::kEnd || io == Io::kError) {
    drop(c);
    return false;
  }
  set_deadline(c, options_.idle_timeout);
  arm(c, io == Io::kWantRead ? EPOLLIN : EPOLLOUT);
  return false;
}

bool ServerCore::finish_answer(Connection* c, bool reader) {
  switch (c->after) {
    case After::kBody:
      c->phase = Phase::kBody;
      return true;
    case After::kUpgrade:
      return start_upgrade(c);
    case After::kClose:
      c->phase = Phase::kLinger;
      return true;
    case After::kNext:
      break;
  }
  c->exchange.reset();
  c->phase = Phase::kHead;
  if (c->in.empty() && c->in.capacity() > kIdleCapacity) std::string().swap(c->in);
  bool more = !c->in.empty() || c->channel.buffered();
  if (more) {
    set_deadline(c, options_.header_timeout);
    if (reader) return true;
    arm(c, EPOLLIN | EPOLLOUT);  // parsing is the read workers' task
    return false;
  }
  c->idle = true;
  set_deadline(c, options_.idle_timeout);
  if (stopping_) {
    c->phase = Phase::kLinger;
    return true;
  }
  arm(c, EPOLLIN);
  return false;
}

bool ServerCore::on_linger(Connection* c) {
  // The peer gets to read the answer before a reset for its unread bytes could drop it.
  if (c->lingered_bytes == 0) {
    c->lingered_bytes = 1;
    c->idle = false;
    c->channel.end_write();
    set_deadline(c, stopping_ ? kLingerTimeStopping : kLingerTime);
  }
  while (true) {
    ssize_t got = ::recv(c->channel.fd(), read_buffer(), kReadBytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      arm(c, EPOLLIN);
      return false;
    }
    c->lingered_bytes += got > 0 ? static_cast<size_t>(got) : 0;
    if (got <= 0 || c->lingered_bytes > kLingerBytesMax) {
      drop(c);
      return false;
    }
  }
}

bool ServerCore::start_stream(Connection* c, HttpResponse& response, std::string head) {
  auto start = response.stream_start();
  auto stream = std::make_shared<ResponseStream>(inbox_, c, c->exchange->minor_version == 1,
                                                 options_.stream_buffer_bytes_max);
  c->stream_keep_alive = c->exchange->keep_alive;
  c->stream = stream;
  c->record = std::move(head);
  c->record_sent = 0;
  c->phase = Phase::kStream;
  c->deadline_us = 0;
  c->exchange.reset();
  if (c->in.empty()) std::string().swap(c->in);
  epoll_ctl(work_epoll_, EPOLL_CTL_DEL, c->channel.fd(), nullptr);
  c->pass();
  epoll_event event{EPOLLIN | EPOLLRDHUP, {c}};
  if (epoll_ctl(loop_epoll_, EPOLL_CTL_ADD, c->channel.fd(), &event) != 0) {
    drop(c);
    stream->connection = nullptr;
    stream->closed();
    run_guarded([&] { start(stream); });
    return false;
  }
  c->streaming = true;
  // From here on the connection is the loop's.
  if (response.body.empty() || !stream->write(std::move(response.body))) stream->requeue();
  for (auto& piece : response.pieces) stream->write(std::move(piece));
  run_guarded([&] { start(stream); });
  return false;
}

bool ServerCore::start_upgrade(Connection* c) {
  epoll_ctl(work_epoll_, EPOLL_CTL_DEL, c->channel.fd(), nullptr);
  forget(c);
  auto socket = std::make_shared<Socket>(std::move(c->channel), std::move(c->in));
  auto run = std::move(c->upgrade);
  delete c;
  {
    std::lock_guard lock(upgrades_mutex_);
    upgrades_.remove_if([](const std::weak_ptr<Socket>& other) { return other.expired(); });
    upgrades_.push_back(socket);
  }
  if (stopping_) socket->close();
  upgrade_pool_->submit([run = std::move(run), socket] {
    run_guarded([&] { run(raw_connection(socket)); });
    socket->close();
  });
  return false;
}

}  // namespace orch::net
