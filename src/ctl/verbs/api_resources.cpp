// api-resources and api-versions.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "ctl/printers/table.h"
#include "ctl/session.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

Outcome<int> run_resources(Session& session) {
  const Flags& flags = session.flags;
  const std::string output = flags.text("output");
  if (!output.empty() && output != "name" && output != "wide") {
    return Err(error(fmt::format("--output {} is not available", output)));
  }
  ORCH_TRY(const Discovery* known, session.discovery());
  std::vector<const Resource*> shown;
  std::set<std::string> seen;
  const auto verbs = split(flags.text("verbs"), ',');
  for (const Resource& resource : known->all()) {
    if (!seen.insert(resource.plural_group()).second) continue;  // the preferred version only
    if (flags.given("api-group") && resource.group != flags.text("api-group")) continue;
    if (flags.given("namespaced") && resource.namespaced != flags.on("namespaced")) continue;
    if (!std::all_of(verbs.begin(), verbs.end(),
                     [&](const std::string& verb) { return resource.can(verb); })) {
      continue;
    }
    shown.push_back(&resource);
  }
  std::stable_sort(shown.begin(), shown.end(), [](const Resource* a, const Resource* b) {
    return std::tie(a->group, a->plural) < std::tie(b->group, b->plural);
  });
  std::vector<std::vector<std::string>> rows;
  if (!flags.on("no-headers") && output != "name") {
    rows.push_back({"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"});
    if (output == "wide") rows[0].insert(rows[0].end(), {"VERBS", "CATEGORIES"});
  }
  for (const Resource* resource : shown) {
    if (output == "name") {
      fmt::print("{}\n", resource->plural_group());
      continue;
    }
    rows.push_back({resource->plural, join(resource->short_names, ","), resource->api_version(),
                    resource->namespaced ? "true" : "false", resource->kind});
    if (output == "wide") {
      rows.back().push_back(join(resource->verbs, ","));
      rows.back().push_back(join(resource->categories, ","));
    }
  }
  fmt::print("{}", ColumnWriter().lay_out(rows));
  return 0;
}

Outcome<int> run_versions(Session& session) {
  ORCH_TRY(const Discovery* known, session.discovery());
  std::set<std::string> versions;
  for (const Resource& resource : known->all()) versions.insert(resource.api_version());
  for (const std::string& version : versions) fmt::print("{}\n", version);
  return 0;
}

}  // namespace

Verb api_resources_verb() {
  using Kind = Flag::Kind;
  return {"api-resources",
          "Print the resources that the server serves",
          "api-resources [-o wide|name]",
          {{"output", 'o', Kind::kText, "", "wide or name"},
           {"no-headers", 0, Kind::kBool, "false", "no first line with the columns' names"},
           {"namespaced", 0, Kind::kBool, "true", "only these, or with =false only the others"},
           {"api-group", 0, Kind::kText, "", "only this group's"},
           {"verbs", 0, Kind::kText, "", "only those with all of these verbs, a,b"}},
          run_resources};
}

Verb api_versions_verb() {
  return {"api-versions",
          "Print the API versions that the server serves",
          "api-versions",
          {},
          run_versions};
}

}  // namespace orch::ctl
