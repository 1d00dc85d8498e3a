// orch_sim: runs the simulated cluster with seeds and checks what must hold.
//   orch_sim --seed N [--verbose]        one run; --verbose: its whole journal
//   orch_sim --seeds FROM-TO             many; every tenth of them twice, to be the same
//   orch_sim --mutants                   every broken behaviour must be caught
//   orch_sim --capacity NODES --pods N   as `orch simulate`: all pods must get their node
//   --steps N, --nodes N, --mutant NAME  as said
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/sim/simulate.h"
#include "sim/mutants.h"
#include "sim/world.h"

namespace orch::sim {
namespace {

struct Arguments {
  WorldOptions world;
  uint64_t from = 0, to = 0;
  uint32_t capacity = 0, pods = 0;
  bool all_mutants = false;
};

Outcome run_once(const WorldOptions& options) {
  World world(options);
  return world.run();
}

// Once, and if asked for again: it must be the same run.
Outcome run(const WorldOptions& options, bool twice) {
  Outcome out = run_once(options);
  if (out.violation || !twice) return out;
  const Outcome again = run_once(options);
  if (again.hash != out.hash) {
    out.violation =
        Violation{"deterministic", fmt::format("hash {:016x}, then {:016x}", out.hash, again.hash)};
  }
  return out;
}

std::string command(const WorldOptions& o) {
  std::string out =
      fmt::format("orch_sim --seed {} --steps {} --nodes {}", o.seed, o.steps, o.nodes);
  if (!o.mutant.empty()) out += " --mutant " + o.mutant;
  return out;
}

void report(const WorldOptions& options, const Outcome& outcome) {
  for (const auto& line : outcome.tail) fmt::print("{}\n", line);
  fmt::print("\nFAILED {}: {}\nreplay with: {} --verbose\n", outcome.violation->invariant,
             outcome.violation->what, command(options));
}

int run_seed(const WorldOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = run(options, !options.echo);
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (outcome.violation) {
    report(options, outcome);
    return 1;
  }
  fmt::print("seed {}: hash {:016x}, {} entries, {} tasks, {} virtual seconds, {:.2f} s\n",
             options.seed, outcome.hash, outcome.entries, outcome.tasks,
             outcome.virtual_time.count() / 1'000'000, took);
  return 0;
}

int run_seeds(const Arguments& arguments) {
  int failed = 0;
  for (uint64_t seed = arguments.from; seed <= arguments.to; ++seed) {
    WorldOptions options = arguments.world;
    options.seed = seed;
    const Outcome outcome = run(options, seed % 10 == 0);
    if (!outcome.violation) continue;
    ++failed;
    report(options, outcome);
    std::fflush(stdout);
  }
  fmt::print("seeds {} to {}: {} failed\n", arguments.from, arguments.to, failed);
  return failed == 0 ? 0 : 1;
}

// A mutant is caught when one of a few seeds shows the violation it is known for.
int run_mutants(const Arguments& arguments) {
  constexpr uint64_t kSeeds = 12;
  int missed = 0;
  for (const Mutant& mutant : mutants()) {
    std::string seen;
    for (uint64_t seed = 1; seed <= kSeeds && seen != mutant.caught_by; ++seed) {
      WorldOptions options = arguments.world;
      options.seed = seed;
      options.mutant = mutant.name;
      const Outcome outcome = run(options, mutant.caught_by == "deterministic");
      if (outcome.violation) seen = outcome.violation->invariant;
    }
    const bool caught = seen == mutant.caught_by;
    missed += !caught;
    fmt::print("{:<20} {:<10} {}\n", mutant.name, caught ? "caught" : "MISSED",
               caught ? mutant.caught_by : "seen: " + (seen.empty() ? "nothing" : seen));
    std::fflush(stdout);
  }
  return missed == 0 ? 0 : 1;
}

int run_capacity(const Arguments& arguments) {
  SimulateConfig config;
  config.nodes = arguments.capacity;
  config.pods = arguments.pods;
  const auto text = simulate(config);
  if (!text) {
    fmt::print("FAILED: {}\n", text.error());
    return 1;
  }
  fmt::print("{}", *text);
  const bool all = text->find(fmt::format("{} running", config.pods)) != std::string::npos;
  if (!all) fmt::print("FAILED: not all of {} pods run\n", config.pods);
  return all ? 0 : 1;
}

int usage(const std::string& why) {
  fmt::print(stderr,
             "orch_sim: {}\nusage: orch_sim (--seed N | --seeds FROM-TO | --mutants | --capacity "
             "NODES --pods N) [--steps N] [--nodes N] [--mutant NAME] [--verbose]\n",
             why);
  return 2;
}

}  // namespace

int sim_main(int argc, char** argv) {
  Arguments arguments;
  log::set_level(log::Level::kOff);
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--verbose") {
      arguments.world.echo = true;
      log::set_level(log::Level::kDebug);
      continue;
    }
    if (flag == "--mutants") {
      arguments.all_mutants = true;
      continue;
    }
    if (++i == argc) return usage(flag + " needs a value");
    const std::string value = argv[i];
    if (flag == "--mutant") {
      arguments.world.mutant = value;
      continue;
    }
    const size_t dash = value.find('-');
    const auto first = parse_int(value.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_int(value.substr(dash + 1));
    if (!first || !last || *first < 0) return usage(flag + ": not a number: " + value);
    if (flag == "--seed") {
      arguments.world.seed = static_cast<uint64_t>(*first);
    } else if (flag == "--seeds") {
      arguments.from = static_cast<uint64_t>(*first);
      arguments.to = static_cast<uint64_t>(*last);
    } else if (flag == "--steps") {
      arguments.world.steps = static_cast<int>(*first);
    } else if (flag == "--capacity") {
      arguments.capacity = static_cast<uint32_t>(*first);
    } else if (flag == "--pods") {
      arguments.pods = static_cast<uint32_t>(*first);
    } else if (flag == "--nodes" && *first > 0) {
      arguments.world.nodes = static_cast<int>(*first);
    } else {
      return usage("unknown flag " + flag);
    }
  }
  if (arguments.capacity > 0) return run_capacity(arguments);
  if (arguments.all_mutants) return run_mutants(arguments);
  if (arguments.to > 0) return run_seeds(arguments);
  return run_seed(arguments.world);
}

}  // namespace orch::sim

int main(int argc, char** argv) { return orch::sim::sim_main(argc, argv); }
