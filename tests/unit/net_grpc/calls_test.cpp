// Server and client over a Unix socket: unary calls, streams, deadlines, limits, strangers.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include <catch2/catch.hpp>

#include "net/grpc/framing.h"
#include "orch/net/grpc.h"

using namespace orch;
using namespace orch::net;

namespace {

std::atomic<int> closed_calls{0};

// Echoes; "die" is refused, "hang" not answered.
struct Echo final : GrpcHandler {
  explicit Echo(std::shared_ptr<GrpcStream> s) : stream(std::move(s)) {}
  void on_message(std::string message) override {
    if (message == "die") return stream->finish({GrpcCode::kDataLoss, "died: 100%"});
    if (message == "hang") {
      hung = true;
      return;
    }
    stream->send(std::move(message));
  }
  void on_half_close() override {
    if (!hung) stream->finish({});
  }
  void on_stopping() override { stream->finish({GrpcCode::kUnavailable, "stopping"}); }
  void on_closed(const GrpcStatus&) override {
    ++closed_calls;
    stream.reset();
  }
  std::shared_ptr<GrpcStream> stream;
  bool hung = false;
};

struct Fixture {
  Fixture() {
    char name[] = "/tmp/orch-grpc-XXXXXX";
    directory = mkdtemp(name);
    path = directory + "/socket";
    GrpcServerOptions options;
    options.message_bytes_max = 3 << 20;
    server = GrpcServer::start(
                 options,
                 [](std::shared_ptr<GrpcStream> stream,
                    std::string_view called) -> std::shared_ptr<GrpcHandler> {
                   if (called != "/test/Echo") return nullptr;
                   return std::make_shared<Echo>(std::move(stream));
                 },
                 [](std::string_view) { return std::nullopt; })
                 .value();
    REQUIRE(server->listen({.address = path, .unix_socket = true}));
    client = connect();
  }
  ~Fixture() {
    client.reset();
    server.reset();
    std::filesystem::remove_all(directory);
  }
  std::shared_ptr<GrpcClient> connect() const {
    GrpcClientOptions options;
    options.url = "unix://" + path;
    return GrpcClient::connect(options).value();
  }
  std::string directory, path;
  std::unique_ptr<GrpcServer> server;
  std::shared_ptr<GrpcClient> client;
};

struct Recorder final : GrpcHandler {
  void on_message(std::string message) override {
    bytes += message.size();
    ++messages;
  }
  void on_closed(const GrpcStatus& status) override { ended.set_value(status); }
  std::atomic<size_t> bytes{0}, messages{0};
  std::promise<GrpcStatus> ended;
};

}  // namespace

TEST_CASE("unary calls: answers, errors with their texts, unknown methods") {
  Fixture f;
  CHECK(f.client->call("/test/Echo", "hello", Millis(5000)).value() == "hello");
  CHECK(f.client->call("/test/Echo", "", Millis(5000)).value().empty());
  const std::string large(2 << 20, 'l');
  CHECK(f.client->call("/test/Echo", large, Millis(5000)).value() == large);
  auto died = f.client->call("/test/Echo", "die", Millis(5000));
  REQUIRE_FALSE(died);
  CHECK(died.error().code == GrpcCode::kDataLoss);
  CHECK(died.error().message == "died: 100%");
  auto unknown = f.client->call("/test/Other", "x", Millis(5000));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == GrpcCode::kUnimplemented);
}

TEST_CASE("a message over the limit ends its call only") {
  Fixture f;
  auto refused = f.client->call("/test/Echo", std::string(4 << 20, 'l'), Millis(5000));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == GrpcCode::kResourceExhausted);
  CHECK(f.client->call("/test/Echo", "still here", Millis(5000)).value() == "still here");
}

TEST_CASE("a deadline ends the call on both sides") {
  Fixture f;
  const int before = closed_calls;
  auto late = f.client->call("/test/Echo", "hang", Millis(50));
  REQUIRE_FALSE(late);
  CHECK(late.error().code == GrpcCode::kDeadlineExceeded);
  for (int i = 0; i < 500 && closed_calls == before; ++i) std::this_thread::sleep_for(Millis(10));
  CHECK(closed_calls > before);
}

TEST_CASE("a stream goes both ways, in order, while others are served") {
  Fixture f;
  auto recorder = std::make_shared<Recorder>();
  auto stream = f.client->open("/test/Echo", recorder, Millis(0));
  for (int i = 0; i < 1000; ++i) stream->send(std::string(10'000, 'a'));
  CHECK(f.client->call("/test/Echo", "between", Millis(20000)).value() == "between");
  stream->finish({});
  CHECK(recorder->ended.get_future().get().ok());
  CHECK(recorder->messages == 1000);
  CHECK(recorder->bytes == 10'000'000);
}

TEST_CASE("many clients at once") {
  Fixture f;
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      const auto own = f.connect();
      for (int i = 0; i < 100; ++i) {
        auto answer = own->call("/test/Echo", "m" + std::to_string(i), Millis(20000));
        if (answer && *answer == "m" + std::to_string(i)) ++good;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(good == 800);
}

TEST_CASE("stop finishes open calls and tells the client") {
  Fixture f;
  auto recorder = std::make_shared<Recorder>();
  auto stream = f.client->open("/test/Echo", recorder, Millis(0));
  stream->send("one");
  for (int i = 0; i < 500 && recorder->messages == 0; ++i) {
    std::this_thread::sleep_for(Millis(10));
  }
  f.server->stop(Millis(2000));
  const GrpcStatus end = recorder->ended.get_future().get();
  CHECK(end.code == GrpcCode::kUnavailable);
  CHECK(end.message == "stopping");
  for (int i = 0; i < 500 && f.client->usable(); ++i) std::this_thread::sleep_for(Millis(10));
  CHECK_FALSE(f.client->usable());
  auto after = f.client->call("/test/Echo", "x", Millis(1000));
  REQUIRE_FALSE(after);
  CHECK(after.error().unsent);
}

TEST_CASE("strangers: HTTP/1, noise, a connection that says nothing") {
  Fixture f;
  const auto dial = [&] {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    f.path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return fd;
  };
  const int silent = dial();
  uint64_t seed = 7;
  for (int i = 0; i < 50; ++i) {
    const int fd = dial();
    std::string bytes = i % 2 == 0 ? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" : "GET / HTTP/1.1\r\n\r\n";
    for (int n = 0; n < 200; ++n) {
      seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
      bytes += static_cast<char>(seed >> 56);
    }
    CHECK(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
    ::close(fd);
  }
  CHECK(f.client->call("/test/Echo", "alive", Millis(5000)).value() == "alive");
  ::close(silent);
}

TEST_CASE("a handler may hold the last reference to its client") {
  Fixture f;
  struct Last final : GrpcHandler {
    void on_message(std::string) override {}
    void on_closed(const GrpcStatus& status) override {
      client.reset();
      ended.set_value(status);
    }
    std::shared_ptr<GrpcClient> client;
    std::promise<GrpcStatus> ended;
  };
  auto last = std::make_shared<Last>();
  last->client = f.connect();
  auto end = last->ended.get_future();
  auto stream = last->client->open("/test/Echo", last, Millis(5000));
  stream->send("x");
  stream->finish({});
  REQUIRE(end.wait_for(Seconds(20)) == std::future_status::ready);
  CHECK(end.get().ok());
  CHECK(f.client->call("/test/Echo", "after", Millis(5000)).value() == "after");
}
