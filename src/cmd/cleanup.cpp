// `orch killall` and `orch uninstall`: take away what orch made on this machine.
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "cmd/commands.h"
#include "cmd/options.h"
#include "orch/agent/agent.h"

namespace orch::cmd {
namespace {

int print_errors(const std::vector<std::string>& errors) {
  for (const auto& error : errors) fmt::print(stderr, "error: {}\n", error);
  return errors.empty() ? 0 : 1;
}

}  // namespace

int killall_command(int argc, char** argv) {
  std::string data_dir = "/var/lib/orch";
  Options options("orch killall",
                  "Stops orch of this data dir and removes its containers, mounts, links, tables "
                  "and cgroups. The data stays.");
  options.add("data-dir", data_dir, "The data dir it ran with");
  options.share_file();
  if (auto parsed = options.parse(argc, argv); !parsed) {
    std::fputs(parsed.error().text.c_str(), parsed.error().code == 0 ? stdout : stderr);
    return parsed.error().code;
  }
  return print_errors(agent::kill_all(data_dir));
}

int uninstall_command(int argc, char** argv) {
  std::string data_dir = "/var/lib/orch";
  std::string kubeconfig = "/etc/orch/orch.yaml";
  Options options("orch uninstall", "Does what `orch killall` does, then deletes all data.");
  options.add("data-dir", data_dir, "The data dir it ran with; deleted");
  options.add("write-kubeconfig", kubeconfig, "The admin kubeconfig; deleted");
  options.share_file();
  if (auto parsed = options.parse(argc, argv); !parsed) {
    std::fputs(parsed.error().text.c_str(), parsed.error().code == 0 ? stdout : stderr);
    return parsed.error().code;
  }
  auto errors = agent::kill_all(data_dir);
  if (errors.empty()) {
    std::error_code failed;
    std::filesystem::remove_all(data_dir, failed);
    if (failed) errors.push_back(data_dir + ": " + failed.message());
    std::filesystem::remove(kubeconfig, failed);
    if (failed) errors.push_back(kubeconfig + ": " + failed.message());
  }
  return print_errors(errors);
}

}  // namespace orch::cmd
