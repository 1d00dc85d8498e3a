// The API over TLS, from a second process, beside the limits measured in the same run: fdatasync of
// the disk, group commit of the store in process, nginx with the same certificate and bytes (when
// nginx is there).
//   bench_api ORCH [seconds per row [part...]]    ORCH: the executable, best a release build
// Parts: creates gets events patches lists watches; all of them when none is named. Pods name
// another scheduler, as none ran where the kube-apiserver's figures were measured: orch's would
// write to each of them why it cannot run, as there are no nodes.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "bench/load.h"
#include "orch/base/env.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"
#include "orch/storage/kv_store.h"

using namespace orch;
using namespace orch::bench;
using orch::net::Channel;

namespace {

constexpr const char* kPods = "/api/v1/namespaces/default/pods";
constexpr const char* kConfigMaps = "/api/v1/namespaces/default/configmaps";

void row(const std::string& what, const std::string& measured, const std::string& beside) {
  fmt::print("{:<50} {:>42}   {}\n", what, measured, beside);
  std::fflush(stdout);
}

std::string text_of(const Rates& rates) {
  const std::string times = fmt::format("p50 {:.2f} p99 {:.2f} ms", rates.p50_ms, rates.p99_ms);
  return rates.per_second > 0 ? fmt::format("{:.0f}/s {}", rates.per_second, times) : times;
}

// With `annotations` of 150 bytes each, as real ones have.
std::string pod(const std::string& name, const std::string& app, int annotations = 0,
                std::string_view scheduler = "nobody") {
  std::string more;
  for (int i = 0; i < annotations; ++i) {
    more += fmt::format(R"({}"bench.example/a{}":"{}")", i ? "," : "", i, std::string(150, 'a'));
  }
  return fmt::format(
      R"({{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{}","labels":{{"app":"{}"}},"annotations":{{{}}}}},)"
      R"("spec":{{"schedulerName":"{}","containers":[{{"name":"c","image":"registry.example/app:1","resources":{{"requests":{{"cpu":"100m",)"
      R"("memory":"64Mi"}}}},"env":[{{"name":"A","value":"b"}}]}}]}}}})",
      name, app, more, scheduler);
}

std::string config_map(const std::string& name) {
  return fmt::format(
      R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}"}},"data":{{"key":"{}"}}}})",
      name, std::string(700, 'v'));
}

Rates raw_disk(const std::string& directory, double seconds) {
  const std::string file = directory + "/raw", block(4096, 'x');
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  std::vector<double> took;
  const auto begin = Steady::now();
  while (ms_since(begin) < seconds * 1000) {
    const auto before = Steady::now();
    (void)!::write(fd, block.data(), block.size());
    ::fdatasync(fd);
    took.push_back(ms_since(before));
  }
  ::close(fd);
  std::filesystem::remove(file);
  return summarise(took, seconds);
}

// Durable puts of 1 KiB by `writers` threads into a store of our own process.
Rates store_alone(const std::string& directory, int writers, double seconds) {
  auto executor = ThreadPoolExecutor::create(2);
  Env env{system_clock(), *executor, system_random(), no_faults()};
  storage::StoreOptions options;
  options.path = directory + "/alone.db";
  auto store = storage::open_sqlite_store(env, options);
  if (!store) std::exit(fail(store.error().message));
  const auto value = std::make_shared<const std::string>(1024, 'v');
  std::atomic<bool> stop{false};
  std::atomic<size_t> done{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < writers; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !stop; ++i, ++done) {
        storage::TxnRequest request;
        request.success.push_back(
            storage::Op::put(fmt::format("/registry/configmaps/default/{}-{}", t, i), value));
        if (auto put = (*store)->txn(request); !put) std::exit(fail(put.error().message));
      }
    });
  }
  usleep(static_cast<useconds_t>(seconds * 1e6));
  stop = true;
  for (auto& thread : threads) thread.join();
  return {static_cast<double>(done) / seconds, 0, 0};
}

// A child process that ends with this one.
pid_t spawn(const std::vector<std::string>& command, const std::string& log) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(fd, 1);
  dup2(fd, 2);
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  _exit(127);
}

std::string pem(const std::string& kubeconfig, const std::string& key) {
  const size_t at = kubeconfig.find(key + ": ");
  if (at == kubeconfig.npos) std::exit(fail("no " + key + " in the kubeconfig"));
  const size_t begin = at + key.size() + 2;
  const auto text = base64_decode(kubeconfig.substr(begin, kubeconfig.find('\n', begin) - begin));
  return text.value_or("");
}

struct Bench {
  std::string directory;
  double seconds;
  pid_t server = -1;
  Load load;
  int number = 0;

  void start(const std::string& orch);
  std::string loop(int connections, const std::function<std::string()>& next) const;
  void creates();
  void gets();
  void events();
  void patches();
  void lists();
  void watches();
};

void Bench::start(const std::string& orch) {
  std::ofstream(directory + "/config.yaml") << "log-level: warn\n";
  server = spawn(
      {orch, "server", "--data-dir", directory + "/data", "--bind-address", "127.0.0.1",
       "--advertise-address", "127.0.0.1", "--https-listen-port", "16443", "--disable-agent",
       "--write-kubeconfig", directory + "/kubeconfig", "--config", directory + "/config.yaml"},
      directory + "/log");
  for (int i = 0; i < 1000 && !std::filesystem::exists(directory + "/kubeconfig"); ++i) {
    usleep(10'000);
  }
  const auto kubeconfig = read_file(directory + "/kubeconfig");
  if (!kubeconfig) {
    std::exit(fail("the server did not start: " + read_file(directory + "/log").value_or("")));
  }
  net::TlsClientContext::Options options;
  options.ca_pem = pem(*kubeconfig, "certificate-authority-data");
  options.key_pair = net::KeyPair{pem(*kubeconfig, "client-certificate-data"),
                                  pem(*kubeconfig, "client-key-data")};
  load = Load::create(options, 16443);
}

// The last figure is the server's CPU time a request: it means something on a busy machine too.
std::string Bench::loop(int connections, const std::function<std::string()>& next) const {
  const double before = cpu_seconds(server);
  size_t count = 0;
  const Rates rates = closed_loop(load, connections, seconds, [&] {
    ++count;
    return next();
  });
  const double cpu = cpu_seconds(server) - before;
  return fmt::format("{}, {:.0f} us", text_of(rates), cpu * 1e6 / static_cast<double>(count));
}

void Bench::creates() {
  const auto next_pod = [&] {
    return request_text("POST", kPods, pod(fmt::format("pod-{}", ++number), "create"));
  };
  const Rates disk = raw_disk(directory, seconds);
  row("limit: append 4 KiB and fdatasync", text_of(disk), "");
  row("create Pods, 1 connection", loop(1, next_pod),
      fmt::format("p50 under {:.2f} ms (1.5 x fdatasync)", disk.p50_ms * 1.5));
  row("create Pods, 32 connections", loop(32, next_pod),
      "over 10,000/s (kube-apiserver 1.20: 1,100 to 1,400)");
  const auto next_refused = [&] {
    return request_text("POST", kPods,
                        pod(fmt::format("pod-{}", ++number), "create", 0, "default-scheduler"));
  };
  row("the same, each refused by the scheduler", loop(32, next_refused), "");
  const Rates alone = store_alone(directory, 64, seconds);
  row("limit: the store in process, 64 writers", fmt::format("{:.0f}/s", alone.per_second), "");
  row("create ConfigMaps, 64 connections",
      loop(64,
           [&] {
             return request_text("POST", kConfigMaps, config_map(fmt::format("cm-{}", ++number)));
           }),
      fmt::format("over {:.0f}/s (half of that)", alone.per_second / 2));
}

void Bench::gets() {
  Channel channel = load.dial();
  ask(channel, request_text("POST", kPods, pod("get-me", "get", 6)));
  const std::string get = request_text("GET", std::string(kPods) + "/get-me");
  const std::string body = ask(channel, get).body;
  std::vector<Rates> nginx;
  // The peer: a static file of the same size, from memory.
  std::ofstream(directory + "/index.html") << body;
  const WallTime now = system_clock().now();
  auto ca = net::make_ca("bench", now, Seconds{3600});
  net::CertificateRequest leaf;
  leaf.common_name = "bench";
  leaf.server_auth = true;
  leaf.ip_addresses = {"127.0.0.1"};
  leaf.not_before = now - Seconds{60};
  leaf.not_after = now + Seconds{3600};
  auto pair = net::issue(*ca, leaf);
  std::ofstream(directory + "/cert.pem") << pair->certificate_pem;
  std::ofstream(directory + "/key.pem") << pair->private_key_pem;
  std::ofstream(directory + "/nginx.conf") << fmt::format(
      "daemon off; user root; worker_processes 2; pid {0}/nginx.pid; error_log {0}/nginx.log;\n"
      "events {{ worker_connections 4096; }}\n"
      "http {{ access_log off; open_file_cache max=10; keepalive_requests 100000000;\n"
      "server {{ listen 127.0.0.1:16444 ssl; ssl_certificate {0}/cert.pem;\n"
      "ssl_certificate_key {0}/key.pem; root {0}; default_type application/json; }} }}\n",
      directory);
  const pid_t peer =
      spawn({"nginx", "-p", directory, "-c", directory + "/nginx.conf"}, directory + "/nginx.out");
  usleep(500'000);
  const bool there = waitpid(peer, nullptr, WNOHANG) == 0;
  for (const int connections : {1, 32}) {
    std::string beside = "no nginx on this machine";
    if (there) {
      net::TlsClientContext::Options options;
      options.ca_pem = ca->certificate_pem;
      const Rates rates = closed_loop(Load::create(options, 16444), connections, seconds,
                                      [&] { return request_text("GET", "/"); });
      beside = fmt::format("70 % of nginx: {:.0f}/s", rates.per_second * 0.7);
    }
    row(fmt::format("GET of a Pod ({} B), {} connections", body.size(), connections),
        loop(connections, [&] { return get; }), beside);
  }
  if (there) kill(peer, SIGTERM);
  if (there) waitpid(peer, nullptr, 0);
}

// From the first byte of a create to its event at a watch, on an idle server.
void Bench::events() {
  const Rates disk = raw_disk(directory, 1);
  Channel writer = load.dial(), watcher = load.dial();
  send(watcher, request_text("GET", "/api/v1/namespaces/kube-system/configmaps?watch=true"));
  std::string text;
  usleep(200'000);
  drain(watcher, &text);
  std::vector<double> took;
  for (int i = 0; i < 300; ++i) {
    const std::string name = fmt::format("event-{}", ++number);
    text.clear();
    const auto begin = Steady::now();
    send(writer,
         request_text("POST", "/api/v1/namespaces/kube-system/configmaps", config_map(name)));
    while (text.find('"' + name + '"') == text.npos) {
      pollfd wait{watcher.fd(), POLLIN, 0};
      if (::poll(&wait, 1, 5000) <= 0) std::exit(fail("no event"));
      drain(watcher, &text);
    }
    took.push_back(ms_since(begin));
    usleep(3000);
    drain(writer);
  }
  row("write to watch event", text_of(summarise(took, 0)),
      fmt::format("p50 under {:.2f} ms (fdatasync {:.2f} + 0.5)", disk.p50_ms + 0.5, disk.p50_ms));
}

void Bench::patches() {
  Channel channel = load.dial();
  const std::string path = "/apis/apps/v1/namespaces/default/deployments/patched";
  const auto deployment = [](int i) {
    return fmt::format(
        R"({{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"patched","labels":{{"i":"{}"}}}},)"
        R"("spec":{{"paused":true,"replicas":0,"selector":{{"matchLabels":{{"a":"b"}}}},"template":{{"metadata":{{"labels":{{"a":"b"}}}},)"
        R"("spec":{{"containers":[{{"name":"c","image":"app:1","env":[{{"name":"I","value":"{}"}}]}}]}}}}}}}})",
        i, i);
  };
  ask(channel, request_text("POST", "/apis/apps/v1/namespaces/default/deployments", deployment(0)));
  const struct {
    const char *what, *type, *query;
  } kinds[] = {{"strategic merge patch", "application/strategic-merge-patch+json", ""},
               {"merge patch", "application/merge-patch+json", ""},
               {"apply patch", "application/apply-patch+yaml", "?fieldManager=bench&force=true"}};
  for (const auto& kind : kinds) {
    std::vector<double> took;
    for (int i = 1; i <= 300; ++i) {
      const Answer answer =
          ask(channel, request_text("PATCH", path + kind.query, deployment(i), kind.type));
      if (answer.status >= 300) std::exit(fail(answer.body));
      took.push_back(answer.ms);
    }
    row(fmt::format("{} of a Deployment, unloaded", kind.what), text_of(summarise(took, 0)),
        "p99 under 3 ms");
  }
}

void Bench::lists() {
  Channel channel = load.dial();
  ask(channel,
      request_text("POST", "/api/v1/namespaces",
                   R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"many"}})"));
  const std::string path = "/api/v1/namespaces/many/pods";
  for (int i = 0; i < 10'000; ++i) {
    const std::string body = pod(fmt::format("p-{}", i), i % 100 ? "many" : "few", 12);
    Answer made = ask(channel, request_text("POST", path, body));
    for (int wait = 0; made.status == 403 && wait < 100; ++wait) {  // its service account comes
      usleep(10'000);
      made = ask(channel, request_text("POST", path, body));
    }
    if (made.status != 201) std::exit(fail(made.body));
  }
  for (const std::string query : {"", "?labelSelector=app%3Dfew"}) {
    std::vector<double> first, whole;
    size_t bytes = 0;
    const double before = cpu_seconds(server);
    for (int i = 0; i < 20; ++i) {
      const Skimmed answer = skim(channel, request_text("GET", path + query));
      if (answer.status != 200) std::exit(fail("the list was refused"));
      first.push_back(answer.first_byte_ms);
      whole.push_back(answer.ms);
      bytes = answer.bytes;
    }
    row(fmt::format("LIST of 10,000 Pods{} ({:.1f} MB)", query.empty() ? "" : ", 1 % selected",
                    static_cast<double>(bytes) / 1e6),
        fmt::format("first byte {:.1f}, whole {:.1f} ms, {:.1f} ms", summarise(first, 0).p50_ms,
                    summarise(whole, 0).p50_ms, (cpu_seconds(server) - before) * 1000 / 20),
        query.empty() ? "first byte under 10, whole under 60 ms" : "whole under 40 ms");
  }
}

void Bench::watches() {
  constexpr size_t kWatches = 2000;
  const long before = status_value(server, "VmRSS");
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct Client {
    Channel channel;
    std::string text;
  };
  std::vector<Client> clients(kWatches);
  for (Client& client : clients) {
    client.channel = load.dial();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &client;
    epoll_ctl(epoll, EPOLL_CTL_ADD, client.channel.fd(), &event);
    send(client.channel,
         request_text("GET", "/api/v1/namespaces/kube-public/configmaps?watch=true"));
  }
  usleep(2'000'000);
  const long rss = status_value(server, "VmRSS") - before;
  Channel writer = load.dial();
  std::vector<double> took;
  for (int round = 0; round < 20; ++round) {
    for (Client& client : clients) drain(client.channel), client.text.clear();
    const std::string name = fmt::format("fan-{}", ++number);
    const auto begin = Steady::now();
    send(writer,
         request_text("POST", "/api/v1/namespaces/kube-public/configmaps", config_map(name)));
    size_t complete = 0;
    epoll_event events[256];
    while (complete < kWatches) {
      const int count = epoll_wait(epoll, events, 256, 5000);
      if (count <= 0) std::exit(fail("a watch got nothing"));
      for (int i = 0; i < count; ++i) {
        auto& client = *static_cast<Client*>(events[i].data.ptr);
        const bool had = client.text.find(name) != std::string::npos;
        drain(client.channel, &client.text);
        complete += !had && client.text.find(name) != std::string::npos;
      }
    }
    took.push_back(ms_since(begin));
    usleep(50'000);
    drain(writer);
  }
  ::close(epoll);
  row(fmt::format("{} watches: event to the last", kWatches),
      fmt::format("p50 {:.1f} ms", summarise(took, 0).p50_ms), "under 40 ms");
  row("memory of a watch", fmt::format("{:.1f} KiB", static_cast<double>(rss) / kWatches),
      "under 16 KiB");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return fail("usage: bench_api ORCH [seconds per row]");
  raise_file_limit();
  std::signal(SIGPIPE, SIG_IGN);
  char pattern[] = "/var/tmp/orch-bench-XXXXXX";
  Bench bench{mkdtemp(pattern), argc > 2 ? std::atof(argv[2]) : 3.0};
  bench.start(argv[1]);
  row("what", "measured", "goal or limit");
  const std::pair<std::string, void (Bench::*)()> parts[] = {
      {"creates", &Bench::creates}, {"gets", &Bench::gets},   {"events", &Bench::events},
      {"patches", &Bench::patches}, {"lists", &Bench::lists}, {"watches", &Bench::watches}};
  for (const auto& [name, run] : parts) {
    if (argc < 4 || std::find(argv + 3, argv + argc, name) != argv + argc) (bench.*run)();
  }
  row("server's RSS at the end", fmt::format("{} MiB", status_value(bench.server, "VmRSS") / 1024),
      "");
  kill(bench.server, SIGTERM);
  waitpid(bench.server, nullptr, 0);
  std::filesystem::remove_all(bench.directory);
  return 0;
}
