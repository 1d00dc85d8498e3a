// Client and server together, mostly over TLS.
#include <sys/un.h>
#include <zlib.h>

#include <atomic>

#include "fixture.h"

using namespace orch;
using namespace orch::net;
using namespace orch::net::test;

namespace {

void describe(const HttpRequest& request, HttpResponse& response) {
  response.set("X-Remote", request.remote_address);
  response.set("X-CN", request.peer.common_name);
  std::string organizations;
  for (const std::string& o : request.peer.organizations) organizations += o + ";";
  response.set("X-O", organizations);
  response.set("X-Peer-Error", request.peer.error);
  response.set("X-Front-Proxy", request.peer.front_proxy.value_or("-"));
  response.body = request.method + " " + request.target + " " + request.body;
}

// A listener that answers each connection by a script.
class ScriptedServer {
 public:
  // Each accepted connection's descriptor is handed to `serve`, then closed.
  explicit ScriptedServer(std::function<void(int, int)> serve) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(fd_, 16);
    socklen_t size = sizeof address;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve = std::move(serve)] {
      for (int i = 0;; ++i) {
        int peer = ::accept(fd_, nullptr, nullptr);
        if (peer < 0) return;
        serve(peer, i);
        ::close(peer);
      }
    });
  }
  ~ScriptedServer() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_;
  uint16_t port_ = 0;
  std::thread thread_;
};

std::string read_head(int fd) {
  std::string got;
  char c;
  while (got.find("\r\n\r\n") == std::string::npos && ::recv(fd, &c, 1, 0) == 1) got += c;
  return got;
}
void put(int fd, std::string_view text) {
  (void)::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

std::unique_ptr<HttpClient> client_at(std::string base_url, Millis timeout = Millis{5000}) {
  HttpClientOptions options;
  options.base_url = std::move(base_url);
  options.request_timeout = timeout;
  return HttpClient::create(options);
}

}  // namespace

TEST_CASE("requests over TLS reuse one connection") {
  auto server = HttpServer::start(local(true), describe).value();
  auto client = client_for(*server, true);
  auto first = client->request("GET", "/a?b=c", {}, "");
  REQUIRE(first);
  CHECK(first->status == 200);
  CHECK(first->body == "GET /a?b=c ");
  auto second = client->request("POST", "/a", {{"Content-Type", "x/y"}}, "body");
  REQUIRE(second);
  CHECK(second->body == "POST /a body");
  CHECK(header(first->headers, "X-Remote") == header(second->headers, "x-remote"));
  auto head = client->request("HEAD", "/a", {}, "");
  REQUIRE(head);
  CHECK(head->body.empty());
  CHECK(header(head->headers, "Content-Length") == "8");
  CHECK(header(head->headers, "X-Remote") == header(first->headers, "x-remote"));
}

TEST_CASE("client certificates become identities") {
  CertificateRequest request = leaf("system:admin", false);
  request.organizations = {"system:masters", "b"};
  KeyPair good = issue(ca(), request).value();
  KeyPair foreign = issue(other_ca(), request).value();
  auto server = HttpServer::start(local(true), describe).value();
  auto named = client_for(*server, true, good)->request("GET", "/", {}, "");
  REQUIRE(named);
  CHECK(header(named->headers, "X-CN") == "system:admin");
  CHECK(header(named->headers, "X-O") == "system:masters;b;");
  CHECK(header(named->headers, "X-Peer-Error").empty());
  auto anonymous = client_for(*server, true)->request("GET", "/", {}, "");
  REQUIRE(anonymous);
  CHECK(header(anonymous->headers, "X-CN").empty());
  auto stranger = client_for(*server, true, foreign)->request("GET", "/", {}, "");
  REQUIRE(stranger);
  CHECK(header(stranger->headers, "X-CN").empty());
  CHECK(header(stranger->headers, "X-Peer-Error") ==
        "x509: certificate signed by unknown authority");
  // A serving certificate is no client certificate.
  auto wrong_use =
      client_for(*server, true, issue(ca(), leaf("x", true)).value())->request("GET", "/", {}, "");
  REQUIRE(wrong_use);
  CHECK(header(wrong_use->headers, "X-Peer-Error") ==
        "x509: certificate specifies an incompatible key usage");
}

TEST_CASE("a front proxy's certificate is no client's") {
  const KeyPair proxies = make_ca("proxies", system_clock().now(), Seconds{86400}).value();
  TlsServerContext::Options tls;
  tls.key_pair = issue(ca(), leaf("server", true)).value();
  tls.client_ca_pem = ca().certificate_pem;
  tls.front_proxy_ca_pem = proxies.certificate_pem;
  HttpServerOptions options = local();
  const auto serve = [&] {
    options.tls = TlsServerContext::create(tls).value();
    return HttpServer::start(options, describe).value();
  };
  auto server = serve();
  const auto ask = [&](const KeyPair& pair) {
    return client_for(*server, true, pair)->request("GET", "/", {}, "")->headers;
  };
  const KeyPair by_proxies = issue(proxies, leaf("system:node:n1", false)).value();
  auto seen = ask(by_proxies);
  CHECK(header(seen, "X-CN").empty());
  CHECK(header(seen, "X-Front-Proxy") == "system:node:n1");
  CHECK(header(seen, "X-Peer-Error") == "x509: certificate signed by unknown authority");
  seen = ask(issue(ca(), leaf("jane", false)).value());
  CHECK(header(seen, "X-CN") == "jane");
  CHECK(header(seen, "X-Front-Proxy") == "-");
  CHECK(header(seen, "X-Peer-Error").empty());
  seen = ask(issue(other_ca(), leaf("jane", false)).value());
  CHECK(header(seen, "X-CN").empty());
  CHECK(header(seen, "X-Front-Proxy") == "-");
  CHECK_FALSE(header(seen, "X-Peer-Error").empty());
  // One authority for both, by somebody's wish.
  tls.client_ca_pem += proxies.certificate_pem;
  server = serve();
  seen = ask(by_proxies);
  CHECK(header(seen, "X-CN") == "system:node:n1");
  CHECK(header(seen, "X-Front-Proxy") == "system:node:n1");
  CHECK(header(seen, "X-Peer-Error").empty());
}

TEST_CASE("a certificate that expires on a kept connection is no identity any more") {
  CertificateRequest request = leaf("short", false);
  request.not_after = system_clock().now() + Seconds{2};
  auto server = HttpServer::start(local(true), describe).value();
  auto client = client_for(*server, true, issue(ca(), request).value());
  CHECK(header(client->request("GET", "/", {}, "")->headers, "X-CN") == "short");
  std::this_thread::sleep_for(Millis{2100});
  auto late = client->request("GET", "/", {}, "");
  REQUIRE(late);
  CHECK(header(late->headers, "X-CN").empty());
  CHECK(header(late->headers, "X-Peer-Error") ==
        "x509: certificate has expired or is not yet valid");
}

TEST_CASE("required client certificates end the handshake without one") {
  TlsServerContext::Options tls;
  tls.key_pair = issue(ca(), leaf("server", true)).value();
  tls.client_ca_pem = ca().certificate_pem;
  tls.client_certificate_required = true;
  HttpServerOptions options = local();
  options.tls = TlsServerContext::create(tls).value();
  auto server = HttpServer::start(options, describe).value();
  CHECK_FALSE(client_for(*server, true)->request("GET", "/", {}, ""));
  CHECK(client_for(*server, true, issue(ca(), leaf("c", false)).value())
            ->request("GET", "/", {}, ""));
}

TEST_CASE("reload: new connections see the new certificate, old ones go on") {
  HttpServerOptions options = local();
  auto tls = server_tls();
  options.tls = tls;
  auto server = HttpServer::start(options, describe).value();
  auto old_client = client_for(*server, true);
  REQUIRE(old_client->request("GET", "/", {}, ""));
  REQUIRE(tls->reload(issue(other_ca(), leaf("server", true)).value()));
  CHECK(old_client->request("GET", "/", {}, ""));
  auto refused = client_for(*server, true)->request("GET", "/", {}, "");
  REQUIRE_FALSE(refused);
  CHECK(refused.error() ==
        "tls: failed to verify certificate: x509: certificate signed by unknown authority");
  CHECK_FALSE(tls->reload({"garbage", "garbage"}));
  // A client's reload makes it dial anew with the new pair.
  auto context = client_tls(issue(ca(), leaf("one", false)).value());
  REQUIRE(tls->reload(issue(ca(), leaf("server", true)).value()));
  HttpClientOptions client_options;
  client_options.base_url = url(*server, true);
  client_options.tls = context;
  auto client = HttpClient::create(client_options);
  CHECK(header(client->request("GET", "/", {}, "")->headers, "X-CN") == "one");
  REQUIRE(context->reload(issue(ca(), leaf("two", false)).value()));
  CHECK(header(client->request("GET", "/", {}, "")->headers, "X-CN") == "two");
}

TEST_CASE("names are verified") {
  auto server = HttpServer::start(local(true), describe).value();
  HttpClientOptions options;
  options.base_url = url(*server, true);
  options.tls = client_tls();
  options.server_name = "orch.test";
  CHECK(HttpClient::create(options)->request("GET", "/", {}, ""));
  options.server_name = "evil.test";
  CHECK(HttpClient::create(options)->request("GET", "/", {}, "").error() ==
        "tls: failed to verify certificate: x509: certificate is valid for localhost, orch.test, "
        "not evil.test");
  options.server_name = "127.0.0.2";
  CHECK(HttpClient::create(options)->request("GET", "/", {}, "").error() ==
        "tls: failed to verify certificate: x509: certificate is valid for 127.0.0.1, not "
        "127.0.0.2");
  options.server_name = "";
  TlsClientContext::Options insecure;
  insecure.insecure_skip_verify = true;
  options.tls = TlsClientContext::create(insecure).value();
  CHECK(HttpClient::create(options)->request("GET", "/", {}, ""));
}

TEST_CASE("failures are told in Go's words") {
  uint16_t free_port;
  {
    auto server = HttpServer::start(local(), describe).value();
    free_port = server->port();
  }
  std::string port = std::to_string(free_port);
  CHECK(client_at("http://127.0.0.1:" + port)->request("GET", "/", {}, "").error() ==
        "dial tcp 127.0.0.1:" + port + ": connect: connection refused");
  CHECK(client_at("unix:///nonexistent/x.sock")->request("GET", "/", {}, "").error() ==
        "dial unix /nonexistent/x.sock: connect: no such file or directory");
  CHECK(client_at("ftp://x")->request("GET", "/", {}, "").error() ==
        "parse \"ftp://x\": unsupported protocol scheme");
  CHECK_FALSE(client_at("http://")->request("GET", "/", {}, ""));
  CHECK_FALSE(client_at("http://127.0.0.1:99999")->request("GET", "/", {}, ""));
  CHECK(client_at("https://127.0.0.1:" + port)->request("GET", "/", {}, "").error() ==
        "tls: no client context given");
  auto plain = HttpServer::start(local(), describe).value();
  HttpClientOptions options;
  options.base_url = "https://127.0.0.1:" + std::to_string(plain->port());
  options.tls = client_tls();
  CHECK(HttpClient::create(options)->request("GET", "/", {}, "").error() ==
        "http: server gave HTTP response to HTTPS client");
  auto secure = HttpServer::start(local(true), describe).value();
  auto mixed =
      client_at("http://127.0.0.1:" + std::to_string(secure->port()))->request("GET", "/", {}, "");
  REQUIRE(mixed);
  CHECK(mixed->status == 400);
  CHECK(mixed->body == "Client sent an HTTP request to an HTTPS server.\n");
}

TEST_CASE("bad requests are not sent") {
  auto server = HttpServer::start(local(), describe).value();
  auto client = client_for(*server);
  CHECK_FALSE(client->request("GET", "/a b", {}, ""));
  CHECK_FALSE(client->request("GET", "/a\r\nX: y", {}, ""));
  CHECK_FALSE(client->request("GET", "a", {}, ""));
  CHECK_FALSE(client->request("G T", "/", {}, ""));
  CHECK_FALSE(client->request("GET", "/", {{"X", "a\r\nY: z"}}, ""));
}

TEST_CASE("time limits") {
  std::atomic<bool> stop{false};
  auto server = HttpServer::start(local(), [&](const HttpRequest&, HttpResponse&) {
                  for (int i = 0; i < 100 && !stop; ++i) std::this_thread::sleep_for(Millis{10});
                }).value();
  auto begin = std::chrono::steady_clock::now();
  auto late = client_at(url(*server), Millis{200})->request("POST", "/", {}, "");
  stop = true;
  REQUIRE_FALSE(late);
  CHECK(late.error() == "context deadline exceeded");
  CHECK(std::chrono::steady_clock::now() - begin < Millis{900});
}

TEST_CASE("a stale kept connection is retried once for idempotent methods only") {
  // The first connection answers once, then dies on the second request; later ones answer always.
  for (bool idempotent : {true, false}) {
    std::atomic<int> heads{0};
    ScriptedServer server([&](int fd, int connection) {
      while (!read_head(fd).empty()) {
        int count = ++heads;
        if (connection == 0 && count == 2) return;
        put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if (connection > 0) return;
      }
    });
    auto client = client_at(server.url());
    REQUIRE(client->request("GET", "/", {}, ""));
    auto second = client->request(idempotent ? "GET" : "POST", "/", {}, "");
    CHECK(second.has_value() == idempotent);
    if (!second) CHECK(second.error() == "EOF");
    CHECK(heads == (idempotent ? 3 : 2));
    client.reset();
  }
}

TEST_CASE("answers cut short are errors, answers to the end are not") {
  ScriptedServer server([](int fd, int connection) {
    read_head(fd);
    constexpr std::string_view kAnswers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\n\r\nto the end",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "nonsense\r\n\r\n"};
    put(fd, kAnswers[connection]);
  });
  auto client = client_at(server.url());
  CHECK(client->request("GET", "/", {}, "").error() == "unexpected EOF");
  CHECK(client->request("GET", "/", {}, "").error() == "unexpected EOF");
  CHECK(client->request("GET", "/", {}, "")->body == "to the end");
  CHECK(client->request("GET", "/", {}, "")->status == 204);
  CHECK(client->request("GET", "/", {}, "").error() == "malformed HTTP response \"nonsense\"");
}

TEST_CASE("streams: data as it comes, ended by either side") {
  std::promise<std::shared_ptr<Stream>> started;
  std::promise<void> closed;
  auto server = HttpServer::start(local(true), [&](const HttpRequest&, HttpResponse& response) {
                  response.stream([&](std::shared_ptr<Stream> stream) {
                    stream->on_close([&] { closed.set_value(); });
                    started.set_value(stream);
                  });
                }).value();
  auto client = client_for(*server, true);
  SECTION("by the server") {
    std::string got;
    int status = 0;
    std::thread producer([&] {
      auto stream = started.get_future().get();
      for (int i = 0; i < 1000; ++i) stream->write("line " + std::to_string(i) + "\n");
      stream->finish();
    });
    auto result = client->stream(
        "GET", "/", {}, "",
        [&](const HttpResult& head) {
          status = head.status;
          return true;
        },
        [&](std::string_view bytes) {
          got.append(bytes);
          return true;
        },
        nullptr);
    producer.join();
    CHECK(result);
    CHECK(status == 200);
    CHECK(std::count(got.begin(), got.end(), '\n') == 1000);
    CHECK(got.ends_with("line 999\n"));
  }
  SECTION("by cancel from another thread") {
    auto cancel = HttpClient::make_cancel();
    std::thread canceller([&] {
      started.get_future().wait();
      std::this_thread::sleep_for(Millis{50});
      cancel->cancel();
    });
    auto result = client->stream(
        "GET", "/", {}, "", [](const HttpResult&) { return true; },
        [](std::string_view) { return true; }, cancel);
    canceller.join();
    REQUIRE_FALSE(result);
    CHECK(result.error() == "context canceled");
    CHECK(closed.get_future().wait_for(Seconds{5}) == std::future_status::ready);
    auto again = client->stream(
        "GET", "/", {}, "", [](const HttpResult&) { return true; },
        [](std::string_view) { return true; }, cancel);
    CHECK(again.error() == "context canceled");
  }
  SECTION("by the callback") {
    std::thread producer([&] { started.get_future().get()->write("first"); });
    auto result = client->stream(
        "GET", "/", {}, "", [](const HttpResult&) { return true; },
        [](std::string_view) { return false; }, nullptr);
    producer.join();
    CHECK(result);
    CHECK(closed.get_future().wait_for(Seconds{5}) == std::future_status::ready);
  }
}

TEST_CASE("upgrades are raw both ways, at once, through TLS") {
  auto server =
      HttpServer::start(local(true), [](const HttpRequest& request, HttpResponse& response) {
        if (!header_has_token(request.headers, "Connection", "Upgrade")) {
          response.status = 400;
          response.body = "upgrade required";
          return;
        }
        response.status = 101;
        response.set("Connection", "Upgrade");
        response.set("Upgrade", "echo");
        response.upgrade([](std::unique_ptr<RawConnection> connection) {
          (void)connection->write_all("hello");
          char buffer[8192];
          while (true) {
            auto got = connection->read(buffer, sizeof buffer);
            if (!got || *got == 0) break;
            if (!connection->write_all({buffer, *got})) break;
          }
          connection->shutdown_write();
        });
      }).value();
  auto client = client_for(*server, true);
  auto refused = client->upgrade("GET", "/x", {});
  REQUIRE(refused);
  CHECK(refused->answer.status == 400);
  CHECK(refused->answer.body == "upgrade required");
  CHECK_FALSE(refused->connection);
  auto upgraded = client->upgrade("GET", "/x", {{"Connection", "Upgrade"}, {"Upgrade", "echo"}});
  REQUIRE(upgraded);
  REQUIRE(upgraded->connection);
  CHECK(header(upgraded->answer.headers, "Upgrade") == "echo");
  RawConnection& connection = *upgraded->connection;
  std::string sent(3'000'000, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 + i / 977);
  std::atomic<bool> written{false};
  std::thread writer([&] {
    written = connection.write_all(sent).has_value();
    connection.shutdown_write();
  });
  std::string got;
  char buffer[10000];
  while (true) {
    auto size = connection.read(buffer, sizeof buffer);
    if (!size || *size == 0) break;
    got.append(buffer, *size);
  }
  writer.join();
  CHECK(written);
  CHECK(got.size() == sent.size() + 5);
  CHECK(got == "hello" + sent);
  // close() wakes a blocked reader.
  auto second = client->upgrade("GET", "/x", {{"Connection", "Upgrade"}, {"Upgrade", "echo"}});
  std::thread closer([&] {
    std::this_thread::sleep_for(Millis{50});
    second->connection->close();
  });
  while (true) {
    auto size = second->connection->read(buffer, sizeof buffer);
    if (!size || *size == 0) break;
  }
  closer.join();
  CHECK_FALSE(second->connection->write_all("x"));
}

TEST_CASE("stop closes upgraded connections") {
  std::promise<void> entered;
  auto server = HttpServer::start(local(), [&](const HttpRequest&, HttpResponse& response) {
                  response.status = 101;
                  response.upgrade([&](std::unique_ptr<RawConnection> connection) {
                    entered.set_value();
                    char c;
                    (void)connection->read(&c, 1);
                  });
                }).value();
  auto upgraded = client_for(*server)->upgrade("GET", "/", {});
  REQUIRE(upgraded);
  entered.get_future().wait();
  auto begin = std::chrono::steady_clock::now();
  server->stop(Millis{200});
  CHECK(std::chrono::steady_clock::now() - begin < Seconds{3});
  char c;
  auto got = upgraded->connection->read(&c, 1);
  CHECK((!got || *got == 0));
}

TEST_CASE("pump joins two connections, as a proxy does") {
  auto backend = HttpServer::start(local(), [](const HttpRequest&, HttpResponse& response) {
                   response.status = 101;
                   response.upgrade([](std::unique_ptr<RawConnection> connection) {
                     char buffer[100];
                     while (true) {
                       auto got = connection->read(buffer, sizeof buffer);
                       if (!got || *got == 0) break;
                       (void)connection->write_all("<" + std::string(buffer, *got) + ">");
                     }
                     (void)connection->write_all("bye");
                     connection->shutdown_write();
                   });
                 }).value();
  std::promise<void> pumped;
  auto proxy = HttpServer::start(local(true), [&](const HttpRequest&, HttpResponse& response) {
                 response.status = 101;
                 response.upgrade([&](std::unique_ptr<RawConnection> connection) {
                   auto to = client_for(*backend)->upgrade("GET", "/", {});
                   pump(*connection, *to->connection);
                   pumped.set_value();
                 });
               }).value();
  auto upgraded = client_for(*proxy, true)->upgrade("GET", "/", {});
  REQUIRE(upgraded);
  REQUIRE(upgraded->connection->write_all("abc"));
  std::string got;
  char buffer[100];
  while (got != "<abc>") got.append(buffer, upgraded->connection->read(buffer, 100).value());
  upgraded->connection->shutdown_write();
  got.clear();
  while (true) {
    auto size = upgraded->connection->read(buffer, 100);
    REQUIRE(size);
    if (*size == 0) break;
    got.append(buffer, *size);
  }
  CHECK(got == "bye");
  CHECK(pumped.get_future().wait_for(Seconds{5}) == std::future_status::ready);
}

TEST_CASE("large answers are gzipped for peers that ask") {
  HttpServerOptions options = local();
  options.gzip_on_loopback = true;
  std::string body;
  for (int i = 0; i < 60000; ++i) body += "item " + std::to_string(i) + "\n";
  auto server = HttpServer::start(options, [&](const HttpRequest& request, HttpResponse& response) {
                  if (request.path == "/small") {
                    response.body = std::string(1000, 'x');
                    return;
                  }
                  response.body = body.substr(0, 1000);
                  response.pieces.push_back(std::make_shared<const std::string>(body.substr(1000)));
                  response.allow_gzip = request.path != "/never";
                }).value();
  auto client = client_for(*server);
  auto plain = client->request("GET", "/", {}, "");
  REQUIRE(plain);
  CHECK(plain->body == body);
  Headers accept{{"Accept-Encoding", "br, gzip;q=0.8"}};
  CHECK(header(client->request("GET", "/small", accept, "")->headers, "Content-Encoding").empty());
  CHECK(header(client->request("GET", "/never", accept, "")->headers, "Content-Encoding").empty());
  auto packed = client->request("GET", "/", accept, "");
  REQUIRE(packed);
  CHECK(header(packed->headers, "Content-Encoding") == "gzip");
  CHECK(packed->body.size() < body.size() / 2);
  std::string unpacked(body.size() + 1, '\0');
  z_stream z{};
  REQUIRE(inflateInit2(&z, 15 + 16) == Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(packed->body.data());
  z.avail_in = static_cast<uInt>(packed->body.size());
  z.next_out = reinterpret_cast<Bytef*>(unpacked.data());
  z.avail_out = static_cast<uInt>(unpacked.size());
  CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END);
  unpacked.resize(z.total_out);
  inflateEnd(&z);
  CHECK(unpacked == body);
}

TEST_CASE("large bodies both ways over TLS") {
  HttpServerOptions options = local(true);
  options.body_bytes_max = 20u << 20;
  auto server = HttpServer::start(options, [](const HttpRequest& request, HttpResponse& response) {
                  response.body = request.body;
                }).value();
  std::string body(10u << 20, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 4093);
  auto answer = client_for(*server, true)->request("PUT", "/", {}, body);
  REQUIRE(answer);
  CHECK(answer->body == body);
}

TEST_CASE("writing to a peer that left is an error, not a SIGPIPE") {
  auto server = HttpServer::start(local(true), [](const HttpRequest&, HttpResponse& response) {
                  response.status = 101;
                  response.upgrade([](std::unique_ptr<RawConnection> c) { c->close(); });
                }).value();
  for (int i = 0; i < 5; ++i) {
    auto upgraded = client_for(*server, true)->upgrade("GET", "/", {});
    REQUIRE(upgraded);
    bool failed = false;
    for (int n = 0; n < 200 && !failed; ++n) {
      failed = !upgraded->connection->write_all(std::string(10000, 'x'));
      std::this_thread::sleep_for(Millis{1});
    }
    CHECK(failed);
  }
}

TEST_CASE("unix sockets") {
  std::string path = "/tmp/orch-http-test-" + std::to_string(getpid()) + ".sock";
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::listen(fd, 1);
  std::thread server([&] {
    int peer = ::accept(fd, nullptr, nullptr);
    read_head(peer);
    put(peer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix");
    ::close(peer);
  });
  auto answer = client_at("unix://" + path)->request("GET", "/", {}, "");
  server.join();
  ::close(fd);
  ::unlink(path.c_str());
  REQUIRE(answer);
  CHECK(answer->body == "unix");
}

TEST_CASE("many threads share server and client") {
  auto server = HttpServer::start(local(true), describe).value();
  auto client = client_for(*server, true);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 12; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        std::string body(static_cast<size_t>(i * 50), static_cast<char>('a' + t));
        std::string target = "/t" + std::to_string(t) + "/" + std::to_string(i);
        bool post = i % 3 == 0;
        auto answer = client->request(post ? "POST" : "GET", target, {}, post ? body : "");
        good += answer &&
                answer->body == (post ? "POST " + target + " " + body : "GET " + target + " ");
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(good == 12 * 60);
}
