#include "orch/net/spdy.h"

#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "unit/net_http/socket_pair.h"

using namespace orch;
using namespace orch::net;

namespace {

SpdyFrame one(SpdyReader& reader, std::string_view bytes) {
  reader.feed(bytes);
  auto frame = reader.next();
  REQUIRE(frame);
  REQUIRE(*frame);
  return **frame;
}

std::string failure(std::string_view bytes) {
  SpdyReader reader;
  reader.feed(bytes);
  for (;;) {
    auto frame = reader.next();
    if (!frame) return frame.error();
    if (!*frame) return "";
  }
}

std::string raw(std::initializer_list<int> bytes) {
  std::string out;
  for (const int byte : bytes) out += static_cast<char>(byte);
  return out;
}

}  // namespace

TEST_CASE("SPDY: a SYN_STREAM has the form of the draft, with its dictionary") {
  SpdyWriter writer;
  const std::string frame = writer.syn_stream(1, {{"streamType", "error"}});
  REQUIRE(frame.size() > 20);
  CHECK(frame.substr(0, 4) == raw({0x80, 3, 0, 1}));
  CHECK(frame.substr(8, 10) == raw({0, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
  // zlib's head with FDICT; the dictionary's Adler-32 is the draft's.
  CHECK((static_cast<uint8_t>(frame[19]) & 0x20) != 0);
  CHECK(frame.substr(20, 4) == raw({0xe3, 0xc6, 0xa7, 0xc2}));
  SpdyReader reader;
  const SpdyFrame back = one(reader, frame);
  CHECK(back.type == SpdyType::kSynStream);
  CHECK(back.stream == 1);
  CHECK(header(back.headers, "streamtype") == "error");
}

TEST_CASE("SPDY: header blocks share their compression over a connection") {
  SpdyWriter writer;
  SpdyReader reader;
  std::string bytes;
  for (uint32_t stream = 1; stream < 20; stream += 2) {
    bytes += writer.syn_stream(stream, {{"streamtype", "data"}, {"port", std::to_string(stream)}});
  }
  bytes += writer.syn_reply(2, {{"many", "a"}, {"many", "b"}, {"empty", ""}}, true);
  for (uint32_t stream = 1; stream < 20; stream += 2) {
    const SpdyFrame frame = one(reader, stream == 1 ? bytes : "");
    CHECK(frame.stream == stream);
    CHECK(header(frame.headers, "port") == std::to_string(stream));
  }
  const SpdyFrame reply = one(reader, "");
  CHECK(reply.type == SpdyType::kSynReply);
  CHECK(reply.fin);
  CHECK(reply.headers.count("many") == 2);
  CHECK(reply.headers.count("empty") == 1);
}

TEST_CASE("SPDY: frames byte by byte; data comes in parts, FIN with the last") {
  SpdyWriter writer;
  const std::string bytes = writer.syn_stream(1, {{"a", "b"}}) +
                            SpdyWriter::data(1, "hello", true) + SpdyWriter::ping(7) +
                            SpdyWriter::rst_stream(3, 5) + SpdyWriter::go_away(9, 0);
  SpdyReader reader;
  std::string data;
  std::vector<SpdyType> types;
  bool fin = false;
  for (const char byte : bytes) {
    reader.feed({&byte, 1});
    for (;;) {
      auto frame = reader.next();
      REQUIRE(frame);
      if (!*frame) break;
      types.push_back((*frame)->type);
      if (types.back() == SpdyType::kPing) CHECK((*frame)->value == 7);
      if (types.back() == SpdyType::kRstStream) CHECK((*frame)->value == 5);
      if (types.back() != SpdyType::kData) continue;
      CHECK_FALSE(fin);
      data += (*frame)->payload;
      fin = (*frame)->fin;
    }
  }
  CHECK(data == "hello");
  CHECK(fin);
  CHECK(types.front() == SpdyType::kSynStream);
  CHECK(types.back() == SpdyType::kGoAway);
}

TEST_CASE("SPDY: unknown frames are skipped") {
  SpdyReader reader;
  const SpdyFrame frame =
      one(reader, raw({0x80, 3, 0, 99, 0, 0, 0, 2, 1, 2}) + SpdyWriter::data(5, "", true));
  CHECK(frame.type == SpdyType::kData);
  CHECK(frame.fin);
}

TEST_CASE("SPDY: what breaks the protocol ends the connection") {
  CHECK(failure(raw({0x80, 2, 0, 1, 0, 0, 0, 0})) == "spdy: version 2");
  CHECK(failure(raw({0, 0, 0, 0, 0, 0, 0, 1, 'x'})) == "spdy: data on stream 0");
  CHECK(failure(raw({0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1})) ==
        "spdy: frame of type 1 is too short");
  CHECK(failure(raw({0x80, 3, 0, 6, 0, 0xFF, 0xFF, 0xFF})).find("too long") != std::string::npos);
  CHECK(failure(raw({0x80, 3, 0, 2, 0, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4})) ==
        "spdy: header block does not inflate");
}

TEST_CASE("SPDY: a bomb of headers is refused before it grows") {
  // The same dictionary, a block of zeros that inflates a thousandfold.
  SpdyWriter writer;
  SpdyReader reader;
  reader.feed(writer.syn_stream(1, {{"x", std::string(16 * 1024 * 1024, '0')}}));
  auto frame = reader.next();
  REQUIRE_FALSE(frame);
  CHECK(frame.error() == "spdy: headers are too long");
}

TEST_CASE("SPDY: the client opens streams, half-closes and answers pings") {
  auto [near, far] = socket_pair();
  SpdyClient client(near);
  auto stream = client.open({{"streamtype", "stdin"}});
  REQUIRE(stream);
  CHECK(*stream == 1);
  CHECK(*client.open({{"streamtype", "stdout"}}) == 3);
  // What is sent before the reply would be lost: it waits.
  std::atomic<bool> sent{false};
  std::thread sender([&] {
    CHECK(client.write(1, "abc"));
    CHECK(client.finish(1));
    sent = true;
  });
  REQUIRE(far->write_all(SpdyWriter::ping(2) + SpdyWriter::data(3, "early", false)));
  auto event = client.receive();
  REQUIRE((event && *event));
  CHECK_FALSE(sent);
  SpdyWriter writer;
  REQUIRE(far->write_all(writer.syn_reply(1, {}) + SpdyWriter::data(3, "out", false)));
  event = client.receive();
  sender.join();
  CHECK(sent);
  REQUIRE(far->write_all(SpdyWriter::rst_stream(1, 5)));
  REQUIRE((event && *event));
  CHECK((*event)->stream == 3);
  CHECK((*event)->bytes == "out");
  CHECK_FALSE((*event)->end);
  event = client.receive();
  REQUIRE((event && *event));
  CHECK((*event)->reset);
  far->shutdown_write();
  event = client.receive();
  REQUIRE(event);
  CHECK_FALSE(*event);
  CHECK_FALSE(client.write(3, "nobody will reply any more"));

  SpdyReader server;
  std::vector<SpdyFrame> seen;
  near->shutdown_write();
  char buffer[4096];
  for (auto n = far->read(buffer, sizeof buffer); n && *n > 0;
       n = far->read(buffer, sizeof buffer)) {
    server.feed({buffer, *n});
  }
  for (auto frame = server.next(); frame && *frame; frame = server.next()) seen.push_back(**frame);
  REQUIRE(seen.size() == 5);
  CHECK(header(seen[0].headers, "streamtype") == "stdin");
  CHECK(seen[2].type == SpdyType::kPing);
  CHECK(seen[2].value == 2);
  CHECK(seen[3].payload == "abc");
  CHECK(seen[4].fin);
  CHECK(seen[4].payload.empty());
}
