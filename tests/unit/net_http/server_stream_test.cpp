// The server's streams against bare TCP peers: chunks, slow readers, peers that leave.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "fixture.h"

using namespace orch;
using namespace orch::net;
using namespace orch::net::test;

TEST_CASE("a slow stream reader is cut, others get everything") {
  HttpServerOptions options = local();
  options.stream_buffer_bytes_max = 1 << 20;
  std::mutex mutex;
  std::vector<std::shared_ptr<Stream>> streams;
  std::atomic<int> closed{0};
  auto server = HttpServer::start(options, [&](const HttpRequest&, HttpResponse& response) {
                  response.stream([&](std::shared_ptr<Stream> stream) {
                    stream->on_close([&] { ++closed; });
                    std::lock_guard lock(mutex);
                    streams.push_back(std::move(stream));
                  });
                }).value();
  RawPeer slow(server->port(), 4096);
  slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(eventually([&] {
    std::lock_guard lock(mutex);
    return streams.size() == 1;
  }));
  RawPeer good(server->port());
  good.send("GET /good HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(eventually([&] {
    std::lock_guard lock(mutex);
    return streams.size() == 2;
  }));
  auto event = std::make_shared<const std::string>(100'000, '~');
  std::string got;
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    refused += !streams[0]->write(event);
    REQUIRE(streams[1]->write(event));
    REQUIRE(streams[1]->wait_below(0, Millis{5000}));
    got += good.receive(std::string(), Millis{2});
  }
  CHECK(refused > 0);
  CHECK(eventually([&] { return closed == 1; }));
  CHECK_FALSE(streams[0]->write(event));
  streams[1]->finish();
  got += good.receive("0\r\n\r\n");
  CHECK(std::count(got.begin(), got.end(), '~') == 10'000'000);
  CHECK(eventually([&] { return closed == 2; }));
}

TEST_CASE("streams: chunks, coalescing, keep-alive after the end, HTTP/1.0") {
  std::atomic<int> late{0};
  auto server = HttpServer::start(local(), [&](const HttpRequest&, HttpResponse& response) {
                  response.set("Content-Type", "application/json");
                  response.stream([&](std::shared_ptr<Stream> stream) {
                    for (int i = 0; i < 3; ++i) stream->write("ev" + std::to_string(i));
                    stream->write(std::string());
                    stream->finish();
                    late += stream->write("late");
                  });
                }).value();
  RawPeer peer(server->port());
  peer.send(
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  std::string got = peer.receive();
  std::string body = "3\r\nev0\r\n3\r\nev1\r\n3\r\nev2\r\n0\r\n\r\n";
  size_t first = got.find(body);
  REQUIRE(first != std::string::npos);
  CHECK(got.find(body, first + 1) != std::string::npos);
  RawPeer older(server->port());
  older.send("GET /a HTTP/1.0\r\n\r\n");
  std::string old = older.receive();
  CHECK(old.ends_with("\r\n\r\nev0ev1ev2"));
  CHECK(old.find("chunked") == std::string::npos);
  CHECK(late == 0);
}

TEST_CASE("a stream learns that its peer left") {
  std::promise<void> gone;
  std::shared_ptr<Stream> kept;
  auto server = HttpServer::start(local(), [&](const HttpRequest&, HttpResponse& response) {
                  response.stream([&](std::shared_ptr<Stream> stream) {
                    kept = stream;
                    stream->on_close([&] { gone.set_value(); });
                  });
                }).value();
  RawPeer peer(server->port());
  peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  peer.receive("\r\n\r\n");
  peer.close();
  REQUIRE(gone.get_future().wait_for(Seconds{5}) == std::future_status::ready);
  CHECK_FALSE(kept->write("x"));
  bool ran = false;
  kept->on_close([&] { ran = true; });
  CHECK(ran);
  server.reset();
  CHECK_FALSE(kept->write("x"));  // a producer may outlive the server
}

TEST_CASE("500 TLS streams need no further threads and all get every event") {
  std::mutex mutex;
  std::vector<std::shared_ptr<Stream>> streams;
  auto server = HttpServer::start(local(true), [&](const HttpRequest&, HttpResponse& response) {
                  response.stream([&](std::shared_ptr<Stream> stream) {
                    std::lock_guard lock(mutex);
                    streams.push_back(std::move(stream));
                  });
                }).value();
  size_t before = thread_count();
  std::atomic<int> received{0};
  std::vector<std::shared_ptr<HttpClient::Cancel>> cancels;
  std::vector<std::thread> threads;
  struct Join {
    std::vector<std::shared_ptr<HttpClient::Cancel>>& cancels;
    std::vector<std::thread>& threads;
    ~Join() {
      for (auto& cancel : cancels) cancel->cancel();
      for (auto& thread : threads) thread.join();
    }
  };
  auto client = client_for(*server, true);
  auto join = std::make_unique<Join>(Join{cancels, threads});
  for (size_t i = 0; i < 500; ++i) {
    cancels.push_back(HttpClient::make_cancel());
    threads.emplace_back([&, cancel = cancels.back()] {
      (void)client->stream(
          "GET", "/watch", {}, "", [](const HttpResult&) { return true; },
          [&](std::string_view bytes) {
            received += static_cast<int>(std::count(bytes.begin(), bytes.end(), '\n'));
            return true;
          },
          cancel);
    });
    // Not all handshakes at once.
    REQUIRE(eventually(
        [&] {
          std::lock_guard lock(mutex);
          return streams.size() + 20 > i;
        },
        Millis{60000}));
  }
  REQUIRE(eventually(
      [&] {
        std::lock_guard lock(mutex);
        return streams.size() == 500;
      },
      Millis{60000}));
  CHECK(thread_count() <= before + 500 + 1);
  auto event = std::make_shared<const std::string>(std::string(1000, 'x') + "\n");
  for (int i = 0; i < 3; ++i) {
    for (auto& stream : streams) CHECK(stream->write(event));
  }
  CHECK(eventually([&] { return received == 1500; }, Millis{30000}));
  join.reset();
  CHECK(eventually([&] { return !streams[0]->write("x") && !streams[499]->write("x"); }));
}
