#include "ctl/kubeconfig.h"

#include <fmt/format.h>

#include <cstdlib>

#include "orch/api/codec.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

// The entry `name` of a list of {name, KEY: {...}}; nullopt-like null if absent.
JsonValue named(const JsonValue& list, std::string_view name, std::string_view key, bool& found) {
  for (const JsonValue& entry : list.items()) {
    if (entry.get("name").text() == name) {
      found = true;
      return entry.get(key);
    }
  }
  found = false;
  return {};
}

// A PEM given inline (KEY-data, base64) or by file name (KEY).
Outcome<std::string> pem_of(const JsonValue& from, std::string_view key,
                            const std::string& folder) {
  const std::string inline_key = fmt::format("{}-data", key);
  if (const std::string data = from.get(inline_key).text(); !data.empty()) {
    auto bytes = base64_decode(data);
    if (!bytes) {
      return Err(error(fmt::format("error loading config: {}: illegal base64 data", inline_key)));
    }
    return *bytes;
  }
  std::string path = from.get(key).text();
  if (path.empty()) return std::string();
  if (path[0] != '/') path = folder + "/" + path;
  auto content = read_file(path);
  if (!content) {
    return Err(error(fmt::format("unable to read {} {}", key, content.error())));
  }
  return std::move(*content);
}

Outcome<Unit> read_user(const JsonValue& user, const std::string& folder, Connection& out) {
  if (user.has("exec") || user.has("auth-provider")) {
    return Err(
        error("this kubeconfig's user needs a credential plugin (exec, auth-provider), "
              "which orch ctl does not run"));
  }
  ORCH_TRY(out.certificate_pem, pem_of(user, "client-certificate", folder));
  ORCH_TRY(out.key_pem, pem_of(user, "client-key", folder));
  out.token = user.get("token").text();
  if (const std::string path = user.get("tokenFile").text(); out.token.empty() && !path.empty()) {
    auto token = read_file(path[0] == '/' ? path : folder + "/" + path);
    if (!token) return Err(error(token.error()));
    out.token = std::string(trim(*token));
  }
  return Unit{};
}

}  // namespace

std::string default_kubeconfig_path() {
  if (const char* listed = std::getenv("KUBECONFIG"); listed != nullptr && *listed != 0) {
    for (const std::string& path : split(listed, ':')) {
      if (!path.empty() && file_exists(path)) return path;
    }
    return "";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr) {
    if (std::string path = std::string(home) + "/.kube/config"; file_exists(path)) return path;
  }
  return file_exists("/etc/orch/orch.yaml") ? "/etc/orch/orch.yaml" : "";
}

Outcome<JsonValue> load_kubeconfig(const std::string& path) {
  auto text = read_file(path);
  if (!text) return Err(error(text.error()));
  auto bad = [&](std::string_view why) {
    return Err(error(fmt::format("error loading config file \"{}\": {}", path, why)));
  };
  if (trim(*text).empty()) return JsonValue::object();
  auto json = api::yaml_to_json(*text);
  if (!json) return bad(json.error().message);
  auto config = JsonValue::parse(*json);
  if (!config) return bad(config.error());
  if (!config->is_object()) return bad("not a kubeconfig: no mapping");
  if (const std::string kind = config->get("kind").text(); !kind.empty() && kind != "Config") {
    return bad(fmt::format("kind is \"{}\", not \"Config\"", kind));
  }
  for (std::string_view key : {"clusters", "users", "contexts"}) {
    const JsonValue list = config->get(key);
    if (!list.is_null() && !list.is_array()) return bad(fmt::format("{} is not a list", key));
  }
  return std::move(*config);
}

Outcome<Connection> connection_of(const JsonValue& config, const std::string& folder,
                                  const ConnectionOverrides& overrides) {
  Connection out;
  const std::string context_name =
      overrides.context.empty() ? config.get("current-context").text() : overrides.context;
  bool found = false;
  const JsonValue context = named(config.get("contexts"), context_name, "context", found);
  if (!found && !context_name.empty()) {
    return Err(error(overrides.context.empty()
                         ? fmt::format("current-context \"{}\" does not exist", context_name)
                         : fmt::format("context \"{}\" does not exist", context_name)));
  }
  if (const std::string ns = context.get("namespace").text(); !ns.empty()) out.namespace_ = ns;
  const std::string cluster_name =
      overrides.cluster.empty() ? context.get("cluster").text() : overrides.cluster;
  if (const std::string& name = cluster_name; !name.empty()) {
    const JsonValue cluster = named(config.get("clusters"), name, "cluster", found);
    if (!found) return Err(error(fmt::format("cluster \"{}\" does not exist", name)));
    out.server = cluster.get("server").text();
    out.server_name = cluster.get("tls-server-name").text();
    out.insecure = cluster.get("insecure-skip-tls-verify").boolean();
    if (!overrides.insecure && !out.insecure) {
      ORCH_TRY(out.ca_pem, pem_of(cluster, "certificate-authority", folder));
    }
  }
  const std::string user_name =
      overrides.user.empty() ? context.get("user").text() : overrides.user;
  if (const std::string& name = user_name; !name.empty()) {
    const JsonValue user = named(config.get("users"), name, "user", found);
    if (!found) return Err(error(fmt::format("auth info \"{}\" does not exist", name)));
    ORCH_CHECK(read_user(user, folder, out));
  }
  if (!overrides.server.empty()) out.server = overrides.server;
  if (!overrides.token.empty()) {
    out.token = overrides.token;
    out.certificate_pem = out.key_pem = "";  // else the certificate would decide who it is
  }
  if (overrides.insecure) out.insecure = true;
  if (!overrides.server_name.empty()) out.server_name = overrides.server_name;
  for (const auto& [path, to] : {std::pair{&overrides.ca_file, &out.ca_pem},
                                 {&overrides.certificate_file, &out.certificate_pem},
                                 {&overrides.key_file, &out.key_pem}}) {
    if (path->empty()) continue;
    auto content = read_file(*path);
    if (!content) return Err(error(content.error()));
    *to = std::move(*content);
  }
  if (out.server.empty()) out.server = "http://localhost:8080";  // kubectl's default
  if (out.server.find("://") == std::string::npos) out.server = "https://" + out.server;
  return out;
}

}  // namespace orch::ctl
