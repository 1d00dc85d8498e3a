#include "unit/storage/promises.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "unit/storage/linearizability.h"

namespace orch::storage::test {

Life live(KvStore& store, int clients, int each, const std::function<void()>& disturb,
          unsigned seed, bool all_durable) {
  Life life;
  life.first = store.revision();
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<Watcher>> watchers;
  const auto add = [&](std::string key, std::string end, Revision start, Watcher::Habits habits) {
    watchers.push_back(
        std::make_unique<Watcher>(store, std::move(key), std::move(end), start, habits));
  };
  const std::string all(1, '\0');
  add(all, all, life.first + 1, {});
  add("/k/", "/k0", life.first + 1, {.responses = 40});
  add("/k/", "/k0", 0, {.slow = true});
  add("/k/2", "", 0, {.asks_progress = true});
  add("/k/1", "/k/4", life.first + 1, {.responses = 15, .slow = true, .asks_progress = true});
  life.run = run_clients(
      store, clients, each,
      [&] {
        disturb();
        for (auto& watcher : watchers) watcher->tend();
        // Readers of the past, begun in the middle of it all.
        if (watchers.size() < 12 && store.revision() > life.first + 20) {
          const Revision oldest = std::max(store.compact_revision() + 1, life.first + 1);
          const auto span = static_cast<unsigned>(store.revision() - oldest + 1);
          add(random() % 2 ? "/k/" : "/v/", random() % 2 ? "/k0" : "/w", oldest + random() % span,
              {.responses = 60});
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      },
      all_durable);
  for (auto& watcher : watchers) {
    for (auto& record : watcher->finish(store.revision())) {
      life.watches.push_back(std::move(record));
    }
  }
  life.compacted = store.compact_revision();
  return life;
}

std::vector<std::string> broken_promises(const Life& life) {
  std::vector<std::string> broken;
  const Verdict verdict = check_linearizable(life.run.ops, life.first);
  if (!verdict.decided) broken.push_back("linearizability: given up");
  if (!verdict.linearizable && verdict.decided) {
    broken.push_back("not linearizable: stuck at " + verdict.stuck_at);
  }
  if (life.first == 1) {
    for (auto& line : check_history(life.run.ops, life.run.events)) broken.push_back(line);
  }
  for (size_t i = 0; i < life.watches.size(); ++i) {
    for (const auto& line : check_watch(life.watches[i], life.run.events, life.compacted)) {
      broken.push_back(fmt::format("watch {} of {} from {}: {}", i, life.watches[i].key,
                                   life.watches[i].start, line));
    }
  }
  return broken;
}

}  // namespace orch::storage::test
