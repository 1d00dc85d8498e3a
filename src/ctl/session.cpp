#include "ctl/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "orch/base/strings.h"

namespace orch::ctl {

using api::JsonValue;

Outcome<Connection> Session::connection() {
  if (connection_) return *connection_;
  const std::string given = flags.text("kubeconfig");
  const std::string path = given.empty() ? default_kubeconfig_path() : given;
  JsonValue config = JsonValue::object();
  if (!path.empty()) {
    ORCH_TRY(config, load_kubeconfig(path));
  }
  const size_t slash = path.rfind('/');
  auto text = [&](std::string_view name) {
    const bool own = std::find(own_flags.begin(), own_flags.end(), name) != own_flags.end();
    return own ? std::string() : flags.text(name);
  };
  const ConnectionOverrides overrides{flags.text("context"),
                                      flags.text("server"),
                                      flags.text("token"),
                                      flags.on("insecure-skip-tls-verify"),
                                      text("cluster"),
                                      text("user"),
                                      flags.text("tls-server-name"),
                                      flags.text("certificate-authority"),
                                      flags.text("client-certificate"),
                                      flags.text("client-key")};
  ORCH_TRY(
      connection_,
      connection_of(config, slash == std::string::npos ? "." : path.substr(0, slash), overrides));
  if (flags.given("namespace")) connection_->namespace_ = flags.text("namespace");
  for (const auto& [flag, header] : {std::pair{"as", "Impersonate-User"},
                                     {"as-uid", "Impersonate-Uid"},
                                     {"as-group", "Impersonate-Group"}}) {
    for (const std::string& value : flags.list(flag)) {
      connection_->headers.emplace_back(header, value);
    }
  }
  return *connection_;
}

Outcome<ApiClient*> Session::api() {
  if (!api_) {
    ORCH_TRY(const Connection connection, connection());
    ORCH_TRY(const int64_t timeout, flags.millis("request-timeout"));
    ORCH_TRY(api_, ApiClient::create(connection, Millis{timeout}));
  }
  return api_.get();
}

Outcome<const Discovery*> Session::discovery() {
  if (!discovery_) {
    ORCH_TRY(ApiClient * client, api());
    ORCH_TRY(Discovery loaded, Discovery::load(*client));
    discovery_ = std::make_unique<Discovery>(std::move(loaded));
  }
  return discovery_.get();
}

Outcome<std::string> Session::namespace_() {
  ORCH_TRY(const Connection connection, connection());
  return connection.namespace_;
}

Outcome<std::vector<Selection>> Session::selections(const std::vector<std::string>& args) {
  std::vector<Selection> out;
  if (args.empty()) return out;
  ORCH_TRY(const Discovery* known, discovery());
  const bool slashed = args[0].find('/') != std::string::npos;
  if (slashed) {
    for (const std::string& arg : args) {
      const auto parts = split(arg, '/');
      if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) {
        return Err(error(parts.size() == 1
                             ? "there is no need to specify a resource type as a separate argument "
                               "when passing arguments in resource/name form (e.g. '" +
                                   program + " get resource/<resource_name>' instead of '" +
                                   program + " get resource resource/<resource_name>'"
                             : "arguments in resource/name form must have a single resource and "
                               "name"));
      }
      ORCH_TRY(const Resource* resource, known->resolve(parts[0]));
      auto same = std::find_if(out.begin(), out.end(),
                               [&](const Selection& s) { return s.resource == resource; });
      if (same == out.end()) {
        out.push_back({resource, {parts[1]}});
      } else {
        same->names.push_back(parts[1]);
      }
    }
    return out;
  }
  const std::vector<std::string> names(args.begin() + 1, args.end());
  for (const std::string& name : names) {
    if (name.find('/') != std::string::npos) {
      return Err(
          error("there is no need to specify a resource type as a separate argument when "
                "passing arguments in resource/name form (e.g. '" +
                program + " get resource/<resource_name>' instead of '" + program +
                " get resource resource/<resource_name>'"));
    }
  }
  for (const std::string& type : split(args[0], ',')) {
    if (type.empty()) continue;
    if (auto group = known->category(type); !group.empty()) {
      for (const Resource* resource : group) out.push_back({resource, names});
      continue;
    }
    ORCH_TRY(const Resource* resource, known->resolve(type));
    out.push_back({resource, names});
  }
  return out;
}

Outcome<Target> Session::target_of(Manifest manifest) {
  ORCH_TRY(const Discovery* known, discovery());
  auto resource = known->resolve_kind(manifest.api_version(), manifest.kind());
  if (!resource) {
    return Err(error(fmt::format(
        "resource mapping not found for name: \"{}\" namespace: \"{}\" "
        "from \"{}\": {}",
        manifest.name(), manifest.namespace_(), manifest.source, resource.error().message)));
  }
  Target out;
  out.resource = *resource;
  out.name = manifest.name();
  out.source = manifest.source;
  out.object = std::move(manifest.object);
  if (!out.resource->namespaced) return out;
  ORCH_TRY(const std::string ns, namespace_());
  out.namespace_ = out.object.at("metadata.namespace").text();
  if (out.namespace_.empty()) {
    out.namespace_ = ns;
    out.object.set_at("metadata.namespace", ns);
  } else if (flags.given("namespace") && out.namespace_ != ns) {
    return Err(
        error(fmt::format("the namespace from the provided object \"{}\" does not match the "
                          "namespace \"{}\". You must pass '--namespace={}' to perform this "
                          "operation.",
                          out.namespace_, ns, out.namespace_)));
  }
  return out;
}

Outcome<std::vector<Target>> Session::list_targets(const Resource& resource,
                                                   const std::string& ns) {
  ORCH_TRY(ApiClient * client, api());
  std::vector<Target> out;
  std::string next;
  do {
    Call call;
    call.target = resource.path(ns) + query_text({{"labelSelector", flags.text("selector")},
                                                  {"fieldSelector", flags.text("field-selector")},
                                                  {"limit", "500"},
                                                  {"continue", next}});
    ORCH_TRY(const JsonValue list, client->json(call));
    for (JsonValue& item : list.get("items").items()) {
      Target target;
      target.resource = &resource;
      target.namespace_ = item.at("metadata.namespace").text();
      target.name = item.at("metadata.name").text();
      item.set("kind", resource.kind);
      item.set("apiVersion", resource.api_version());
      target.object = std::move(item);
      out.push_back(std::move(target));
    }
    next = list.at("metadata.continue").text();
  } while (!next.empty());
  return out;
}

Outcome<std::vector<Target>> Session::targets(const std::vector<std::string>& args) {
  std::vector<Target> out;
  if (flags.given("filename")) {
    if (!args.empty()) {
      return Err(
          error("when paths, URLs, or stdin is provided as input, you may not specify "
                "resource arguments as well"));
    }
    ORCH_TRY(auto manifests, read_manifests(flags.list("filename"), flags.on("recursive")));
    for (Manifest& manifest : manifests) {
      ORCH_TRY(Target target, target_of(std::move(manifest)));
      out.push_back(std::move(target));
    }
    return out;
  }
  if (args.empty()) {
    return Err(
        error("You must provide one or more resources by argument or filename.\nExample "
              "resource specifications include:\n   '-f rsrc.yaml'\n   "
              "'--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'"));
  }
  const bool own = std::find(own_flags.begin(), own_flags.end(), "selector") != own_flags.end();
  const bool by_selector =
      flags.on("all") || (flags.given("selector") && !own) || flags.given("field-selector");
  ORCH_TRY(const auto chosen, selections(args));
  ORCH_TRY(const std::string ns, namespace_());
  for (const Selection& selection : chosen) {
    const bool everywhere = flags.on("all-namespaces");
    if (selection.names.empty()) {
      if (!by_selector && !everywhere) {
        return Err(error("resource(s) were provided, but no name was specified"));
      }
      ORCH_TRY(auto listed, list_targets(*selection.resource, everywhere ? "" : ns));
      std::move(listed.begin(), listed.end(), std::back_inserter(out));
      continue;
    }
    if (by_selector) {
      return Err(error("name cannot be provided when a selector is specified"));
    }
    for (const std::string& name : selection.names) {
      Target target;
      target.resource = selection.resource;
      target.namespace_ = selection.resource->namespaced ? ns : "";
      target.name = name;
      out.push_back(std::move(target));
    }
  }
  return out;
}

Outcome<JsonValue> Session::fetch(const Target& target) {
  ORCH_TRY(ApiClient * client, api());
  Call call;
  call.target = target.path();
  return client->json(call);
}

std::vector<Flag> operator+(std::vector<Flag> a, const std::vector<Flag>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<Flag> file_flags() {
  return {{"filename", 'f', Flag::Kind::kList, "", "files, directories or - with the objects"},
          {"recursive", 'R', Flag::Kind::kBool, "false", "take directories with all below them"}};
}

std::vector<Flag> selector_flags() {
  return {{"selector", 'l', Flag::Kind::kText, "", "only objects with these labels"},
          {"field-selector", 0, Flag::Kind::kText, "", "only objects with these field values"},
          {"all-namespaces", 'A', Flag::Kind::kBool, "false", "in every namespace"}};
}

std::vector<Flag> output_flags() {
  return {{"output", 'o', Flag::Kind::kText, "",
           "json, yaml, name, jsonpath=..., jsonpath-file=... or, where there is a table, wide and "
           "custom-columns=..."},
          {"show-managed-fields", 0, Flag::Kind::kBool, "false", "show metadata.managedFields"}};
}

std::vector<Flag> dry_run_flags() {
  return {{"dry-run", 0, Flag::Kind::kOptionalText, "none", "none, client or server", "client"}};
}

Outcome<DryRun> dry_run_of(const Flags& flags) {
  if (!flags.has("dry-run")) return DryRun::kNone;
  const std::string value = flags.text("dry-run");
  if (value == "none" || value == "false") return DryRun::kNone;
  if (value == "client" || value == "true") return DryRun::kClient;
  if (value == "server") return DryRun::kServer;
  return Err(
      error(fmt::format("Invalid dry-run value ({}). Must be \"none\", \"server\", or "
                        "\"client\".",
                        value)));
}

std::string validation_of(const Flags& flags) {
  const std::string value = flags.text("validate");
  if (value == "strict" || value == "true") return "Strict";
  return value == "warn" ? "Warn" : "Ignore";
}

std::string_view dry_run_suffix(DryRun dry_run) {
  if (dry_run == DryRun::kClient) return " (dry run)";
  return dry_run == DryRun::kServer ? " (server dry run)" : "";
}

void print_failure(const Failure& failure) {
  if (failure.message.empty()) return;
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", failure.message);
}

int for_each_target(const std::vector<Target>& targets,
                    const std::function<Outcome<Unit>(const Target&)>& each) {
  int exit_code = 0;
  for (const Target& target : targets) {
    if (auto done = each(target); !done) {
      print_failure(done.error());
      exit_code = done.error().exit_code;
    }
    std::fflush(stdout);
  }
  return exit_code;
}

}  // namespace orch::ctl
