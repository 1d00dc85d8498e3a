#include "orch/net/websocket.h"

#include <catch2/catch.hpp>

using namespace orch::net;

namespace {

std::string server_frame(uint8_t first, std::string_view payload) {
  std::string out(1, static_cast<char>(first));
  if (payload.size() < 126) {
    out += static_cast<char>(payload.size());
  } else {
    out += static_cast<char>(126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size());
  }
  return out + std::string(payload);
}

bool refused(std::string bytes) {
  WebSocketReader reader(WebSocketRole::kClient);
  reader.feed(bytes);
  return !reader.next();
}

}  // namespace

TEST_CASE("RFC 6455's own examples") {
  CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(encode_websocket_frame(WebSocketOpcode::kText, "Hello", 0x37fa213d) ==
        std::string("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11));
  WebSocketReader reader(WebSocketRole::kClient);
  reader.feed("\x81\x05Hello");
  auto message = reader.next();
  REQUIRE(message);
  REQUIRE(*message);
  CHECK((*message)->payload == "Hello");
}

TEST_CASE("lengths take the shortest form") {
  CHECK(encode_websocket_frame(WebSocketOpcode::kBinary, std::string(125, 'x'), 0).size() ==
        2 + 4 + 125);
  CHECK(encode_websocket_frame(WebSocketOpcode::kBinary, std::string(126, 'x'), 0).size() ==
        4 + 4 + 126);
  CHECK(encode_websocket_frame(WebSocketOpcode::kBinary, std::string(65536, 'x'), 0).size() ==
        10 + 4 + 65536);
}

TEST_CASE("bytes may come one by one") {
  WebSocketReader reader(WebSocketRole::kClient);
  const std::string payload(300, 'y');
  const std::string frame = server_frame(0x82, payload);
  for (size_t i = 0; i + 1 < frame.size(); ++i) {
    reader.feed(frame.substr(i, 1));
    auto none = reader.next();
    REQUIRE(none);
    REQUIRE_FALSE(*none);
  }
  reader.feed(frame.substr(frame.size() - 1));
  auto message = reader.next();
  REQUIRE((message && *message));
  CHECK((*message)->payload == payload);
}

TEST_CASE("fragments are joined, a ping between them comes first") {
  WebSocketReader reader(WebSocketRole::kClient);
  reader.feed(server_frame(0x02, "ab") + server_frame(0x89, "p") + server_frame(0x80, "cd"));
  auto ping = reader.next();
  REQUIRE((ping && *ping));
  CHECK((*ping)->opcode == WebSocketOpcode::kPing);
  auto message = reader.next();
  REQUIRE((message && *message));
  CHECK((*message)->payload == "abcd");
  CHECK((*message)->opcode == WebSocketOpcode::kBinary);
}

TEST_CASE("malformed frames end the connection") {
  CHECK(refused("\xC2\x01x"));                                        // reserved bit
  CHECK(refused("\x83\x01x"));                                        // unknown opcode
  CHECK(refused(std::string("\x82\x81\0\0\0\0x", 7)));                // masked by the server
  CHECK(refused(std::string("\x80\x01x", 3)));                        // continuation of nothing
  CHECK(refused(server_frame(0x02, "a") + server_frame(0x82, "b")));  // message in a message
  CHECK(refused(std::string("\x09\x00", 2)));                         // fragmented ping
  CHECK(refused(std::string("\x89\x7E\x00\x80", 4)));                 // ping over 125 bytes
  CHECK(refused("\x82\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));         // longer than memory
}

TEST_CASE("fragments cannot pile up without bound") {
  WebSocketReader reader(WebSocketRole::kClient);
  std::string frame = "\x02\x7F";
  frame += std::string("\0\0\0\0", 4);
  const auto size = static_cast<uint32_t>(WebSocketReader::kMessageBytesMax);
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(size >> shift);
  reader.feed(frame + std::string(size, 'x'));
  reader.feed(server_frame(0x80, "one more"));
  auto message = reader.next();
  CHECK_FALSE(message);
}

TEST_CASE("a server reads masked frames only, and unmasks them") {
  const std::string frame = encode_websocket_frame(WebSocketOpcode::kBinary, "Hello", 0x37fa213d);
  WebSocketReader server(WebSocketRole::kServer);
  server.feed(frame + encode_websocket_frame(WebSocketOpcode::kText, "again", 1));
  auto first = server.next();
  REQUIRE((first && *first));
  CHECK((*first)->payload == "Hello");
  auto second = server.next();
  REQUIRE((second && *second));
  CHECK((*second)->payload == "again");
  CHECK((*second)->opcode == WebSocketOpcode::kText);
  WebSocketReader strict(WebSocketRole::kServer);
  strict.feed(encode_websocket_frame(WebSocketOpcode::kBinary, "Hello", std::nullopt));
  CHECK_FALSE(strict.next());
}

TEST_CASE("the handshake") {
  HttpRequest request;
  request.method = "GET";
  request.headers = {{"Connection", "keep-alive, Upgrade"},
                     {"Upgrade", "WebSocket"},
                     {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                     {"Sec-WebSocket-Protocol", "v5.channel.k8s.io, v4.channel.k8s.io"},
                     {"Sec-WebSocket-Protocol", "x"}};
  CHECK(is_websocket_request(request.headers));
  CHECK(websocket_protocols(request.headers) ==
        std::vector<std::string>{"v5.channel.k8s.io", "v4.channel.k8s.io", "x"});
  HttpResponse response;
  CHECK_FALSE(accept_websocket(request, "x", response));  // no version
  CHECK(response.status == 200);
  request.headers.emplace("Sec-WebSocket-Version", "13");
  REQUIRE(accept_websocket(request, "x", response));
  CHECK(response.status == 101);
  CHECK(header(response.headers, "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(header(response.headers, "Sec-WebSocket-Protocol") == "x");
  request.method = "POST";
  HttpResponse refused;
  CHECK_FALSE(accept_websocket(request, "", refused));
}
