#include "orch/api/scheme.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "api/validation/object_meta.h"
#include "orch/api/on_request.h"

namespace orch::api {

#define ORCH_KIND(function) ResourceInfo function();
#define ORCH_KIND_ON_REQUEST(function) ResourceInfo function();
#include "api/kinds/kinds.def"
#undef ORCH_KIND
#undef ORCH_KIND_ON_REQUEST

namespace {

std::vector<ResourceInfo> resources_on_request() {
  return {
#define ORCH_KIND(function)
#define ORCH_KIND_ON_REQUEST(function) function(),
#include "api/kinds/kinds.def"
#undef ORCH_KIND
#undef ORCH_KIND_ON_REQUEST
  };
}

std::set<std::string, std::less<>>& asked_for() {
  static auto* const apis = new std::set<std::string, std::less<>>;
  return *apis;
}

using Key = std::tuple<std::string_view, std::string_view, std::string_view>;

struct Scheme {
  std::vector<ResourceInfo> resources;
  std::vector<const ResourceInfo*> pointers;
  std::map<Key, const ResourceInfo*> by_plural, by_kind;

  Scheme() {
    resources = {
#define ORCH_KIND(function) function(),
#define ORCH_KIND_ON_REQUEST(function)
#include "api/kinds/kinds.def"
#undef ORCH_KIND
#undef ORCH_KIND_ON_REQUEST
    };
    for (auto& more : resources_on_request()) {
      if (!asked_for().contains(more.api_version())) continue;
      // Behind the others of its group.
      auto last = std::find_if(resources.rbegin(), resources.rend(),
                               [&](const ResourceInfo& info) { return info.group == more.group; });
      resources.insert(last == resources.rend() ? resources.end() : last.base(), std::move(more));
    }
    for (const auto& resource : resources) {
      pointers.push_back(&resource);
      by_plural[{resource.group, resource.version, resource.plural}] = &resource;
      by_kind.emplace(Key{resource.group, resource.version, resource.kind}, &resource);
    }
  }
};

const Scheme& scheme() {
  static const Scheme* const scheme = new Scheme;  // used until the process ends
  return *scheme;
}

const ResourceInfo* find(const std::map<Key, const ResourceInfo*>& map, const Key& key) {
  auto it = map.find(key);
  return it == map.end() ? nullptr : it->second;
}

}  // namespace

std::vector<std::string> apis_on_request() {
  std::vector<std::string> out;
  for (const auto& resource : resources_on_request()) out.push_back(resource.api_version());
  return out;
}

bool serve_api(std::string_view api_version) {
  for (const auto& known : apis_on_request()) {
    if (known != api_version) continue;
    asked_for().insert(known);
    return true;
  }
  return false;
}

std::span<const ResourceInfo* const> all_resources() { return scheme().pointers; }

const ResourceInfo* find_resource(std::string_view group, std::string_view version,
                                  std::string_view plural) {
  return find(scheme().by_plural, {group, version, plural});
}

const ResourceInfo* find_resource_by_kind(std::string_view group, std::string_view version,
                                          std::string_view kind) {
  return find(scheme().by_kind, {group, version, kind});
}

void set_defaults(const ResourceInfo& resource, Object& object) {
  apply_static_defaults(*resource.type, &object);
  if (resource.set_defaults != nullptr) resource.set_defaults(object);
}

std::vector<Cause> validate(const ResourceInfo& resource, const Object& now, const Object* old) {
  FieldErrors errors;
  validate_object_meta(resource, now, old, errors);
  if (resource.validate != nullptr) resource.validate(now, old, errors);
  return errors.take();
}

}  // namespace orch::api
