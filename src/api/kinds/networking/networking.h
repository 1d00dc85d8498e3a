// What the kinds of networking.k8s.io/v1 share.
#pragma once

#include "api/kinds/common.h"
#include "orch/api/networkingv1.h"

namespace orch::api {

// `prepare` for kinds without status: metadata.generation counts changes of the spec.
template <class T>
void prepare_spec_only(Object& now_object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<T&>(now_object);
  if (old_object == nullptr) {
    now.metadata.generation = 1;
    return;
  }
  const auto& old = static_cast<const T&>(*old_object);
  now.metadata.generation = old.metadata.generation + (equal(now.spec, old.spec) ? 0 : 1);
}

// An object of some kind in the same namespace: group, kind and name.
void validate_typed_reference(const std::optional<std::string>& group, const std::string& kind,
                              const std::string& name, const std::string& path,
                              FieldErrors& errors);

}  // namespace orch::api
