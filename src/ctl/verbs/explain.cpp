// explain: what the server's OpenAPI v3 documents say about a kind and its fields (KEP-2896).
#include <fmt/format.h>

#include <algorithm>

#include "ctl/session.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr size_t kLineMax = 76;
constexpr size_t kEnumShownMax = 4;

// The schemas of one group and version.
struct Schemas {
  JsonValue all;
  JsonValue resolve(const JsonValue& schema) const {
    const std::string ref = schema.get("$ref").text();
    return ref.empty() ? schema : all.get(ref.substr(ref.rfind('/') + 1));
  }
};

std::string wrapped(std::string_view text, size_t indent) {
  const std::string pad(indent, ' ');
  std::string out;
  for (const std::string& paragraph : split(text, '\n')) {
    std::string line;
    for (const std::string& word : split(paragraph, ' ')) {
      if (word.empty()) continue;
      if (!line.empty() && line.size() + 1 + word.size() > kLineMax) {
        out += pad + line + "\n";
        line.clear();
      }
      line += (line.empty() ? "" : " ") + word;
    }
    out += pad + line + "\n";
  }
  return out;
}

std::string type_name(const Schemas& schemas, const JsonValue& schema) {
  if (schema.has("items")) return "[]" + type_name(schemas, schema.get("items"));
  if (schema.get("additionalProperties").is_object()) {
    return "map[string]" + type_name(schemas, schema.get("additionalProperties"));
  }
  if (schema.get("allOf").size() == 1) return type_name(schemas, schema.get("allOf").items()[0]);
  if (const std::string ref = schema.get("$ref").text(); !ref.empty()) {
    const std::string scalar = schemas.resolve(schema).get("type").text();  // Time is a string
    return scalar.empty() || scalar == "object" ? ref.substr(ref.rfind('.') + 1) : scalar;
  }
  const std::string type = schema.get("type").text();
  return type.empty() || type == "object" ? "Object" : type;
}

// The schema whose properties a field's value (or its elements) has.
JsonValue below(const Schemas& schemas, JsonValue schema) {
  for (;;) {
    if (schema.get("properties").size() != 0) return schema;
    if (schema.has("$ref")) {
      schema = schemas.resolve(schema);
    } else if (schema.get("allOf").size() != 0) {
      schema = schema.get("allOf").items()[0];
    } else if (schema.has("items")) {
      schema = schema.get("items");
    } else if (schema.get("additionalProperties").is_object()) {
      schema = schema.get("additionalProperties");
    } else {
      return schema;
    }
  }
}

std::string descriptions(const Schemas& schemas, const JsonValue& schema) {
  std::string out;
  if (const std::string own = schema.get("description").text(); !own.empty()) {
    out += wrapped(own, 4);
  }
  if (schema.has("$ref")) out += descriptions(schemas, schemas.resolve(schema));
  for (const JsonValue& part : schema.get("allOf").items()) out += descriptions(schemas, part);
  for (std::string_view inner : {"items", "additionalProperties"}) {
    if (schema.get(inner).is_object()) out += descriptions(schemas, schema.get(inner));
  }
  return out;
}

std::string enum_text(const JsonValue& schema, bool all) {
  const auto values = schema.get("enum").items();
  std::vector<std::string> shown;
  for (const JsonValue& value : values) {
    shown.push_back(value.text().empty() ? "\"\"" : value.text());
  }
  if (all) {
    std::string out;
    for (const std::string& value : shown) out += fmt::format("    {}\n", value);
    return out;
  }
  if (shown.size() > kEnumShownMax) {
    shown.resize(kEnumShownMax);
    shown.push_back("....");
  }
  return join(shown, ", ");
}

void fields(const Schemas& schemas, const JsonValue& schema, bool recursive, size_t level,
            std::vector<std::string>& above, std::string& out) {
  auto properties = schema.get("properties").members();
  std::sort(properties.begin(), properties.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> required;
  for (const JsonValue& name : schema.get("required").items()) required.push_back(name.text());
  const std::string pad(2 * level, ' ');
  for (const auto& [name, field] : properties) {
    const std::string type = type_name(schemas, field);
    const bool needed = std::find(required.begin(), required.end(), name) != required.end();
    out += fmt::format("{}{}\t<{}>{}\n", pad, name, type, needed ? " -required-" : "");
    if (field.get("enum").size() != 0) {
      out += fmt::format("{}enum: {}\n", pad, enum_text(field, false));
    }
    if (!recursive) {
      const std::string text = field.get("description").text();
      out += wrapped(text.empty() ? "<no description>" : text, 2 * level + 2) + "\n";
      continue;
    }
    const std::string bare = type.substr(type.rfind(']') + 1);
    const JsonValue inner = below(schemas, field);
    if (inner.get("properties").size() == 0) continue;
    if (std::find(above.begin(), above.end(), bare) != above.end()) continue;  // refers to itself
    above.push_back(bare);
    fields(schemas, inner, true, level + 1, above, out);
    above.pop_back();
  }
}

Outcome<const Resource*> resource_of(Session& session, const std::string& type) {
  ORCH_TRY(const Discovery* known, session.discovery());
  auto found = known->resolve(type);
  if (!found) {
    Failure failure = found.error();
    failure.message.erase(0, std::string_view("error: ").size());
    return Err(std::move(failure));
  }
  const std::string version = session.flags.text("api-version");
  if (version.empty()) return *found;
  for (const Resource& resource : known->all()) {
    if (resource.plural == (*found)->plural && resource.api_version() == version) return &resource;
  }
  return Err(error(
      fmt::format("couldn't find resource for \"{}, Resource={}\"", version, (*found)->plural)));
}

Outcome<Schemas> schemas_of(Session& session, const Resource& resource) {
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.target = resource.group.empty()
                    ? "/openapi/v3/api/" + resource.version
                    : "/openapi/v3/apis/" + resource.group + "/" + resource.version;
  ORCH_TRY(const JsonValue document, client->json(call));
  return Schemas{document.at("components.schemas")};
}

JsonValue schema_of(const Schemas& schemas, const Resource& resource) {
  for (const auto& [name, schema] : schemas.all.members()) {
    for (const JsonValue& kind : schema.get("x-kubernetes-group-version-kind").items()) {
      if (kind.get("group").text() == resource.group && kind.get("kind").text() == resource.kind &&
          kind.get("version").text() == resource.version) {
        return schema;
      }
    }
  }
  return {};
}

Outcome<int> run(Session& session) {
  const auto& args = session.flags.args();
  if (args.empty()) {
    return Err(error("You must specify the type of resource to explain. Use \"" + session.program +
                     " api-resources\" for a complete list of supported resources."));
  }
  if (args.size() > 1) return Err(error("We accept only this format: explain RESOURCE"));
  // The type may have a group, "deployments.apps.spec": the longest name that is one wins.
  std::vector<std::string> path = split(args[0], '.');
  if (path.empty()) path.push_back(args[0]);
  size_t used = 1;
  ORCH_TRY(const Discovery* known, session.discovery());
  for (size_t words = path.size(); words > 1; --words) {
    const std::vector<std::string> head(path.begin(), path.begin() + static_cast<long>(words));
    if (!known->resolve(join(head, "."))) continue;
    used = words;
    break;
  }
  const std::vector<std::string> head(path.begin(), path.begin() + static_cast<long>(used));
  ORCH_TRY(const Resource* resource, resource_of(session, join(head, ".")));
  ORCH_TRY(const Schemas schemas, schemas_of(session, *resource));
  JsonValue schema = schema_of(schemas, *resource);
  if (schema.is_null()) {
    return Err(error(fmt::format("GVR (/{}, Resource={}) not found in OpenAPI schema",
                                 resource->api_version(), resource->plural)));
  }
  if (!resource->group.empty()) fmt::print("GROUP:      {}\n", resource->group);
  fmt::print("KIND:       {}\nVERSION:    {}\n\n", resource->kind, resource->version);
  std::string out;
  for (size_t i = used; i < path.size(); ++i) {
    const JsonValue field = below(schemas, schema).get("properties").get(path[i]);
    if (field.is_null()) {
      return Err(error(fmt::format("field \"{}\" does not exist", path[i])));
    }
    schema = field;
  }
  if (used < path.size()) {
    out += fmt::format("FIELD: {} <{}>\n", path.back(), type_name(schemas, schema));
    const bool has_enum = schema.get("enum").size() != 0;
    out += has_enum ? fmt::format("ENUM:\n{}\n", enum_text(schema, true)) : "\n\n";
  }
  const std::string text = descriptions(schemas, schema);
  out += fmt::format("DESCRIPTION:\n{}    \n", text.empty() ? "    <empty>\n" : text);
  const JsonValue inner = below(schemas, schema);
  if (inner.get("properties").size() != 0) {
    out += "FIELDS:\n";
    std::vector<std::string> above{resource->kind};
    if (const std::string type = type_name(schemas, schema);
        schema.has("allOf") || schema.has("items")) {
      above.push_back(type.substr(type.rfind(']') + 1));
    }
    fields(schemas, inner, session.flags.on("recursive"), 1, above, out);
  }
  fmt::print("{}\n", out);
  return 0;
}

}  // namespace

Verb explain_verb() {
  using Kind = Flag::Kind;
  return {"explain",
          "Tell what a resource's fields mean",
          "explain TYPE[.FIELD...] [--recursive] [--api-version=GROUP/VERSION]",
          {{"recursive", 0, Kind::kBool, "false", "names of all fields below"},
           {"api-version", 0, Kind::kText, "", "the API group and version"},
           {"output", 'o', Kind::kText, "plaintext", "plaintext"}},
          run};
}

}  // namespace orch::ctl
