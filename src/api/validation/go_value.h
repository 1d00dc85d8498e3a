// Values as upstream's field errors show them: what Go's %#v makes of its internal types. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "orch/api/type_info.h"
#include "orch/api/value.h"

namespace orch::api {

// `v1.LabelSelector{MatchLabels:map[string]string{"a":"b"}, MatchExpressions:...(nil)}`. Pointers
// inside have no address here that anyone could rely on: they show a made-up one.
std::string go_value(const TypeInfo& type, const void* value);
std::string go_value(const IntOrString& value);
std::string go_value(const std::map<std::string, std::string>& value);
std::string go_value(const std::vector<std::string>& value);
std::string go_value(const std::vector<int32_t>& value);
std::string go_value(const std::optional<int32_t>& value);  // "null" when unset
std::string go_value(const std::optional<std::string>& value);

template <class T>
std::string go_value(const Ptr<T>& value) {
  return value ? go_value(T::type_info(), value.get()) : "null";
}

}  // namespace orch::api
