#include "unit/storage/clients.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <thread>

namespace orch::storage::test {
namespace {

int64_t nanoseconds() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

class Client {
 public:
  Client(KvStore& store, int id, const std::string& prefix)
      : store_(store), id_(id), prefix_(prefix), random_(static_cast<unsigned>(id) + 1) {}

  void run(int count) {
    for (int i = 0; i < count; ++i) step(i);
  }
  std::vector<OpRecord> records;

 private:
  void step(int i) {
    OpRecord op;
    op.client = id_;
    op.key = fmt::format("{}{}", prefix_, random_() % 5);
    op.called = nanoseconds();
    const auto kind = random_() % 10;
    if (kind < 3) {
      get(op);
    } else {
      write(op, kind, fmt::format("{}#{}", id_, i));
    }
    op.returned = nanoseconds();
    // The last value seen; what a lost write did is not known.
    if (op.type == OpRecord::Type::kGet || op.outcome == OpRecord::Outcome::kOk) {
      seen_[op.key] = op.type == OpRecord::Type::kGet ? mod_ : op.changed ? 0 : op.revision;
    }
    records.push_back(std::move(op));
  }
  void get(OpRecord& op) {
    auto response = store_.range(key_at(op.key));
    if (!response) std::abort();
    op.revision = response->revision;
    mod_ = response->kvs.empty() ? 0 : response->kvs[0].mod_revision;
    if (!response->kvs.empty()) op.value = *response->kvs[0].value;
  }
  void write(OpRecord& op, unsigned long kind, std::string value) {
    TxnRequest request;
    if (kind < 5) {
      op.type = OpRecord::Type::kPut;
      request.success.push_back(Op::put(op.key, bytes(value)));
    } else if (kind < 9) {
      op.type = OpRecord::Type::kCas;
      op.expected = seen_[op.key];
      request = put_if_mod(op.key, op.expected, value);
    } else {
      op.type = OpRecord::Type::kErase;
      request.success.push_back(Op::erase(op.key));
    }
    if (op.type != OpRecord::Type::kErase) op.value = std::move(value);
    auto response = store_.txn(request);
    if (!response) {
      const bool refused = response.error().code == ErrorCode::kNoSpace;
      op.outcome = refused ? OpRecord::Outcome::kFailed : OpRecord::Outcome::kLost;
      return;
    }
    op.revision = response->revision;
    op.changed = op.type == OpRecord::Type::kErase && response->results[0].deleted > 0;
    if (!response->succeeded) op.outcome = OpRecord::Outcome::kRefused;
  }

  KvStore& store_;
  const int id_;
  const std::string prefix_;
  std::mt19937 random_;
  std::map<std::string, Revision> seen_;
  Revision mod_ = 0;
};

}  // namespace

Run run_clients(KvStore& store, int clients, int each, const std::function<void()>& disturb,
                bool all_durable) {
  auto sink = std::make_shared<Recorder>();
  auto handle = store.watch(std::string(1, '\0'), std::string(1, '\0'), 0, sink);
  REQUIRE(handle);
  std::vector<std::unique_ptr<Client>> all;
  std::vector<std::thread> threads;
  std::atomic<int> running{clients};
  for (int c = 0; c < clients; ++c) {
    const bool is_volatile = c % 4 == 3 && !all_durable;
    all.push_back(std::make_unique<Client>(store, c, is_volatile ? "/v/" : "/k/"));
    threads.emplace_back([&running, each, client = all.back().get()] {
      client->run(each);
      --running;
    });
  }
  while (running > 0) disturb();
  for (auto& thread : threads) thread.join();
  (*handle)->request_progress();
  REQUIRE(sink->wait_progress(1));
  Run run;
  run.events = sink->events();
  for (const auto& client : all) {
    run.ops.insert(run.ops.end(), client->records.begin(), client->records.end());
  }
  return run;
}

}  // namespace orch::storage::test
