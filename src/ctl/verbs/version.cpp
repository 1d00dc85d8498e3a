#include <fmt/format.h>

#include "ctl/session.h"

namespace orch::ctl {
namespace {

constexpr char kClientVersion[] = "v1.32.0";  // the Kubernetes whose contract this speaks

Outcome<int> run(Session& session) {
  const std::string format = session.flags.text("output");
  if (!format.empty() && format != "json" && format != "yaml") {
    return Err(error("--output must be 'yaml' or 'json'"));
  }
  api::JsonValue server;
  Outcome<Unit> answered = Unit{};
  if (!session.flags.on("client")) {
    ORCH_TRY(ApiClient * client, session.api());
    Call call;
    call.target = "/version";
    auto document = client->json(call);
    if (document) {
      server = std::move(*document);
    } else {
      answered = Err(document.error());
    }
  }
  if (format.empty()) {
    fmt::print("Client Version: {}\n", kClientVersion);
    fmt::print("Kustomize Version: v5.5.0\n");
    if (!server.is_null()) fmt::print("Server Version: {}\n", server.get("gitVersion").text());
  } else {
    // Every JSON document is YAML too.
    api::JsonValue both = api::JsonValue::object();
    both.set_at("clientVersion.gitVersion", kClientVersion);
    if (!server.is_null()) both.set("serverVersion", server);
    fmt::print("{}\n", both.dump_go(2));
  }
  if (!answered) return Err(answered.error());
  return 0;
}

}  // namespace

Verb version_verb() {
  using Kind = Flag::Kind;
  return {"version",
          "Print the versions of client and server",
          "version [--client] [-o json|yaml]",
          {{"client", 0, Kind::kBool, "false", "do not ask the server"},
           {"output", 'o', Kind::kText, "", "json or yaml"}},
          run};
}

}  // namespace orch::ctl
