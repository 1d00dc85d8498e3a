// config: looks into the kubeconfig.
#include <fmt/format.h>

#include "ctl/printers/table.h"
#include "ctl/session.h"
#include "orch/api/codec.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

// Credentials and certificates are not for the screen.
JsonValue redacted(JsonValue config) {
  for (std::string_view list : {"clusters", "users"}) {
    JsonValue out = JsonValue::array();
    for (JsonValue& entry : config.get(list).items()) {
      const std::string_view key = list == "clusters" ? "cluster" : "user";
      JsonValue inner = entry.get(key);
      for (std::string_view secret : {"certificate-authority-data", "client-certificate-data"}) {
        if (inner.has(secret)) inner.set(secret, "DATA+OMITTED");
      }
      if (inner.has("client-key-data")) inner.set("client-key-data", "DATA+OMITTED");
      for (std::string_view secret : {"token", "password"}) {
        if (inner.has(secret)) inner.set(secret, "REDACTED");
      }
      entry.set(key, std::move(inner));
      out.push_back(std::move(entry));
    }
    config.set(list, std::move(out));
  }
  return config;
}

Outcome<int> run(Session& session) {
  const auto& args = session.flags.args();
  const std::string what = args.empty() ? "" : args[0];
  const std::string given = session.flags.text("kubeconfig");
  const std::string path = given.empty() ? default_kubeconfig_path() : given;
  JsonValue config = JsonValue::object();
  if (!path.empty()) {
    ORCH_TRY(config, load_kubeconfig(path));
  }
  const std::string current = session.flags.given("context") ? session.flags.text("context")
                                                             : config.get("current-context").text();
  if (what == "view") {
    if (!session.flags.on("raw")) config = redacted(std::move(config));
    if (session.flags.text("output") == "json") {
      fmt::print("{}\n", config.dump_go(4));
    } else {
      fmt::print("{}", api::json_to_yaml(config.dump_go()));
    }
    return 0;
  }
  if (what == "current-context") {
    if (current.empty()) return Err(error("current-context is not set"));
    fmt::print("{}\n", current);
    return 0;
  }
  if (what == "get-contexts") {
    std::vector<std::vector<std::string>> rows{
        {"CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"}};
    for (const JsonValue& entry : config.get("contexts").items()) {
      const std::string name = entry.get("name").text();
      rows.push_back({name == current ? "*" : "", name, entry.at("context.cluster").text(),
                      entry.at("context.user").text(), entry.at("context.namespace").text()});
    }
    fmt::print("{}", ColumnWriter().lay_out(rows));
    return 0;
  }
  return Err(error("must specify one of view, current-context, get-contexts"));
}

}  // namespace

Verb config_verb() {
  using Kind = Flag::Kind;
  return {"config",
          "Look into the kubeconfig",
          "config (view | current-context | get-contexts)",
          {{"raw", 0, Kind::kBool, "false", "view: with credentials"},
           {"output", 'o', Kind::kText, "yaml", "view: yaml or json"}},
          run};
}

}  // namespace orch::ctl
