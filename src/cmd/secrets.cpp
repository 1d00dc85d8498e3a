// `orch secrets`: encryption at rest.
#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/process.h"
#include "orch/api/json_value.h"
#include "orch/server/maintenance.h"

namespace orch::cmd {
namespace {

constexpr std::string_view kUsage =
    "Encryption of Secrets in the store (AES-GCM).\n\n"
    "Usage: orch secrets COMMAND [flags]\n\nCommands:\n"
    "  status   tell whether they are encrypted, and with which key\n"
    "  enable   encrypt all that are stored, and what comes\n"
    "  rotate   make a new key, encrypt everything with it, forget the old one\n"
    "  disable  decrypt all that are stored\n\n"
    "A command returns when nothing in the store is in its old form. Keys are in\n"
    "DATA_DIR/server/cred/encryption-config.json: keep a copy with your snapshots.\n";

void print_status(const api::JsonValue& status) {
  const bool enabled = status.get("enabled").boolean();
  fmt::print("Encryption:    {}\n", enabled ? "enabled" : "disabled");
  if (enabled) {
    fmt::print("Provider:      {}\n", status.get("provider").text());
    fmt::print("Key:           {}\n", status.get("key").text());
  }
  std::string keys, resources;
  for (const auto& key : status.get("keys").items()) {
    keys += (keys.empty() ? "" : ", ") + key.text();
  }
  for (const auto& name : status.get("resources").items()) {
    resources += (resources.empty() ? "" : ", ") + name.text();
  }
  if (!resources.empty()) fmt::print("Resources:     {}\n", resources);
  if (!keys.empty()) fmt::print("Known keys:    {}\n", keys);
  fmt::print("Configuration: {}\n", status.get("configuration").text());
  const int64_t stale = status.get("staleValues").number();
  if (stale > 0) fmt::print("Old form:      {} values, to be written anew\n", stale);
}

}  // namespace

int secrets_command(int argc, char** argv) {
  const std::string action = argc > 1 ? argv[1] : "";
  if (action != "status" && action != "enable" && action != "rotate" && action != "disable") {
    const bool asked = action == "--help" || action == "-h" || action == "help";
    if (!asked && !action.empty()) fmt::print(stderr, "error: unknown command \"{}\"\n\n", action);
    std::fputs(kUsage.data(), asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  server::MaintenancePlace place;
  std::string output;
  Options options("orch secrets " + action, "Encryption of Secrets in the store.");
  options.add("data-dir", place.data_dir, "The server's data directory");
  options.add("encryption-provider-config", place.encryption_provider_config,
              "The server's, if it has one");
  options.add("output", output, "json, or nothing for people");
  options.share_file();
  if (auto parsed = options.parse(argc - 1, argv + 1); !parsed) {
    std::fputs(parsed.error().text.c_str(), parsed.error().code == 0 ? stdout : stderr);
    return parsed.error().code;
  }
  Process process;
  auto status = server::secrets_action(process.env(), place, action);
  if (!status) {
    fmt::print(stderr, "error: {}\n", status.error());
    return 1;
  }
  auto value = api::JsonValue::parse(*status);
  if (output == "json" || !value) {
    fmt::print("{}\n", *status);
  } else {
    print_status(*value);
  }
  return 0;
}

}  // namespace orch::cmd
