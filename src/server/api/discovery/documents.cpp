// The discovery documents, made from the list of resources.
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/storage_version.h"
#include "orch/base/json_scan.h"
#include "orch/base/strings.h"
#include "server/api/discovery/discovery.h"
#include "server/api/subresources/subresources.h"

namespace orch::server {
namespace {

using api::ResourceInfo;

// Groups with their versions, in discovery order.
struct Group {
  std::string_view name;
  std::vector<std::string_view> versions;
};

std::vector<Group> groups() {
  std::vector<Group> out;
  for (const ResourceInfo* resource : api::all_resources()) {
    auto group = std::find_if(out.begin(), out.end(),
                              [&](const Group& g) { return g.name == resource->group; });
    if (group == out.end()) group = out.insert(out.end(), Group{resource->group, {}});
    auto& versions = group->versions;
    if (std::find(versions.begin(), versions.end(), resource->version) == versions.end()) {
      versions.push_back(resource->version);
    }
  }
  return out;
}

template <class List>
std::string string_list(const List& items) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    append_json_string(out, item);
  }
  return out + "]";
}

std::string group_version(std::string_view group, std::string_view version) {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

std::string group_json(const Group& group, bool top_level) {
  std::string versions;
  for (const auto version : group.versions) {
    versions += fmt::format(R"({}{{"groupVersion":"{}/{}","version":"{}"}})",
                            versions.empty() ? "" : ",", group.name, version, version);
  }
  const std::string_view first = group.versions.front();
  return fmt::format(R"({{{}"name":"{}","versions":[{}],)"
                     R"("preferredVersion":{{"groupVersion":"{}/{}","version":"{}"}}}})",
                     top_level ? R"("kind":"APIGroup","apiVersion":"v1",)" : "", group.name,
                     versions, group.name, first, first);
}

// Upstream's hash is opaque; any stable text will do that tells what objects are kept as.
std::string storage_hash(const ResourceInfo& asked) {
  const api::StorageVersion* other = api::storage_version(asked);
  const ResourceInfo& resource = other == nullptr ? asked : *other->resource;
  return fmt::format(
      "{:016x}", fnv1a64(fmt::format("{}/{}/{}", resource.group, resource.version, resource.kind)));
}

std::string resource_json(const ResourceInfo& resource) {
  std::string out =
      fmt::format(R"({{"name":"{}","singularName":"{}","namespaced":{},"kind":"{}","verbs":{})",
                  resource.plural, resource.singular, resource.namespaced, resource.kind,
                  string_list(resource.verbs));
  if (!resource.short_names.empty()) out += ",\"shortNames\":" + string_list(resource.short_names);
  if (!resource.categories.empty()) out += ",\"categories\":" + string_list(resource.categories);
  if (resource.stored) out += ",\"storageVersionHash\":\"" + storage_hash(resource) + "\"";
  return out + "}";
}

std::string subresource_json(const ResourceInfo& resource, const Subresource& sub) {
  std::string out = fmt::format(R"({{"name":"{}/{}","singularName":"","namespaced":{})",
                                resource.plural, sub.name, resource.namespaced);
  const std::string gv = group_version(sub.kind_group, sub.kind_version);
  if (!sub.kind.empty() && gv != group_version(resource.group, resource.version)) {
    if (!sub.kind_group.empty()) out += fmt::format(R"(,"group":"{}")", sub.kind_group);
    out += fmt::format(R"(,"version":"{}")", sub.kind_version);
  }
  out += fmt::format(R"(,"kind":"{}","verbs":{}}})", sub.kind.empty() ? resource.kind : sub.kind,
                     string_list(sub.verbs));
  return out;
}

std::string kind_json(std::string_view group, std::string_view version, std::string_view kind) {
  return fmt::format(R"({{"group":"{}","version":"{}","kind":"{}"}})", group, version, kind);
}

std::string discovered_subresource(const ResourceInfo& resource, const Subresource& sub) {
  const bool own = sub.kind.empty();
  return fmt::format(R"({{"subresource":"{}","responseKind":{},"verbs":{}}})", sub.name,
                     own ? kind_json(resource.group, resource.version, resource.kind)
                         : kind_json(sub.kind_group, sub.kind_version, sub.kind),
                     string_list(sub.verbs));
}

std::string discovered_resource(const ResourceInfo& resource) {
  std::string out = fmt::format(
      R"({{"resource":"{}","responseKind":{},"scope":"{}","singularResource":"{}","verbs":{})",
      resource.plural, kind_json(resource.group, resource.version, resource.kind),
      resource.namespaced ? "Namespaced" : "Cluster", resource.singular,
      string_list(resource.verbs));
  if (!resource.short_names.empty()) out += ",\"shortNames\":" + string_list(resource.short_names);
  if (!resource.categories.empty()) out += ",\"categories\":" + string_list(resource.categories);
  const auto subs = subresources_of(resource);
  if (!subs.empty()) {
    out += ",\"subresources\":[";
    for (size_t i = 0; i < subs.size(); ++i) {
      if (i > 0) out += ',';
      out += discovered_subresource(resource, *subs[i]);
    }
    out += ']';
  }
  return out + "}";
}

std::string discovered_group(const Group& group) {
  std::string out = R"({"metadata":{)";
  if (!group.name.empty()) out += fmt::format(R"("name":"{}",)", group.name);
  out += R"("creationTimestamp":null},"versions":[)";
  bool first_version = true;
  for (const auto version : group.versions) {
    if (!first_version) out += ',';
    first_version = false;
    out += fmt::format(R"({{"version":"{}","resources":[)", version);
    bool first = true;
    for (const ResourceInfo* resource : api::all_resources()) {
      if (resource->group != group.name || resource->version != version) continue;
      if (!first) out += ',';
      first = false;
      out += discovered_resource(*resource);
    }
    out += R"(],"freshness":"Current"})";
  }
  return out + "]}";
}

}  // namespace

std::string api_versions_json(const ApiServerConfig& config) {
  return fmt::format(R"({{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[)"
                     R"({{"clientCIDR":"0.0.0.0/0","serverAddress":{}}}]}})",
                     json_quote(config.advertise_address));
}

std::string api_group_list_json() {
  std::string out = R"({"kind":"APIGroupList","apiVersion":"v1","groups":[)";
  bool first = true;
  for (const Group& group : groups()) {
    if (group.name.empty()) continue;
    if (!first) out += ',';
    first = false;
    out += group_json(group, false);
  }
  return out + "]}";
}

std::string api_group_json(std::string_view name) {
  for (const Group& group : groups()) {
    if (!name.empty() && group.name == name) return group_json(group, true);
  }
  return "";
}

std::string api_resource_list_json(std::string_view group, std::string_view version) {
  std::string resources;
  for (const ResourceInfo* resource : api::all_resources()) {
    if (resource->group != group || resource->version != version) continue;
    if (!resources.empty()) resources += ',';
    resources += resource_json(*resource);
    for (const Subresource* sub : subresources_of(*resource)) {
      resources += "," + subresource_json(*resource, *sub);
    }
  }
  if (resources.empty()) return "";
  return fmt::format(R"({{"kind":"APIResourceList",{}"groupVersion":"{}","resources":[{}]}})",
                     group.empty() ? "" : R"("apiVersion":"v1",)", group_version(group, version),
                     resources);
}

std::string aggregated_json(bool core, std::string_view version) {
  std::string out =
      fmt::format(R"({{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/{}",)"
                  R"("metadata":{{}},"items":[)",
                  version);
  bool first = true;
  for (const Group& group : groups()) {
    if (group.name.empty() != core) continue;
    if (!first) out += ',';
    first = false;
    out += discovered_group(group);
  }
  return out + "]}";
}

}  // namespace orch::server
