#include "orch/ctl/ctl.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>

#include "ctl/session.h"

namespace orch::ctl {

#define ORCH_VERB(name) Verb name##_verb();
#include "ctl/verbs/verbs.def"
#undef ORCH_VERB

namespace {

std::vector<Verb> all_verbs() {
  return {
#define ORCH_VERB(name) name##_verb(),
#include "ctl/verbs/verbs.def"
#undef ORCH_VERB
  };
}

std::vector<Flag> global_flags() {
  using Kind = Flag::Kind;
  return {{"kubeconfig", 0, Kind::kText, "",
           "the file with servers and credentials (default $KUBECONFIG, ~/.kube/config, "
           "/etc/orch/orch.yaml)"},
          {"namespace", 'n', Kind::kText, "", "the namespace to work in"},
          {"context", 0, Kind::kText, "", "the kubeconfig's context to use"},
          {"cluster", 0, Kind::kText, "", "the kubeconfig's cluster to use"},
          {"user", 0, Kind::kText, "", "the kubeconfig's user to use"},
          {"server", 's', Kind::kText, "", "the API server, https://HOST:PORT"},
          {"certificate-authority", 0, Kind::kText, "", "file with the server's CA"},
          {"client-certificate", 0, Kind::kText, "", "file with the client's certificate"},
          {"client-key", 0, Kind::kText, "", "file with the client's key"},
          {"tls-server-name", 0, Kind::kText, "", "the name to expect in its certificate"},
          {"as", 0, Kind::kText, "", "the user to act as"},
          {"as-group", 0, Kind::kList, "", "the groups to act as"},
          {"as-uid", 0, Kind::kText, "", "the uid to act as"},
          {"token", 0, Kind::kText, "", "a bearer token for the API server"},
          {"insecure-skip-tls-verify", 0, Kind::kBool, "false",
           "do not check the server's certificate"},
          {"request-timeout", 0, Kind::kText, "0", "how long one request may take, 0 = no limit"},
          {"help", 'h', Kind::kBool, "false", "show this"}};
}

void print_flags(const std::vector<Flag>& flags) {
  for (const Flag& flag : flags) {
    const std::string letter = flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : "    ";
    const bool shows_value = !flag.default_value.empty() && flag.default_value != "false";
    fmt::print("  {}--{}{}\n        {}\n", letter, flag.name,
               shows_value                      ? fmt::format("={}", flag.default_value)
               : flag.kind == Flag::Kind::kBool ? ""
                                                : "=...",
               flag.help);
  }
}

void print_overview(const std::string& program) {
  fmt::print("{} controls a Kubernetes cluster.\n\nVerbs:\n", program);
  for (const Verb& verb : all_verbs()) {
    if (!verb.about.empty()) fmt::print("  {:<15} {}\n", verb.name, verb.about);
  }
  fmt::print("\nGlobal flags:\n");
  print_flags(global_flags());
  fmt::print("\n`{} VERB --help` shows a verb's flags.\n", program);
}

void print_verb_help(const Verb& verb, const std::string& program) {
  fmt::print("{}.\n\nUsage:\n  {} {}\n", verb.about, program, verb.usage);
  if (!verb.flags.empty()) fmt::print("\nFlags:\n");
  print_flags(verb.flags);
  fmt::print("\nGlobal flags:\n");
  print_flags(global_flags());
}

// The place of the verb among the arguments, after global flags; args.size() = there is none.
size_t find_verb(const std::vector<std::string>& args) {
  const std::vector<Flag> globals = global_flags();
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg.empty() || arg[0] != '-') return i;
    for (const Flag& flag : globals) {
      const bool takes_next = flag.kind != Flag::Kind::kBool &&
                              (arg == fmt::format("--{}", flag.name) ||
                               (flag.letter != 0 && arg == fmt::format("-{}", flag.letter)));
      if (takes_next) ++i;
    }
  }
  return args.size();
}

Outcome<int> run_verb(const Verb& verb, const std::vector<std::string>& args,
                      const std::string& program) {
  // A verb's own flag hides the global one of its name: --user of `create rolebinding`.
  std::vector<std::string> words = args;
  if (verb.about.empty()) words.insert(words.begin(), "--");  // its words are another command line
  ORCH_TRY(Flags flags, Flags::parse(verb.flags + global_flags(), words,
                                     fmt::format("{} {}", program, verb.name)));
  if (flags.on("help")) {
    print_verb_help(verb, program);
    return 0;
  }
  Session session(std::move(flags), program);
  for (const Flag& flag : verb.flags) {
    for (std::string_view hidden : {"cluster", "user"}) {
      if (flag.name == hidden) session.own_flags.push_back(hidden);
    }
  }
  return verb.run(session);
}

int finish(int exit_code) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::perror("error: standard output");
    return 1;
  }
  return exit_code;
}

}  // namespace

int ctl_main(int argc, char** argv) {
  std::string_view self = argc > 0 ? argv[0] : "ctl";
  self.remove_prefix(self.rfind('/') == std::string_view::npos ? 0 : self.rfind('/') + 1);
  const std::string program = self == "kubectl" ? "kubectl" : "orch ctl";
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  std::signal(SIGPIPE, SIG_DFL);

  const size_t at = find_verb(args);
  if (at == args.size()) {
    auto flags = Flags::parse(global_flags(), args, program);
    if (!flags) {
      print_failure(flags.error());
      return 1;
    }
    print_overview(program);
    return finish(0);
  }
  const std::string name = args[at];
  args.erase(args.begin() + static_cast<long>(at));
  if (name == "help") {
    print_overview(program);
    return finish(0);
  }
  for (const Verb& verb : all_verbs()) {
    if (verb.name != name) continue;
    auto code = run_verb(verb, args, program);
    if (code) return finish(*code);
    print_failure(code.error());
    finish(0);
    return code.error().exit_code;
  }
  fmt::print(stderr, "error: unknown command \"{}\" for \"{}\"\nRun '{} --help' for usage.\n", name,
             program, program);
  return 1;
}

}  // namespace orch::ctl
