// The functions that TypeInfo and FieldInfo tables point at, one set a type. Kept small: they are
// instantiated for every API struct.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "orch/api/object.h"
#include "orch/api/type_info.h"
#include "orch/api/value.h"

namespace orch::api::codec {

using Visitor = void (*)(void* context, std::string_view key, const void* element);

template <class T>
struct VectorFunctions {
  static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements to point at");
  using Vector = std::vector<T>;
  static size_t size(const void* c) { return static_cast<const Vector*>(c)->size(); }
  static void clear(void* c) { static_cast<Vector*>(c)->clear(); }
  static void* add(void* c, std::string_view) { return &static_cast<Vector*>(c)->emplace_back(); }
  static void for_each(const void* c, void* context, Visitor visit) {
    for (const T& element : *static_cast<const Vector*>(c)) visit(context, {}, &element);
  }
};
template <class T>
inline constexpr ContainerOps kVectorOps = {VectorFunctions<T>::size, VectorFunctions<T>::clear,
                                            VectorFunctions<T>::add, VectorFunctions<T>::for_each};

template <class T>
struct MapFunctions {
  using Map = std::map<std::string, T>;
  static size_t size(const void* c) { return static_cast<const Map*>(c)->size(); }
  static void clear(void* c) { static_cast<Map*>(c)->clear(); }
  static void* add(void* c, std::string_view key) {
    return &(*static_cast<Map*>(c))[std::string(key)];
  }
  static void for_each(const void* c, void* context, Visitor visit) {
    for (const auto& [key, element] : *static_cast<const Map*>(c)) visit(context, key, &element);
  }
};
template <class T>
inline constexpr ContainerOps kMapOps = {MapFunctions<T>::size, MapFunctions<T>::clear,
                                         MapFunctions<T>::add, MapFunctions<T>::for_each};

template <class Holder>
struct HolderFunctions {
  static size_t size(const void* c) { return static_cast<const Holder*>(c)->has_value(); }
  static void clear(void* c) { static_cast<Holder*>(c)->reset(); }
  static void* add(void* c, std::string_view) {
    auto* holder = static_cast<Holder*>(c);
    if (!holder->has_value()) holder->emplace();
    return &**holder;
  }
  static void for_each(const void* c, void* context, Visitor visit) {
    const auto* holder = static_cast<const Holder*>(c);
    if (holder->has_value()) visit(context, {}, &**holder);
  }
};
template <class T>
inline constexpr ContainerOps kOptionalOps = {
    HolderFunctions<std::optional<T>>::size, HolderFunctions<std::optional<T>>::clear,
    HolderFunctions<std::optional<T>>::add, HolderFunctions<std::optional<T>>::for_each};
template <class T>
inline constexpr ContainerOps kPtrOps = {
    HolderFunctions<Ptr<T>>::size, HolderFunctions<Ptr<T>>::clear, HolderFunctions<Ptr<T>>::add,
    HolderFunctions<Ptr<T>>::for_each};

template <class T>
void* make() {
  return new T;
}
template <class T>
Object* make_object() {
  return new T;
}
template <class T>
void destroy(void* value) {
  delete static_cast<T*>(value);
}
template <class T>
void copy(void* to, const void* from) {
  *static_cast<T*>(to) = *static_cast<const T*>(from);
}

// The type lists of all packages, sorted by package (generated).
std::span<const std::span<const TypeInfo* const>* const> packages();

}  // namespace orch::api::codec
