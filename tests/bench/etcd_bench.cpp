// The store through its etcd API beside etcd itself: same disk, same client, same run, plain
// sockets on loopback.
//
//   bench_etcd [DIRECTORY] [SECONDS] [KEYS]   (etcd must be in the PATH)
//   bench_etcd serve DIRECTORY PORT          the store alone, to look at with a profiler
//   bench_etcd load PORT CLIENTS SECONDS     puts on whatever listens there
//
// Prints a line a measurement: orch, etcd, ratio. RSS is the server process' after the puts.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "orch/base/executor.h"
#include "orch/base/faults.h"
#include "orch/base/random.h"
#include "orch/net/grpc.h"
#include "server/etcd/etcd_server.h"
#include "server/etcd/messages.h"

using namespace orch;
using namespace orch::server::etcd;

extern char** environ;

namespace {

std::string key_of(int64_t n) { return fmt::format("/bench/{:016d}", n); }

MonoTime now() { return system_clock().mono(); }
double seconds_since(MonoTime start) {
  return std::chrono::duration<double>(now() - start).count();
}

// ---- the server under test, a process of its own

int serve(const char* directory, const char* port) {
  auto executor = ThreadPoolExecutor::create(2);
  Env env{system_clock(), *executor, system_random(), no_faults()};
  storage::StoreOptions options;
  options.path = directory;
  auto store = storage::open_sqlite_store(env, options);
  if (!store) {
    fmt::print(stderr, "{}\n", store.error().message);
    return 1;
  }
  auto key = net::make_ca("bench", system_clock().now() - Seconds(60), Seconds(3600)).value();
  auto server = EtcdServer::start(**store, {.listen_urls = fmt::format("http://127.0.0.1:{}", port),
                                            .server_key_pair = key,
                                            .ca_pem = key.certificate_pem,
                                            .member_name = "bench"});
  if (!server) {
    fmt::print(stderr, "{}\n", server.error());
    return 1;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  int got = 0;
  sigwait(&signals, &got);
  (*server)->stop();
  (*store)->stop();
  return 0;
}

class Process {
 public:
  Process(std::vector<std::string> arguments, const std::string& log) {
    std::vector<char*> raw;
    for (auto& argument : arguments) raw.push_back(argument.data());
    raw.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawnp(&pid_, raw[0], &actions, nullptr, raw.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Process() { end(SIGKILL); }
  void end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  double rss_mib() const {
    std::ifstream status(fmt::format("/proc/{}/status", pid_));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) / 1024;
    }
    return 0;
  }

 private:
  pid_t pid_ = -1;
};

std::shared_ptr<net::GrpcClient> connect(int port) {
  net::GrpcClientOptions options;
  options.url = fmt::format("http://127.0.0.1:{}", port);
  for (int i = 0; i < 600; ++i) {
    if (auto client = net::GrpcClient::connect(options)) {
      RangeRequest range;
      range.key = "k";
      if ((*client)->call("/etcdserverpb.KV/Range", encode(range), Millis(5000))) return *client;
    }
    std::this_thread::sleep_for(Millis(50));
  }
  fmt::print(stderr, "the server on port {} does not answer\n", port);
  exit(1);
}

// ---- loads

// One client: the next call when the last has ended.
struct Caller : net::GrpcHandler, std::enable_shared_from_this<Caller> {
  void next() {
    stream = client->open(method, shared_from_this(), Millis(0));
    stream->send(make());
    stream->finish({});
  }
  void on_message(std::string) override {}
  void on_closed(const net::GrpcStatus& status) override {
    if (!status.ok()) failed->fetch_add(1);
    done->fetch_add(1);
    if (now() < until) return next();
    stream.reset();
    ended.set_value();
  }
  std::shared_ptr<net::GrpcClient> client;
  std::string method;
  std::function<std::string()> make;
  std::atomic<int64_t>*done = nullptr, *failed = nullptr;
  MonoTime until;
  std::shared_ptr<net::GrpcStream> stream;
  std::promise<void> ended;
};

double puts_per_second(int port, int clients, int seconds, int64_t keys = 100'000) {
  std::vector<std::shared_ptr<net::GrpcClient>> connections;
  for (int i = 0; i < std::min(clients, 16); ++i) connections.push_back(connect(port));
  static std::atomic<int64_t> counter{0};
  std::atomic<int64_t> done{0}, failed{0};
  std::vector<std::shared_ptr<Caller>> callers;
  const auto value = std::make_shared<const std::string>(1024, 'v');
  const MonoTime start = now();
  for (int i = 0; i < clients; ++i) {
    auto caller = std::make_shared<Caller>();
    caller->client = connections[static_cast<size_t>(i) % connections.size()];
    caller->method = "/etcdserverpb.KV/Put";
    caller->make = [value, keys] {
      PutRequest put;
      put.key = key_of(counter.fetch_add(1) % keys);
      put.value = value;
      return encode(put);
    };
    caller->done = &done;
    caller->failed = &failed;
    caller->until = start + Seconds(seconds);
    callers.push_back(caller);
    caller->next();
  }
  for (const auto& caller : callers) caller->ended.get_future().wait();
  if (failed > 0) fmt::print("  {} of {} puts failed\n", failed.load(), done.load());
  return static_cast<double>(done) / seconds_since(start);
}

bool fill_ranges(int port) {
  auto client = connect(port);
  for (int i = 0; i < 10'000;) {
    TxnRequest txn;
    for (int n = 0; n < 100; ++n, ++i) {
      auto& op = txn.success.emplace_back();
      op.has_put = true;
      op.put.key = fmt::format("/range/{:05d}", i);
      op.put.value = std::make_shared<const std::string>(100, 'v');
    }
    if (!client->call("/etcdserverpb.KV/Txn", encode(txn), Millis(60'000))) return false;
  }
  return true;
}

double ranges_per_second(int port, int seconds) {
  auto client = connect(port);
  RangeRequest range;
  range.key = "/range/";
  range.range_end = "/range0";
  const std::string wire = encode(range);
  int64_t done = 0;
  const MonoTime start = now();
  while (seconds_since(start) < seconds) {
    if (!client->call("/etcdserverpb.KV/Range", wire, Millis(60'000))) return 0;
    ++done;
  }
  return static_cast<double>(done) / seconds_since(start);
}

// 1,000 watchers of one prefix; the time from the put's beginning to the last one's event.
struct FanOut : net::GrpcHandler {
  void on_message(std::string message) override {
    WatchResponse answer;
    if (!decode(message, answer)) return;
    if (answer.created) ++created;
    if (!answer.events.empty()) events += static_cast<int64_t>(answer.events.size());
  }
  void on_closed(const net::GrpcStatus&) override {}
  std::atomic<int64_t> created{0}, events{0};
};

double fan_out_p99_ms(int port) {
  constexpr int kWatchers = 1000, kPuts = 200;
  std::vector<std::shared_ptr<net::GrpcClient>> connections;
  std::vector<std::shared_ptr<net::GrpcStream>> streams;
  auto all = std::make_shared<FanOut>();
  for (int i = 0; i < 10; ++i) {
    connections.push_back(connect(port));
    streams.push_back(connections.back()->open("/etcdserverpb.Watch/Watch", all, Millis(0)));
    for (int w = 0; w < kWatchers / 10; ++w) {
      WatchRequest request;
      request.has_create = true;
      request.create.key = "/fan/";
      request.create.range_end = "/fan0";
      streams.back()->send(encode(request));
    }
  }
  while (all->created < kWatchers) std::this_thread::sleep_for(Millis(5));
  auto writer = connect(port);
  std::vector<double> times;
  for (int i = 0; i < kPuts; ++i) {
    PutRequest put;
    put.key = "/fan/" + std::to_string(i);
    put.value = std::make_shared<const std::string>(256, 'v');
    const int64_t wanted = all->events + kWatchers;
    const MonoTime start = now();
    if (!writer->call("/etcdserverpb.KV/Put", encode(put), Millis(60'000))) return 0;
    while (all->events < wanted && seconds_since(start) < 10) {
      std::this_thread::sleep_for(Micros(100));
    }
    times.push_back(seconds_since(start) * 1000);
  }
  for (const auto& stream : streams) stream->finish({net::GrpcCode::kCancelled, ""});
  std::sort(times.begin(), times.end());
  return times[times.size() * 99 / 100];
}

// Fills the store with `keys`, kills it, and measures until it answers again.
struct Recovery {
  double seconds = 0, bytes_a_key = 0, bytes_a_key_after = 0;  // beyond key and value
};
Recovery recovery(const std::function<std::unique_ptr<Process>()>& start, int port, int64_t keys) {
  constexpr double kKeyAndValue = 24 + 200;
  auto process = start();
  auto client = connect(port);
  const double before = process->rss_mib();
  const auto overhead = [&] {
    return (process->rss_mib() - before) * (1 << 20) / static_cast<double>(keys) - kKeyAndValue;
  };
  Recovery result;
  for (int64_t i = 0; i < keys;) {
    std::vector<std::shared_ptr<net::GrpcStream>> calls;
    std::atomic<int64_t> done{0}, failed{0};
    std::vector<std::shared_ptr<Caller>> callers;
    for (int c = 0; c < 64 && i < keys; ++c) {
      TxnRequest txn;
      for (int n = 0; n < 100 && i < keys; ++n, ++i) {
        auto& op = txn.success.emplace_back();
        op.has_put = true;
        op.put.key = fmt::format("/registry/pods/{:09d}", i);
        op.put.value = std::make_shared<const std::string>(200, 'v');
      }
      auto caller = std::make_shared<Caller>();
      caller->client = client;
      caller->method = "/etcdserverpb.KV/Txn";
      caller->make = [wire = encode(txn)] { return wire; };
      caller->done = &done;
      caller->failed = &failed;
      caller->until = MonoTime{};
      callers.push_back(caller);
      caller->next();
    }
    for (const auto& caller : callers) caller->ended.get_future().wait();
  }
  client.reset();
  result.bytes_a_key = overhead();
  process->end(SIGKILL);
  const MonoTime begin = now();
  process = start();
  net::GrpcClientOptions options;
  options.url = fmt::format("http://127.0.0.1:{}", port);
  for (;;) {
    if (auto again = net::GrpcClient::connect(options)) {
      RangeRequest range;
      range.key = "/registry/pods/000000000";
      if ((*again)->call("/etcdserverpb.KV/Range", encode(range), Millis(60'000))) break;
    }
    std::this_thread::sleep_for(Millis(10));
  }
  result.seconds = seconds_since(begin);
  result.bytes_a_key_after = overhead();
  return result;
}

void row(const std::string& what, double orch_value, double etcd_value, const char* unit,
         bool less_is_better) {
  const double ratio = less_is_better ? etcd_value / orch_value : orch_value / etcd_value;
  fmt::print("{:<36} orch {:>10.1f} {}  etcd {:>10.1f} {}  ratio {:.2f}\n", what, orch_value, unit,
             etcd_value, unit, ratio);
  fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && strcmp(argv[1], "serve") == 0) return serve(argv[2], argv[3]);
  if (argc == 5 && strcmp(argv[1], "load") == 0) {
    fmt::print("{:.0f}/s\n", puts_per_second(atoi(argv[2]), atoi(argv[3]), atoi(argv[4])));
    return 0;
  }
  const std::string top = argc > 1 ? argv[1] : "/var/tmp/orch-bench-etcd";
  const int seconds = argc > 2 ? atoi(argv[2]) : 5;
  const int64_t recovery_keys = argc > 3 ? atoll(argv[3]) : 1'000'000;
  std::filesystem::remove_all(top);
  std::filesystem::create_directories(top);
  constexpr int kOrchPort = 23790, kEtcdPort = 23791;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const auto start_orch = [&](const std::string& name) {
    return std::make_unique<Process>(
        std::vector<std::string>{self, "serve", top + "/" + name, std::to_string(kOrchPort)},
        top + "/orch.log");
  };
  const auto start_etcd = [&](const std::string& name) {
    const std::string url = fmt::format("http://127.0.0.1:{}", kEtcdPort);
    return std::make_unique<Process>(
        std::vector<std::string>{"etcd", "--data-dir", top + "/" + name, "--listen-client-urls",
                                 url, "--advertise-client-urls", url, "--listen-peer-urls",
                                 "http://127.0.0.1:23792", "--initial-advertise-peer-urls",
                                 "http://127.0.0.1:23792", "--initial-cluster",
                                 "default=http://127.0.0.1:23792", "--quota-backend-bytes",
                                 "8589934592", "--logger", "zap", "--log-level", "error"},
        top + "/etcd.log");
  };
  {
    auto orch_process = start_orch("orch");
    auto etcd_process = start_etcd("etcd");
    (void)connect(kOrchPort);
    (void)connect(kEtcdPort);
    for (const int clients : {1, 8, 64, 256}) {
      // In turns, so that a disk that changes its pace is unfair to neither.
      double ours = 0, theirs = 0;
      for (int turn = 0; turn < seconds; ++turn) {
        ours += puts_per_second(kOrchPort, clients, 1) / seconds;
        theirs += puts_per_second(kEtcdPort, clients, 1) / seconds;
      }
      row(fmt::format("puts of 1 KiB, {} clients", clients), ours, theirs, "/s", false);
    }
    row("RSS after the puts, 100,000 keys", orch_process->rss_mib(), etcd_process->rss_mib(), "MiB",
        true);
    if (!fill_ranges(kOrchPort) || !fill_ranges(kEtcdPort)) return 1;
    double ours = 0, theirs = 0;
    for (int turn = 0; turn < seconds; ++turn) {
      ours += ranges_per_second(kOrchPort, 1) / seconds;
      theirs += ranges_per_second(kEtcdPort, 1) / seconds;
    }
    row("ranges of 10,000 keys", ours, theirs, "/s", false);
    row("1,000 watchers, p99 to the last", fan_out_p99_ms(kOrchPort), fan_out_p99_ms(kEtcdPort),
        "ms", true);
    orch_process->end(SIGTERM);
    etcd_process->end(SIGTERM);
  }
  {
    auto orch_process = start_orch("orch-small");
    auto etcd_process = start_etcd("etcd-small");
    (void)connect(kOrchPort);
    (void)connect(kEtcdPort);
    for (int turn = 0; turn < seconds; ++turn) {
      (void)puts_per_second(kOrchPort, 64, 1, 1000);
      (void)puts_per_second(kEtcdPort, 64, 1, 1000);
    }
    row("RSS after puts on 1,000 keys", orch_process->rss_mib(), etcd_process->rss_mib(), "MiB",
        true);
  }
  const auto ours = recovery([&] { return start_orch("orch2"); }, kOrchPort, recovery_keys);
  const auto theirs = recovery([&] { return start_etcd("etcd2"); }, kEtcdPort, recovery_keys);
  row(fmt::format("ready after kill -9, {} keys", recovery_keys), ours.seconds, theirs.seconds, "s",
      true);
  row("  memory a key, beside key and value", ours.bytes_a_key, theirs.bytes_a_key, "B", true);
  row("  the same after the restart", ours.bytes_a_key_after, theirs.bytes_a_key_after, "B", true);
  std::filesystem::remove_all(top);
  return 0;
}
