// Small checks that validators of many kinds are made of. Texts as upstream's. Pure.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "api/kinds/common.h"
#include "api/validation/formats.h"
#include "api/validation/go_value.h"

namespace orch::api {

// Not supported unless listed; `supported` is in the order the message shows.
void check_one_of(std::string_view value, const std::string& path,
                  std::initializer_list<std::string_view> supported, FieldErrors& errors);
void check_required(std::string_view value, const std::string& path, FieldErrors& errors);
// Text of a field that must stay as it was.
void check_unchanged(bool same, const std::string& path, std::string_view shown,
                     FieldErrors& errors);
// "example.com" of at least two labels, and the like: IsFullyQualifiedName.
void check_fully_qualified(std::string_view name, const std::string& path, FieldErrors& errors);

template <class List>
bool listed(const List& list, std::string_view value) {
  for (const auto& item : list) {
    if (value == item) return true;
  }
  return false;
}

// Whether all items are equal.
template <class List>
bool same_list(const List& a, const List& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i])) return false;
  }
  return true;
}

// Go's %#v of a list of a string type: []core.Scope{"a", "b"}; of bytes: []byte{0x1, 0x2}.
std::string go_strings(std::string_view type, const std::vector<std::string>& values);
std::string go_bytes(std::string_view bytes);

// A cell that is a JSON boolean.
Cell boolean(bool value);

// ---- core/v1 pieces other groups embed ----

// Which volume a PersistentVolume is; `inlined` is the form inside a VolumeAttachment.
void validate_volume_spec(const corev1::PersistentVolumeSpec& spec, bool inlined,
                          const std::string& path, FieldErrors& errors);
void validate_claim_spec(const corev1::PersistentVolumeClaimSpec& spec, const std::string& path,
                         FieldErrors& errors);
void validate_node_selector(const corev1::NodeSelector& selector, const std::string& path,
                            FieldErrors& errors);
void validate_tolerations(const std::vector<corev1::Toleration>& tolerations,
                          const std::string& path, FieldErrors& errors);
// Whether the name means something to Kubernetes itself: no domain, or one below kubernetes.io.
bool is_native_resource(std::string_view name);
// Bare names that a container may ask for: cpu, memory, ephemeral-storage, hugepages-*.
bool is_container_resource(std::string_view name);
// A resource of devices: a domain of its own, and fit to be prefixed with "requests.".
bool is_extended_resource(std::string_view name);
// A quantity that is not negative, and an integer where the resource counts things.
void validate_resource_quantity(std::string_view resource, const Quantity& value,
                                const std::string& path, FieldErrors& errors);
// "RWO,ROX", each once.
std::string access_modes_text(const std::vector<std::string>& modes);

}  // namespace orch::api
