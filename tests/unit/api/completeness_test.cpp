// Every resource of Kubernetes 1.32's GA groups, as the reference lists them: kind, scope, verbs,
// status and scale; and the short names and categories kubectl relies on.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "../../support/reference.h"
#include "orch/api/scheme.h"
#include "orch/base/strings.h"

using namespace orch;
using namespace orch::api;

namespace {

using Names = std::vector<std::string_view>;

struct Row {
  std::string group, version, plural, subresource, kind;
  bool namespaced = false;
  std::set<std::string> actions;
};

// Rows of the GA groups; "proxy/{path}" is the same subresource as "proxy".
std::vector<Row> stable_rows(const std::filesystem::path& reference) {
  std::vector<Row> out;
  for (const auto& cells : test::read_table(reference / "api-resources.tsv", 6)) {
    const auto root = split(cells[0], '/');  // "", api, v1 | "", apis, group, version
    Row row;
    row.version = root.back();
    if (row.version.find("alpha") != std::string::npos ||
        row.version.find("beta") != std::string::npos || cells[2].ends_with("{path}")) {
      continue;
    }
    row.group = cells[0].starts_with("/apis/") ? root[root.size() - 2] : "";
    row.plural = cells[1];
    row.subresource = cells[2];
    row.namespaced = cells[3] == "yes";
    row.kind = cells[4].substr(cells[4].rfind('/') + 1);
    for (const auto& action : split(cells[5], ',')) row.actions.insert(action);
    out.push_back(std::move(row));
  }
  return out;
}

std::set<std::string> verbs_of(const std::set<std::string>& actions) {
  const std::map<std::string, std::string> renamed{{"post", "create"}, {"put", "update"}};
  std::set<std::string> out;
  for (const auto& action : actions) {
    const auto it = renamed.find(action);
    out.insert(it == renamed.end() ? action : it->second);
  }
  // What can be listed and written can be watched.
  if (out.contains("list") && out.contains("create")) out.insert("watch");
  return out;
}

struct Alias {
  std::string_view group, plural;
  Names short_names, categories;
};

const std::vector<Alias>& aliases() {
  static const std::vector<Alias> list{
      {"", "componentstatuses", {"cs"}, {}},
      {"", "configmaps", {"cm"}, {}},
      {"", "endpoints", {"ep"}, {}},
      {"", "events", {"ev"}, {}},
      {"", "limitranges", {"limits"}, {}},
      {"", "namespaces", {"ns"}, {}},
      {"", "nodes", {"no"}, {}},
      {"", "persistentvolumeclaims", {"pvc"}, {}},
      {"", "persistentvolumes", {"pv"}, {}},
      {"", "pods", {"po"}, {"all"}},
      {"", "replicationcontrollers", {"rc"}, {"all"}},
      {"", "resourcequotas", {"quota"}, {}},
      {"", "serviceaccounts", {"sa"}, {}},
      {"", "services", {"svc"}, {"all"}},
      {"admissionregistration.k8s.io", "mutatingwebhookconfigurations", {}, {"api-extensions"}},
      {"admissionregistration.k8s.io", "validatingadmissionpolicies", {}, {"api-extensions"}},
      {"admissionregistration.k8s.io", "validatingadmissionpolicybindings", {}, {"api-extensions"}},
      {"admissionregistration.k8s.io", "validatingwebhookconfigurations", {}, {"api-extensions"}},
      {"apiextensions.k8s.io", "customresourcedefinitions", {"crd", "crds"}, {"api-extensions"}},
      {"apiregistration.k8s.io", "apiservices", {}, {"api-extensions"}},
      {"apps", "daemonsets", {"ds"}, {"all"}},
      {"apps", "deployments", {"deploy"}, {"all"}},
      {"apps", "replicasets", {"rs"}, {"all"}},
      {"apps", "statefulsets", {"sts"}, {"all"}},
      {"autoscaling", "horizontalpodautoscalers", {"hpa"}, {"all"}},
      {"batch", "cronjobs", {"cj"}, {"all"}},
      {"batch", "jobs", {}, {"all"}},
      {"certificates.k8s.io", "certificatesigningrequests", {"csr"}, {}},
      {"events.k8s.io", "events", {"ev"}, {}},
      {"networking.k8s.io", "ingresses", {"ing"}, {}},
      {"networking.k8s.io", "networkpolicies", {"netpol"}, {}},
      {"policy", "poddisruptionbudgets", {"pdb"}, {}},
      {"scheduling.k8s.io", "priorityclasses", {"pc"}, {}},
      {"storage.k8s.io", "storageclasses", {"sc"}, {}},
  };
  return list;
}

}  // namespace

TEST_CASE("every GA resource of the reference is offered", "[api][completeness]") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("SKIPPED: no ../shared/reference beside the source tree");
    return;
  }
  const auto rows = stable_rows(*reference);
  REQUIRE(rows.size() > 90);
  for (const Row& row : rows) {
    INFO(row.group << "/" << row.version << " " << row.plural << "/" << row.subresource);
    const ResourceInfo* resource = find_resource(row.group, row.version, row.plural);
    CHECK(resource != nullptr);
    if (resource == nullptr) continue;
    if (row.subresource == "status") CHECK(resource->has_status);
    if (row.subresource == "scale") CHECK(resource->has_scale);
    if (!row.subresource.empty()) continue;
    CHECK(resource->kind == row.kind);
    CHECK(resource->namespaced == row.namespaced);
    CHECK(std::set<std::string>(resource->verbs.begin(), resource->verbs.end()) ==
          verbs_of(row.actions));
    CHECK(to_lower(resource->kind) == resource->singular);
    CHECK(resource->type->kind == row.kind);
  }
}

TEST_CASE("no stable resource has a status or scale the reference does not know",
          "[api][completeness]") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("SKIPPED: no ../shared/reference beside the source tree");
    return;
  }
  std::set<std::string> known;
  for (const Row& row : stable_rows(*reference)) {
    known.insert(row.group + "/" + row.version + "/" + row.plural + "/" + row.subresource);
  }
  for (const ResourceInfo* resource : all_resources()) {
    if (resource->version.find("beta") != std::string_view::npos) continue;
    const std::string base = std::string(resource->group) + "/" + std::string(resource->version) +
                             "/" + std::string(resource->plural) + "/";
    INFO(base);
    CHECK(known.contains(base));
    CHECK(known.contains(base + "status") == resource->has_status);
    CHECK(known.contains(base + "scale") == resource->has_scale);
  }
}

TEST_CASE("short names and categories are upstream's", "[api][completeness]") {
  std::map<std::pair<std::string_view, std::string_view>, const Alias*> known;
  for (const Alias& alias : aliases()) known[{alias.group, alias.plural}] = &alias;
  for (const ResourceInfo* resource : all_resources()) {
    INFO(resource->group << "/" << resource->plural);
    const auto it = known.find({resource->group, resource->plural});
    const Alias* alias = it == known.end() ? nullptr : it->second;
    CHECK(resource->short_names == (alias == nullptr ? Names{} : alias->short_names));
    CHECK(resource->categories == (alias == nullptr ? Names{} : alias->categories));
  }
  for (const Alias& alias : aliases()) {
    INFO(alias.group << "/" << alias.plural);
    const auto all = all_resources();
    CHECK(std::any_of(all.begin(), all.end(), [&](const ResourceInfo* resource) {
      return resource->group == alias.group && resource->plural == alias.plural;
    }));
  }
}

TEST_CASE("every resource fills the table it announces", "[api][completeness]") {
  const WallTime now{std::chrono::seconds{1'700'000'000}};
  for (const ResourceInfo* resource : all_resources()) {
    if (!resource->row) continue;
    INFO(resource->group << "/" << resource->plural);
    const std::unique_ptr<Object> object(resource->type->make_object());
    object->metadata.name = "a";
    set_defaults(*resource, *object);
    CHECK(resource->row(*object, now).size() == resource->columns.size());
    REQUIRE(!resource->columns.empty());
    CHECK(resource->columns[0].name == (resource->kind == "Event" ? "Last Seen" : "Name"));
    for (const Column& column : resource->columns) CHECK(!column.description.empty());
  }
}

TEST_CASE("defaulting twice is defaulting once; a second preparation changes nothing",
          "[api][completeness]") {
  const WallTime now{std::chrono::seconds{1'700'000'000}};
  for (const ResourceInfo* resource : all_resources()) {
    // A Job takes its labels from its template, which gets some of its own when it is created.
    if (!resource->stored || resource->kind == "Job") continue;
    INFO(resource->group << "/" << resource->plural);
    const std::unique_ptr<Object> object(resource->type->make_object());
    object->metadata.name = "a";
    set_defaults(*resource, *object);
    if (resource->prepare) resource->prepare(*object, nullptr, {now});
    const auto once = object->clone();
    set_defaults(*resource, *object);
    if (resource->prepare) resource->prepare(*object, once.get(), {now});
    CHECK(first_difference(*resource->type, once.get(), object.get()) == "");
  }
}
