// Values in another form on disk, and the database written anew: nothing plain is left in any of
// its files, whatever was written, erased and compacted before.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "orch/base/file.h"
#include "orch/storage/etcd_snapshot.h"
#include "orch/storage/transformer.h"
#include "unit/storage/fault_vfs.h"
#include "unit/storage/support.h"

namespace orch::storage::test {
namespace {

// "Seals" with a letter: one pass over the bytes.
class Letters final : public ValueTransformer {
 public:
  std::atomic<char> letter{0};  // 0 = plain

  StoreResult<Bytes> to_disk(std::string_view key, const Bytes& value) const override {
    if (letter == 0 || !key.starts_with("/s/")) return value;
    std::string out = fmt::format("sealed:{}:", letter.load());
    for (const char c : *value) out += static_cast<char>(c ^ letter);
    return bytes(std::move(out));
  }
  StoreResult<Read> from_disk(std::string_view key, const Bytes& stored) const override {
    if (!stored->starts_with("sealed:")) return Read{stored, letter != 0 && key.starts_with("/s/")};
    const char with = (*stored)[7];
    if (with == 'Z') return Err(Error{ErrorCode::kCorrupt, "sealed with Z"});
    std::string out;
    for (const char c : stored->substr(9)) out += static_cast<char>(c ^ with);
    return Read{bytes(std::move(out)), with != letter};
  }
};

struct Sealed {
  std::shared_ptr<Letters> letters = std::make_shared<Letters>();
  World w;
  explicit Sealed(Seconds flush = Seconds(0)) : w(Kind::kSqlite, options(letters, flush)) {}
  static StoreOptions options(std::shared_ptr<Letters> letters, Seconds flush = Seconds(0)) {
    StoreOptions options = World::default_options();
    options.transformer = std::move(letters);
    options.volatile_flush = flush;
    options.volatile_prefixes.push_back("/s/v/");
    return options;
  }
  // How many of the files in the store's directory hold this text.
  int files_with(const std::string& text) const {
    int count = 0;
    for (const auto& file : std::filesystem::directory_iterator(w.path())) {
      count += read_file(file.path()).value().find(text) != std::string::npos;
    }
    return count;
  }
};

std::string secret(int i) { return fmt::format("secret-number-{:06}", i); }

TEST_CASE("what is written is sealed on disk and plain in memory", "[storage][rebuild]") {
  Sealed s;
  s.letters->letter = 'A';
  for (int i = 0; i < 200; ++i) put(*s.w.store, fmt::format("/s/{}", i % 20), secret(i));
  put(*s.w.store, "/plain", "visible-value");
  put(*s.w.store, "/s/v/volatile", secret(999));
  CHECK(get(*s.w.store, "/s/3") == secret(183));
  CHECK(s.files_with("secret-number") == 0);
  CHECK(s.files_with("visible-value") > 0);
  s.w.reopen();
  CHECK(s.files_with("secret-number") == 0);
  CHECK(get(*s.w.store, "/s/3") == secret(183));
  CHECK(get(*s.w.store, "/s/v/volatile") == secret(999));
  CHECK(s.w->stale_values() == 0);
  const auto snapshot = take_snapshot(*s.w.store).value();
  for (const auto& entry : snapshot.entries) {
    CHECK(entry.kv.value->starts_with("sealed:A:") == entry.kv.key->starts_with("/s/"));
  }
}

TEST_CASE("history that memory has shed comes back plain", "[storage][rebuild]") {
  EngineLimits limits;
  limits.history_bytes = 1000;
  auto letters = std::make_shared<Letters>();
  letters->letter = 'A';
  World w(Kind::kSqlite, Sealed::options(letters), limits);
  std::vector<Revision> revisions;
  for (int i = 0; i < 300; ++i) revisions.push_back(put(*w.store, "/s/a", secret(i)));
  for (int i = 0; i < 300; i += 7) {
    CHECK(get(*w.store, "/s/a", revisions[static_cast<size_t>(i)]) == secret(i));
  }
}

TEST_CASE("nothing plain is left after the store is written anew", "[storage][rebuild]") {
  Sealed s;
  // Pages that fill, split, empty and are reused.
  for (int i = 0; i < 3000; ++i) {
    put(*s.w.store, fmt::format("/s/{}", i % 300), secret(i) + std::string(i % 900, '.'));
    if (i % 3 == 0) put(*s.w.store, fmt::format("/other/{}", i % 50), std::string(700, 'o'));
    if (i % 17 == 0) erase(*s.w.store, fmt::format("/s/{}", (i + 5) % 300));
    if (i % 1000 == 999) REQUIRE(s.w->compact(s.w->revision() - 10));
  }
  put(*s.w.store, "/s/v/volatile", secret(999'999));
  s.w.reopen();
  const std::string before = list(*s.w.store, "/");
  const Revision revision = s.w->revision();
  CHECK(s.files_with("secret-number") > 0);
  // What compaction left is erased first: its pages would be in the log, beside the database.
  for (int i = 0; i < 10'000 && s.w->compaction_pending(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(!s.w->compaction_pending());
  for (const char letter : {'A', 'B'}) {
    s.letters->letter = letter;
    const auto done = s.w->rebuild();
    if (!done) FAIL(done.error().message);
    CHECK(s.files_with("secret-number") == 0);
    CHECK(s.files_with(fmt::format("sealed:{}:", letter)) == 1);
  }
  CHECK(s.files_with("sealed:A:") == 0);
  CHECK(list(*s.w.store, "/") == before);
  s.w.reopen();
  CHECK(s.w->stale_values() == 0);
  CHECK(list(*s.w.store, "/") == before);
  CHECK(s.w->revision() == revision);
  s.letters->letter = 0;
  s.w.reopen();
  CHECK(s.w->stale_values() > 300);
  REQUIRE(s.w->rebuild());
  CHECK(s.w->stale_values() == 0);
  CHECK(s.files_with("sealed:") == 0);
  CHECK(list(*s.w.store, "/") == before);
  put(*s.w.store, "/s/new", "1");
  s.w.reopen();
  CHECK(get(*s.w.store, "/s/new") == "1");
}

TEST_CASE("writes go on while the store is written anew", "[storage][rebuild]") {
  Sealed s;
  for (int i = 0; i < 4000; ++i) put(*s.w.store, fmt::format("/s/{}", i), std::string(500, 'x'));
  s.letters->letter = 'A';
  std::atomic<bool> done{false};
  std::vector<std::thread> writers;
  std::vector<int> written(4, 0);
  std::atomic<int64_t> slowest{0};
  for (int t = 0; t < 4; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; !done; ++i) {
        const auto start = std::chrono::steady_clock::now();
        put(*s.w.store, fmt::format("/s/{}", (i * 4 + t) % 4000), fmt::format("{}:{}", t, i));
        put(*s.w.store, fmt::format("/w/{}", t), std::to_string(i));
        if (i % 5 == 0) erase(*s.w.store, fmt::format("/s/{}", (i * 4 + t + 8) % 4000));
        if (t == 0 && i % 100 == 99) (void)s.w->compact(s.w->revision() - 50);
        written[static_cast<size_t>(t)] = i;
        const auto took = std::chrono::steady_clock::now() - start;
        slowest = std::max<int64_t>(slowest, took / std::chrono::milliseconds(1));
      }
    });
  }
  for (int round = 0; round < 3; ++round) {
    const auto rebuilt = s.w->rebuild();
    if (!rebuilt) FAIL(rebuilt.error().message);
  }
  done = true;
  for (auto& writer : writers) writer.join();
  INFO("slowest write " << slowest << " ms");
  CHECK(s.files_with("xxxxxxxxxxxxxxxxxxxx") == 0);
  const std::string before = list(*s.w.store, "/");
  const Revision revision = s.w->revision();
  for (int t = 0; t < 4; ++t) {
    CHECK(get(*s.w.store, fmt::format("/w/{}", t)) ==
          std::to_string(written[static_cast<size_t>(t)]));
  }
  s.w.reopen();
  CHECK((list(*s.w.store, "/") == before));
  CHECK(s.w->revision() >= revision);
}

TEST_CASE("a rebuild ends under any load, and volatile keys change meanwhile",
          "[storage][rebuild]") {
  Sealed s(Seconds(1));
  for (int i = 0; i < 3000; ++i) put(*s.w.store, fmt::format("/s/{}", i), std::string(900, 'x'));
  for (int i = 0; i < 2000; ++i) put(*s.w.store, fmt::format("/s/v/{}", i), secret(i));
  s.w.reopen();  // the volatile tier is on disk
  s.letters->letter = 'A';
  std::atomic<bool> done{false};
  std::thread writer([&] {
    TxnRequest many;
    for (int i = 0; !done; i = (i + 1) % 50) {
      many.success.clear();
      for (int n = 0; n < 300; ++n) {
        many.success.push_back(Op::put(fmt::format("/w/{}", n), bytes(std::string(200, 'w'))));
      }
      (void)s.w->txn(many);
      put(*s.w.store, fmt::format("/s/v/{}", i), "changed");
      erase(*s.w.store, fmt::format("/s/v/{}", 1000 + i));
    }
  });
  // Long enough for flushes of the volatile tier in the middle.
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2500);
  std::string failed;
  do {
    const auto rebuilt = s.w->rebuild();
    if (!rebuilt) failed = rebuilt.error().message;
  } while (failed.empty() && std::chrono::steady_clock::now() < until);
  done = true;
  writer.join();
  CHECK(failed == "");
  CHECK(s.files_with("xxxxxxxxxxxxxxxxxxxx") == 0);
  CHECK(s.files_with("secret-number") == 0);
  const std::string before = list(*s.w.store, "/s/");
  s.w.reopen();
  CHECK((list(*s.w.store, "/s/") == before));
}

TEST_CASE("a rebuild that fails leaves the store as it was", "[storage][rebuild][fault]") {
  FaultVfs vfs;
  Sealed s;
  for (int i = 0; i < 500; ++i) put(*s.w.store, fmt::format("/s/{}", i), std::string(900, 'x'));
  vfs.space_left(100'000);
  const auto full = s.w->rebuild();
  vfs.space_left(-1);
  REQUIRE(!full);
  CHECK(full.error().code == ErrorCode::kNoSpace);
  put(*s.w.store, "/after", "1");
  CHECK(!file_exists(s.w.path() + "/state.db.rebuild"));
  s.w.reopen();
  CHECK(get(*s.w.store, "/after") == "1");
  CHECK(s.w->range(prefix_at("/s/"))->count == 500);
  REQUIRE(s.w->rebuild());
}

TEST_CASE("a rebuild that was cut off is forgotten", "[storage][rebuild]") {
  Sealed s;
  put(*s.w.store, "/s/a", "1");
  s.w->stop();
  std::ofstream(s.w.path() + "/state.db.rebuild") << "half";
  s.w.reopen();
  CHECK(!file_exists(s.w.path() + "/state.db.rebuild"));
  CHECK(get(*s.w.store, "/s/a") == "1");
}

TEST_CASE("values that do not open keep the store from starting", "[storage][rebuild]") {
  Sealed s;
  s.letters->letter = 'Z';
  put(*s.w.store, "/s/a", "1");
  s.w->stop();
  StoreOptions options = Sealed::options(s.letters);
  options.path = s.w.path();
  const auto opened = open_sqlite_store(s.w.env, options);
  REQUIRE(!opened);
  CHECK(opened.error().code == ErrorCode::kCorrupt);
  CHECK(opened.error().message.find("sealed with Z") != std::string::npos);
}

}  // namespace
}  // namespace orch::storage::test
