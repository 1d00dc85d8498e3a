// The server against bare TCP peers: framing, limits, time limits, slow peers, parked requests.
#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "fixture.h"

using namespace orch;
using namespace orch::net;
using namespace orch::net::test;

namespace {

void echo(const HttpRequest& request, HttpResponse& response) {
  response.set("Content-Type", "text/plain");
  response.body = request.method + " " + request.path + " " + std::to_string(request.body.size());
}

std::string ask(uint16_t port, std::string_view bytes) {
  RawPeer peer(port);
  peer.send(bytes);
  return peer.receive();
}

bool answers(uint16_t port) {
  return ask(port, "GET /ok HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").find("200 OK") !=
         std::string::npos;
}

}  // namespace

TEST_CASE("pipelined requests are answered in order on one connection") {
  auto server = HttpServer::start(local(), echo).value();
  RawPeer peer(server->port());
  peer.send(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
      "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
      "HEAD /4 HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET /5 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  std::string got = peer.receive();
  size_t first = got.find("GET /1 0"), second = got.find("POST /2 3");
  size_t third = got.find("POST /3 2"), fifth = got.find("GET /5 0");
  CHECK(first < second);
  CHECK(second < third);
  CHECK(third < fifth);
  CHECK(fifth != std::string::npos);
  CHECK(got.find("HEAD /4") == std::string::npos);
  CHECK(got.find("Content-Length: 9") != std::string::npos);
  CHECK(peer.ended());
}

TEST_CASE("a long pipeline is served whole") {
  auto server = HttpServer::start(local(), echo).value();
  RawPeer peer(server->port());
  std::string all;
  for (int i = 0; i < 500; ++i) all += "GET /n HTTP/1.1\r\nHost: h\r\n\r\n";
  all += "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  peer.send(all);
  std::string got = peer.receive();
  size_t count = 0;
  for (size_t at = got.find("GET /n 0"); at != std::string::npos;
       at = got.find("GET /n 0", at + 1)) {
    ++count;
  }
  CHECK(count == 500);
  CHECK(got.find("GET /last 0") != std::string::npos);
}

TEST_CASE("refused requests get their status and end the connection") {
  std::atomic<int> handled{0};
  HttpServerOptions options = local();
  options.body_bytes_max = 1000;
  options.header_bytes_max = 8192;
  options.error_body = [](int status, std::string_view message) {
    return "{\"code\":" + std::to_string(status) + ",\"message\":\"" + std::string(message) + "\"}";
  };
  auto server = HttpServer::start(options, [&](const HttpRequest& q, HttpResponse& p) {
                  ++handled;
                  echo(q, p);
                }).value();
  auto status = [&](std::string_view bytes) {
    std::string got = ask(server->port(), bytes);
    return got.size() > 12 ? got.substr(9, 3) : got;
  };
  const std::string smuggled = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: h\r\n\r\n";
  CHECK(
      status(
          "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" +
          smuggled) == "400");
  CHECK(status("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n" + smuggled) ==
        "501");
  CHECK(status("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n" + smuggled) ==
        "400");
  CHECK(status("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n" +
               smuggled) == "400");
  CHECK(status("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(9000, 'x')) == "431");
  CHECK(status("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n") == "413");
  CHECK(status("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n200\r\n" +
               std::string(512, 'x') + "\r\n200\r\n") == "413");
  CHECK(status("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n") == "400");
  CHECK(handled == 0);
  std::string got =
      ask(server->port(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n");
  CHECK(got.find("{\"code\":413,\"message\":\"request body too large\"}") != std::string::npos);
  CHECK(got.find("Connection: close") != std::string::npos);
  CHECK(answers(server->port()));
}

TEST_CASE("413 is readable although the client goes on sending") {
  HttpServerOptions options = local();
  options.body_bytes_max = 1000;
  auto server = HttpServer::start(options, echo).value();
  std::string body(2'000'000, 'x');
  CHECK(ask(server->port(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n" + body)
            .find("413 Request Entity Too Large") != std::string::npos);
}

TEST_CASE("Expect: 100-continue is answered before the body, and not before a refusal") {
  HttpServerOptions options = local();
  options.body_bytes_max = 1000;
  auto server = HttpServer::start(options, echo).value();
  RawPeer peer(server->port());
  peer.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  CHECK(peer.receive("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("abc");
  CHECK(peer.receive("POST / 3").find("200 OK") != std::string::npos);
  CHECK(ask(server->port(),
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3000\r\n\r\n")
            .find("HTTP/1.1 413") == 0);
}

TEST_CASE("half-sent heads and bodies hold no worker and are cut in time") {
  HttpServerOptions options = local();
  options.header_timeout = Seconds{1};
  auto server = HttpServer::start(options, echo).value();
  std::vector<RawPeer> peers;
  for (int i = 0; i < 50; ++i) {
    peers.emplace_back(server->port());
    peers.back().send(i % 2 == 0 ? "GET / HTTP/1.1\r\nHo"
                                 : "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
  }
  CHECK(answers(server->port()));
  auto begin = std::chrono::steady_clock::now();
  for (RawPeer& peer : peers) {
    peer.receive({}, Millis{5000});
    CHECK(peer.ended());
  }
  CHECK(std::chrono::steady_clock::now() - begin < Seconds{4});
  CHECK(answers(server->port()));
}

TEST_CASE("half a request is told that its time is over, however slowly it drips") {
  HttpServerOptions options = local();
  options.header_timeout = Seconds{1};
  auto server = HttpServer::start(options, echo).value();
  RawPeer head(server->port()), body(server->port()), drip(server->port());
  head.send("GET / HTTP/1.1\r\nHo");
  body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
  drip.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
  std::thread dripping([&] {
    for (int i = 0; i < 40; ++i) {
      drip.send("x");
      std::this_thread::sleep_for(Millis{50});
    }
  });
  for (RawPeer* peer : {&head, &body, &drip}) {
    CHECK(peer->receive({}, Millis{5000}).find("HTTP/1.1 408") == 0);
    CHECK(peer->ended());
  }
  dripping.join();
  // One that comes in bits but keeps coming is served.
  RawPeer slow(server->port());
  slow.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n");
  for (int i = 0; i < 8; ++i) {
    slow.send(std::string(50'000, 'x'));
    std::this_thread::sleep_for(Millis{200});
  }
  CHECK(slow.receive("POST / 400000").find("200 OK") != std::string::npos);
  CHECK(answers(server->port()));
}

TEST_CASE("thousands of half-open TLS handshakes stop nobody and end in time") {
  constexpr size_t kPeers = 4000;
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  rlimit wide{std::max<rlim_t>(old.rlim_cur, std::min<rlim_t>(old.rlim_max, 3 * kPeers)),
              old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &wide);
  const size_t count = std::min<size_t>(kPeers, wide.rlim_cur / 3);
  HttpServerOptions options = local(true);
  options.header_timeout = Seconds{3};
  auto server = HttpServer::start(options, echo).value();
  const size_t before = thread_count();
  {
    std::vector<RawPeer> peers;
    for (size_t i = 0; i < count; ++i) {
      peers.emplace_back(server->port());
      if (i % 2 == 0) peers.back().send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
    }
    auto answer = client_for(*server, true)->request("GET", "/", {}, "");
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(thread_count() <= before + 1);
    for (RawPeer& peer : peers) {
      peer.receive({}, Millis{10'000});
      REQUIRE(peer.ended());
    }
  }
  setrlimit(RLIMIT_NOFILE, &old);
}

TEST_CASE("idle connections are closed after the idle time, not before") {
  HttpServerOptions options = local();
  options.idle_timeout = Seconds{1};
  auto server = HttpServer::start(options, echo).value();
  RawPeer peer(server->port());
  peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK_FALSE(peer.receive("GET / 0").empty());
  auto begin = std::chrono::steady_clock::now();
  peer.receive({}, Millis{5000});
  CHECK(peer.ended());
  auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took > Millis{800});
  CHECK(took < Millis{3000});
}

TEST_CASE("idle connections cost no threads") {
  auto server = HttpServer::start(local(), echo).value();
  size_t before = thread_count();
  std::vector<RawPeer> peers;
  for (int i = 0; i < 200; ++i) {
    peers.emplace_back(server->port());
    peers.back().send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK_FALSE(peers.back().receive("GET / 0").empty());
  }
  CHECK(thread_count() <= before + 1);
}

TEST_CASE("slow readers of large answers do not hold the read workers") {
  const std::string piece(1 << 20, 'p');
  auto server = HttpServer::start(local(), [&](const HttpRequest& request, HttpResponse& response) {
                  if (request.path != "/big") return echo(request, response);
                  response.body = "[";
                  for (int i = 0; i < 32; ++i) {
                    response.pieces.push_back(std::make_shared<const std::string>(piece));
                  }
                }).value();
  std::vector<RawPeer> slow;
  for (int i = 0; i < 8; ++i) {
    slow.emplace_back(server->port(), 4096);
    slow.back().send("GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  }
  std::this_thread::sleep_for(Millis{100});
  auto begin = std::chrono::steady_clock::now();
  CHECK(answers(server->port()));
  CHECK(std::chrono::steady_clock::now() - begin < Seconds{2});
  // One that reads on gets all of it.
  std::string got = slow[0].receive({}, Millis{30000});
  CHECK(got.size() > (32u << 20));
  CHECK(got.find("Content-Length: 33554433") != std::string::npos);
}

TEST_CASE("a body that is made while it is sent") {
  constexpr size_t kParts = 100;
  std::atomic<size_t> made{0};
  auto server = HttpServer::start(local(), [&](const HttpRequest& request, HttpResponse& response) {
                  if (request.path != "/parts") return echo(request, response);
                  response.body = "[";
                  response.tail.bytes = kParts * 50'000;
                  response.tail.next = [&made] {
                    return std::string(50'000, static_cast<char>('a' + made++ % 26));
                  };
                }).value();
  RawPeer peer(server->port(), 4096);
  peer.send("GET /parts HTTP/1.1\r\nHost: h\r\n\r\n");
  std::this_thread::sleep_for(Millis{100});
  CHECK(made > 0);
  CHECK(made < kParts);  // a peer that does not read has no memory spent on it
  peer.send("GET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string got = peer.receive({}, Millis{30000});
  CHECK(made == kParts);
  const size_t body = got.find("\r\n\r\n") + 4;
  CHECK(got.find("Content-Length: 5000001\r\n") < body);
  CHECK(got.compare(body, 3, "[aa") == 0);
  CHECK(got.compare(body + 50'000, 3, "abb") == 0);
  CHECK(got.compare(body + 5'000'001, 9, "HTTP/1.1 ") == 0);

  HttpResponse whole;
  whole.body = "1";
  whole.pieces.push_back(std::make_shared<const std::string>("2"));
  whole.tail = {2, [n = 0]() mutable { return std::string(1, static_cast<char>('3' + n++)); }};
  whole.join_body();
  CHECK(whole.body == "1234");
  CHECK(whole.tail.bytes == 0);
}

TEST_CASE("blocked writers and blocking GETs do not hold readers up") {
  std::mutex mutex;
  std::condition_variable open;
  bool released = false;
  HttpServerOptions options = local();
  using Waits = HttpServerOptions::Waits;
  options.waits = [](std::string_view method, std::string_view path) {
    return path == "/logs" ? Waits::kPeer : method == "POST" ? Waits::kDisk : Waits::kNothing;
  };
  auto server = HttpServer::start(options, [&](const HttpRequest& request, HttpResponse& response) {
                  if (request.path == "/ok") return echo(request, response);
                  std::unique_lock lock(mutex);
                  open.wait(lock, [&] { return released; });
                  echo(request, response);
                }).value();
  std::vector<RawPeer> peers;
  for (int i = 0; i < 10; ++i) {
    peers.emplace_back(server->port());
    peers.back().send(i % 2 == 0 ? "GET /logs HTTP/1.1\r\nHost: h\r\n\r\n"
                                 : "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  }
  std::this_thread::sleep_for(Millis{50});
  CHECK(answers(server->port()));
  {
    std::lock_guard lock(mutex);
    released = true;
  }
  open.notify_all();
  for (size_t i = 0; i < peers.size(); ++i) {
    CHECK(peers[i].receive(i % 2 == 0 ? "GET /logs 0" : "POST /x 0").find("200 OK") !=
          std::string::npos);
  }
}

TEST_CASE("parked requests hold no thread and are answered when they are resumed") {
  std::mutex mutex;
  std::condition_variable came;
  std::vector<HttpResponse::Resume> parked;
  HttpServerOptions options = local();
  options.blocking_workers_max = 2;
  auto server = HttpServer::start(options, [&](const HttpRequest& request, HttpResponse& response) {
                  if (request.path == "/ok") return echo(request, response);
                  response.park([&](HttpResponse::Resume resume) {
                    std::lock_guard lock(mutex);
                    parked.push_back(std::move(resume));
                    came.notify_all();
                  });
                }).value();
  constexpr size_t kPeers = 80;  // more than there are threads
  std::vector<RawPeer> peers;
  for (size_t i = 0; i < kPeers; ++i) {
    peers.emplace_back(server->port());
    peers.back().send(i % 2 == 0 ? "GET /p HTTP/1.1\r\nHost: h\r\n\r\n"
                                 : "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
  }
  std::unique_lock lock(mutex);
  CHECK(came.wait_for(lock, Seconds{20}, [&] { return parked.size() == kPeers; }));
  lock.unlock();
  CHECK(answers(server->port()));
  for (size_t i = 0; i + 1 < kPeers; ++i) {
    parked[i]([](const HttpRequest& request, HttpResponse& response) {
      // Once more, and resumed at once.
      response.park([](HttpResponse::Resume resume) { resume(echo); });
      CHECK(request.path == "/p");
    });
  }
  size_t answered = 0;
  for (auto& peer : peers) {
    if (answered + 1 == kPeers) break;
    answered += peer.receive("/p ").find("200 OK") != std::string::npos ? 1 : 0;
  }
  CHECK(answered >= kPeers - 2);  // the one that is left may be any
  const auto last = parked.back();
  server->stop(Millis{100});
  last(echo);  // too late, and harmless
}

TEST_CASE("what only computes goes on where it was parked, or on a thread of its own") {
  using On = HttpResponse::Resume::On;
  std::mutex mutex;
  std::condition_variable came;
  std::optional<HttpResponse::Resume> later;
  std::atomic<bool> same_thread{false}, alone{false};
  HttpServerOptions options = local();
  options.waits = [](std::string_view, std::string_view) {
    return HttpServerOptions::Waits::kNothing;
  };
  auto server = HttpServer::start(options, [&](const HttpRequest& request, HttpResponse& response) {
                  response.park([&, now = request.path == "/now",
                                 thread = std::this_thread::get_id()](HttpResponse::Resume resume) {
                    if (now) {
                      alone = resume.alone;
                      resume(
                          [&, thread](const HttpRequest& asked, HttpResponse& answer) {
                            same_thread = thread == std::this_thread::get_id();
                            echo(asked, answer);
                          },
                          On::kComputing);
                      return;
                    }
                    std::lock_guard lock(mutex);
                    later = std::move(resume);
                    came.notify_all();
                  });
                }).value();
  RawPeer now(server->port()), waiting(server->port());
  // Workers that have not got to their work yet do not count as idle.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!alone && std::chrono::steady_clock::now() < deadline) {
    RawPeer first(server->port());
    first.send("POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    CHECK(first.receive("POST /now 1").find("200 OK") != std::string::npos);
    CHECK(same_thread);
  }
  CHECK(alone);
  waiting.send("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  std::unique_lock lock(mutex);
  REQUIRE(came.wait_for(lock, Seconds{20}, [&] { return later.has_value(); }));
  now.send("POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  CHECK(now.receive("POST /now 0").find("200 OK") != std::string::npos);
  CHECK_FALSE(alone);
  (*later)(echo, On::kComputing);
  CHECK(waiting.receive("POST /later 0").find("200 OK") != std::string::npos);
}

TEST_CASE("GETs that hang all read workers do not stop the rest") {
  std::mutex mutex;
  std::condition_variable open;
  bool released = false;
  auto server = HttpServer::start(local(), [&](const HttpRequest& request, HttpResponse& response) {
                  if (request.path == "/hang") {
                    std::unique_lock lock(mutex);
                    open.wait(lock, [&] { return released; });
                  }
                  echo(request, response);
                }).value();
  std::vector<RawPeer> peers;
  for (int i = 0; i < 4; ++i) {
    peers.emplace_back(server->port());
    peers.back().send("GET /hang HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  CHECK(answers(server->port()));
  {
    std::lock_guard lock(mutex);
    released = true;
  }
  open.notify_all();
  for (RawPeer& peer : peers) CHECK_FALSE(peer.receive("GET /hang 0").empty());
}

TEST_CASE("running out of descriptors pauses accepting, nothing more") {
  auto server = HttpServer::start(local(), echo).value();
  RawPeer early(server->port());
  early.send("GET /early HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK_FALSE(early.receive("GET /early 0").empty());
  std::vector<RawPeer> waiting(3);  // their descriptors exist, those of the server's side do not
  int lowest = dup(0);
  close(lowest);
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  rlimit tight{static_cast<rlim_t>(lowest), old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  for (RawPeer& peer : waiting) peer.connect(server->port());
  std::this_thread::sleep_for(Millis{150});
  early.send("GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
  std::string again = early.receive("GET /again 0");
  setrlimit(RLIMIT_NOFILE, &old);
  CHECK_FALSE(again.empty());
  for (RawPeer& peer : waiting) {
    peer.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK_FALSE(peer.receive("GET /late 0").empty());
  }
}

TEST_CASE("stop ends idle connections and streams at once and finishes running requests") {
  std::promise<void> entered;
  auto server = HttpServer::start(local(), [&](const HttpRequest& request, HttpResponse& response) {
                  if (request.path == "/watch") {
                    response.stream([](std::shared_ptr<Stream> stream) { stream->write("hello"); });
                    return;
                  }
                  if (request.path == "/slow") {
                    entered.set_value();
                    std::this_thread::sleep_for(Millis{300});
                  }
                  echo(request, response);
                }).value();
  RawPeer idle(server->port()), watch(server->port()), slow(server->port());
  idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK_FALSE(idle.receive("GET / 0").empty());
  watch.send("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
  watch.receive("hello");
  slow.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  entered.get_future().wait();
  auto begin = std::chrono::steady_clock::now();
  server->stop(Millis{5000});
  auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took < Millis{3500});
  idle.receive();
  CHECK(idle.ended());
  CHECK(watch.receive().ends_with("0\r\n\r\n"));
  std::string answer = slow.receive();
  CHECK(answer.find("POST /slow 0") != std::string::npos);
  CHECK(answer.find("Connection: close") != std::string::npos);
  server->stop();
}

TEST_CASE("a port in use is said so") {
  auto server = HttpServer::start(local(), echo).value();
  HttpServerOptions options = local();
  options.port = server->port();
  auto second = HttpServer::start(options, echo);
  REQUIRE_FALSE(second);
  CHECK(second.error() ==
        "listen 127.0.0.1:" + std::to_string(server->port()) + ": Address already in use");
  options.address = "nonsense";
  CHECK_FALSE(HttpServer::start(options, echo));
}

TEST_CASE("an exception in a handler is a 500 and the server lives on") {
  auto server = HttpServer::start(local(), [](const HttpRequest& request, HttpResponse& response) {
                  if (request.path == "/throw") throw std::runtime_error("boom");
                  echo(request, response);
                }).value();
  CHECK(ask(server->port(), "GET /throw HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            .find("500 Internal Server Error") != std::string::npos);
  CHECK(answers(server->port()));
}

TEST_CASE("header text cannot break out of its line") {
  auto server = HttpServer::start(local(), [](const HttpRequest&, HttpResponse& response) {
                  response.set("X-A", "a\r\nX-Evil: 1");
                }).value();
  std::string got = ask(server->port(), "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  CHECK(got.find("X-A: a  X-Evil: 1\r\n") != std::string::npos);
}
