// The verb table. By another name (a symlink) the executable is its own CNI plugin or `orch ctl`.
#include <cstdio>
#include <string_view>

#include "cmd/commands.h"
#include "orch/ctl/ctl.h"
#include "orch/net/cni.h"

namespace {

using namespace orch;

struct Verb {
  std::string_view name;
  int (*run)(int argc, char** argv);
  std::string_view about;
};

constexpr Verb kVerbs[] = {
    {"server", cmd::server_command, "run the control plane and, by default, an agent"},
    {"agent", cmd::agent_command, "join this machine to a cluster and run its pods"},
    {"ctl", ctl::ctl_main, "the command line: get, apply, logs, exec ... (see orch ctl --help)"},
    {"snapshot", cmd::snapshot_command, "save, list, restore and prune backups of the store"},
    {"secrets", cmd::secrets_command, "encryption of Secrets in the store"},
    {"certificate", cmd::certificate_command, "check or rotate certificates and authorities"},
    {"token", cmd::token_command, "make, list, delete or rotate tokens for joining"},
    {"simulate", cmd::simulate_command,
     "ask a cluster of hollow nodes what fits where, and how fast"},
    {"check", cmd::check_command, "look at this node as the CIS Kubernetes Benchmark does"},
    {"killall", cmd::killall_command, "stop everything orch made on this machine; data stays"},
    {"uninstall", cmd::uninstall_command, "killall, then delete all data"},
};

void print_usage(std::FILE* to) {
  std::fputs("orch: Kubernetes in one small binary\n\nUsage: orch VERB [flags]\n\nVerbs:\n", to);
  for (const Verb& verb : kVerbs) {
    std::fprintf(to, "  %-10.*s %.*s\n", static_cast<int>(verb.name.size()), verb.name.data(),
                 static_cast<int>(verb.about.size()), verb.about.data());
  }
  std::fputs("  version    print the version\n\n`orch VERB --help` lists a verb's flags.\n", to);
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view self = argc > 0 ? argv[0] : "orch";
  self.remove_prefix(self.rfind('/') == std::string_view::npos ? 0 : self.rfind('/') + 1);
  if (self == net::kCniPluginName || self == net::kCniLoopbackName) return net::cni_main();
  if (self == "ctl" || self == "kubectl") return ctl::ctl_main(argc, argv);

  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) return verb.run(argc - 1, argv + 1);
  }
  if (name == "version" || name == "--version") {
    std::puts("orch " ORCH_VERSION " (Kubernetes v1.32)");
    return 0;
  }
  if (name == "help" || name == "--help" || name == "-h") {
    print_usage(stdout);
    return 0;
  }
  if (!name.empty()) std::fprintf(stderr, "error: unknown verb \"%s\"\n\n", argv[1]);
  print_usage(stderr);
  return 2;
}
