// The calls of a connection: headers, messages, ends.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "net/grpc/peer.h"
#include "net/grpc/peer_callbacks.h"
#include "orch/base/strings.h"

namespace orch::net {

namespace {

constexpr size_t kHeaderBytesMax = 16 * 1024;
constexpr std::string_view kContentType = "application/grpc";

nghttp2_nv header_of(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

GrpcStatus plain_status(int http_status) {
  const auto code = http_status == 401                         ? GrpcCode::kUnauthenticated
                    : http_status == 403                       ? GrpcCode::kPermissionDenied
                    : http_status == 404                       ? GrpcCode::kUnimplemented
                    : http_status == 429 || http_status >= 502 ? GrpcCode::kUnavailable
                                                               : GrpcCode::kUnknown;
  return {code, fmt::format("unexpected HTTP status {}", http_status)};
}

}  // namespace

struct PeerCallbacks {
  static std::shared_ptr<Call> find(const Peer& peer, int32_t id) {
    auto it = peer.calls_.find(id);
    return it == peer.calls_.end() ? nullptr : it->second;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& peer = *static_cast<Peer*>(user);
    if (frame->hd.type != NGHTTP2_HEADERS || !peer.options_.server ||
        frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
      return 0;
    }
    auto call =
        std::make_shared<Call>(peer.loop_, peer.weak_from_this(), peer.options_.message_bytes_max);
    call->id = frame->hd.stream_id;
    peer.calls_[call->id] = std::move(call);
    peer.start_pings();
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name_data,
                       size_t name_size, const uint8_t* value_data, size_t value_size, uint8_t,
                       void* user) {
    const auto call = find(*static_cast<Peer*>(user), frame->hd.stream_id);
    if (!call) return 0;
    const std::string_view name(reinterpret_cast<const char*>(name_data), name_size);
    const std::string_view value(reinterpret_cast<const char*>(value_data), value_size);
    if (value.size() > kHeaderBytesMax) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (name == ":method") {
      call->method = value;
    } else if (name == ":path") {
      call->path = value;
    } else if (name == "content-type") {
      call->content_type = value;
    } else if (name == "grpc-timeout") {
      call->timeout = value;
    } else if (name == "grpc-encoding") {
      call->encoding = value;
    } else if (name == ":status") {
      call->http_status = static_cast<int>(parse_int(value).value_or(0));
    } else if (name == "grpc-status") {
      if (!call->received) call->received.emplace();
      const int64_t code = parse_int(value).value_or(2);
      call->received->code = static_cast<GrpcCode>(code < 0 || code > 16 ? 2 : code);
    } else if (name == "grpc-message") {
      if (!call->received) call->received.emplace();
      call->received->message = decode_grpc_message(value);
    }
    return 0;
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& peer = *static_cast<Peer*>(user);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      if (!peer.options_.server) {
        peer.usable_ = false;
        peer.refused_above_ = frame->goaway.last_stream_id;
      }
      return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    const auto call = find(peer, frame->hd.stream_id);
    if (!call) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && peer.options_.server &&
        frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      peer.begin_call(call);
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !call->closed()) {
      call->half_closed_in = true;
      if (peer.options_.server) {
        if (!call->in.between_messages()) {
          peer.finish(call, {GrpcCode::kInternal, "the request ends within a message"});
        } else if (const auto handler = call->handler) {
          handler->on_half_close();
        }
      }
    }
    return 0;
  }

  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                     void* user) {
    auto& peer = *static_cast<Peer*>(user);
    if (const auto call = find(peer, id)) {
      peer.data(call, {reinterpret_cast<const char*>(data), size});
    }
    return 0;
  }

  static int on_close(nghttp2_session*, int32_t id, uint32_t error, void* user) {
    static_cast<Peer*>(user)->stream_closed(id, error);
    return 0;
  }

  // A server that has answered does not wait for the rest of the question.
  static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    auto& peer = *static_cast<Peer*>(user);
    if (!peer.options_.server || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
        (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) {
      return 0;
    }
    const auto call = find(peer, frame->hd.stream_id);
    if (call && !call->half_closed_in) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  static ssize_t read_out(nghttp2_session*, int32_t id, uint8_t* buffer, size_t size,
                          uint32_t* flags, nghttp2_data_source*, void* user) {
    auto& peer = *static_cast<Peer*>(user);
    const auto call = find(peer, id);
    if (!call) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t filled = 0, counted = 0;
    while (filled < size && !call->out.empty()) {
      const std::string& front = call->out.front();
      const size_t part = std::min(size - filled, front.size() - call->out_sent);
      std::memcpy(buffer + filled, front.data() + call->out_sent, part);
      filled += part;
      call->out_sent += part;
      if (call->out_sent == front.size()) {
        if (!front.empty() && call->out.size() % 2 == 1) counted += front.size();
        call->out.pop_front();
        call->out_sent = 0;
      }
    }
    const bool plain = peer.options_.server && call->http_status != 0;
    if (counted > 0 && !plain) call->sent(counted);
    if (!call->out.empty()) return static_cast<ssize_t>(filled);
    if (call->finishing) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (peer.options_.server && !plain) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        peer.trailers(*call);
      }
    } else if (filled == 0) {
      call->waiting = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(filled);
  }
};

const nghttp2_session_callbacks* peer_callbacks() {
  static const nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, PeerCallbacks::on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, PeerCallbacks::on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, PeerCallbacks::on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, PeerCallbacks::on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, PeerCallbacks::on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, PeerCallbacks::on_frame_send);
    return made;
  }();
  return callbacks;
}

void Peer::begin_call(const std::shared_ptr<Call>& call) {
  if (call->method != "POST") {
    std::optional<std::string> body;
    if (call->method == "GET" && *options_.get) body = (*options_.get)(call->path);
    const int status = body ? 200 : call->method == "GET" ? 404 : 405;
    return reply_plain(*call, status, body ? std::move(*body) : "not found\n");
  }
  if (!call->content_type.starts_with(kContentType)) {
    return reply_plain(*call, 415, "invalid gRPC request content-type\n");
  }
  if (going_away_) {
    return finish(call, {GrpcCode::kUnavailable, "the server is stopping"});
  }
  if (!call->timeout.empty()) {
    const auto timeout = parse_grpc_timeout(call->timeout);
    if (!timeout) return finish(call, {GrpcCode::kInternal, "malformed grpc-timeout"});
    call->deadline_timer = loop_->after(*timeout, [weak = weak_from_this(), call] {
      call->deadline_timer = 0;
      if (auto self = weak.lock(); self && !call->closed()) {
        self->finish(call, {GrpcCode::kDeadlineExceeded, "context deadline exceeded"});
      }
    });
  }
  call->handler = (*options_.service)(call, call->path);
  if (!call->handler) {
    finish(call,
           {GrpcCode::kUnimplemented, fmt::format("unknown method {}", call->path.substr(0, 256))});
  }
}

void Peer::data(const std::shared_ptr<Call>& call, std::string_view bytes) {
  if (call->finishing && options_.server) return;  // refused already
  while (!bytes.empty() && !call->closed()) {
    const size_t before = call->in.buffered();
    auto message = call->in.take(bytes);
    buffered_in_ = buffered_in_ - before + call->in.buffered();
    if (!message) {
      finish(call, message.error());
      return;
    }
    if (options_.server && buffered_in_ > options_.connection_bytes_max) {
      finish(call, {GrpcCode::kResourceExhausted, "too many unfinished messages"});
      return;
    }
    if (!*message) continue;
    if (const auto handler = call->handler) handler->on_message(std::move(**message));
  }
}

void Peer::reply_headers(Call& call) {
  call.headers_sent = true;
  const nghttp2_nv headers[] = {header_of(":status", "200"),
                                header_of("content-type", kContentType)};
  nghttp2_data_provider provider{{.ptr = nullptr}, PeerCallbacks::read_out};
  nghttp2_submit_response(session_, call.id, headers, 2, &provider);
}

// No gRPC: a body, no trailers. http_status marks it.
void Peer::reply_plain(Call& call, int status, std::string body) {
  call.http_status = status;
  call.headers_sent = true;
  call.finishing.emplace();
  call.out.push_back({});
  call.out.push_back(std::move(body));
  const std::string code = std::to_string(status);
  const std::string_view type = status == 200 ? "application/json" : "text/plain";
  const nghttp2_nv headers[] = {header_of(":status", code), header_of("content-type", type)};
  nghttp2_data_provider provider{{.ptr = nullptr}, PeerCallbacks::read_out};
  nghttp2_submit_response(session_, call.id, headers, 2, &provider);
  dirty();
}

void Peer::push(const std::shared_ptr<Call>& call, std::string message) {
  if (closed_ || call->finishing) {
    call->sent(message.size());
    return;
  }
  if (options_.server && !call->headers_sent) reply_headers(*call);
  call->out.push_back(grpc_prefix(message.size()));
  call->out.push_back(std::move(message));
  if (call->id >= 0 && std::exchange(call->waiting, false)) {
    nghttp2_session_resume_data(session_, call->id);
  }
  dirty();
}

void Peer::trailers(const Call& call) {
  const std::string code = std::to_string(static_cast<int>(call.finishing->code));
  const std::string message = encode_grpc_message(call.finishing->message);
  const nghttp2_nv headers[] = {header_of("grpc-status", code), header_of("grpc-message", message)};
  nghttp2_submit_trailer(session_, call.id, headers, message.empty() ? 1 : 2);
}

void Peer::finish(const std::shared_ptr<Call>& call, GrpcStatus status) {
  if (closed_ || call->finishing) return;
  if (!options_.server && !status.ok()) {
    if (call->id >= 0) {
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
    }
    drop(call, status);
    dirty();
    return;
  }
  call->finishing = std::move(status);
  if (options_.server && !call->headers_sent) {
    call->headers_sent = true;
    const std::string code = std::to_string(static_cast<int>(call->finishing->code));
    const std::string message = encode_grpc_message(call->finishing->message);
    const nghttp2_nv headers[] = {
        header_of(":status", "200"), header_of("content-type", kContentType),
        header_of("grpc-status", code), header_of("grpc-message", message)};
    nghttp2_submit_response(session_, call->id, headers, message.empty() ? 3 : 4, nullptr);
  } else if (std::exchange(call->waiting, false)) {
    nghttp2_session_resume_data(session_, call->id);
  }
  dirty();
}

void Peer::open(const std::shared_ptr<Call>& call, const std::string& path, Millis timeout) {
  if (!usable_ || closed_) {
    return call->end({GrpcCode::kUnavailable, "connection closed", true});
  }
  const std::string limit = timeout.count() > 0 ? format_grpc_timeout(timeout) : "";
  const nghttp2_nv headers[] = {header_of(":method", "POST"),
                                header_of(":scheme", options_.scheme),
                                header_of(":path", path),
                                header_of(":authority", options_.authority),
                                header_of("content-type", kContentType),
                                header_of("te", "trailers"),
                                header_of("grpc-timeout", limit)};
  nghttp2_data_provider provider{{.ptr = nullptr}, PeerCallbacks::read_out};
  const int32_t id =
      nghttp2_submit_request(session_, nullptr, headers, limit.empty() ? 6 : 7, &provider, nullptr);
  if (id < 0) return call->end({GrpcCode::kUnavailable, nghttp2_strerror(id), true});
  call->id = id;
  calls_[id] = call;
  if (timeout.count() > 0) {
    call->deadline_timer = loop_->after(timeout, [weak = weak_from_this(), call] {
      call->deadline_timer = 0;
      if (auto self = weak.lock(); self && !call->closed()) {
        call->finishing.reset();
        self->finish(call, {GrpcCode::kDeadlineExceeded, "context deadline exceeded"});
      }
    });
  }
  start_pings();
  dirty();
}

GrpcStatus Peer::client_status(const Call& call, uint32_t error) const {
  if (call.received) return *call.received;
  if (error == NGHTTP2_REFUSED_STREAM) return {GrpcCode::kUnavailable, "refused", true};
  if (call.http_status != 0 && call.http_status != 200) return plain_status(call.http_status);
  const char* what = nghttp2_http2_strerror(error);
  return {GrpcCode::kUnavailable, fmt::format("stream ended without status: {}", what)};
}

void Peer::stream_closed(int32_t id, uint32_t error) {
  auto it = calls_.find(id);
  if (it == calls_.end()) return;
  const std::shared_ptr<Call> call = it->second;
  drop(call, options_.server ? GrpcStatus{GrpcCode::kCancelled, "context canceled"}
                             : client_status(*call, error));
}

void Peer::drop(const std::shared_ptr<Call>& call, const GrpcStatus& status) {
  buffered_in_ -= call->in.buffered();
  calls_.erase(call->id);
  call->end(status);
}

}  // namespace orch::net
