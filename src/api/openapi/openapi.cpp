#include "orch/api/openapi.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <set>

#include "api/openapi/gnostic.h"
#include "api/openapi/paths.h"
#include "api/openapi/schemas.h"
#include "orch/base/json_scan.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using doc::Arena;
using doc::Value;
using openapi::Closure;
using openapi::Dialect;
using openapi::ProtoWriter;

constexpr std::string_view kTitle = "Kubernetes";
constexpr std::string_view kVersion = "v1.32.0+orch1";

// Receives a document's parts in order.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void path(const std::string& path, const Value& item) = 0;
  virtual void schema(std::string_view name, const Value& schema) = 0;
  virtual std::string finish() = 0;
};

class JsonSink final : public Sink {
 public:
  explicit JsonSink(Dialect dialect) : dialect_(dialect) {}

  void path(const std::string& path, const Value& item) override { add(paths_, path, item); }
  void schema(std::string_view name, const Value& schema) override { add(schemas_, name, schema); }
  std::string finish() override {
    bool v2 = dialect_ == Dialect::kV2;
    std::string out = v2 ? "{\"swagger\":\"2.0\"" : "{\"openapi\":\"3.0.0\"";
    out += fmt::format(",\"info\":{{\"title\":\"{}\",\"version\":\"{}\"}}", kTitle, kVersion);
    out += ",\"paths\":{";
    out += paths_;
    std::string().swap(paths_);
    out += v2 ? "},\"definitions\":{" : "},\"components\":{\"schemas\":{";
    out += schemas_;
    out += v2 ? "}}" : "}}}";
    return out;
  }

 private:
  static void add(std::string& out, std::string_view name, const Value& value) {
    if (!out.empty()) out += ',';
    append_json_string(out, name);
    out += ':';
    doc::write(value, out);
  }

  Dialect dialect_;
  std::string paths_, schemas_;
};

class ProtoSink final : public Sink {
 public:
  explicit ProtoSink(Dialect dialect) : dialect_(dialect) {}

  void path(const std::string& path, const Value& item) override {
    bool v2 = dialect_ == Dialect::kV2;
    paths_.message(v2 ? 2 : 1, openapi::named(path, v2 ? openapi::v2_path_item(item)
                                                       : openapi::v3_path_item(item)));
  }
  void schema(std::string_view name, const Value& schema) override {
    schemas_.message(1, openapi::named(name, dialect_ == Dialect::kV2
                                                 ? openapi::v2_schema(schema)
                                                 : openapi::v3_schema_or_reference(schema)));
  }
  std::string finish() override {
    bool v2 = dialect_ == Dialect::kV2;
    ProtoWriter info, out;
    info.text(1, kTitle);
    info.text(v2 ? 2 : 6, kVersion);
    out.text(1, v2 ? "2.0" : "3.0.0");
    out.message(2, info);
    out.message(v2 ? 8 : 4, paths_);
    if (v2) {
      out.message(9, schemas_);
    } else {
      ProtoWriter components;
      components.message(1, schemas_);
      out.message(5, components);
    }
    return out.take();
  }

 private:
  Dialect dialect_;
  ProtoWriter paths_, schemas_;
};

// All resources, or those of one group version ("" = all).
std::string build(Dialect dialect, std::string_view path, OpenApiFormat format) {
  std::unique_ptr<Sink> sink;
  if (format == OpenApiFormat::kJson) {
    sink = std::make_unique<JsonSink>(dialect);
  } else {
    sink = std::make_unique<ProtoSink>(dialect);
  }
  Closure closure;
  for (const ResourceInfo* resource : all_resources()) {
    if (!path.empty() && openapi::group_path(*resource) != path) continue;
    openapi::for_each_path(
        dialect, *resource, closure,
        [&](const std::string& name, const Value& item) { sink->path(name, item); });
  }
  // By name, so that equal contents have equal bytes.
  std::map<std::string, std::pair<const TypeInfo*, bool>> names;
  for (const TypeInfo* type : closure.types()) {
    names[std::string(type->openapi_name)] = {type, false};
  }
  for (const TypeInfo* type : closure.lists()) names[openapi::list_name(*type)] = {type, true};
  for (std::string_view name : closure.values()) names[std::string(name)] = {nullptr, false};
  for (const auto& [name, what] : names) {
    Arena arena;
    auto [type, list] = what;
    sink->schema(name, type == nullptr ? openapi::value_schema(dialect, name)
                       : list          ? openapi::list_schema(dialect, *type, arena)
                                       : openapi::type_schema(dialect, *type, arena));
  }
  return sink->finish();
}

std::string hash_of(std::string_view content) {
  return fmt::format("{:016X}{:08X}", fnv1a64(content), fnv1a32(content));
}

// Documents in use, shared by those who ask at the same time; hashes of all that were ever built.
class Cache {
 public:
  OpenApiDocument get(Dialect dialect, const std::string& path, OpenApiFormat format) {
    const std::string key = fmt::format("{} {}", dialect == Dialect::kV2 ? "v2" : "v3", path);
    std::lock_guard lock(mutex_);
    std::weak_ptr<const std::string>& kept = bodies_[{key, format}];
    OpenApiDocument document{kept.lock(), ""};
    if (document.body == nullptr) {
      document.body = std::make_shared<const std::string>(build(dialect, path, format));
      kept = document.body;
    }
    std::string& hash = hashes_[key];
    if (hash.empty()) {
      hash = hash_of(format == OpenApiFormat::kJson ? *document.body
                                                    : build(dialect, path, OpenApiFormat::kJson));
    }
    document.hash = hash;
    return document;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, OpenApiFormat>, std::weak_ptr<const std::string>> bodies_;
  std::map<std::string, std::string> hashes_;
};

Cache& cache() {
  static Cache* const cache = new Cache;  // used until the process ends
  return *cache;
}

std::set<std::string> group_paths() {
  std::set<std::string> paths;
  for (const ResourceInfo* resource : all_resources()) {
    if (resource->type != nullptr) paths.insert(openapi::group_path(*resource));
  }
  return paths;
}

}  // namespace

OpenApiDocument openapi_v2(OpenApiFormat format) { return cache().get(Dialect::kV2, "", format); }

OpenApiDocument openapi_v3_index() {
  static const OpenApiDocument* const index = [] {
    std::string body = "{\"paths\":{";
    for (const std::string& path : group_paths()) {
      if (body.back() != '{') body += ',';
      body += fmt::format("\"{}\":{{\"serverRelativeURL\":\"/openapi/v3/{}?hash={}\"}}", path, path,
                          cache().get(Dialect::kV3, path, OpenApiFormat::kJson).hash);
    }
    body += "}}";
    std::string hash = hash_of(body);
    return new OpenApiDocument{std::make_shared<const std::string>(std::move(body)), hash};
  }();
  return *index;
}

std::optional<OpenApiDocument> openapi_v3(std::string_view path, OpenApiFormat format) {
  const std::string wanted(path);
  if (!group_paths().contains(wanted)) return std::nullopt;
  return cache().get(Dialect::kV3, wanted, format);
}

}  // namespace orch::api
