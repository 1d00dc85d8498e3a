// gRPC's framing: whatever the portions, whatever nonsense.
#include "net/grpc/framing.h"

#include <catch2/catch.hpp>

using namespace orch;
using namespace orch::net;

TEST_CASE("messages are put together from any portions") {
  const std::string first(300, 'x');
  const std::string all = grpc_prefix(first.size()) + first + grpc_prefix(0) + grpc_prefix(1) + "y";
  for (size_t portion = 1; portion < all.size(); portion += 7) {
    GrpcAssembler assembler(1000);
    std::vector<std::string> messages;
    for (size_t at = 0; at < all.size(); at += portion) {
      std::string_view part = std::string_view(all).substr(at, portion);
      while (!part.empty()) {
        auto message = assembler.take(part);
        REQUIRE(message);
        if (*message) messages.push_back(**message);
      }
    }
    REQUIRE(messages == std::vector<std::string>{first, "", "y"});
    CHECK(assembler.between_messages());
  }
}

TEST_CASE("a message over the limit is refused by its announcement, a compressed one by its flag") {
  GrpcAssembler small(10);
  const std::string announced = grpc_prefix(11);
  std::string_view part = announced;
  auto message = small.take(part);
  REQUIRE_FALSE(message);
  CHECK(message.error().code == GrpcCode::kResourceExhausted);
  CHECK(message.error().message == "grpc: received message larger than max (11 vs. 10)");

  GrpcAssembler plain(10);
  std::string compressed = grpc_prefix(1);
  compressed[0] = 1;
  part = compressed;
  auto refused = plain.take(part);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == GrpcCode::kUnimplemented);
}

TEST_CASE("grpc-timeout") {
  CHECK(parse_grpc_timeout("1S") == Micros(1'000'000));
  CHECK(parse_grpc_timeout("100m") == Micros(100'000));
  CHECK(parse_grpc_timeout("7u") == Micros(7));
  CHECK(parse_grpc_timeout("1500n") == Micros(2));
  CHECK(parse_grpc_timeout("99999999H") == Micros(99'999'999LL * 3'600'000'000LL));
  for (const char* bad : {"", "S", "1", "1x", "-1S", "1 S", "123456789S", "+1S"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_grpc_timeout(bad));
  }
  CHECK(format_grpc_timeout(Millis(1500)) == "1500m");
  CHECK(format_grpc_timeout(Millis(200'000'000)) == "200000S");
}

TEST_CASE("grpc-message is percent-encoded and back") {
  const std::string text = "100% \n\xc3\xa9\x01";
  CHECK(encode_grpc_message(text) == "100%25 %0A%C3%A9%01");
  CHECK(decode_grpc_message(encode_grpc_message(text)) == text);
  CHECK(decode_grpc_message("%zz%4") == "%zz%4");
}
