// Histories through the etcd API of the real binary (ORCH_BINARY), which is killed with -9 in the
// middle and started again on the same data: what clients and a watch saw is held against the same
// checks as the store's own histories. ORCH_GRPC_LIVES: how many lives the server has.
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "orch/net/grpc.h"
#include "server/etcd/messages.h"
#include "unit/storage/linearizability.h"
#include "unit/storage/support.h"
#include "unit/storage/watch_rules.h"

extern char** environ;

namespace orch::storage::test {
namespace {

namespace etcd = server::etcd;

constexpr const char* kPrefix = "/history/";
constexpr const char* kPrefixEnd = "/history0";
constexpr int kClients = 6;

int64_t nanoseconds() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
void nap(int64_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

// `orch server` without an agent; its etcd API is a socket in the directory.
class Server {
 public:
  Server(std::string binary, std::string directory)
      : binary_(std::move(binary)), directory_(std::move(directory)) {}
  ~Server() { kill(); }

  std::string url() const { return "unix://" + directory_ + "/etcd.sock"; }
  std::string log() const { return directory_ + "/log"; }
  void start() {
    std::vector<std::string> arguments{binary_,
                                       "server",
                                       "--disable-agent",
                                       "--data-dir",
                                       directory_ + "/data",
                                       "--write-kubeconfig",
                                       directory_ + "/kubeconfig",
                                       "--bind-address",
                                       "127.0.0.1",
                                       "--https-listen-port",
                                       std::to_string(free_port()),
                                       "--etcd-listen-client-url",
                                       url()};
    std::vector<char*> raw;
    for (auto& argument : arguments) raw.push_back(argument.data());
    raw.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log().c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const int failed = posix_spawn(&pid_, binary_.c_str(), &actions, nullptr, raw.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE(failed == 0);
  }
  bool alive() const { return pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == 0; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  const std::string binary_, directory_;
  pid_t pid_ = -1;
};

std::shared_ptr<net::GrpcClient> connect(const std::string& url, const std::atomic<bool>& stop) {
  net::GrpcClientOptions options;
  options.url = url;
  while (!stop) {
    if (auto client = net::GrpcClient::connect(options)) return *client;
    nap(5);
  }
  return nullptr;
}

class Client {
 public:
  Client(std::string url, int id)
      : url_(std::move(url)), id_(id), random_(static_cast<unsigned>(id) + 1) {}

  void run(const std::atomic<bool>& stop) {
    auto connection = connect(url_, stop);
    while (connection && !stop) {
      step(*connection);
      if (!connection->usable()) connection = connect(url_, stop);
    }
  }
  // Reads all keys, as the last word.
  void read_all(net::GrpcClient& connection) {
    for (int key = 0; key < 5; ++key) get(connection, fmt::format("{}{}", kPrefix, key));
  }
  std::vector<OpRecord> records;

 private:
  template <class Response, class Request>
  Result<Response, net::GrpcStatus> call(net::GrpcClient& connection, const char* method,
                                         const Request& request) {
    ORCH_TRY(const std::string bytes, connection.call(std::string("/etcdserverpb.KV/") + method,
                                                      etcd::encode(request), Millis(20'000)));
    Response response;
    if (!etcd::decode(bytes, response)) std::abort();
    return response;
  }
  void step(net::GrpcClient& connection) {
    const std::string key = fmt::format("{}{}", kPrefix, random_() % 5);
    const auto kind = random_() % 10;
    if (kind < 3) return get(connection, key);
    write(connection, key, kind);
  }
  void get(net::GrpcClient& connection, const std::string& key) {
    OpRecord op;
    op.client = id_;
    op.key = key;
    etcd::RangeRequest request;
    request.key = key;
    op.called = nanoseconds();
    auto answer = call<etcd::RangeResponse>(connection, "Range", request);
    op.returned = nanoseconds();
    if (!answer) return;
    op.revision = answer->header.revision;
    seen_[key] = answer->kvs.empty() ? 0 : answer->kvs[0].mod_revision;
    if (!answer->kvs.empty()) op.value = text(answer->kvs[0].value);
    records.push_back(std::move(op));
  }
  void write(net::GrpcClient& connection, const std::string& key, unsigned long kind) {
    OpRecord op;
    op.client = id_;
    op.key = key;
    if (kind < 9) op.value = fmt::format("{}#{}", id_, ++count_);
    op.called = nanoseconds();
    std::optional<net::GrpcStatus> failed;
    if (kind < 5) {
      op.type = OpRecord::Type::kPut;
      etcd::PutRequest request;
      request.key = key;
      request.value = bytes(op.value);
      auto answer = call<etcd::PutResponse>(connection, "Put", request);
      if (answer) op.revision = answer->header.revision;
      if (!answer) failed = answer.error();
    } else if (kind < 9) {
      op.type = OpRecord::Type::kCas;
      op.expected = seen_[key];
      failed = cas(connection, op);
    } else {
      op.type = OpRecord::Type::kErase;
      etcd::DeleteRangeRequest request;
      request.key = key;
      auto answer = call<etcd::DeleteRangeResponse>(connection, "DeleteRange", request);
      if (answer) op.revision = answer->header.revision;
      if (answer) op.changed = answer->deleted > 0;
      if (!answer) failed = answer.error();
    }
    op.returned = nanoseconds();
    if (failed) {
      if (failed->code != net::GrpcCode::kUnavailable) std::abort();  // no such error is expected
      op.outcome = failed->unsent ? OpRecord::Outcome::kFailed : OpRecord::Outcome::kLost;
    } else if (op.outcome == OpRecord::Outcome::kOk) {
      seen_[key] = op.changed ? 0 : op.revision;
    }
    records.push_back(std::move(op));
  }
  std::optional<net::GrpcStatus> cas(net::GrpcClient& connection, OpRecord& op) {
    etcd::TxnRequest request;
    auto& compare = request.compare.emplace_back();
    compare.key = op.key;
    compare.target = 2;  // mod revision
    compare.mod_revision = op.expected;
    auto& put = request.success.emplace_back();
    put.has_put = true;
    put.put.key = op.key;
    put.put.value = bytes(op.value);
    auto answer = call<etcd::TxnResponse>(connection, "Txn", request);
    if (!answer) return answer.error();
    op.revision = answer->header.revision;
    if (!answer->succeeded) op.outcome = OpRecord::Outcome::kRefused;
    return std::nullopt;
  }

  const std::string url_;
  const int id_;
  std::mt19937 random_;
  std::map<std::string, Revision> seen_;
  int count_ = 0;
};

// Watches the prefix over all lives; each goes on after the last event of the one before.
class Watcher {
 public:
  void begin(net::GrpcClient& connection) {
    sink_ = std::make_shared<Sink>();
    sink_->record.key = kPrefix;
    sink_->record.range_end = kPrefixEnd;
    sink_->record.start = next_;
    stream_ = connection.open("/etcdserverpb.Watch/Watch", sink_, Millis(0));
    etcd::WatchRequest request;
    request.has_create = true;
    request.create.key = kPrefix;
    request.create.range_end = kPrefixEnd;
    request.create.start_revision = next_;
    request.create.prev_kv = true;
    stream_->send(etcd::encode(request));
  }
  // Waits for an event of `revision`; 20 s.
  bool wait(Revision revision) {
    for (int i = 0; i < 20'000; ++i) {
      {
        std::lock_guard lock(sink_->mutex);
        const auto& responses = sink_->record.responses;
        if (!responses.empty() && responses.back().through >= revision) return true;
      }
      nap(1);
    }
    return false;
  }
  void end() {
    if (!stream_) return;
    stream_->finish({net::GrpcCode::kCancelled, ""});
    stream_.reset();
    std::lock_guard lock(sink_->mutex);
    sink_->ended = true;
    if (!sink_->record.responses.empty()) next_ = sink_->record.responses.back().through + 1;
    records.push_back(std::move(sink_->record));
  }
  std::vector<WatchRecord> records;

 private:
  struct Sink final : net::GrpcHandler {
    std::mutex mutex;
    WatchRecord record;
    bool ended = false;
    void on_message(std::string message) override {
      etcd::WatchResponse answer;
      if (!etcd::decode(message, answer)) std::abort();
      if (answer.events.empty()) return;
      WatchResponse response;
      for (const etcd::Event& from : answer.events) {
        Event& event = response.events.emplace_back();
        event.type = from.type == 0 ? Event::Type::kPut : Event::Type::kDelete;
        event.kv = from.kv;
        if (from.has_prev_kv) event.prev_kv = from.prev_kv;
      }
      response.through = response.events.back().kv.mod_revision;
      std::lock_guard lock(mutex);
      if (!ended) record.responses.push_back(std::move(response));
    }
    void on_closed(const net::GrpcStatus&) override {}
  };
  Revision next_ = 1;
  std::shared_ptr<Sink> sink_;
  std::shared_ptr<net::GrpcStream> stream_;
};

// The server writes to the same store. Without its revisions the rest is the history of a store of
// its own: each revision becomes the number of changes below the prefix up to it.
class Renumber {
 public:
  explicit Renumber(const std::vector<Event>& events) {
    for (const Event& event : events) revisions_.push_back(event.kv.mod_revision);
  }
  Revision operator()(Revision revision) const {
    return 1 +
           (std::upper_bound(revisions_.begin(), revisions_.end(), revision) - revisions_.begin());
  }
  void apply(KeyValue& kv) const {
    if (!kv.key) return;
    kv.mod_revision = (*this)(kv.mod_revision);
    if (kv.create_revision > 0) kv.create_revision = (*this)(kv.create_revision);
  }
  void apply(Event& event) const {
    apply(event.kv);
    apply(event.prev_kv);
  }

 private:
  std::vector<Revision> revisions_;
};

// A call that the kill left without an answer has happened before it (the dead write nothing) or
// not at all: the events tell. Those that have are held to what all others are.
void settle(std::vector<OpRecord>& ops, const std::vector<Event>& events) {
  std::map<std::string, Revision> puts;                // by value
  std::map<std::string, std::set<Revision>> erasures;  // by key; those that nobody was told of
  for (const Event& event : events) {
    const Revision revision = event.kv.mod_revision;
    if (event.type == Event::Type::kPut) puts[text(event.kv.value)] = revision;
    if (event.type == Event::Type::kDelete) erasures[*event.kv.key].insert(revision);
  }
  std::vector<OpRecord*> lost;
  for (OpRecord& op : ops) {
    if (op.outcome == OpRecord::Outcome::kOk && op.changed) erasures[op.key].erase(op.revision);
    if (op.outcome == OpRecord::Outcome::kLost) lost.push_back(&op);
  }
  std::sort(lost.begin(), lost.end(),
            [](const OpRecord* a, const OpRecord* b) { return a->called < b->called; });
  for (OpRecord* op : lost) {
    if (op->type != OpRecord::Type::kErase) {
      const auto put = puts.find(op->value);
      if (put != puts.end()) op->revision = put->second;
    } else {
      // One of its own time: after all that was answered before it, before all that came after.
      Revision after = 0, before = INT64_MAX;
      for (const OpRecord& other : ops) {
        if (other.revision == 0) continue;
        if (other.returned < op->called) after = std::max(after, other.revision);
        if (other.called > op->returned) before = std::min(before, other.revision);
      }
      auto& own = erasures[op->key];
      const auto erasure = own.upper_bound(after);
      if (erasure != own.end() && *erasure <= before) {
        op->revision = *erasure;
        op->changed = true;
        own.erase(erasure);
      }
    }
    op->outcome = op->revision > 0 ? OpRecord::Outcome::kOk : OpRecord::Outcome::kFailed;
  }
}

struct Story {
  int64_t unanswered = 0;
  std::vector<OpRecord> ops;
  std::vector<Event> events;
  std::vector<WatchRecord> watches;
};

Story live(const std::string& binary, const std::string& directory, int lives) {
  Server server(binary, directory);
  std::vector<std::unique_ptr<Client>> clients;
  for (int id = 0; id < kClients; ++id)
    clients.push_back(std::make_unique<Client>(server.url(), id));
  Watcher watcher;
  std::mt19937 random(static_cast<unsigned>(lives));
  const std::atomic<bool> never{false};
  for (int life = 0; life < lives; ++life) {
    INFO("life " << life << ", log " << server.log());
    server.start();
    std::shared_ptr<net::GrpcClient> connection;
    for (int i = 0; i < 6000 && !connection; ++i) {
      REQUIRE(server.alive());
      net::GrpcClientOptions options;
      options.url = server.url();
      if (auto made = net::GrpcClient::connect(options)) connection = *made;
      if (!connection) nap(10);
    }
    REQUIRE(connection);
    watcher.begin(*connection);
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (auto& client : clients) {
      threads.emplace_back([&stop, client = client.get()] { client->run(stop); });
    }
    nap(20 + random() % 250);
    if (life + 1 < lives) server.kill();  // clients are in the middle of something
    stop = true;
    for (auto& thread : threads) thread.join();
    if (life + 1 == lives) {
      clients.front()->read_all(*connection);
      Revision last = 0;
      for (const auto& client : clients) {
        for (const OpRecord& op : client->records) {
          const bool wrote =
              op.type != OpRecord::Type::kGet && (op.type != OpRecord::Type::kErase || op.changed);
          if (wrote && op.outcome == OpRecord::Outcome::kOk) last = std::max(last, op.revision);
        }
      }
      CHECK(watcher.wait(last));
    }
    watcher.end();
  }
  Story story;
  story.watches = std::move(watcher.records);
  for (const WatchRecord& record : story.watches) {
    for (const WatchResponse& response : record.responses) {
      story.events.insert(story.events.end(), response.events.begin(), response.events.end());
    }
  }
  const Renumber renumber(story.events);
  for (WatchRecord& record : story.watches) {
    record.start = renumber(record.start - 1) + 1;
    for (WatchResponse& response : record.responses) {
      response.through = renumber(response.through);
      for (Event& event : response.events) renumber.apply(event);
    }
  }
  for (const auto& client : clients) {
    story.ops.insert(story.ops.end(), client->records.begin(), client->records.end());
  }
  story.unanswered = std::count_if(story.ops.begin(), story.ops.end(), [](const OpRecord& op) {
    return op.outcome == OpRecord::Outcome::kLost;
  });
  settle(story.ops, story.events);
  for (Event& event : story.events) renumber.apply(event);
  for (OpRecord& op : story.ops) {
    op.revision = renumber(op.revision);
    if (op.expected > 0) op.expected = renumber(op.expected);
  }
  return story;
}

std::vector<std::string> broken(const Story& story) {
  std::vector<std::string> all = check_history(story.ops, story.events);
  const Verdict verdict = check_linearizable(story.ops);
  if (!verdict.decided) all.push_back("linearizability: given up");
  if (verdict.decided && !verdict.linearizable) {
    all.push_back("not linearizable: stuck at " + verdict.stuck_at);
  }
  for (const WatchRecord& record : story.watches) {
    for (auto& line : check_watch(record, story.events)) all.push_back("watch: " + line);
  }
  return all;
}

TEST_CASE("histories through gRPC are linearizable over kill -9", "[history][grpc]") {
  const char* binary = std::getenv("ORCH_BINARY");
  REQUIRE(binary != nullptr);
  const char* wanted = std::getenv("ORCH_GRPC_LIVES");
  const int lives = wanted ? std::atoi(wanted) : 4;
  TempDir dir;
  const Story story = live(binary, dir.path(), lives);
  WARN(lives << " lives, " << story.ops.size() << " operations, " << story.unanswered
             << " of them unanswered, " << story.events.size() << " events");
  const auto lines = broken(story);
  for (size_t i = 0; i < std::min<size_t>(lines.size(), 10); ++i) UNSCOPED_INFO(lines[i]);
  REQUIRE(lines.empty());
  REQUIRE(story.events.size() > 20);
  // And it would notice.
  Story other = story;
  other.events.erase(other.events.begin() + 10);
  CHECK(!broken(other).empty());
  other = story;
  auto& responses = other.watches.front().responses;
  REQUIRE(!responses.empty());
  responses.insert(responses.begin(), responses.front());
  CHECK(!broken(other).empty());
  other = story;
  for (OpRecord& op : other.ops) {
    if (op.type == OpRecord::Type::kGet && !op.value.empty()) op.value = "never written";
  }
  CHECK(!broken(other).empty());
}

}  // namespace
}  // namespace orch::storage::test
