#include "ctl/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

constexpr char kAggregated[] =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

std::vector<std::string> texts(const JsonValue& list) {
  std::vector<std::string> out;
  for (const JsonValue& item : list.items()) out.push_back(item.text());
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool goes_by(const Resource& resource, std::string_view name) {
  return resource.plural == name || resource.singular == name ||
         contains(resource.short_names, name) || to_lower(resource.kind) == name;
}

Resource read_resource(const JsonValue& item, const std::string& group,
                       const std::string& version) {
  Resource out;
  out.group = group;
  out.version = version;
  out.plural = item.get("resource").text();
  out.singular = item.get("singularResource").text();
  out.kind = item.at("responseKind.kind").text();
  out.namespaced = item.get("scope").text() == "Namespaced";
  out.short_names = texts(item.get("shortNames"));
  out.categories = texts(item.get("categories"));
  out.verbs = texts(item.get("verbs"));
  for (const JsonValue& sub : item.get("subresources").items()) {
    if (sub.get("subresource").text() == "scale") out.has_scale = true;
  }
  return out;
}

}  // namespace

std::string Resource::kind_group() const {
  return group.empty() ? to_lower(kind) : to_lower(kind) + "." + group;
}

std::string Resource::path(std::string_view ns, std::string_view name, std::string_view sub) const {
  std::string out = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (namespaced && !ns.empty()) out += "/namespaces/" + net::url_encode(ns);
  out += "/" + plural;
  if (!name.empty()) out += "/" + net::url_encode(name);
  if (!sub.empty()) out += "/" + std::string(sub);
  return out;
}

bool Resource::can(std::string_view verb) const { return contains(verbs, verb); }

Outcome<Discovery> Discovery::load(ApiClient& client) {
  std::vector<JsonValue> documents;
  for (const char* path : {"/api", "/apis"}) {
    Call call;
    call.target = path;
    call.accept = kAggregated;
    ORCH_TRY(JsonValue document, client.json(call));
    documents.push_back(std::move(document));
  }
  return of(documents);
}

Discovery Discovery::of(const std::vector<JsonValue>& documents) {
  Discovery out;
  for (const JsonValue& document : documents) {
    for (const JsonValue& group : document.get("items").items()) {
      const std::string name = group.at("metadata.name").text();
      for (const JsonValue& version : group.get("versions").items()) {
        for (const JsonValue& item : version.get("resources").items()) {
          out.resources_.push_back(read_resource(item, name, version.get("version").text()));
        }
      }
    }
  }
  return out;
}

Outcome<const Resource*> Discovery::resolve(std::string_view asked) const {
  const std::string lower = to_lower(asked);
  const size_t dot = lower.find('.');
  const std::string name = lower.substr(0, dot);
  const std::string rest = dot == std::string::npos ? "" : lower.substr(dot + 1);
  const size_t rest_dot = rest.find('.');
  for (const Resource& resource : resources_) {
    if (!goes_by(resource, name)) continue;
    if (dot == std::string::npos || resource.group == rest ||
        (resource.version == rest.substr(0, rest_dot) &&
         resource.group == (rest_dot == std::string::npos ? "" : rest.substr(rest_dot + 1)))) {
      return &resource;
    }
  }
  return Err(error(fmt::format("the server doesn't have a resource type \"{}\"", asked)));
}

Outcome<const Resource*> Discovery::resolve_kind(std::string_view api_version,
                                                 std::string_view kind) const {
  for (const Resource& resource : resources_) {
    if (resource.kind == kind && resource.api_version() == api_version) return &resource;
  }
  return Err(Failure{fmt::format("no matches for kind \"{}\" in version \"{}\"\nensure CRDs are "
                                 "installed first",
                                 kind, api_version),
                     1, "NoMatch"});
}

std::vector<const Resource*> Discovery::category(std::string_view name) const {
  std::vector<const Resource*> out;
  std::set<std::pair<std::string, std::string>> seen;  // each group's preferred version only
  for (const Resource& resource : resources_) {
    if (contains(resource.categories, name) && resource.can("list") &&
        seen.insert({resource.group, resource.plural}).second) {
      out.push_back(&resource);
    }
  }
  return out;
}

}  // namespace orch::ctl
