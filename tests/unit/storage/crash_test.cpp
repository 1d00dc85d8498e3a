// kill -9 at random moments: the test program runs itself as a child that writes and acknowledges
// through a pipe, kills it, opens what it left and compares.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

constexpr const char* kDirectory = "ORCH_TEST_CRASH_DIR";
constexpr const char* kPipe = "ORCH_TEST_CRASH_PIPE";
constexpr int kWriters = 4;

struct Ack {
  int32_t writer = 0;
  int32_t number = 0;  // -1: a deletion
  Revision revision = 0;
  bool is_volatile = false;
};
static_assert(sizeof(Ack) <= PIPE_BUF, "written at once");

std::string key_of(int writer, bool is_volatile) {
  return fmt::format("{}/{}", is_volatile ? "/v" : "/w", writer);
}

// The child: writes until it is killed.
TEST_CASE("crash child", "[.crash-child]") {
  const char* directory = std::getenv(kDirectory);
  const char* pipe = std::getenv(kPipe);
  if (!directory || !pipe) return;
  const int fd = std::atoi(pipe);
  auto executor = ThreadPoolExecutor::create(1);
  Env env{system_clock(), *executor, system_random(), no_faults()};
  StoreOptions options = World::default_options();
  options.path = directory;
  EngineLimits limits;
  limits.reserve = 50;  // reservations must be frequent to be hit
  limits.history_bytes = 100'000;
  auto store = open_sqlite(env, options, limits);
  if (!store) std::_Exit(3);
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0;; ++i) {
        const bool is_volatile = i % 3 == 0;
        const bool deletes = i % 11 == 10;
        TxnRequest request;
        const std::string key = key_of(w, is_volatile);
        request.success.push_back(
            deletes ? Op::erase(key)
                    : Op::put(key, bytes(fmt::format("{}:{}", i, std::string(300, 'x')))));
        if (!is_volatile && !deletes && i % 5 == 0) {
          request.success.push_back(Op::put(key + "/twin", bytes(std::to_string(i))));
        }
        auto result = (*store)->txn(request);
        if (!result) std::_Exit(4);
        const Ack ack{w, deletes ? -1 : i, result->revision, is_volatile};
        if (::write(fd, &ack, sizeof ack) != sizeof ack) std::_Exit(5);
        if (i % 100 == 99) (void)(*store)->compact(result->revision - 20);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

// Runs the child for `life`; returns what it acknowledged.
std::vector<Ack> run_and_kill(const std::string& directory, std::chrono::microseconds life) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  ::setenv(kDirectory, directory.c_str(), 1);
  ::setenv(kPipe, std::to_string(ends[1]).c_str(), 1);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    const int null = ::open("/dev/null", O_WRONLY);
    ::dup2(null, 1);
    ::execl("/proc/self/exe", "unit_storage", "[.crash-child]", nullptr);
    std::_Exit(6);
  }
  ::close(ends[1]);
  // The first acknowledgement: it is up and writing.
  std::vector<Ack> acks;
  Ack ack;
  if (::read(ends[0], &ack, sizeof ack) == sizeof ack) acks.push_back(ack);
  std::thread killer([&] {
    std::this_thread::sleep_for(life);
    ::kill(child, SIGKILL);
  });
  while (::read(ends[0], &ack, sizeof ack) == sizeof ack) acks.push_back(ack);
  killer.join();
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(ends[0]);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  return acks;
}

TEST_CASE("nothing acknowledged is lost to kill -9", "[storage][sqlite][crash]") {
  TempDir dir;
  World w(Kind::kMemory);  // for its Env
  const char* asked = std::getenv("ORCH_CRASH_ROUNDS");
  const int rounds = asked ? std::atoi(asked) : 20;
  std::mt19937 random(static_cast<unsigned>(::getpid()));
  Revision highest = 1;
  size_t total = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto life = std::chrono::microseconds(random() % 120'000);
    const auto acks = run_and_kill(dir.path(), life);
    INFO(fmt::format("round {} of {} us with {} acknowledgements", round, life.count(),
                     acks.size()));
    REQUIRE(!acks.empty());
    total += acks.size();
    // Acknowledgements of one writer come in order; revisions are never given out twice.
    std::map<int, Ack> last;
    std::map<Revision, int> writers;
    for (const Ack& ack : acks) {
      REQUIRE(ack.revision > highest - (ack.number < 0 ? 1 : 0));
      if (!ack.is_volatile) last[ack.writer] = ack;
    }
    Revision seen = highest;
    for (const Ack& ack : acks) seen = std::max(seen, ack.revision);

    StoreOptions options = World::default_options();
    options.path = dir.path();
    auto store = open_sqlite_store(w.env, options);
    if (!store) FAIL(store.error().message);
    REQUIRE((*store)->revision() >= seen);
    for (const auto& [writer, ack] : last) {
      auto now = (*store)->range(key_at(key_of(writer, false)));
      REQUIRE(now);
      // At most one write was under way when it died.
      if (now->kvs.empty()) {
        REQUIRE((ack.number < 0 || (ack.number + 1) % 11 == 10 || (ack.number + 2) % 11 == 10));
        continue;
      }
      const int number = std::atoi(now->kvs[0].value->c_str());
      REQUIRE(now->kvs[0].value->size() == 301 + std::to_string(number).size());
      if (ack.number >= 0) {
        REQUIRE(number >= ack.number);
        REQUIRE(number <= ack.number + 2);
      }
      auto twin = (*store)->range(key_at(key_of(writer, false) + "/twin"));
      REQUIRE(twin);
      if (number % 5 == 0) {  // written in the same transaction
        REQUIRE(twin->kvs.size() == 1);
        REQUIRE(text(twin->kvs[0].value) == std::to_string(number));
        REQUIRE(twin->kvs[0].mod_revision == now->kvs[0].mod_revision);
      }
    }
    // Whatever is there now, its history is whole.
    auto sink = std::make_shared<Recorder>();
    auto handle = (*store)->watch("/w/", "/w0", (*store)->compact_revision() + 1, sink);
    REQUIRE(handle);
    (*handle)->request_progress();
    REQUIRE(sink->wait_progress(1));
    handle->reset();
    highest = (*store)->revision();
    if (round % 2) (*store)->stop();  // sometimes a clean stop lies between
  }
  CHECK(total > 100);
}

}  // namespace
}  // namespace orch::storage::test
