// configmap, secret generic, secret tls, secret docker-registry.
#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "ctl/generate/generate.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
namespace fs = std::filesystem;
using Data = std::map<std::string, std::string>;

Outcome<Unit> add(Data& data, const std::string& key, std::string value) {
  if (key.empty()) return Err(error("key names cannot be empty"));
  if (data.emplace(key, std::move(value)).second) return Unit{};
  return Err(
      error(fmt::format("cannot add key \"{}\", another key by that name already exists", key)));
}

Outcome<Unit> add_file(Data& data, const std::string& key, const std::string& path) {
  auto content = read_file(path);
  if (!content) return Err(error(content.error()));
  return add(data, key, std::move(*content));
}

// Lines of KEY=VALUE; a KEY alone takes the value of this process's environment.
Outcome<Unit> add_env_file(Data& data, const std::string& path) {
  auto content = read_file(path);
  if (!content) return Err(error(content.error()));
  for (const std::string& line : split(*content, '\n')) {
    const std::string text(trim(line));
    if (text.empty() || text[0] == '#') continue;
    const size_t equals = text.find('=');
    const std::string key = text.substr(0, equals);
    if (equals != std::string::npos) {
      ORCH_CHECK(add(data, key, text.substr(equals + 1)));
    } else if (const char* value = std::getenv(key.c_str()); value != nullptr) {
      ORCH_CHECK(add(data, key, value));
    }
  }
  return Unit{};
}

Outcome<Unit> add_source(Data& data, const std::string& source) {
  const size_t equals = source.find('=');
  const std::string path = equals == std::string::npos ? source : source.substr(equals + 1);
  std::error_code failed;
  if (!fs::exists(path, failed)) {
    return Err(error(fmt::format("error reading {}: no such file or directory", path)));
  }
  if (equals == std::string::npos && fs::is_directory(path, failed)) {
    for (const auto& entry : fs::directory_iterator(path, failed)) {
      if (!entry.is_regular_file(failed)) continue;
      ORCH_CHECK(add_file(data, entry.path().filename().string(), entry.path().string()));
    }
    return Unit{};
  }
  return add_file(
      data,
      equals == std::string::npos ? fs::path(path).filename().string() : source.substr(0, equals),
      path);
}

// --from-literal=KEY=VALUE, --from-file=[KEY=]PATH (a directory: its files), --from-env-file=PATH.
Outcome<Data> data_of(const Flags& flags) {
  Data out;
  if (flags.given("from-env-file") && (flags.given("from-file") || flags.given("from-literal"))) {
    return Err(error("from-env-file cannot be combined with from-file or from-literal"));
  }
  for (const std::string& literal : flags.list("from-literal")) {
    const size_t equals = literal.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Err(error(fmt::format("invalid literal source {}, expected key=value", literal)));
    }
    std::string value = literal.substr(equals + 1);
    const bool quoted =
        value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0];
    if (quoted) value = value.substr(1, value.size() - 2);
    ORCH_CHECK(add(out, literal.substr(0, equals), std::move(value)));
  }
  for (const std::string& source : flags.list("from-file")) ORCH_CHECK(add_source(out, source));
  for (const std::string& path : flags.list("from-env-file")) ORCH_CHECK(add_env_file(out, path));
  return out;
}

bool is_utf8(const std::string& text) {
  const auto parsed = JsonValue::parse(JsonValue(text).dump());
  return parsed && parsed->text() == text;
}

Outcome<JsonValue> config_map(Session& session, const std::string& name) {
  ORCH_TRY(const Data data, data_of(session.flags));
  JsonValue out = new_object("v1", "ConfigMap", name);
  for (const auto& [key, bytes] : data) {
    const bool plain = is_utf8(bytes);
    JsonValue map = out.get(plain ? "data" : "binaryData");
    map.set(key, plain ? bytes : base64_encode(bytes));
    out.set(plain ? "data" : "binaryData", std::move(map));
  }
  return out;
}

JsonValue secret_of(const std::string& name, const std::string& type, const Data& data) {
  JsonValue out = new_object("v1", "Secret", name), map = JsonValue::object();
  for (const auto& [key, bytes] : data) map.set(key, base64_encode(bytes));
  if (!type.empty()) out.set("type", type);
  if (!data.empty()) out.set("data", std::move(map));
  return out;
}

Outcome<JsonValue> secret_generic(Session& session, const std::string& name) {
  ORCH_TRY(const Data data, data_of(session.flags));
  return secret_of(name, session.flags.text("type"), data);
}

Outcome<JsonValue> secret_tls(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  if (!flags.given("cert") || !flags.given("key")) {
    return Err(error("key and cert must be specified"));
  }
  Data data;
  for (const auto& [flag, key] : {std::pair{"cert", "tls.crt"}, {"key", "tls.key"}}) {
    auto content = read_file(flags.text(flag));
    if (!content) {
      return Err(error(fmt::format("Cannot read file {0}, open {0}: no such file or directory",
                                   flags.text(flag))));
    }
    data[key] = std::move(*content);
  }
  return secret_of(name, "kubernetes.io/tls", data);
}

Outcome<JsonValue> secret_registry(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  if (flags.given("from-file")) {
    ORCH_TRY(const Data data, data_of(flags));
    return secret_of(name, "kubernetes.io/dockerconfigjson", data);
  }
  const std::string user = flags.text("docker-username"), word = flags.text("docker-password");
  if (user.empty() || word.empty()) {
    return Err(
        error("either --from-file or the combination of --docker-username, --docker-password and "
              "--docker-server is required"));
  }
  // As Go writes its struct: in this order, empty ones left out.
  JsonValue entry = JsonValue::object();
  const std::string email = flags.text("docker-email");
  entry.set("username", user);
  entry.set("password", word);
  if (!email.empty()) entry.set("email", email);
  entry.set("auth", base64_encode(user + ":" + word));
  const std::string server =
      flags.given("docker-server") ? flags.text("docker-server") : "https://index.docker.io/v1/";
  const std::string text =
      fmt::format("{{\"auths\":{{{}:{}}}}}", JsonValue(server).dump(), entry.dump());
  return secret_of(name, "kubernetes.io/dockerconfigjson", {{".dockerconfigjson", text}});
}

}  // namespace

std::vector<Generated> generated_config() {
  return {{"configmap", "cm", "failed to create configmap: ", config_map},
          {"secret generic", "", "failed to create secret ", secret_generic},
          {"secret tls", "", "failed to create secret ", secret_tls},
          {"secret docker-registry", "", "failed to create secret ", secret_registry}};
}

}  // namespace orch::ctl
