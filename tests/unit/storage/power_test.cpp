// Power cuts at any moment of a busy store's life: what was acknowledged by then is in the crash
// image, transactions are whole, revisions never go back.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "unit/storage/power_vfs.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

constexpr int kWriters = 3;

struct Acked {
  int number[kWriters] = {-1, -1, -1};
  Revision revision = 0;
};
struct Cut {
  PowerVfs::Image image;
  Acked acked;
};

void verify(World& w, const Cut& cut) {
  TempDir dir;
  StoreOptions options = World::default_options();
  options.path = dir.path();
  for (const auto& [name, content] : cut.image) {
    const auto file = std::filesystem::path(name).filename().string();
    std::ofstream(dir.path() + "/" + file, std::ios::binary) << content;
  }
  auto store = open_sqlite_store(w.env, options);
  if (!store) FAIL(store.error().message);
  REQUIRE((*store)->revision() >= cut.acked.revision);
  for (int writer = 0; writer < kWriters; ++writer) {
    const std::string key = fmt::format("/w/{}", writer);
    const std::string value = get(**store, key);
    const int number = value == "(none)" ? -1 : std::atoi(value.c_str());
    REQUIRE(number >= cut.acked.number[writer]);
    REQUIRE(number <= cut.acked.number[writer] + 1);
    // What was deleted before this acknowledgement stays so, however far compaction was.
    for (int i = 0; i < cut.acked.number[writer]; ++i) {
      REQUIRE(get(**store, fmt::format("/gone/{}/{}", writer, i)) == "(none)");
    }
    if (number < 0) continue;
    REQUIRE(get(**store, key + "/twin") == std::to_string(number));
    REQUIRE(get(**store, fmt::format("{}/slot/{}", key, number % 50)) == value);
  }
  put(**store, "/after", "1");
}

// The cuts of one life of a store.
std::vector<Cut> cut_one_life(World& w, unsigned seed) {
  std::vector<Cut> cuts;
  std::mutex acked_mutex;
  Acked acked;
  std::atomic<bool> cutting{true};
  std::mt19937 random(seed);
  // Changes of the database file itself (checkpoints) are rarer than those of its log.
  const auto cut = [&](const std::string& file) {
    return cutting && random() % (file.ends_with("-wal") ? 150 : 25) == 0;
  };
  const auto take = [&](PowerVfs::Image&& image) {
    std::lock_guard lock(acked_mutex);
    cuts.push_back({std::move(image), acked});
  };
  {
    PowerVfs vfs(seed, cut, take);
    TempDir dir;
    StoreOptions options = World::default_options();
    options.path = dir.path();
    auto store = open_sqlite_store(w.env, options);
    if (!store) FAIL(store.error().message);
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        for (int i = 0; i < 450; ++i) {
          const Bytes value = bytes(fmt::format("{}:{}", i, std::string(3000, 'x')));
          const std::string key = fmt::format("/w/{}", writer);
          TxnRequest request;
          request.success = {Op::put(key, value), Op::put(key + "/twin", bytes(std::to_string(i))),
                             Op::put(fmt::format("{}/slot/{}", key, i % 50), value),
                             Op::put(fmt::format("/gone/{}/{}", writer, i), bytes("x"))};
          auto done = (*store)->txn(request);
          if (!done) std::abort();
          {
            std::lock_guard lock(acked_mutex);
            acked.number[writer] = i;
            acked.revision = std::max(acked.revision, done->revision);
          }
          erase(**store, fmt::format("/gone/{}/{}", writer, i));
          if (i % 50 == 49) (void)(*store)->compact(done->revision - 10);
          put(**store, fmt::format("/v/{}", writer), "x");
        }
      });
    }
    for (auto& writer : writers) writer.join();
    (*store)->stop();
    cutting = false;
  }
  return cuts;
}

TEST_CASE("nothing acknowledged is lost to a power cut", "[storage][sqlite][power]") {
  World w(Kind::kMemory);  // for its Env
  const auto seed = static_cast<unsigned>(::getpid());
  INFO("seed " << seed);
  const char* asked = std::getenv("ORCH_POWER_CUTS");
  const size_t wanted = asked ? static_cast<size_t>(std::atoi(asked)) : 50;
  size_t verified = 0;
  for (unsigned life = 0; verified < wanted; ++life) {
    const auto cuts = cut_one_life(w, seed + life);
    REQUIRE(cuts.size() > 30);
    const size_t step = std::max<size_t>(1, cuts.size() / (wanted - verified));
    for (size_t i = 0; i < cuts.size() && verified < wanted; i += step) {
      verify(w, cuts[i]);
      ++verified;
    }
  }
  CHECK(verified == wanted);
}

}  // namespace
}  // namespace orch::storage::test
