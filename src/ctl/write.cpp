#include "ctl/write.h"

#include <fmt/format.h>

#include "ctl/merge.h"
#include "orch/api/codec.h"
#include "orch/api/type_info.h"

namespace orch::ctl {

using api::JsonValue;

namespace {

const api::TypeInfo* type_of(const Resource& resource) {
  return api::find_kind(resource.group, resource.version, resource.kind);
}

}  // namespace

JsonValue as_typed(const Resource& resource, const JsonValue& object) {
  const api::TypeInfo* type = type_of(resource);
  if (type == nullptr) return object;
  auto decoded = api::decode_object(object.dump(), *type);
  if (!decoded) return object;
  return JsonValue::parse(api::to_json(**decoded)).value_or(object);
}

JsonValue difference(const Resource& resource, const JsonValue& before, const JsonValue& after,
                     std::string& content_type) {
  const api::TypeInfo* type = type_of(resource);
  content_type =
      type == nullptr ? "application/merge-patch+json" : "application/strategic-merge-patch+json";
  return three_way_patch(before, after, before, type);
}

Outcome<Writer> Writer::of(Session& session, std::string_view manager) {
  ORCH_TRY(ApiClient * client, session.api());
  ORCH_TRY(Output output, Output::of(session.flags));
  ORCH_TRY(const DryRun dry_run, dry_run_of(session.flags));
  const std::string given = session.flags.text("field-manager");
  return Writer{session, *client, std::move(output), dry_run,
                given.empty() ? std::string(manager) : given};
}

Outcome<JsonValue> Writer::send(std::string_view method, const std::string& path,
                                const std::string& body, std::string_view content_type,
                                std::string_view doing) const {
  if (dry_run == DryRun::kClient) return JsonValue();
  Call call;
  call.method = method;
  call.target =
      path + query_text({{"dryRun", dry_run == DryRun::kServer ? "All" : ""},
                         {"fieldManager", manager},
                         {"fieldValidation",
                          session.flags.has("validate") ? validation_of(session.flags) : ""}});
  call.body = body;
  call.content_type = content_type;
  call.doing = doing;
  return client.json(call);
}

Outcome<JsonValue> Writer::create(const Target& target) const {
  ORCH_TRY(
      JsonValue created,
      send("POST", target.resource->path(target.namespace_), target.object.dump(),
           "application/json",
           target.source.empty() ? "" : fmt::format("error when creating \"{}\"", target.source)));
  if (!created.is_null()) return created;
  return target.source.empty() ? as_typed(*target.resource, target.object) : target.object;
}

Outcome<JsonValue> Writer::change(const Target& target, const JsonValue& before,
                                  const JsonValue& after) const {
  std::string content_type;
  const JsonValue patch = difference(*target.resource, before, after, content_type);
  if (patch.size() == 0 || dry_run == DryRun::kClient) return after;
  return send("PATCH", target.path(), patch.dump(), content_type);
}

void Writer::print(const Target& target, std::string_view done, const JsonValue& object) const {
  output.print_done(target, fmt::format("{}{}", done, dry_run_suffix(dry_run)), object);
}

JsonValue new_object(std::string_view api_version, std::string_view kind, std::string_view name) {
  JsonValue out = JsonValue::object();
  out.set("apiVersion", api_version);
  out.set("kind", kind);
  out.set_at("metadata.name", name);
  return out;
}

JsonValue list_of(const std::vector<std::string>& texts) {
  JsonValue out = JsonValue::array();
  for (const std::string& text : texts) out.push_back(text);
  return out;
}

Outcome<JsonValue> map_of(const std::vector<std::string>& pairs, std::string_view what) {
  JsonValue out = JsonValue::object();
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Err(error(fmt::format("invalid {}: {}", what, pair)));
    }
    out.set(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return out;
}

Outcome<std::vector<JsonValue>> rbac_subjects(const Flags& flags, const std::string& namespace_) {
  std::vector<JsonValue> out;
  for (const auto& [flag, kind] : {std::pair{"user", "User"}, {"group", "Group"}}) {
    for (const std::string& name : flags.comma_list(flag)) {
      JsonValue subject = JsonValue::object();
      subject.set("apiGroup", "rbac.authorization.k8s.io");
      subject.set("kind", kind);
      subject.set("name", name);
      out.push_back(std::move(subject));
    }
  }
  for (const std::string& account : flags.comma_list("serviceaccount")) {
    const size_t colon = account.find(':');
    const bool whole = colon != std::string::npos && colon > 0 && colon + 1 < account.size() &&
                       account.find(':', colon + 1) == std::string::npos;
    if (!whole && (colon != std::string::npos || namespace_.empty())) {
      return Err(error("serviceaccount must be <namespace>:<name>"));
    }
    JsonValue subject = JsonValue::object();
    subject.set("kind", "ServiceAccount");
    subject.set("name", whole ? account.substr(colon + 1) : account);
    subject.set("namespace", whole ? account.substr(0, colon) : namespace_);
    out.push_back(std::move(subject));
  }
  return out;
}

void for_each_at(JsonValue& object, std::string_view path,
                 const std::function<void(JsonValue&)>& each) {
  const JsonValue list = object.at(path);
  if (!list.is_array()) return;
  JsonValue out = JsonValue::array();
  for (JsonValue& item : list.items()) {
    each(item);
    out.push_back(std::move(item));
  }
  object.set_at(path, std::move(out));
}

const char* template_path(const JsonValue& object) {
  const std::string kind = object.get("kind").text();
  if (kind == "Pod") return "";
  if (kind == "CronJob") return "spec.jobTemplate.spec.template";
  for (std::string_view known :
       {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"}) {
    if (kind == known) return "spec.template";
  }
  return nullptr;
}

std::string pod_spec_path(const JsonValue& object) {
  const char* path = template_path(object);
  return path == nullptr ? "" : *path == 0 ? "spec" : fmt::format("{}.spec", path);
}

Failure usage_error(const Session& session, std::string_view verb, std::string_view text) {
  return error(
      fmt::format("{}\nSee '{} {} -h' for help and examples", text, session.program, verb));
}

Outcome<std::string> one_name(const Session& session, std::string_view verb,
                              const std::vector<std::string>& args) {
  if (args.size() == 1) return args[0];
  return Err(
      usage_error(session, verb, fmt::format("exactly one NAME is required, got {}", args.size())));
}

Outcome<int> run_sub_verb(Session& session, std::string_view verb, const SubVerb* known,
                          size_t count) {
  std::vector<std::string> args = session.flags.args();
  std::string names;
  for (size_t i = 0; i < count; ++i) {
    if (!args.empty() &&
        (args[0] == known[i].name || (!known[i].alias.empty() && args[0] == known[i].alias))) {
      args.erase(args.begin());
      return known[i].run(session, std::move(args));
    }
    names += fmt::format("{}{}", i == 0 ? "" : ", ", known[i].name);
  }
  if (!args.empty()) {
    return Err(usage_error(session, verb, fmt::format("unknown command \"{}\"", args[0])));
  }
  return Err(usage_error(session, verb, fmt::format("must specify one of {}", names)));
}

}  // namespace orch::ctl
