#include "server/admission/settings.h"

#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/api/json_value.h"
#include "orch/base/file.h"

namespace orch::server {
namespace {

using api::JsonValue;

Result<JsonValue, std::string> read_document(const std::string& path) {
  ORCH_TRY(const auto text, read_file(path));
  auto json = api::yaml_to_json(text);
  if (!json) return Err(path + ": " + json.error().message);
  auto parsed = JsonValue::parse(*json);
  if (!parsed) return Err(path + ": " + parsed.error());
  if (!parsed->is_object()) return Err(path + ": not an object");
  return std::move(*parsed);
}

}  // namespace

Result<Unit, std::string> read_admission_configuration(const std::string& path,
                                                       AdmissionSettings& settings) {
  ORCH_TRY(const JsonValue document, read_document(path));
  const std::string version = document.get("apiVersion").text();
  if (document.get("kind").text() != "AdmissionConfiguration" ||
      (version != "apiserver.config.k8s.io/v1" && version != "apiserver.k8s.io/v1alpha1")) {
    return Err(path + ": not an AdmissionConfiguration of apiserver.config.k8s.io/v1");
  }
  for (const auto& plugin : document.get("plugins").items()) {
    const std::string name = plugin.get("name").text();
    if (name.empty()) return Err(path + ": plugins: name: Required value");
    const std::string file = plugin.get("path").text();
    JsonValue content = plugin.get("configuration");
    if (!file.empty()) {
      const bool absolute = file.starts_with('/');
      const std::string folder = path.substr(0, path.rfind('/') + 1);
      ORCH_TRY(content, read_document(absolute ? file : folder + file));
    }
    settings.configuration[name] = content.is_null() ? "" : content.dump();
  }
  return Unit{};
}

}  // namespace orch::server
