// attach: this terminal at a running container's own process.
#include <fmt/format.h>

#include "ctl/attaching.h"
#include "ctl/pods.h"
#include "ctl/write.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<int> run(Session& session) {
  const Flags& flags = session.flags;
  const auto& args = flags.args();
  if (args.empty() || args.size() > 2) {
    return Err(usage_error(session, "attach",
                           args.empty() ? "at least 1 argument is required for attach"
                                        : fmt::format("expected POD, TYPE/NAME, or TYPE NAME, (at "
                                                      "most 2 arguments) saw {}",
                                                      args.size())));
  }
  const std::string named = args.size() == 2 ? args[0] + "/" + args[1] : args[0];
  ORCH_TRY(const JsonValue pod, pick_pod(session, named));
  const std::string phase = pod.at("status.phase").text();
  if (phase == "Succeeded" || phase == "Failed") {
    return Err(error(
        fmt::format("cannot attach a container in a completed pod; current phase is {}", phase)));
  }
  const bool quiet = flags.on("quiet");
  ORCH_TRY(const std::string container, pick_container(pod, flags.text("container"), quiet));
  return attach_to(session, pod, container, {flags.on("stdin"), flags.on("tty"), quiet});
}

}  // namespace

Verb attach_verb() {
  using Kind = Flag::Kind;
  return {"attach",
          "Attach to a running container",
          "attach (POD | TYPE/NAME) [-c CONTAINER]",
          {{"stdin", 'i', Kind::kBool, "false", "send standard input to the container"},
           {"tty", 't', Kind::kBool, "false", "standard input is a terminal"},
           {"container", 'c', Kind::kText, "", "the container; default: the pod's first"},
           {"quiet", 'q', Kind::kBool, "false", "only the container's own output"}},
          run};
}

}  // namespace orch::ctl
