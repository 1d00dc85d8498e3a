// Every subresource of Kubernetes 1.32's GA resources, as the reference lists them, with its verbs
// and the kind of its body.
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "../../support/reference.h"
#include "orch/base/strings.h"
#include "server/api/subresources/subresources.h"

namespace orch::server {
namespace {

// The table calls all methods of a connecting subresource "connect".
std::set<std::string> verbs_of(const std::string& actions, std::string_view name) {
  if (actions == "connect") {
    if (name == "proxy") return {"create", "delete", "get", "patch", "update"};
    return {"create", "get"};
  }
  std::set<std::string> out;
  for (const auto& action : split(actions, ',')) {
    out.insert(action == "post" ? "create" : action == "put" ? "update" : action);
  }
  return out;
}

TEST_CASE("every GA subresource of the reference is served", "[server][completeness]") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("SKIPPED: no ../shared/reference beside the source tree");
    return;
  }
  int checked = 0;
  for (const auto& cells : test::read_table(*reference / "api-resources.tsv", 6)) {
    const auto root = split(cells[0], '/');
    const std::string& version = root.back();
    const std::string& name = cells[2];
    if (version.find("alpha") != std::string::npos || version.find("beta") != std::string::npos ||
        name.empty() || name.ends_with("{path}")) {
      continue;
    }
    INFO(cells[0] << " " << cells[1] << " " << name);
    const std::string group = cells[0].starts_with("/apis/") ? root[root.size() - 2] : "";
    const auto* resource = api::find_resource(group, version, cells[1]);
    CHECK(resource != nullptr);
    if (resource == nullptr) continue;
    const Subresource* found = find_subresource(*resource, name);
    CHECK(found != nullptr);
    if (found == nullptr) continue;
    CHECK(std::set<std::string>(found->verbs.begin(), found->verbs.end()) ==
          verbs_of(cells[5], name));
    const std::string kind = cells[4].substr(cells[4].rfind('/') + 1);
    CHECK((found->kind.empty() ? resource->kind : found->kind) == kind);
    ++checked;
  }
  CHECK(checked > 40);
}

}  // namespace
}  // namespace orch::server
