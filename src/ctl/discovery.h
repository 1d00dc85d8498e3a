// What the server serves, from its aggregated discovery documents (KEP-3352).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/api_client.h"
#include "ctl/failure.h"
#include "orch/api/json_value.h"

namespace orch::ctl {

struct Resource {
  std::string group, version, plural, singular, kind;
  bool namespaced = true;
  bool has_scale = false;
  std::vector<std::string> short_names, categories, verbs;

  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  // "deployments.apps": as in error texts.
  std::string plural_group() const { return group.empty() ? plural : plural + "." + group; }
  // "deployment.apps": as before a name.
  std::string kind_group() const;
  // "/apis/apps/v1/namespaces/NS/deployments/NAME/SUB"; ns, name and sub may be "".
  std::string path(std::string_view ns, std::string_view name = "",
                   std::string_view sub = "") const;
  bool can(std::string_view verb) const;
};

class Discovery {
 public:
  static Outcome<Discovery> load(ApiClient& client);
  // Of the documents of /api and /apis.
  static Discovery of(const std::vector<api::JsonValue>& documents);

  // "pods", "po", "Pod", "deployments.apps", "deployments.v1.apps". Error: `error: the server
  // doesn't have a resource type "x"`. The pointer lives as long as the Discovery.
  Outcome<const Resource*> resolve(std::string_view name) const;
  // Error: `no matches for kind "X" in version "Y"`.
  Outcome<const Resource*> resolve_kind(std::string_view api_version, std::string_view kind) const;
  std::vector<const Resource*> category(std::string_view name) const;
  // Every resource, every version; per group the preferred version first.
  const std::vector<Resource>& all() const { return resources_; }

 private:
  std::vector<Resource> resources_;
};

}  // namespace orch::ctl
