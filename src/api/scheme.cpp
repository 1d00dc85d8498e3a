#include "orch/api/scheme.h"

#include <map>
#include <tuple>

#include "api/validation/object_meta.h"

namespace orch::api {

#define ORCH_KIND(function) ResourceInfo function();
#include "api/kinds/kinds.def"
#undef ORCH_KIND

namespace {

using Key = std::tuple<std::string_view, std::string_view, std::string_view>;

struct Scheme {
  std::vector<ResourceInfo> resources;
  std::vector<const ResourceInfo*> pointers;
  std::map<Key, const ResourceInfo*> by_plural, by_kind;

  Scheme() {
    resources = {
#define ORCH_KIND(function) function(),
#include "api/kinds/kinds.def"
#undef ORCH_KIND
    };
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
