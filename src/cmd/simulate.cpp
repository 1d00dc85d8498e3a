// `orch simulate`: flags into the simulation's config, its report onto stdout.
#include <fmt/format.h>

#include <cstdio>

#include "cmd/commands.h"
#include "cmd/options.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/sim/simulate.h"

namespace orch::cmd {
namespace {

// A count given as text, as the other options are.
Result<Unit, std::string> count(std::string_view flag, const std::string& text, int64_t least,
                                int64_t most, uint32_t& out) {
  const auto number = parse_int(text);
  if (!number || *number < least || *number > most) {
    return Err(fmt::format("--{}: \"{}\" is not a number from {} to {}", flag, text, least, most));
  }
  out = static_cast<uint32_t>(*number);
  return Unit{};
}

}  // namespace

int simulate_command(int argc, char** argv) {
  sim::SimulateConfig config;
  std::string nodes = "0", pods = "0", rate = "1000", seed = "1";
  Options options("orch simulate",
                  "Runs a cluster of hollow nodes in virtual time and reports what fits where.");
  options.add("nodes", nodes, "Nodes to make, beside those of the files");
  options.add("pods", pods, "Pods to make, in Deployments, beside what the files say");
  options.add("filename", config.files, "YAML of Nodes, Deployments and other objects; also -f");
  options.add("node-cpu", config.node_cpu, "CPU of each node made");
  options.add("node-memory", config.node_memory, "Memory of each node made");
  options.add("node-pods", config.node_pods, "Pods that each node made takes");
  options.add("pod-cpu", config.pod_cpu, "CPU that each pod made requests");
  options.add("pod-memory", config.pod_memory, "Memory that each pod made requests");
  options.add("rate", rate, "Pods a second, of virtual time, that are made");
  options.add("seed", seed, "The same seed gives the same run");
  std::vector<char*> arguments(argv, argv + argc);
  std::string filename = "--filename";
  for (char*& argument : arguments) {
    if (std::string_view(argument) == "-f") argument = filename.data();  // as kubectl has it
  }
  if (auto parsed = options.parse(argc, arguments.data()); !parsed) {
    std::fputs(parsed.error().text.c_str(), parsed.error().code == 0 ? stdout : stderr);
    return parsed.error().code;
  }
  uint32_t seed_number = 0;
  for (auto checked : {count("nodes", nodes, 0, 50'000, config.nodes),
                       count("pods", pods, 0, 2'000'000, config.pods),
                       count("rate", rate, 1, 100'000, config.rate),
                       count("seed", seed, 0, UINT32_MAX, seed_number)}) {
    if (checked) continue;
    fmt::print(stderr, "error: {}\n", checked.error());
    return 2;
  }
  config.seed = seed_number;
  log::set_level(log::Level::kError);
  auto report = sim::simulate(config);
  if (!report) {
    fmt::print(stderr, "error: {}\n", report.error());
    return 1;
  }
  fmt::print("{}", *report);
  return 0;
}

}  // namespace orch::cmd
