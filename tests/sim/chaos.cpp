#include "sim/chaos.h"

#include <fmt/format.h>

#include "sim/world.h"

namespace orch::sim {

void Chaos::weather() {
  WireFaults& f = world_.wire.faults;
  f = {};
  if (world_.choose(4) == 0) {
    world_.journal.add("fault: the network is well");
    return;
  }
  f.refused = static_cast<unsigned>(world_.choose(600));
  f.conflicts = static_cast<unsigned>(world_.choose(800));
  f.lost = static_cast<unsigned>(world_.choose(100));
  f.unanswered = static_cast<unsigned>(world_.choose(200));
  f.watch_drops = static_cast<unsigned>(world_.choose(300));
  f.watch_gone = static_cast<unsigned>(world_.choose(100));
  world_.journal.add("fault: the network is bad");
}

void Chaos::harm_node() {
  const auto names = world_.nodes->names();
  const std::string& node = names[world_.choose(names.size())];
  if (harmed_.contains(node)) return restore(node);
  if (harmed_.size() >= 2) return restore(harmed_.begin()->first);
  switch (world_.choose(3)) {
    case 0:
      world_.journal.add("fault: power off " + node);
      world_.nodes->power_off(node);
      harmed_[node] = Harm::kOff;
      // Sometimes somebody takes it for dead.
      if (world_.choose(3) == 0) (void)world_.send("delete", "nodes", "", node);
      break;
    case 1:
      world_.journal.add("fault: partition " + node);
      world_.nodes->partition(node);
      harmed_[node] = Harm::kPartitioned;
      break;
    default:
      world_.journal.add("fault: slow " + node);
      world_.nodes->slow_down(node, 5);
      harmed_[node] = Harm::kSlow;
  }
  // Long enough for it to be noticed, or not.
  world_.let_pass(Seconds{static_cast<int64_t>(world_.choose(80))});
}

void Chaos::restore(const std::string& node) {
  world_.journal.add("fault over: " + node);
  if (harmed_.at(node) == Harm::kSlow) {
    world_.nodes->slow_down(node, 1);
  } else {
    world_.nodes->restore(node);
  }
  harmed_.erase(node);
}

void Chaos::step() {
  switch (world_.choose(10)) {
    case 0:
    case 1:
    case 2:
      return weather();
    case 3:
    case 4:
      return harm_node();
    case 5:
    case 6: {
      const char* component =
          world_.choose(2) == 0 ? ControlPlane::kControllers : ControlPlane::kScheduler;
      world_.journal.add(fmt::format("fault: {} crash", component));
      world_.plane->crash(component);
      world_.let_pass(Millis{static_cast<int64_t>(world_.choose(20'000))});
      world_.plane->restart(component);
      return;
    }
    case 7:
    case 8: {
      auto& store = world_.plane->store();
      world_.journal.add("fault: compaction");
      (void)store.compact(store.revision());
      return;
    }
    default: {
      const auto by = Seconds{static_cast<int64_t>(world_.choose(120)) - 60};
      world_.journal.add(fmt::format("fault: the clock steps {} s", by.count()));
      world_.clock.step_wall(by);
    }
  }
}

void Chaos::end() {
  world_.wire.faults = {};
  while (!harmed_.empty()) restore(harmed_.begin()->first);
  for (const char* component : {ControlPlane::kControllers, ControlPlane::kScheduler}) {
    world_.plane->restart(component);
  }
  world_.nodes->behave();
  world_.journal.add("faults are over");
}

}  // namespace orch::sim
