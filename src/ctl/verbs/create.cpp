// create: from files, or namespaces, deployments, configmaps, secrets and tokens from flags.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "ctl/merge.h"
#include "ctl/printers/output.h"
#include "ctl/session.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<Unit> create_one(Session& session, const Target& target, const Output& output,
                         DryRun dry_run) {
  JsonValue object =
      session.flags.on("save-config") ? with_last_applied(target.object) : target.object;
  if (dry_run != DryRun::kClient) {
    ORCH_TRY(ApiClient * client, session.api());
    Call call;
    call.method = "POST";
    call.target = target.resource->path(target.namespace_) +
                  query_text({{"dryRun", dry_run == DryRun::kServer ? "All" : ""},
                              {"fieldManager", "kubectl-create"},
                              {"fieldValidation", validation_of(session.flags)}});
    call.body = object.dump();
    if (!target.source.empty()) {
      call.doing = fmt::format("error when creating \"{}\"", target.source);
    }
    auto created = client->json(call);
    const std::string kind = to_lower(target.resource->kind);
    if (!created && target.source.empty() && kind != "namespace" &&
        created.error().reason == "AlreadyExists") {
      // kubectl's wording for generated objects.
      Failure failure = created.error();
      constexpr std::string_view kPrefix = "Error from server (AlreadyExists): ";
      failure.message =
          fmt::format("error: failed to create {}{} {}", kind, kind == "secret" ? "" : ":",
                      failure.message.substr(kPrefix.size()));
      return Err(std::move(failure));
    }
    if (!created) return Err(created.error());
    object = std::move(*created);
  }
  Target shown = target;
  shown.name = object.at("metadata.name").text();  // generateName
  output.print_done(shown, fmt::format("created{}", dry_run_suffix(dry_run)), object);
  return Unit{};
}

JsonValue new_object(std::string_view api_version, std::string_view kind, const std::string& name) {
  JsonValue out = JsonValue::object();
  out.set("apiVersion", api_version);
  out.set("kind", kind);
  out.set_at("metadata.name", name);
  return out;
}

Outcome<JsonValue> deployment(const Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  const auto images = flags.list("image");
  if (images.empty()) return Err(error("required flag(s) \"image\" not set"));
  ORCH_TRY(const int64_t replicas, flags.number("replicas"));
  JsonValue labels = JsonValue::object();
  labels.set("app", name);
  JsonValue containers = JsonValue::array();
  for (const std::string& listed : images) {
    for (const std::string& image : split(listed, ',')) {
      // "registry/team/nginx:1.2" -> "nginx"
      std::string base = image.substr(image.rfind('/') + 1);
      base = base.substr(0, base.find_first_of(":@"));
      JsonValue container = JsonValue::object();
      container.set("name", base);
      container.set("image", image);
      containers.push_back(std::move(container));
    }
  }
  const auto containers_now = containers.items();
  if (flags.given("port") || (flags.dash_at() && flags.args().size() > *flags.dash_at())) {
    JsonValue first = containers_now[0];
    if (flags.given("port")) {
      ORCH_TRY(const int64_t port, flags.number("port"));
      JsonValue ports = JsonValue::array(), one = JsonValue::object();
      one.set("containerPort", port);
      ports.push_back(std::move(one));
      first.set("ports", std::move(ports));
    }
    if (flags.dash_at() && flags.args().size() > *flags.dash_at()) {
      JsonValue command = JsonValue::array();
      for (size_t i = *flags.dash_at(); i < flags.args().size(); ++i) {
        command.push_back(flags.args()[i]);
      }
      first.set("command", std::move(command));
    }
    containers = JsonValue::array();
    containers.push_back(std::move(first));
    for (size_t i = 1; i < containers_now.size(); ++i) containers.push_back(containers_now[i]);
  }
  JsonValue out = new_object("apps/v1", "Deployment", name);
  out.set_at("metadata.labels", labels);
  out.set_at("spec.replicas", replicas);
  out.set_at("spec.selector.matchLabels", labels);
  out.set_at("spec.template.metadata.labels", labels);
  out.set_at("spec.template.spec.containers", std::move(containers));
  return out;
}

// key -> bytes of --from-literal=KEY=VALUE and --from-file=[KEY=]PATH (a directory: its files).
Outcome<std::map<std::string, std::string>> data_of(const Flags& flags) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> out;
  auto add = [&](const std::string& key, std::string value) -> Outcome<Unit> {
    if (out.emplace(key, std::move(value)).second) return Unit{};
    return Err(
        error(fmt::format("cannot add key \"{}\", another key by that name already exists", key)));
  };
  for (const std::string& literal : flags.list("from-literal")) {
    const size_t equals = literal.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Err(error(fmt::format("invalid literal source {}, expected key=value", literal)));
    }
    ORCH_CHECK(add(literal.substr(0, equals), literal.substr(equals + 1)));
  }
  auto add_file = [&](const std::string& key, const std::string& path) -> Outcome<Unit> {
    auto content = read_file(path);
    if (!content) return Err(error(content.error()));
    return add(key, std::move(*content));
  };
  for (const std::string& source : flags.list("from-file")) {
    const size_t equals = source.find('=');
    const std::string path = equals == std::string::npos ? source : source.substr(equals + 1);
    std::error_code failed;
    if (equals == std::string::npos && fs::is_directory(path, failed)) {
      for (const auto& entry : fs::directory_iterator(path, failed)) {
        if (!entry.is_regular_file(failed)) continue;
        ORCH_CHECK(add_file(entry.path().filename().string(), entry.path().string()));
      }
      continue;
    }
    const std::string key =
        equals == std::string::npos ? fs::path(path).filename().string() : source.substr(0, equals);
    ORCH_CHECK(add_file(key, path));
  }
  return out;
}

bool is_utf8(const std::string& text) {
  const auto parsed = JsonValue::parse(JsonValue(text).dump());
  return parsed && parsed->text() == text;
}

Outcome<JsonValue> config_map(const Session& session, const std::string& name) {
  ORCH_TRY(const auto data, data_of(session.flags));
  JsonValue out = new_object("v1", "ConfigMap", name);
  for (const auto& [key, bytes] : data) {
    const bool plain = is_utf8(bytes);
    JsonValue map = out.get(plain ? "data" : "binaryData");
    map.set(key, plain ? bytes : base64_encode(bytes));
    out.set(plain ? "data" : "binaryData", std::move(map));
  }
  return out;
}

Outcome<JsonValue> secret(const Session& session, const std::string& name) {
  ORCH_TRY(const auto data, data_of(session.flags));
  JsonValue out = new_object("v1", "Secret", name), map = JsonValue::object();
  for (const auto& [key, bytes] : data) map.set(key, base64_encode(bytes));
  out.set("type", session.flags.given("type") ? session.flags.text("type") : "Opaque");
  out.set("data", std::move(map));
  return out;
}

Outcome<int> create_token(Session& session, const std::string& name) {
  ORCH_TRY(const std::string ns, session.namespace_());
  ORCH_TRY(ApiClient * client, session.api());
  JsonValue request = JsonValue::object(), audiences = JsonValue::array();
  request.set("apiVersion", "authentication.k8s.io/v1");
  request.set("kind", "TokenRequest");
  for (const std::string& audience : session.flags.list("audience")) audiences.push_back(audience);
  request.set_at("spec.audiences", std::move(audiences));
  if (session.flags.given("duration")) {
    ORCH_TRY(const int64_t millis, session.flags.millis("duration"));
    request.set_at("spec.expirationSeconds", millis / 1000);
  }
  Call call;
  call.method = "POST";
  call.target = fmt::format("/api/v1/namespaces/{}/serviceaccounts/{}/token", net::url_encode(ns),
                            net::url_encode(name));
  call.body = request.dump();
  auto answer = client->json(call);
  if (!answer) {
    Failure failure = answer.error();
    failure.message = fmt::format("error: failed to create token: {}",
                                  failure.message.substr(failure.message.find(": ") + 2));
    return Err(std::move(failure));
  }
  fmt::print("{}\n", answer->at("status.token").text());
  return 0;
}

// What `create WHAT NAME` means.
Outcome<JsonValue> generated(Session& session, std::vector<std::string>& args) {
  std::string what = args[0];
  size_t name_at = 1;
  if (what == "secret") {
    if (args.size() < 2 || args[1] != "generic") {
      return Err(error("must specify secret type: generic"));
    }
    name_at = 2;
  }
  if (args.size() <= name_at) {
    return Err(
        error(fmt::format("exactly one NAME is required, got 0\nSee '{} create {} -h' for "
                          "help and examples",
                          session.program, what)));
  }
  const std::string name = args[name_at];
  if (what == "namespace" || what == "ns") return new_object("v1", "Namespace", name);
  if (what == "deployment" || what == "deploy" || what == "dep") return deployment(session, name);
  if (what == "configmap" || what == "cm") return config_map(session, name);
  if (what == "secret") return secret(session, name);
  if (what == "serviceaccount" || what == "sa") return new_object("v1", "ServiceAccount", name);
  return Err(error(fmt::format("unknown command \"{}\" for \"{} create\"", what, session.program)));
}

Outcome<int> run(Session& session) {
  std::vector<std::string> args = session.flags.args();
  ORCH_TRY(const Output output, Output::of(session.flags));
  ORCH_TRY(const DryRun dry_run, dry_run_of(session.flags));
  std::vector<Target> targets;
  if (session.flags.given("filename")) {
    ORCH_TRY(targets, session.targets(args));
  } else if (args.empty()) {
    return Err(error("must specify one of -f and -k"));
  } else if (args[0] == "token") {
    if (args.size() != 2) return Err(error("exactly one NAME is required"));
    return create_token(session, args[1]);
  } else {
    ORCH_TRY(JsonValue object, generated(session, args));
    ORCH_TRY(Target target, session.target_of({std::move(object), ""}));
    targets.push_back(std::move(target));
  }
  return for_each_target(
      targets, [&](const Target& target) { return create_one(session, target, output, dry_run); });
}

}  // namespace

Verb create_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"image", 0, Kind::kList, "", "deployment: images of its containers"},
      {"replicas", 'r', Kind::kText, "1", "deployment: number of pods"},
      {"port", 0, Kind::kText, "", "deployment: the first container's port"},
      {"from-literal", 0, Kind::kList, "", "configmap, secret: KEY=VALUE"},
      {"from-file", 0, Kind::kList, "", "configmap, secret: [KEY=]FILE or a directory"},
      {"type", 0, Kind::kText, "", "secret: its type (default Opaque)"},
      {"duration", 0, Kind::kText, "", "token: how long it is good for"},
      {"audience", 0, Kind::kList, "", "token: who accepts it"},
      {"save-config", 0, Kind::kBool, "false", "keep what a later apply compares with"},
      {"validate", 0, Kind::kOptionalText, "strict", "strict, warn or ignore unknown fields",
       "strict"}};
  return {"create", "Create objects from files or flags",
          "create (-f FILE | namespace NAME | deployment NAME --image=IMAGE [-- COMMAND...] | "
          "configmap NAME | secret generic NAME | serviceaccount NAME | token SERVICEACCOUNT)",
          flags + file_flags() + output_flags() + dry_run_flags(), run};
}

}  // namespace orch::ctl
