#include "net/http/http_parser.h"

#include <catch2/catch.hpp>

#include "net/http/http_text.h"

using namespace orch;
using namespace orch::net;

namespace {

int status_of(std::string_view head) {
  auto parsed = parse_request_head(head);
  return parsed ? 200 : parsed.error().status;
}

}  // namespace

TEST_CASE("a request head is taken apart") {
  auto head = parse_request_head(
      "POST /api/v1?x=1 HTTP/1.1\r\nHost: h\r\ncontent-length:  5 \r\nX-A: b\r\nx-a: c\r\n\r\n");
  REQUIRE(head);
  CHECK(head->method == "POST");
  CHECK(head->target == "/api/v1?x=1");
  CHECK(head->framing.length == 5);
  CHECK_FALSE(head->framing.chunked);
  CHECK(head->keep_alive);
  CHECK(head->headers.count("X-a") == 2);
  CHECK(header(head->headers, "CONTENT-LENGTH") == "5");
}

TEST_CASE("what two parsers could read differently is refused") {
  auto with = [](std::string_view lines) {
    return status_of("POST / HTTP/1.1\r\nHost: h\r\n" + std::string(lines) + "\r\n");
  };
  CHECK(with("Content-Length: 3\r\n") == 200);
  CHECK(with("Content-Length: 3\r\nContent-Length: 3\r\n") == 200);
  CHECK(with("Content-Length: 3\r\nContent-Length: 4\r\n") == 400);
  CHECK(with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") == 400);
  CHECK(with("Content-Length: +3\r\n") == 400);
  CHECK(with("Content-Length: 3, 3\r\n") == 400);
  CHECK(with("Content-Length: 0x3\r\n") == 400);
  CHECK(with("Content-Length:\r\n") == 400);
  CHECK(with("Content-Length: 99999999999999999999\r\n") == 400);
  CHECK(with("Transfer-Encoding: chunked\r\n") == 200);
  CHECK(with("Transfer-Encoding: gzip, chunked\r\n") == 501);
  CHECK(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") == 501);
  CHECK(with("Transfer-Encoding : chunked\r\n") == 400);
  CHECK(with("A: b\r\n c: folded\r\n") == 400);
  CHECK(with("A: b\rC: d\r\n") == 400);
  CHECK(with("A: b\nC: d\r\n") == 400);
  CHECK(with(std::string_view("A: b\0c\r\n", 8)) == 400);
  CHECK(with("no colon\r\n") == 400);
  CHECK(with(": empty\r\n") == 400);
  CHECK(with("Host: second\r\n") == 400);
  CHECK(with("Expect: something\r\n") == 417);
  CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 200);
  CHECK(status_of("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n") == 505);
  CHECK(status_of("GET  / HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status_of("GET / x HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status_of("G(T / HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status_of("GET /\t HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status_of("GET /\r\nHost: h\r\n\r\n") == 400);
}

TEST_CASE("keep-alive follows version and Connection") {
  auto keeps = [](const char* head) { return parse_request_head(head)->keep_alive; };
  CHECK(keeps("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  CHECK_FALSE(keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n"));
  CHECK_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  CHECK(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST_CASE("targets are split and decoded") {
  HttpRequest request;
  request.method = "GET";
  request.target = "/a%20b/c%2Fd?x=1&y=a+b%26&bad=%zz&z#frag";
  REQUIRE(split_target(request));
  CHECK(request.path == "/a b/c/d");
  CHECK(request.raw_query == "x=1&y=a+b%26&bad=%zz&z");
  CHECK(query_value(request.query, "x") == "1");
  CHECK(query_value(request.query, "y") == "a b&");
  CHECK(request.query.count("z") == 1);
  CHECK(request.query.count("bad") == 0);
  HttpRequest absolute;
  absolute.target = "http://host:1/p?q=1";
  REQUIRE(split_target(absolute));
  CHECK(absolute.path == "/p");
  CHECK(absolute.target == "/p?q=1");
  for (const char* bad : {"/%zz", "/%4", "host:80", "*", "x/y"}) {
    HttpRequest wrong;
    wrong.method = "GET";
    wrong.target = bad;
    CHECK_FALSE(split_target(wrong));
  }
}

TEST_CASE("chunks decode the same however they are cut") {
  const std::string coded =
      "5;ext=1\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nNEXT";
  for (size_t step = 1; step <= coded.size(); ++step) {
    ChunkDecoder decoder;
    std::string out, pending;
    size_t at = 0;
    while (!decoder.done() && at < coded.size()) {
      pending += coded.substr(at, step);
      at = std::min(at + step, coded.size());
      auto used = decoder.decode(pending, out, 100);
      REQUIRE(used);
      pending.erase(0, *used);
    }
    CHECK(out == "hello 0123456789");
    CHECK(pending + coded.substr(at) == "NEXT");
  }
}

TEST_CASE("broken and oversized chunks are refused") {
  auto status = [](std::string_view coded, uint64_t limit = 10) {
    ChunkDecoder decoder;
    std::string out;
    auto used = decoder.decode(coded, out, limit);
    return used ? 200 : used.error().status;
  };
  CHECK(status("a\r\n0123456789\r\n0\r\n\r\n") == 200);
  CHECK(status("b\r\n01234567890\r\n") == 413);
  CHECK(status("6\r\n012345\r\n6\r\n012345\r\n") == 413);
  CHECK(status("fffffffffffffff\r\n") == 413);
  CHECK(status("ffffffffffffffff\r\n") == 400);
  CHECK(status("g\r\n") == 400);
  CHECK(status("-1\r\n") == 400);
  CHECK(status("\r\n") == 400);
  CHECK(status("1\n0\r\n") == 400);
  CHECK(status("1\r\n0X\r\n") == 400);
  CHECK(status("1 \r\n0\r\n0\r\n\r\n") == 200);
  CHECK(status("1;" + std::string(5000, 'x')) == 400);
}

TEST_CASE("response heads") {
  auto head = parse_response_head("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n");
  REQUIRE(head);
  CHECK(head->status == 404);
  CHECK(head->framing.length == 2);
  CHECK(parse_response_head("HTTP/1.1 200\r\n\r\n"));
  CHECK_FALSE(parse_response_head("HTTP/1.1 20 OK\r\n\r\n"));
  CHECK_FALSE(parse_response_head("SSH-2.0-OpenSSH\r\n\r\n"));
  CHECK(parse_response_head("garbage\r\n\r\n").error().find("malformed HTTP response") == 0);
}

TEST_CASE("header tokens and url text") {
  Headers headers{{"Connection", "keep-alive, Upgrade"}};
  CHECK(header_has_token(headers, "connection", "upgrade"));
  CHECK_FALSE(header_has_token(headers, "connection", "up"));
  CHECK(url_encode("a b/&=ü") == "a%20b%2F%26%3D%C3%BC");
  CHECK(url_decode("a%20b+%C3%BC") == "a b+ü");
  CHECK(url_decode("100%") == "100%");
}
