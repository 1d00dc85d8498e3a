// exec: a command in a container, with this terminal if wanted.
#include <fmt/format.h>
#include <unistd.h>

#include "ctl/pods.h"
#include "ctl/remote_command.h"
#include "ctl/session.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<int> run(Session& session) {
  const Flags& flags = session.flags;
  const auto& args = flags.args();
  if (args.empty()) return Err(error("pod, type/name or --filename must be specified"));
  if (args.size() < 2) {
    return Err(error("you must specify at least one command for the container"));
  }
  if (flags.dash_at() && *flags.dash_at() == 0) {
    return Err(error("pod, type/name or --filename must be specified"));
  }
  if (!flags.dash_at() || *flags.dash_at() > 1) {
    return Err(
        error(fmt::format("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- "
                          "[COMMAND] instead\nSee '{} exec -h' for help and examples",
                          session.program)));
  }
  const bool quiet = flags.on("quiet");
  ORCH_TRY(const JsonValue pod, pick_pod(session, args[0]));
  const std::string phase = pod.at("status.phase").text();
  if (phase == "Succeeded" || phase == "Failed") {
    return Err(
        error(fmt::format("cannot exec into a container in a completed pod; current phase "
                          "is {}",
                          phase)));
  }
  ORCH_TRY(const std::string container, pick_container(pod, flags.text("container"), quiet));
  RemoteStreams streams{flags.on("stdin"), flags.on("tty") && flags.on("stdin")};
  if (streams.tty && isatty(STDIN_FILENO) == 0) {
    streams.tty = false;
    if (!quiet) {
      fmt::print(stderr,
                 "Unable to use a TTY - input is not a terminal or the right kind of "
                 "file\n");
    }
  }
  std::vector<std::pair<std::string, std::string>> query{{"container", container}};
  for (size_t i = 1; i < args.size(); ++i) query.emplace_back("command", args[i]);
  query.emplace_back("stdin", streams.stdin_ ? "true" : "");
  query.emplace_back("stdout", "true");
  query.emplace_back("stderr", streams.tty ? "" : "true");  // a terminal has one output
  query.emplace_back("tty", streams.tty ? "true" : "");
  ORCH_TRY(ApiClient * client, session.api());
  const std::string target = fmt::format(
      "/api/v1/namespaces/{}/pods/{}/exec{}", net::url_encode(pod.at("metadata.namespace").text()),
      net::url_encode(pod.at("metadata.name").text()), query_text(query));
  ORCH_TRY(const int exit_code, run_remote(*client, target, streams));
  if (exit_code != 0) fmt::print(stderr, "command terminated with exit code {}\n", exit_code);
  return exit_code;
}

}  // namespace

Verb exec_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"stdin", 'i', Kind::kBool, "false", "send standard input to the command"},
      {"tty", 't', Kind::kBool, "false", "give the command a terminal"},
      {"container", 'c', Kind::kText, "", "the container; default: the pod's first"},
      {"quiet", 'q', Kind::kBool, "false", "only the command's own output"}};
  return {"exec", "Run a command in a container", "exec (POD | TYPE/NAME) [-c NAME] -- COMMAND...",
          flags, run};
}

}  // namespace orch::ctl
