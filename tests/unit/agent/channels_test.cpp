#include "agent/serve/channels.h"

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "agent/serve/streaming.h"
#include "unit/net_http/socket_pair.h"

using namespace orch;
using namespace orch::agent;

namespace {

const ChannelProtocol& protocol_of(const std::string& name) {
  const auto* found = choose_channel_protocol({name});
  REQUIRE(found != nullptr);
  return *found;
}

// A client at one end, a runtime at the other, translate_channels() between them.
struct Joined {
  explicit Joined(const ExecOptions& options, const std::string& name = "v5.channel.k8s.io")
      : protocol(protocol_of(name)) {
    auto [client_end, peer_end] = net::socket_pair();
    auto [runtime_end, far] = net::socket_pair();
    client = std::make_unique<net::WebSocket>(client_end, net::WebSocketRole::kClient, name);
    runtime = far;
    worker = std::thread([this, peer_end = peer_end, runtime_end = runtime_end, options] {
      net::WebSocket peer(peer_end, net::WebSocketRole::kServer, std::string(protocol.name));
      net::SpdyClient streams(runtime_end);
      translate_channels(peer, streams, protocol, options);
    });
  }
  ~Joined() {
    client->close();
    runtime->close();
    worker.join();
  }
  // The next frame that the runtime sees.
  net::SpdyFrame frame() {
    char buffer[4096];
    for (;;) {
      auto next = reader.next();
      REQUIRE(next);
      if (*next) {
        if ((*next)->type == net::SpdyType::kSynStream) {
          REQUIRE(runtime->write_all(writer.syn_reply((*next)->stream, {})));
        }
        return **next;
      }
      auto n = runtime->read(buffer, sizeof buffer);
      REQUIRE((n && *n > 0));
      reader.feed({buffer, *n});
    }
  }
  std::string said() {
    auto message = client->receive();
    REQUIRE(message);
    return *message ? (*message)->payload : "(closed)";
  }

  const ChannelProtocol& protocol;
  std::unique_ptr<net::WebSocket> client;
  std::shared_ptr<net::RawConnection> runtime;
  net::SpdyReader reader;
  net::SpdyWriter writer;
  std::thread worker;
};

ExecOptions options(bool in, bool out, bool err, bool tty) {
  ExecOptions o;
  o.stdin_open = in;
  o.stdout_open = out;
  o.stderr_open = err;
  o.tty = tty;
  return o;
}

constexpr const char* kSuccess = R"({"metadata":{},"status":"Success"})";
constexpr const char* kFailure =
    R"({"metadata":{},"status":"Failure","message":"it failed","reason":"NonZeroExitCode"})";

}  // namespace

TEST_CASE("the first offered protocol that is known is taken") {
  CHECK(choose_channel_protocol({"x", "v4.channel.k8s.io", "v5.channel.k8s.io"})->name ==
        "v4.channel.k8s.io");
  CHECK(choose_channel_protocol({})->name.empty());
  CHECK(choose_channel_protocol({"binary.k8s.io"}) == nullptr);
}

TEST_CASE("messages of each protocol") {
  const auto& v5 = protocol_of("v5.channel.k8s.io");
  const auto& v4 = protocol_of("v4.channel.k8s.io");
  const auto& base64 = protocol_of("base64.channel.k8s.io");
  CHECK(encode_channel(v5, Channel::kStdout, "hi") == "\x01hi");
  CHECK(encode_channel(base64, Channel::kStdout, "hi") == "1aGk=");
  CHECK(decode_channel(base64, "0aGk=")->bytes == "hi");
  CHECK_FALSE(decode_channel(base64, "0***"));
  CHECK_FALSE(decode_channel(v5, ""));
  CHECK_FALSE(decode_channel(v5, "\x05 no such channel"));
  const std::string close{static_cast<char>(255), 0};
  CHECK(decode_channel(v5, close)->close);
  CHECK_FALSE(decode_channel(v4, close));  // v4 knows no end of a channel
  CHECK_FALSE(decode_channel(v5, close + "x"));
}

TEST_CASE("what channel 3 says") {
  const auto& old = protocol_of("channel.k8s.io");
  const auto& v4 = protocol_of("v4.base64.channel.k8s.io");
  CHECK(status_payload(v4, kFailure) == kFailure);
  CHECK(status_payload(old, kFailure) == "it failed");
  CHECK(status_payload(old, kSuccess).empty());
  CHECK(broken_status("a \"b\"").find(R"("Internal error occurred: a \"b\"")") !=
        std::string::npos);
}

TEST_CASE("exec: streams are opened, input ends, output and status come back") {
  Joined joined(options(true, true, true, false));
  for (const char* type : {"error", "stdin", "stdout", "stderr"}) {
    CHECK(net::header(joined.frame().headers, "streamtype") == type);
  }
  CHECK(joined.said() == std::string("\x01"));  // the streams are there
  REQUIRE(joined.client->send(std::string("\0input", 6)));
  auto frame = joined.frame();
  CHECK(frame.stream == 3);
  CHECK(frame.payload == "input");
  REQUIRE(joined.client->send(std::string{static_cast<char>(255), 0}));
  frame = joined.frame();
  CHECK(frame.stream == 3);
  CHECK(frame.fin);
  REQUIRE(joined.runtime->write_all(net::SpdyWriter::data(7, "err", false)));
  CHECK(joined.said() ==
        "\x02"
        "err");
  REQUIRE(joined.runtime->write_all(
      net::SpdyWriter::data(5, "out", true) + net::SpdyWriter::data(1, "{\"a\":", false) +
      net::SpdyWriter::data(1, "1}", true) + net::SpdyWriter::rst_stream(7, 5)));
  CHECK(joined.said() ==
        "\x01"
        "out");
  CHECK(joined.said() == "\x03{\"a\":1}");
  CHECK(joined.said() == "(closed)");
}

TEST_CASE("exec with a terminal: sizes go to the resize stream, stderr is not opened") {
  Joined joined(options(false, true, true, true));
  for (const char* type : {"error", "stdout", "resize"}) {
    CHECK(net::header(joined.frame().headers, "streamtype") == type);
  }
  REQUIRE(joined.client->send("\x04{\"Width\":80,\"Height\":24}"));
  const auto frame = joined.frame();
  CHECK(frame.stream == 5);
  CHECK(frame.payload == "{\"Width\":80,\"Height\":24}");
}

TEST_CASE("a runtime that breaks off becomes a Status") {
  Joined joined(options(false, true, false, false));
  joined.frame();
  joined.frame();
  CHECK(joined.said() == std::string("\x01"));
  joined.runtime->shutdown_write();
  CHECK(joined.said().find("Internal error occurred: the container runtime closed") !=
        std::string::npos);
  CHECK(joined.said() == "(closed)");
}

TEST_CASE("a client that leaves ends the runtime's connection") {
  Joined joined(options(true, true, false, false));
  for (int i = 0; i < 3; ++i) joined.frame();
  joined.client->close();
  char byte = 0;
  auto n = joined.runtime->read(&byte, 1);
  CHECK((!n || *n == 0));
}

TEST_CASE("base64.channel.k8s.io: text both ways, a failure's message") {
  Joined joined(options(true, true, false, false), "base64.channel.k8s.io");
  for (int i = 0; i < 3; ++i) joined.frame();
  CHECK(joined.said() == "1");
  REQUIRE(joined.client->send("0aGk=", net::WebSocketOpcode::kText));
  CHECK(joined.frame().payload == "hi");
  REQUIRE(joined.runtime->write_all(net::SpdyWriter::data(1, kFailure, true) +
                                    net::SpdyWriter::data(5, "", true)));
  CHECK(joined.said() == "3aXQgZmFpbGVk");
  CHECK(joined.said() == "(closed)");
}

TEST_CASE("the port-forward tunnel carries bytes as they are") {
  auto [client_end, peer_end] = net::socket_pair();
  auto [runtime_end, far] = net::socket_pair();
  net::WebSocket client(client_end, net::WebSocketRole::kClient, "");
  std::thread worker([peer_end = peer_end, runtime_end = runtime_end] {
    net::WebSocket peer(peer_end, net::WebSocketRole::kServer, "");
    tunnel(peer, *runtime_end);
  });
  REQUIRE(client.send(std::string("\0\x01\x02", 3)));
  char buffer[16];
  auto n = far->read(buffer, sizeof buffer);
  REQUIRE(n);
  CHECK(std::string(buffer, *n) == std::string("\0\x01\x02", 3));
  REQUIRE(far->write_all("back"));
  CHECK((*client.receive())->payload == "back");
  far->shutdown_write();
  auto end = client.receive();
  REQUIRE(end);
  CHECK_FALSE(*end);
  client.close();
  worker.join();
}
