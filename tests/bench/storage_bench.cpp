// The embedded store against the disk's own limit, in one run: durable puts at 1 to 256 callers,
// ranges, fan-out to watchers, housekeeping beside requests, start. Usage: bench_storage
// [directory] [seconds per row]
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>
#include <vector>

#include "orch/base/env.h"
#include "orch/storage/kv_store.h"

namespace {

using namespace orch;
using namespace orch::storage;
using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

struct Row {
  double per_second = 0, p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0;
};

Row summarise(std::vector<double>& micros, double seconds) {
  if (micros.empty()) return {};
  std::sort(micros.begin(), micros.end());
  return {static_cast<double>(micros.size()) / seconds, micros[micros.size() / 2],
          micros[micros.size() * 99 / 100], micros[micros.size() * 999 / 1000], micros.back()};
}

// Calls work(thread, i) from `callers` threads for `seconds`, each with a pause between its calls.
template <class Work>
Row measure(int callers, double seconds, Work work, std::chrono::milliseconds pause = {}) {
  std::vector<std::vector<double>> micros(static_cast<size_t>(callers));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  const auto start = Steady::now();
  for (int t = 0; t < callers; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        const auto before = Steady::now();
        work(t, i);
        micros[static_cast<size_t>(t)].push_back(seconds_since(before) * 1e6);
        if (pause.count() > 0) std::this_thread::sleep_for(pause);
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto& thread : threads) thread.join();
  const double took = seconds_since(start);
  std::vector<double> all;
  for (auto& one : micros) all.insert(all.end(), one.begin(), one.end());
  return summarise(all, took);
}

void print(const std::string& what, const Row& row) {
  fmt::print("{:44} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f}\n", what, row.per_second,
             row.p50_us, row.p99_us, row.p999_us, row.max_us);
  std::fflush(stdout);
}

void raw_disk(const std::string& directory, double seconds) {
  const std::string block(4096, 'x');
  for (const bool overwrite : {false, true}) {
    const std::string file = directory + "/raw";
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (overwrite) {
      for (int i = 0; i < 4096; ++i) (void)!::write(fd, block.data(), block.size());
      ::fsync(fd);
    }
    print(overwrite ? "limit: 4 KiB overwrite + fdatasync" : "limit: 4 KiB append + fdatasync",
          measure(1, seconds, [&](int, int i) {
            const off_t at = static_cast<off_t>(overwrite ? i % 4096 : i) * 4096;
            (void)!::pwrite(fd, block.data(), block.size(), at);
            ::fdatasync(fd);
          }));
    ::close(fd);
    std::filesystem::remove(file);
  }
}

Revision put(KvStore& store, const std::string& key, const Bytes& value) {
  TxnRequest request;
  request.success.push_back(Op::put(key, value));
  auto done = store.txn(request);
  if (!done) {
    fmt::print(stderr, "{}\n", done.error().message);
    std::exit(1);
  }
  return done->revision;
}

void puts(KvStore& store, double seconds, const std::string& what, const std::string& prefix) {
  const Bytes value = std::make_shared<const std::string>(1024, 'v');
  for (const int callers : {1, 8, 64, 256}) {
    print(fmt::format("{}, {} callers", what, callers),
          measure(callers, seconds, [&](int t, int i) {
            put(store, fmt::format("{}{}", prefix, (t * 7919 + i) % 20000), value);
          }));
  }
}

void ranges(KvStore& store, const std::string& when) {
  RangeRequest request;
  request.key = "/registry/pods/";
  request.range_end = prefix_end(request.key);
  const auto best_of = [&](RangeRequest asked) {
    double best = 1e9;
    for (int i = 0; i < 20; ++i) {
      const auto start = Steady::now();
      auto response = store.range(asked);
      best = std::min(best, seconds_since(start) * 1e3);
      if (!response || response->count != 10000) std::exit(1);
    }
    return best;
  };
  fmt::print("{:44} {:>10.2f} ms\n", "range 10,000 keys of 3.4 KB" + when, best_of(request));
  request.limit = 500;
  fmt::print("{:44} {:>10.2f} ms\n", "  first 500 and the count" + when, best_of(request));
  request.limit = 0;
  request.revision = std::max<Revision>(store.compact_revision(), store.revision() - 500);
  fmt::print("{:44} {:>10.2f} ms\n", "  500 revisions ago" + when, best_of(request));
}

class Counting final : public WatchSink {
 public:
  explicit Counting(std::atomic<int>& seen) : seen_(seen) {}
  bool offer(const std::vector<const Event*>& events, const EventBatch&, Revision) override {
    seen_ += static_cast<int>(events.size());
    return true;
  }
  void closed(const Error&) override {}

 private:
  std::atomic<int>& seen_;
};

void fan_out(KvStore& store) {
  constexpr int kWatchers = 2000;
  std::atomic<int> seen{0};
  std::vector<std::unique_ptr<WatchHandle>> handles;
  for (int i = 0; i < kWatchers; ++i) {
    auto handle = store.watch("/w/", "/w0", 0, std::make_shared<Counting>(seen));
    if (handle) handles.push_back(std::move(handle).value());
  }
  const Bytes value = std::make_shared<const std::string>(1024, 'v');
  std::vector<double> puts, delivered;
  for (int i = 1; i <= 200; ++i) {
    const auto start = Steady::now();
    put(store, "/w/key", value);
    puts.push_back(seconds_since(start) * 1e6);
    while (seen < i * kWatchers) std::this_thread::yield();
    delivered.push_back(seconds_since(start) * 1e6);
  }
  const auto total = [](const std::vector<double>& micros) {
    return std::accumulate(micros.begin(), micros.end(), 0.0) / 1e6;
  };
  print("put with 2,000 watchers of the key", summarise(puts, total(puts)));
  print("  until the last watcher has it", summarise(delivered, total(delivered)));
}

// Writers at a steady pace, so that a wait is somebody's and not the load's: alone, while all they
// wrote is compacted, checkpointed and given back, while the file is written anew.
void housekeeping(KvStore& store, double seconds) {
  const Bytes value = std::make_shared<const std::string>(1024, 'v');
  const auto paced = [&] {
    return measure(
        8, seconds,
        [&](int t, int i) {
          put(store, fmt::format("/registry/paced/{}", (t * 7919 + i) % 20000), value);
        },
        std::chrono::milliseconds(4));
  };
  print("paced put, 8 callers", paced());
  std::atomic<bool> stop{false};
  std::thread compactor([&] {
    while (!stop) {
      (void)store.compact(store.revision() - 1);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  });
  print("  while history is compacted", paced());
  stop = true;
  compactor.join();
  stop = false;
  std::thread rebuilder([&] {
    while (!stop) (void)store.rebuild();
  });
  print("  while the file is written anew", paced());
  stop = true;
  rebuilder.join();
}

int64_t resident_kib() {
  long pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE) / 1024;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string directory =
      argc > 1 ? argv[1] : (std::filesystem::temp_directory_path() / "orch-bench-storage").string();
  const double seconds = argc > 2 ? std::atof(argv[2]) : 2;
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  auto executor = ThreadPoolExecutor::create(2);
  Env env{system_clock(), *executor, system_random(), no_faults()};
  StoreOptions options;
  options.path = directory + "/db";
  options.volatile_prefixes = {"/volatile/"};
  const auto open = [&](const std::string& what) {
    const auto start = Steady::now();
    auto store = open_sqlite_store(env, options);
    if (!store) {
      fmt::print(stderr, "{}\n", store.error().message);
      std::exit(1);
    }
    fmt::print("{:44} {:>10.1f} ms   {:.1f} MiB on disk, {:.1f} MiB resident\n", what,
               seconds_since(start) * 1e3, static_cast<double>((*store)->size_bytes()) / (1 << 20),
               static_cast<double>(resident_kib()) / 1024);
    return std::move(store).value();
  };

  fmt::print("{:44} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "1 KiB values", "per s", "p50 us",
             "p99 us", "p99.9 us", "max us");
  raw_disk(directory, seconds);
  auto store = open("open an empty directory");
  puts(*store, seconds, "durable put", "/registry/x/");
  puts(*store, seconds, "volatile put", "/volatile/");
  fan_out(*store);
  store.reset();
  std::filesystem::remove_all(options.path);

  store = open("open an empty directory");
  const Bytes pod = std::make_shared<const std::string>(3400, 'p');
  std::vector<std::thread> fillers;
  for (int t = 0; t < 16; ++t) {
    fillers.emplace_back([&, t] {
      for (int i = t; i < 10000; i += 16) {
        put(*store, fmt::format("/registry/pods/default/pod-{:05}", i), pod);
      }
    });
  }
  for (auto& filler : fillers) filler.join();
  for (int i = 0; i < 1000; ++i) {
    put(*store, fmt::format("/registry/pods/default/pod-{:05}", i * 7), pod);
  }
  housekeeping(*store, seconds);
  ranges(*store, "");
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      put(*store, fmt::format("/registry/pods/default/pod-{:05}", i % 10000), pod);
    }
  });
  ranges(*store, ", while writing");
  stop = true;
  writer.join();
  store.reset();
  store = open("open 10,000 Pods");
  store.reset();
  std::filesystem::remove_all(directory);
}
