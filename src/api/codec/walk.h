// Access to members of API structs by their field tables.
#pragma once

#include "orch/api/type_info.h"
#include "orch/api/value.h"

namespace orch::api::codec {

template <class T>
const T& get(const void* value) {
  return *static_cast<const T*>(value);
}
template <class T>
T& get(void* value) {
  return *static_cast<T*>(value);
}

inline const void* member(const void* value, const FieldInfo& field) {
  return static_cast<const char*>(value) + field.offset;
}
inline void* member(void* value, const FieldInfo& field) {
  return static_cast<char*>(value) + field.offset;
}

}  // namespace orch::api::codec
