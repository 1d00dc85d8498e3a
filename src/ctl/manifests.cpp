#include "ctl/manifests.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "orch/api/codec.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

namespace fs = std::filesystem;
using api::JsonValue;

bool is_manifest_name(const fs::path& path) {
  const std::string end = path.extension();
  return end == ".yaml" || end == ".yml" || end == ".json";
}

Outcome<std::vector<std::string>> files_below(const std::string& folder, bool recursive) {
  std::vector<std::string> out;
  std::error_code failed;
  auto take = [&](const fs::directory_entry& entry) {
    if (entry.is_regular_file(failed) && is_manifest_name(entry.path())) {
      out.push_back(entry.path().string());
    }
  };
  if (recursive) {
    for (fs::recursive_directory_iterator it(folder, failed), end; !failed && it != end;
         it.increment(failed)) {
      take(*it);
    }
  } else {
    for (fs::directory_iterator it(folder, failed), end; !failed && it != end;
         it.increment(failed)) {
      take(*it);
    }
  }
  if (failed) return Err(error(fmt::format("{}: {}", folder, failed.message())));
  if (out.empty()) {
    return Err(error(fmt::format(
        "error reading [{}]: recognized file extensions are [.json .yaml .yml]", folder)));
  }
  std::sort(out.begin(), out.end());
  return out;
}

Outcome<Unit> add_object(JsonValue object, const std::string& source, std::vector<Manifest>& out) {
  if (object.is_null()) return Unit{};
  auto bad = [&](std::string_view why) {
    return Err(
        error(fmt::format("error validating \"{}\": error validating data: {}", source, why)));
  };
  if (!object.is_object()) return bad("not an object");
  const std::string kind = object.get("kind").text();
  const bool no_version = object.get("apiVersion").text().empty();
  if (no_version && kind.empty()) return bad("[apiVersion not set, kind not set]");
  if (no_version) return bad("apiVersion not set");
  if (kind.empty()) return bad("kind not set");
  if (kind.ends_with("List") && object.get("items").is_array()) {
    for (JsonValue& item : object.get("items").items()) {
      ORCH_CHECK(add_object(std::move(item), source, out));
    }
    return Unit{};
  }
  out.push_back({std::move(object), source});
  return Unit{};
}

}  // namespace

Outcome<std::vector<Manifest>> parse_manifests(std::string_view text, const std::string& source) {
  std::vector<Manifest> out;
  auto documents = api::yaml_documents_to_json(text);
  if (!documents) {
    return Err(error(fmt::format("error parsing {}: {}", source, documents.error().message)));
  }
  for (const std::string& document : *documents) {
    auto object = JsonValue::parse(document);
    if (!object) return Err(error(fmt::format("error parsing {}: {}", source, object.error())));
    ORCH_CHECK(add_object(std::move(*object), source, out));
  }
  return out;
}

Outcome<std::vector<Manifest>> read_manifests(const std::vector<std::string>& names,
                                              bool recursive) {
  std::vector<Manifest> out;
  std::vector<std::string> paths;
  for (const std::string& listed : names) {
    for (const std::string& name : split(listed, ',')) {
      if (name.starts_with("http://") || name.starts_with("https://")) {
        return Err(
            error(fmt::format("-f {}: addresses are not fetched; download it and name the "
                              "file, or pipe it in with -f -",
                              name)));
      }
      std::error_code failed;
      if (name == "-") {
        paths.push_back(name);
      } else if (!fs::exists(name, failed)) {
        return Err(error(fmt::format("the path \"{}\" does not exist", name)));
      } else if (fs::is_directory(name, failed)) {
        ORCH_TRY(auto found, files_below(name, recursive));
        paths.insert(paths.end(), found.begin(), found.end());
      } else {
        paths.push_back(name);
      }
    }
  }
  for (const std::string& path : paths) {
    std::string text;
    if (path == "-") {
      text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
      auto content = read_file(path);
      if (!content) return Err(error(content.error()));
      text = std::move(*content);
    }
    ORCH_TRY(auto parsed, parse_manifests(text, path == "-" ? "STDIN" : path));
    std::move(parsed.begin(), parsed.end(), std::back_inserter(out));
  }
  if (out.empty()) return Err(error("no objects passed to apply"));
  return out;
}

}  // namespace orch::ctl
