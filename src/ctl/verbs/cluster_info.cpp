// cluster-info: where the API server is, and what it offers through its proxy.
#include <fmt/format.h>
#include <unistd.h>

#include "ctl/session.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<int> run(Session& session) {
  if (!session.flags.args().empty()) {
    return Err(error("cluster-info dump is not there; `get -A -o yaml` shows the objects"));
  }
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.target = "/api/v1/namespaces/kube-system/services" +
                query_text({{"labelSelector", "kubernetes.io/cluster-service=true"}});
  ORCH_TRY(const JsonValue services, client->json(call));
  const bool colors = isatty(STDOUT_FILENO) != 0;
  auto tell = [&](const std::string& name, const std::string& where) {
    fmt::print("{}{}{} is running at {}{}{}\n", colors ? "\x1b[0;32m" : "", name,
               colors ? "\x1b[0m" : "", colors ? "\x1b[0;33m" : "", where, colors ? "\x1b[0m" : "");
  };
  tell("Kubernetes control plane", client->server());
  for (const JsonValue& service : services.get("items").items()) {
    std::string name = service.at("metadata.labels").get("kubernetes.io/name").text();
    const std::string own = service.at("metadata.name").text();
    if (name.empty()) name = own;
    const auto ports = service.at("spec.ports").items();
    const std::string port = ports.empty() ? "" : ports[0].get("name").text();
    tell(name, fmt::format("{}/api/v1/namespaces/kube-system/services/{}{}/proxy", client->server(),
                           own, port.empty() ? "" : ":" + port));
  }
  fmt::print("\nTo further debug and diagnose cluster problems, use '{} cluster-info dump'.\n",
             session.program);
  return 0;
}

}  // namespace

Verb cluster_info_verb() {
  return {"cluster-info", "Show where the API server is", "cluster-info", {}, run};
}

}  // namespace orch::ctl
