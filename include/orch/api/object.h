// The base of every API kind that has ObjectMeta. Generated kinds derive from it:
//
//   corev1::Pod pod;  pod.metadata.name = "web";  pod.spec.containers[0].image;
//
// A field of a kind that is called `type` is `type_` in C++ (Secret, Event): type() is taken.
//
// Plain values: one owner, no locks; share as std::shared_ptr<const Object>.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orch/api/metav1.h"  // generated
#include "orch/api/type_info.h"

namespace orch::api {

class Object {
 public:
  virtual ~Object() = default;
  virtual const TypeInfo& type() const noexcept = 0;
  virtual std::unique_ptr<Object> clone() const = 0;

  metav1::ObjectMeta metadata;

 protected:
  Object() = default;
  Object(const Object&) = default;
  Object(Object&&) = default;
  Object& operator=(const Object&) = default;
  Object& operator=(Object&&) = default;
};

using ObjectPtr = std::shared_ptr<const Object>;

// "namespace/name", or "name" for cluster-scoped objects: the key of caches and work queues.
struct ObjectKey {
  std::string namespace_;
  std::string name;
  std::string str() const { return namespace_.empty() ? name : namespace_ + "/" + name; }
  auto operator<=>(const ObjectKey&) const = default;
};
inline ObjectKey key_of(const Object& o) { return {o.metadata.namespace_, o.metadata.name}; }

// Deep equality and a readable difference ("spec.replicas: 1 != 2"; "" when equal), by TypeInfo.
bool equal(const TypeInfo& type, const void* a, const void* b);
std::string first_difference(const TypeInfo& type, const void* a, const void* b);
template <class T>
bool equal(const T& a, const T& b) {
  return equal(T::type_info(), &a, &b);
}

}  // namespace orch::api
