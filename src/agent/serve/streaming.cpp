#include "agent/serve/streaming.h"

#include <fmt/format.h>

#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "orch/base/strings.h"

namespace orch::agent {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr const char* kTunnelPrefix = "SPDY/3.1+";
constexpr auto kGoodbyePatience = std::chrono::seconds(5);
constexpr size_t kReadBytes = 32 * 1024;
constexpr size_t kStatusBytesMax = 64 * 1024;

// What of an answer to an upgrade is its own business and is not passed on.
bool is_passed_on(std::string_view name) {
  return !iequals(name, "Content-Length") && !iequals(name, "Transfer-Encoding") &&
         !iequals(name, "Date");
}

void refuse(HttpResponse& response, int status, std::string text) {
  response.status = status;
  response.set("Content-Type", "text/plain");
  response.body = std::move(text);
}

Result<net::HttpClient::Upgraded, std::string> ask(std::string_view method, const std::string& url,
                                                   const net::Headers& headers) {
  const size_t path_at = url.find('/', url.find("//") + 2);
  auto client = net::HttpClient::create({.base_url = url.substr(0, path_at), .tls = nullptr});
  return client->upgrade(method, url.substr(path_at), headers);
}

// The runtime's answer becomes ours; null if it is no upgrade.
std::shared_ptr<net::RawConnection> take_answer(
    Result<net::HttpClient::Upgraded, std::string> answer, HttpResponse& response) {
  if (!answer) {
    refuse(response, 502, "container runtime: " + answer.error());
    return nullptr;
  }
  response.status = answer->answer.status;
  for (const auto& [name, value] : answer->answer.headers) {
    if (is_passed_on(name)) response.headers.emplace(name, value);
  }
  if (!answer->connection) response.body = std::move(answer->answer.body);
  return std::move(answer->connection);
}

void pass_through(const HttpRequest& request, const std::string& url, HttpResponse& response) {
  net::Headers headers;
  for (const auto& [name, value] : request.headers) {
    if (is_passed_on(name) && !iequals(name, "Host") && !iequals(name, "Authorization")) {
      headers.emplace(name, value);
    }
  }
  auto runtime = take_answer(ask(request.method, url, headers), response);
  if (!runtime) return;
  response.upgrade(
      [runtime](std::unique_ptr<net::RawConnection> peer) { net::pump(*peer, *runtime); });
}

// Opens SPDY to the runtime and answers the WebSocket handshake with `subprotocol`. Null: refused,
// and answered.
std::shared_ptr<net::RawConnection> open_both(const HttpRequest& request, const std::string& url,
                                              const std::string& stream_protocol,
                                              std::string_view subprotocol,
                                              HttpResponse& response) {
  HttpResponse handshake;
  if (auto fits = net::accept_websocket(request, subprotocol, handshake); !fits) {
    refuse(response, 400, fits.error());
    return nullptr;
  }
  HttpResponse answer;
  auto runtime = take_answer(ask("POST", url,
                                 {{"Connection", "Upgrade"},
                                  {"Upgrade", "SPDY/3.1"},
                                  {"X-Stream-Protocol-Version", stream_protocol}}),
                             answer);
  if (!runtime) {
    response = std::move(answer);
    return nullptr;
  }
  if (net::header(answer.headers, "X-Stream-Protocol-Version") != stream_protocol) {
    runtime->close();
    refuse(response, 502, "container runtime: it does not speak " + stream_protocol);
    return nullptr;
  }
  response = std::move(handshake);
  return runtime;
}

// The streams towards the runtime, and what comes from them.
class Translation {
 public:
  Translation(net::WebSocket& peer, net::SpdyClient& runtime, const ChannelProtocol& protocol)
      : peer_(peer), runtime_(runtime), protocol_(protocol) {}

  Result<Unit, std::string> open(const ExecOptions& options);
  void send_output();    // until the runtime is done
  void receive_input();  // until the client is gone

 private:
  Result<Unit, std::string> open(Channel channel, const char* type);
  Result<Unit, std::string> say(Channel channel, std::string_view bytes) {
    return peer_.send(
        encode_channel(protocol_, channel, bytes),
        protocol_.base64 ? net::WebSocketOpcode::kText : net::WebSocketOpcode::kBinary);
  }
  bool handle(net::SpdyClient::Event& event);

  net::WebSocket& peer_;
  net::SpdyClient& runtime_;
  const ChannelProtocol& protocol_;
  std::map<Channel, uint32_t> streams_;
  std::map<uint32_t, Channel> channels_;
  size_t readable_ = 0;  // streams the runtime has not ended yet
  std::string status_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool client_gone_ = false;
};

Result<Unit, std::string> Translation::open(Channel channel, const char* type) {
  ORCH_TRY(const uint32_t stream, runtime_.open({{"streamtype", type}}));
  streams_[channel] = stream;
  channels_[stream] = channel;
  return Unit{};
}

// In the order that kubectl's own SPDY client keeps.
Result<Unit, std::string> Translation::open(const ExecOptions& options) {
  ORCH_CHECK(open(Channel::kStatus, "error"));
  if (options.stdin_open) ORCH_CHECK(open(Channel::kStdin, "stdin"));
  if (options.stdout_open) ORCH_CHECK(open(Channel::kStdout, "stdout"));
  if (options.stderr_open && !options.tty) ORCH_CHECK(open(Channel::kStderr, "stderr"));
  if (options.tty) ORCH_CHECK(open(Channel::kResize, "resize"));
  Channel first = Channel::kStatus;
  for (const Channel channel : {Channel::kStatus, Channel::kStderr, Channel::kStdout}) {
    if (!streams_.contains(channel)) continue;
    ++readable_;
    first = channel;
  }
  // An empty message tells the client that the streams are there.
  return say(first, "");
}

// False = the client is gone, or all is said.
bool Translation::handle(net::SpdyClient::Event& event) {
  const auto it = channels_.find(event.stream);
  if (it == channels_.end()) return true;
  const Channel channel = it->second;
  const bool output = channel == Channel::kStdout || channel == Channel::kStderr;
  if (channel == Channel::kStatus && status_.size() < kStatusBytesMax) status_ += event.bytes;
  if (output && !event.bytes.empty() && !say(channel, event.bytes)) return false;
  if (!event.end) return true;
  channels_.erase(it);
  if (!output && channel != Channel::kStatus) return true;
  return --readable_ > 0;
}

void Translation::send_output() {
  std::string broken = "the container runtime closed the connection";
  for (;;) {
    auto event = runtime_.receive();
    if (!event) broken = event.error();
    if (!event || !*event || !handle(**event)) break;
  }
  if (status_.empty()) status_ = broken_status(broken);
  const std::string payload = status_payload(protocol_, status_);
  if (!payload.empty()) (void)say(Channel::kStatus, payload);
  peer_.end();
  // The client answers the goodbye; closing before might cost it what is still on the way.
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kGoodbyePatience, [this] { return client_gone_; });
  peer_.close();
}

void Translation::receive_input() {
  bool runtime_takes = true;
  for (;;) {
    auto message = peer_.receive();
    if (!message || !*message) break;
    const auto part = decode_channel(protocol_, (*message)->payload);
    if (!part || (part->channel != Channel::kStdin && part->channel != Channel::kResize)) continue;
    const auto stream = streams_.find(part->channel);
    // A command that ended leaves input behind; it is read all the same, up to the goodbye.
    if (stream == streams_.end() || !runtime_takes) continue;
    runtime_takes = part->close ? runtime_.finish(stream->second).has_value()
                                : runtime_.write(stream->second, part->bytes).has_value();
  }
  {
    std::lock_guard lock(mutex_);
    client_gone_ = true;
  }
  changed_.notify_all();
  runtime_.close();
  peer_.close();
}

}  // namespace

void translate_channels(net::WebSocket& peer, net::SpdyClient& runtime,
                        const ChannelProtocol& protocol, const ExecOptions& options) {
  Translation translation(peer, runtime, protocol);
  if (!translation.open(options)) return;
  std::thread output([&] { translation.send_output(); });
  translation.receive_input();
  output.join();
}

void tunnel(net::WebSocket& peer, net::RawConnection& runtime) {
  std::mutex mutex;
  std::condition_variable changed;
  bool client_gone = false;
  std::thread output([&] {
    std::array<char, kReadBytes> bytes;
    for (;;) {
      const auto count = runtime.read(bytes.data(), bytes.size());
      if (!count || *count == 0 || !peer.send({bytes.data(), *count})) break;
    }
    peer.end();
    std::unique_lock lock(mutex);
    changed.wait_for(lock, kGoodbyePatience, [&] { return client_gone; });
    peer.close();
  });
  bool runtime_takes = true;
  for (auto message = peer.receive(); message && *message; message = peer.receive()) {
    if (runtime_takes) runtime_takes = runtime.write_all((*message)->payload).has_value();
  }
  {
    std::lock_guard lock(mutex);
    client_gone = true;
  }
  changed.notify_all();
  runtime.close();
  peer.close();
  output.join();
}

void stream_command(const HttpRequest& request, const std::string& url, const ExecOptions& options,
                    HttpResponse& response) {
  if (!net::is_websocket_request(request.headers)) return pass_through(request, url, response);
  const auto offered = net::websocket_protocols(request.headers);
  const ChannelProtocol* protocol = choose_channel_protocol(offered);
  if (protocol == nullptr) {
    return refuse(response, 400,
                  fmt::format("requested protocol(s) are not supported: [{}]", join(offered, " ")));
  }
  auto runtime = open_both(request, url, "v4.channel.k8s.io", protocol->name, response);
  if (!runtime) return;
  response.upgrade([runtime, protocol, options](std::unique_ptr<net::RawConnection> connection) {
    net::WebSocket peer(std::move(connection), net::WebSocketRole::kServer,
                        std::string(protocol->name));
    net::SpdyClient streams(runtime);
    translate_channels(peer, streams, *protocol, options);
  });
}

void stream_ports(const HttpRequest& request, const std::string& url, HttpResponse& response) {
  if (net::is_websocket_request(request.headers)) {
    for (const std::string& offered : net::websocket_protocols(request.headers)) {
      if (!offered.starts_with(kTunnelPrefix)) continue;
      auto runtime = open_both(request, url, offered.substr(std::string_view(kTunnelPrefix).size()),
                               offered, response);
      if (!runtime) return;
      return response.upgrade([runtime, offered](std::unique_ptr<net::RawConnection> connection) {
        net::WebSocket peer(std::move(connection), net::WebSocketRole::kServer, offered);
        tunnel(peer, *runtime);
      });
    }
  }
  pass_through(request, url, response);
}

}  // namespace orch::agent
