#include "api/openapi/paths.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/metav1.h"
#include "orch/base/strings.h"

namespace orch::api::openapi {
namespace {

using doc::Arena;
using doc::Value;

struct Parameter {
  std::string_view name, type, description;
};
constexpr Parameter kPretty = {"pretty", "string", "If \"true\", the output is indented."};
constexpr Parameter kListParameters[] = {
    {"allowWatchBookmarks", "boolean", "Lets a watch send BOOKMARK events."},
    {"continue", "string", "Token of the previous page; asks for the next."},
    {"fieldSelector", "string", "Restricts the list to objects whose fields match."},
    {"labelSelector", "string", "Restricts the list to objects whose labels match."},
    {"limit", "integer", "The most objects to return; the answer may carry a continue token."},
    {"resourceVersion", "string", "The version that the answer may be served from."},
    {"resourceVersionMatch", "string",
     "How resourceVersion is to be understood: Exact or NotOlderThan."},
    {"sendInitialEvents", "boolean", "Lets a watch begin with the present state."},
    {"timeoutSeconds", "integer", "The longest the call may last."},
    {"watch", "boolean", "Streams changes instead of listing."},
};
constexpr Parameter kDryRun = {"dryRun", "string",
                               "\"All\": the request is processed, but nothing is persisted."};
constexpr Parameter kFieldManager = {"fieldManager", "string",
                                     "Name of the actor that makes the change."};
constexpr Parameter kFieldValidation = {
    "fieldValidation", "string",
    "What is done about unknown or duplicate fields: Ignore, Warn or Strict."};
constexpr Parameter kForce = {"force", "boolean",
                              "Apply takes fields over that other managers own."};
constexpr Parameter kDeleteParameters[] = {
    kDryRun,
    {"gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 means at once."},
    {"orphanDependents", "boolean", "Deprecated: use propagationPolicy."},
    {"propagationPolicy", "string",
     "What happens to dependents: Orphan, Background or Foreground."},
};
constexpr std::string_view kMediaTypes[] = {"application/json", "application/yaml",
                                            "application/vnd.kubernetes.protobuf"};
constexpr std::string_view kPatchTypes[] = {
    "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json", "application/apply-patch+yaml"};
constexpr std::string_view kPatchName = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

std::string capital(std::string_view word) {
  std::string out(word);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 32);
  return out;
}

// "rbac.authorization.k8s.io" -> "RbacAuthorization", "" -> "Core".
std::string group_word(std::string_view group) {
  if (group.empty()) return "Core";
  constexpr std::string_view kSuffix = ".k8s.io";
  if (group.ends_with(kSuffix)) group.remove_suffix(kSuffix.size());
  std::string out;
  for (const std::string& part : split(group, '.')) out += capital(part);
  return out;
}

// What one operation is about.
struct Operation {
  std::string_view verb;           // in the id and the description: "read", "replace", ...
  std::string_view action;         // x-kubernetes-action
  const TypeInfo* body = nullptr;  // of the request
  std::string_view body_name;      // a value type as body
  const TypeInfo* answer = nullptr;
  bool list_answer = false, text_answer = false, creates = false;
  std::vector<Parameter> parameters;
};

class PathWriter {
 public:
  PathWriter(Dialect dialect, const ResourceInfo& resource, Closure& closure)
      : dialect_(dialect), resource_(resource), closure_(closure) {
    word_ = group_word(resource.group) + capital(resource.version);
    tag_ = group_word(resource.group);
    tag_[0] = static_cast<char>(tag_[0] + 32);
    tag_ += "_" + std::string(resource.version);
  }

  // `suffix` ends the operation's id: "Status", "Scale", "ForAllNamespaces".
  Value operation(const Operation& o, std::string_view middle, std::string_view suffix) {
    Value out = doc::object_value();
    std::string scope = resource_.namespaced && suffix != "ForAllNamespaces" ? "Namespaced" : "";
    put(out, "description",
        keep(fmt::format("{} {}{}{}", o.verb, o.list_answer ? "objects of kind " : "the specified ",
                         resource_.kind, suffix.empty() ? "" : fmt::format(" ({})", suffix))));
    put(out, "operationId",
        keep(fmt::format("{}{}{}{}{}{}", o.verb, word_, middle, scope, resource_.kind, suffix)));
    put_strings(out, "tags", {keep(tag_)});
    put(out, "x-kubernetes-action", o.action);
    const TypeInfo* about = o.body != nullptr && o.creates && !suffix.empty() ? o.body
                            : o.answer != nullptr && suffix == "Scale"        ? o.answer
                                                                              : resource_.type;
    out.at("x-kubernetes-group-version-kind") = gvk(*about, about->kind);
    Value parameters = doc::array_value();
    for (const Parameter& p : o.parameters) {
      parameters.items.push_back({{}, parameter(p, "query", false)});
    }
    put_body(out, parameters, o);
    if (!parameters.empty()) out.at("parameters") = std::move(parameters);
    put_responses(out, o);
    if (dialect_ == Dialect::kV2) {
      put_strings(out, "schemes", {"https"});
      if (o.text_answer) {
        put_strings(out, "produces", {"text/plain"});
      } else {
        put_strings(out, "produces", {kMediaTypes[0], kMediaTypes[1], kMediaTypes[2]});
      }
      if (o.action == "patch") {
        put_strings(out, "consumes",
                    {kPatchTypes[0], kPatchTypes[1], kPatchTypes[2], kPatchTypes[3]});
      } else {
        put_strings(out, "consumes", {"*/*"});
      }
    }
    return out;
  }

  Value path_parameters(bool name, bool ns) {
    Value out = doc::array_value();
    if (name) {
      out.items.push_back(
          {{},
           parameter({"name", "string", keep(fmt::format("name of the {}", resource_.kind))},
                     "path", true)});
    }
    if (ns) {
      out.items.push_back({{},
                           parameter({"namespace", "string",
                                      "object name and auth scope, such as for teams "
                                      "and projects"},
                                     "path", true)});
    }
    out.items.push_back({{}, parameter(kPretty, "query", false)});
    return out;
  }

 private:
  std::string_view keep(std::string text) { return arena_.keep(std::move(text)); }

  static void put_strings(Value& object, std::string_view key,
                          std::initializer_list<std::string_view> texts) {
    Value& list = object.at(key) = doc::array_value();
    for (std::string_view t : texts) list.items.push_back({{}, text(t)});
  }

  Value parameter(const Parameter& p, std::string_view in, bool required) {
    Value out = doc::object_value();
    put(out, "name", p.name);
    put(out, "in", in);
    put(out, "description", p.description);
    if (required) out.at("required") = literal("true");
    Value schema = doc::object_value();
    Value& typed = dialect_ == Dialect::kV2 ? out : schema;
    put(typed, "type", p.type);
    typed.at("uniqueItems") = literal("true");
    if (dialect_ == Dialect::kV3) out.at("schema") = std::move(schema);
    return out;
  }

  Value schema_of(const TypeInfo* type, std::string_view value_name, bool list) {
    if (type == nullptr) {
      closure_.add_value(value_name);
      return reference(dialect_, value_name, arena_);
    }
    if (list) {
      closure_.add_list(*type);
      closure_.add(metav1::ListMeta::type_info());
      return reference(dialect_, list_name(*type), arena_);
    }
    closure_.add(*type);
    return reference(dialect_, type->openapi_name, arena_);
  }

  void put_body(Value& out, Value& parameters, const Operation& o) {
    if (o.body == nullptr && o.body_name.empty()) return;
    bool required = o.action != "delete" && o.action != "deletecollection";
    Value schema = schema_of(o.body, o.body_name, false);
    Value body = doc::object_value();
    if (dialect_ == Dialect::kV2) {
      put(body, "name", "body");
      put(body, "in", "body");
      if (required) body.at("required") = literal("true");
      body.at("schema") = std::move(schema);
      parameters.items.insert(parameters.items.begin(), {{}, std::move(body)});
      return;
    }
    Value& content = body.at("content") = doc::object_value();
    if (o.action == "patch") {
      for (std::string_view type : kPatchTypes) {
        (content.at(type) = doc::object_value()).at("schema") = schema;
      }
    } else {
      (content.at("*/*") = doc::object_value()).at("schema") = std::move(schema);
    }
    if (required) body.at("required") = literal("true");
    out.at("requestBody") = std::move(body);
  }

  void put_responses(Value& out, const Operation& o) {
    Value& responses = out.at("responses") = doc::object_value();
    auto answer = [&](std::string_view code, std::string_view description) {
      Value& response = responses.at(code) = doc::object_value();
      put(response, "description", description);
      Value schema = doc::object_value();
      if (o.text_answer) {
        put(schema, "type", "string");
      } else {
        schema = schema_of(o.answer, "", o.list_answer);
      }
      if (dialect_ == Dialect::kV2) {
        response.at("schema") = std::move(schema);
        return;
      }
      Value& content = response.at("content") = doc::object_value();
      if (o.text_answer) {
        (content.at("text/plain") = doc::object_value()).at("schema") = std::move(schema);
        return;
      }
      for (std::string_view type : kMediaTypes) {
        (content.at(type) = doc::object_value()).at("schema") = schema;
      }
    };
    answer("200", "OK");
    if (o.action == "post" || o.action == "put" || o.action == "patch") answer("201", "Created");
    if (o.action == "post" || o.action == "delete") answer("202", "Accepted");
    put(responses.at("401") = doc::object_value(), "description", "Unauthorized");
  }

  Dialect dialect_;
  const ResourceInfo& resource_;
  Closure& closure_;
  Arena arena_;
  std::string word_, tag_;
};

const std::vector<Parameter> kWriteParameters = {kDryRun, kFieldManager, kFieldValidation};
const std::vector<Parameter> kApplyParameters = {kDryRun, kFieldManager, kFieldValidation, kForce};

Operation read(const TypeInfo* type) {
  Operation o{.verb = "read", .action = "get"};
  o.answer = type;
  return o;
}
Operation replace(const TypeInfo* type) {
  Operation o{.verb = "replace", .action = "put"};
  o.body = o.answer = type;
  o.parameters = kWriteParameters;
  return o;
}
Operation patch(const TypeInfo* type) {
  Operation o{.verb = "patch", .action = "patch"};
  o.body_name = kPatchName;
  o.answer = type;
  o.parameters = kApplyParameters;
  return o;
}
Operation create(const TypeInfo* type) {
  Operation o{.verb = "create", .action = "post"};
  o.body = o.answer = type;
  o.creates = true;
  o.parameters = kWriteParameters;
  return o;
}
Operation list(const TypeInfo* type) {
  Operation o{.verb = "list", .action = "list"};
  o.answer = type;
  o.list_answer = true;
  o.parameters = {std::begin(kListParameters), std::end(kListParameters)};
  return o;
}
Operation remove(bool collection) {
  Operation o{.verb = "delete", .action = collection ? "deletecollection" : "delete"};
  o.body = &metav1::DeleteOptions::type_info();
  o.answer = &metav1::Status::type_info();
  o.parameters = {std::begin(kDeleteParameters), std::end(kDeleteParameters)};
  if (collection) {
    for (const Parameter& p : kListParameters) {
      if (p.name != "watch" && p.name != "allowWatchBookmarks") o.parameters.push_back(p);
    }
  }
  return o;
}

// Subresources beside status and scale.
struct Subresource {
  std::string_view group, plural, name, suffix;
  std::string_view kind_group, kind_version, kind;  // kind "" = the resource's own
  std::string_view actions;                         // of get put patch post
};
constexpr Subresource kSubresources[] = {
    {"", "pods", "log", "Log", "", "", "", "text"},
    {"", "pods", "binding", "Binding", "", "v1", "Binding", "post"},
    {"", "pods", "eviction", "Eviction", "policy", "v1", "Eviction", "post"},
    {"", "pods", "ephemeralcontainers", "Ephemeralcontainers", "", "", "", "get put patch"},
    {"", "pods", "resize", "Resize", "", "", "", "get put patch"},
    {"", "serviceaccounts", "token", "Token", "authentication.k8s.io", "v1", "TokenRequest",
     "post"},
    {"", "namespaces", "finalize", "Finalize", "", "", "", "put"},
};

bool has_verb(const ResourceInfo& resource, std::string_view verb) {
  return std::find(resource.verbs.begin(), resource.verbs.end(), verb) != resource.verbs.end();
}

using Emit = std::function<void(const std::string&, const Value&)>;

void emit_item(PathWriter& writer, const ResourceInfo& r, const std::string& base,
               const Emit& emit) {
  Value item = doc::object_value();
  if (has_verb(r, "get")) item.at("get") = writer.operation(read(r.type), "", "");
  if (has_verb(r, "update")) item.at("put") = writer.operation(replace(r.type), "", "");
  if (has_verb(r, "patch")) item.at("patch") = writer.operation(patch(r.type), "", "");
  if (has_verb(r, "delete")) item.at("delete") = writer.operation(remove(false), "", "");
  if (item.empty()) return;
  item.at("parameters") = writer.path_parameters(true, r.namespaced);
  emit(base + "/{name}", item);
}

void emit_subresource(PathWriter& writer, const ResourceInfo& r, const std::string& base,
                      std::string_view name, std::string_view suffix, const TypeInfo* type,
                      std::string_view actions, const Emit& emit) {
  if (type == nullptr) return;
  auto has = [&](std::string_view action) { return actions.find(action) != actions.npos; };
  Value item = doc::object_value();
  if (has("text")) {
    Operation log = read(type);
    log.text_answer = true;
    item.at("get") = writer.operation(log, "", suffix);
  }
  if (has("get")) item.at("get") = writer.operation(read(type), "", suffix);
  if (has("put")) item.at("put") = writer.operation(replace(type), "", suffix);
  if (has("patch")) item.at("patch") = writer.operation(patch(type), "", suffix);
  if (has("post")) item.at("post") = writer.operation(create(type), "", suffix);
  item.at("parameters") = writer.path_parameters(true, r.namespaced);
  emit(fmt::format("{}/{{name}}/{}", base, name), item);
}

}  // namespace

std::string group_path(const ResourceInfo& resource) {
  return resource.group.empty() ? fmt::format("api/{}", resource.version)
                                : fmt::format("apis/{}/{}", resource.group, resource.version);
}

void for_each_path(Dialect dialect, const ResourceInfo& r, Closure& closure, const Emit& emit) {
  if (r.type == nullptr) return;
  PathWriter writer(dialect, r, closure);
  std::string root = "/" + group_path(r);
  std::string base =
      fmt::format("{}{}/{}", root, r.namespaced ? "/namespaces/{namespace}" : "", r.plural);
  Value collection = doc::object_value();
  if (has_verb(r, "list")) collection.at("get") = writer.operation(list(r.type), "", "");
  if (has_verb(r, "create")) collection.at("post") = writer.operation(create(r.type), "", "");
  if (has_verb(r, "deletecollection")) {
    collection.at("delete") = writer.operation(remove(true), "Collection", "");
  }
  if (!collection.empty()) {
    collection.at("parameters") = writer.path_parameters(false, r.namespaced);
    emit(base, collection);
  }
  emit_item(writer, r, base, emit);
  if (r.namespaced && has_verb(r, "list")) {
    Value everywhere = doc::object_value();
    everywhere.at("get") = writer.operation(list(r.type), "", "ForAllNamespaces");
    everywhere.at("parameters") = writer.path_parameters(false, false);
    emit(fmt::format("{}/{}", root, r.plural), everywhere);
  }
  if (r.has_status) {
    emit_subresource(writer, r, base, "status", "Status", r.type, "get put patch", emit);
  }
  if (r.has_scale) {
    emit_subresource(writer, r, base, "scale", "Scale", find_kind("autoscaling", "v1", "Scale"),
                     "get put patch", emit);
  }
  for (const Subresource& sub : kSubresources) {
    if (sub.group != r.group || sub.plural != r.plural) continue;
    const TypeInfo* type =
        sub.kind.empty() ? r.type : find_kind(sub.kind_group, sub.kind_version, sub.kind);
    emit_subresource(writer, r, base, sub.name, sub.suffix, type, sub.actions, emit);
  }
}

}  // namespace orch::api::openapi
