// config: looks into the kubeconfig and changes it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "ctl/printers/output.h"
#include "ctl/printers/table.h"
#include "ctl/write.h"
#include "orch/api/codec.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

// The three lists of a kubeconfig; in Go's order of fields, for JSON.
struct Part {
  std::string_view list, key, title;
  std::vector<std::string_view> fields;
};
const std::vector<Part>& parts() {
  static const std::vector<Part> all = {
      {"clusters",
       "cluster",
       "Cluster",
       {"server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority",
        "certificate-authority-data", "proxy-url"}},
      {"users",
       "user",
       "User",
       {"client-certificate", "client-certificate-data", "client-key", "client-key-data", "token",
        "tokenFile", "username", "password"}},
      {"contexts", "context", "Context", {"cluster", "user", "namespace"}}};
  return all;
}
const Part& part(std::string_view list) {
  for (const Part& one : parts()) {
    if (one.list == list) return one;
  }
  return parts()[0];
}

std::string config_path(const Session& session) {
  if (session.flags.given("kubeconfig")) return session.flags.text("kubeconfig");
  std::string path = default_kubeconfig_path();
  if (!path.empty()) return path;
  const char* home = std::getenv("HOME");
  return fmt::format("{}/.kube/config", home == nullptr ? "" : home);
}

JsonValue entry_of(const JsonValue& config, const Part& part, const std::string& name) {
  for (const JsonValue& entry : config.get(part.list).items()) {
    if (entry.get("name").text() != name) continue;
    const JsonValue found = entry.get(part.key);
    return found.is_object() ? found : JsonValue::object();
  }
  return {};
}

// Puts an entry in or, when `value` is null, takes it out. Lists are sorted by name.
void put_entry(JsonValue& config, const Part& part, const std::string& name, JsonValue value) {
  auto entries = config.get(part.list).items();
  std::erase_if(entries, [&](const JsonValue& entry) { return entry.get("name").text() == name; });
  if (!value.is_null()) {
    JsonValue entry = JsonValue::object();
    entry.set("name", name);
    entry.set(part.key, std::move(value));
    entries.push_back(std::move(entry));
  }
  JsonValue list = JsonValue::array();
  for (JsonValue& entry : entries) list.push_back(std::move(entry));
  config.set(part.list, std::move(list));
}

JsonValue ordered(const JsonValue& object, const std::vector<std::string_view>& fields) {
  JsonValue out = JsonValue::object();
  for (std::string_view field : fields) {
    if (object.has(field)) out.set(field, object.get(field));
  }
  for (const auto& [key, value] : object.members()) {
    if (!out.has(key)) out.set(key, value);
  }
  return out;
}

// As Go writes it: every field there, lists sorted by name, empty ones null.
JsonValue canonical(const JsonValue& config) {
  JsonValue out = JsonValue::object();
  out.set("kind", "Config");
  out.set("apiVersion", "v1");
  const JsonValue preferences = config.get("preferences");
  out.set("preferences", preferences.is_object() ? preferences : JsonValue::object());
  for (const Part& part : parts()) {
    auto entries = config.get(part.list).items();
    std::stable_sort(entries.begin(), entries.end(), [](const JsonValue& a, const JsonValue& b) {
      return a.get("name").text() < b.get("name").text();
    });
    JsonValue list;
    for (const JsonValue& entry : entries) {
      JsonValue shown = JsonValue::object();
      const JsonValue inner = entry.get(part.key);
      shown.set("name", entry.get("name"));
      shown.set(part.key, inner.is_object() ? ordered(inner, part.fields) : JsonValue::object());
      list.push_back(std::move(shown));
    }
    out.set(part.list, std::move(list));
  }
  out.set("current-context", config.get("current-context").text());
  if (config.has("extensions")) out.set("extensions", config.get("extensions"));
  return out;
}

Outcome<JsonValue> load(const Session& session) {
  const std::string path = config_path(session);
  if (!file_exists(path)) return JsonValue::object();
  return load_kubeconfig(path);
}

Outcome<int> save(const Session& session, const JsonValue& config, const std::string& done) {
  const std::string path = config_path(session);
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    if (auto made = make_directories(path.substr(0, slash)); !made) return Err(error(made.error()));
  }
  auto written = write_file_atomic(path, api::json_to_yaml(canonical(config).dump_go()));
  if (!written) return Err(error(written.error()));
  if (!done.empty()) fmt::print("{}\n", done);
  return 0;
}

// Credentials and certificates are not for the screen.
JsonValue redacted(JsonValue config) {
  for (const Part& part : parts()) {
    for (const JsonValue& entry : config.get(part.list).items()) {
      JsonValue inner = entry.get(part.key);
      for (std::string_view secret :
           {"certificate-authority-data", "client-certificate-data", "client-key-data"}) {
        if (inner.has(secret)) inner.set(secret, "DATA+OMITTED");
      }
      for (std::string_view secret : {"token", "password"}) {
        if (inner.has(secret)) inner.set(secret, "REDACTED");
      }
      put_entry(config, part, entry.get("name").text(), std::move(inner));
    }
  }
  return config;
}

std::string current_of(const Session& session, const JsonValue& config) {
  return session.flags.given("context") ? session.flags.text("context")
                                        : config.get("current-context").text();
}

// Only what the current context needs.
Outcome<JsonValue> minified(const JsonValue& config, const std::string& current) {
  const JsonValue context = entry_of(config, part("contexts"), current);
  if (context.is_null()) return Err(error("current-context must exist in order to minify"));
  JsonValue out = JsonValue::object();
  out.set("current-context", current);
  put_entry(out, part("contexts"), current, context);
  for (std::string_view list : {"clusters", "users"}) {
    const std::string name = context.get(part(list).key).text();
    put_entry(out, part(list), name, entry_of(config, part(list), name));
  }
  return out;
}

Outcome<int> view(Session& session, std::vector<std::string>) {
  ORCH_TRY(JsonValue config, load(session));
  if (session.flags.on("minify")) {
    ORCH_TRY(config, minified(config, current_of(session, config)));
  }
  if (!session.flags.on("raw")) config = redacted(std::move(config));
  ORCH_TRY(const Output output, Output::of(session.flags));
  config = canonical(config);
  if (output.kind() == Output::Kind::kJson) {
    fmt::print("{}\n", config.dump(4));
  } else if (output.kind() == Output::Kind::kDefault) {
    fmt::print("{}", api::json_to_yaml(config.dump_go()));
  } else {
    fmt::print("{}", output.object_text(std::move(config)));
  }
  return 0;
}

Outcome<int> current_context(Session& session, std::vector<std::string>) {
  ORCH_TRY(const JsonValue config, load(session));
  const std::string current = current_of(session, config);
  if (current.empty()) return Err(error("current-context is not set"));
  fmt::print("{}\n", current);
  return 0;
}

Outcome<int> get_contexts(Session& session, std::vector<std::string> args) {
  ORCH_TRY(const JsonValue config, load(session));
  const bool names = session.flags.text("output") == "name";
  std::vector<std::vector<std::string>> rows;
  if (!names && !session.flags.on("no-headers")) {
    rows.push_back({"CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"});
  }
  const std::string current = current_of(session, config);
  if (args.empty()) {
    for (const JsonValue& entry : config.get("contexts").items()) {
      args.push_back(entry.get("name").text());
    }
    std::sort(args.begin(), args.end());
  }
  std::string missing;
  for (const std::string& name : args) {
    const JsonValue context = entry_of(config, part("contexts"), name);
    if (context.is_null()) {
      missing = name;
    } else if (names) {
      rows.push_back({name});
    } else {
      rows.push_back({name == current ? "*" : "", name, context.get("cluster").text(),
                      context.get("user").text(), context.get("namespace").text()});
    }
  }
  fmt::print("{}", ColumnWriter().lay_out(rows));
  if (missing.empty()) return 0;
  return Err(error(fmt::format("context {} not found", missing)));
}

Outcome<int> get_names(Session& session, std::string_view list) {
  ORCH_TRY(const JsonValue config, load(session));
  fmt::print("NAME\n");
  const JsonValue all = canonical(config);
  for (const JsonValue& entry : all.get(list).items()) {
    fmt::print("{}\n", entry.get("name").text());
  }
  return 0;
}

Outcome<int> use_context(Session& session, std::vector<std::string> args) {
  ORCH_TRY(JsonValue config, load(session));
  const std::string name = args.empty() ? "" : args[0];
  if (entry_of(config, part("contexts"), name).is_null()) {
    return Err(error(fmt::format("no context exists with the name: \"{}\"", name)));
  }
  config.set("current-context", name);
  return save(session, config, fmt::format("Switched to context \"{}\".", name));
}

// --server=... and the like into an entry's fields; "" takes a field away.
void take_fields(const Flags& flags, const std::vector<std::string_view>& fields,
                 JsonValue& entry) {
  for (std::string_view field : fields) {
    if (!flags.has(field) || !flags.given(field)) continue;
    if (flags.text(field).empty()) {
      entry.erase(field);
    } else if (field == "insecure-skip-tls-verify") {
      entry.erase(field);
      if (flags.on(field)) entry.set(field, true);
    } else {
      entry.set(field, flags.text(field));
    }
  }
}

// Files named by path become data, with --embed-certs.
Outcome<Unit> embed(const Flags& flags, JsonValue& entry) {
  for (const char* key : {"certificate-authority", "client-certificate", "client-key"}) {
    const std::string path = entry.get(key).text(), data = fmt::format("{}-data", key);
    if (!flags.given(key) || path.empty()) continue;
    if (!flags.on("embed-certs")) {
      entry.erase(data);
      continue;
    }
    auto content = read_file(path);
    if (!content) {
      return Err(
          error(fmt::format("could not read {} data from {}: {}", key, path, content.error())));
    }
    entry.erase(key);
    entry.set(data, base64_encode(*content));
  }
  return Unit{};
}

Outcome<int> set_entry(Session& session, std::string_view list, const std::string& name) {
  const Part& kind = part(list);
  ORCH_TRY(JsonValue config, load(session));
  JsonValue entry = entry_of(config, kind, name);
  const bool is_new = entry.is_null();
  if (is_new) entry = JsonValue::object();
  take_fields(session.flags, kind.fields, entry);
  ORCH_CHECK(embed(session.flags, entry));
  if (list == "clusters" && entry.get("insecure-skip-tls-verify").boolean() &&
      (entry.has("certificate-authority") || entry.has("certificate-authority-data"))) {
    if (session.flags.given("certificate-authority")) {
      entry.erase("insecure-skip-tls-verify");
    } else {
      entry.erase("certificate-authority");
      entry.erase("certificate-authority-data");
    }
  }
  put_entry(config, kind, name, std::move(entry));
  const std::string_view done = list != "contexts" ? "set" : is_new ? "created" : "modified";
  return save(session, config, fmt::format("{} \"{}\" {}.", kind.title, name, done));
}

Outcome<int> set_context(Session& session, std::vector<std::string> args) {
  std::string name = args.empty() ? "" : args[0];
  if (session.flags.on("current")) {
    ORCH_TRY(const JsonValue config, load(session));
    name = config.get("current-context").text();
    if (name.empty()) return Err(error("no current context is set"));
  }
  if (name.empty()) return Err(error("you must specify a non-empty context name or --current"));
  return set_entry(session, "contexts", name);
}

Outcome<int> set_cluster(Session& session, std::vector<std::string> args) {
  if (args.size() != 1) return Err(error(fmt::format("Unexpected args: [{}]", join(args, " "))));
  return set_entry(session, "clusters", args[0]);
}

Outcome<int> set_credentials(Session& session, std::vector<std::string> args) {
  if (args.size() != 1) return Err(error(fmt::format("Unexpected args: [{}]", join(args, " "))));
  return set_entry(session, "users", args[0]);
}

Outcome<int> delete_entry(Session& session, std::string_view list,
                          const std::vector<std::string>& args) {
  const Part& kind = part(list);
  if (args.empty()) return Err(error("you must specify a name"));
  ORCH_TRY(JsonValue config, load(session));
  const std::string path = config_path(session);
  if (entry_of(config, kind, args[0]).is_null()) {
    return Err(error(fmt::format("cannot delete {} {}, not in {}", kind.key, args[0], path)));
  }
  if (list == "contexts" && config.get("current-context").text() == args[0]) {
    fmt::print(stderr,
               "warning: this removed your active context, use \"{} config use-context\" to select "
               "a different one\n",
               session.program);
  }
  put_entry(config, kind, args[0], JsonValue());
  return save(session, config, fmt::format("deleted {} {} from {}", kind.key, args[0], path));
}

Outcome<int> rename_context(Session& session, std::vector<std::string> args) {
  if (args.size() != 2) return Err(error(fmt::format("Unexpected args: [{}]", join(args, " "))));
  ORCH_TRY(JsonValue config, load(session));
  const Part& kind = part("contexts");
  JsonValue context = entry_of(config, kind, args[0]);
  if (context.is_null()) {
    return Err(error(fmt::format("cannot rename the context \"{}\", it's not in {}", args[0],
                                 config_path(session))));
  }
  if (!entry_of(config, kind, args[1]).is_null()) {
    return Err(error(
        fmt::format("cannot rename the context \"{}\", the context \"{}\" already exists in {}",
                    args[0], args[1], config_path(session))));
  }
  put_entry(config, kind, args[0], JsonValue());
  put_entry(config, kind, args[1], std::move(context));
  if (config.get("current-context").text() == args[0]) config.set("current-context", args[1]);
  return save(session, config, fmt::format("Context \"{}\" renamed to \"{}\".", args[0], args[1]));
}

// `clusters.NAME.server`, `current-context`, `preferences.colors`. A null value removes it.
Outcome<Unit> set_property(JsonValue& config, const std::string& property, const JsonValue& value) {
  const auto words = split(property, '.');
  if (words.size() == 1 && words[0] == "current-context") {
    config.set("current-context", value.is_null() ? JsonValue("") : value);
    return Unit{};
  }
  if (words.size() == 2 && words[0] == "preferences") {
    JsonValue preferences = config.get("preferences");
    value.is_null() ? preferences.erase(words[1]) : preferences.set(words[1], value);
    config.set("preferences", std::move(preferences));
    return Unit{};
  }
  const bool known = !words.empty() && part(words[0]).list == words[0];
  if (known && words.size() == 1 && value.is_null()) {
    config.erase(words[0]);
    return Unit{};
  }
  if (!known || words.size() > 3 || (words.size() < 3 && !value.is_null())) {
    return Err(error(fmt::format("unknown property \"{}\"", property)));
  }
  const Part& kind = part(words[0]);
  if (words.size() == 2) {
    put_entry(config, kind, words[1], JsonValue());
    return Unit{};
  }
  JsonValue entry = entry_of(config, kind, words[1]);
  if (std::find(kind.fields.begin(), kind.fields.end(), words[2]) == kind.fields.end()) {
    return Err(error(fmt::format("unable to locate path {} under {}", words[2], property)));
  }
  value.is_null() ? entry.erase(words[2]) : entry.set(words[2], value);
  put_entry(config, kind, words[1], std::move(entry));
  return Unit{};
}

Outcome<int> set(Session& session, std::vector<std::string> args) {
  if (args.size() != 2) return Err(error(fmt::format("Unexpected args: [{}]", join(args, " "))));
  ORCH_TRY(JsonValue config, load(session));
  JsonValue value(args[1]);
  if (args[1] == "true" || args[1] == "false") value = JsonValue(args[1] == "true");
  if (session.flags.on("set-raw-bytes")) value = JsonValue(base64_encode(args[1]));
  ORCH_CHECK(set_property(config, args[0], value));
  return save(session, config, fmt::format("Property \"{}\" set.", args[0]));
}

Outcome<int> unset(Session& session, std::vector<std::string> args) {
  if (args.size() != 1) return Err(error(fmt::format("Unexpected args: [{}]", join(args, " "))));
  ORCH_TRY(JsonValue config, load(session));
  ORCH_CHECK(set_property(config, args[0], JsonValue()));
  return save(session, config, fmt::format("Property \"{}\" unset.", args[0]));
}

using Args = std::vector<std::string>;
constexpr SubVerb kSubVerbs[] = {
    {"view", "", view},
    {"current-context", "", current_context},
    {"get-contexts", "", get_contexts},
    {"get-clusters", "", [](Session& s, Args) { return get_names(s, "clusters"); }},
    {"get-users", "", [](Session& s, Args) { return get_names(s, "users"); }},
    {"use-context", "use", use_context},
    {"set-context", "", set_context},
    {"set-cluster", "", set_cluster},
    {"set-credentials", "", set_credentials},
    {"delete-context", "", [](Session& s, Args a) { return delete_entry(s, "contexts", a); }},
    {"delete-cluster", "", [](Session& s, Args a) { return delete_entry(s, "clusters", a); }},
    {"delete-user", "", [](Session& s, Args a) { return delete_entry(s, "users", a); }},
    {"rename-context", "", rename_context},
    {"set", "", set},
    {"unset", "", unset}};

}  // namespace

Verb config_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"raw", 0, Kind::kBool, "false", "view: with credentials"},
      {"minify", 0, Kind::kBool, "false", "view: only what the current context needs"},
      {"flatten", 0, Kind::kBool, "false", "view: as it is; files are not read in"},
      {"no-headers", 0, Kind::kBool, "false", "get-contexts: no first line"},
      {"current", 0, Kind::kBool, "false", "set-context: the current one"},
      {"embed-certs", 0, Kind::kOptionalText, "false", "set-*: store the files' content", "true"},
      {"tokenFile", 0, Kind::kText, "", "set-credentials: file with a token"},
      {"username", 0, Kind::kText, "", "set-credentials: for basic authentication"},
      {"password", 0, Kind::kText, "", "set-credentials: for basic authentication"},
      {"proxy-url", 0, Kind::kText, "", "set-cluster: proxy on the way to the server"},
      {"set-raw-bytes", 0, Kind::kBool, "false", "set: the value of a -data field is not base64"}};
  return {
      "config", "Look into the kubeconfig and change it",
      "config (view | current-context | get-contexts | get-clusters | get-users | use-context |\n"
      "  set-context | set-cluster | set-credentials | delete-context | delete-cluster | "
      "delete-user |\n  rename-context | set | unset) ...",
      flags + output_flags(),
      [](Session& session) { return run_sub_verb(session, "config", kSubVerbs); }};
}

}  // namespace orch::ctl
