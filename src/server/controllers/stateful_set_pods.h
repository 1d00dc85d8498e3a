// Identity and storage of a StatefulSet's pods. Pure.
#pragma once

#include "server/controllers/stateful_set.h"

namespace orch::server {

bool identity_matches(const api::appsv1::StatefulSet& set, const api::corev1::Pod& pod);
bool storage_matches(const api::appsv1::StatefulSet& set, const api::corev1::Pod& pod);
// Makes both match.
void set_identity(const api::appsv1::StatefulSet& set, int64_t ordinal, api::corev1::Pod& pod);
void set_storage(const api::appsv1::StatefulSet& set, int64_t ordinal, api::corev1::Pod& pod);

// The claims of the pod with this ordinal, as they are to be created.
std::vector<api::corev1::PersistentVolumeClaim> claims_of(const api::appsv1::StatefulSet& set,
                                                          int64_t ordinal);
bool in_range(const api::appsv1::StatefulSet& set, int64_t ordinal);

// Brings the claim's owners in line with the retention policy: the set, the pod (once it is scaled
// away) or nobody. False when they are; claims that others control are left alone.
bool fix_claim_owners(const api::appsv1::StatefulSet& set, const api::corev1::Pod& pod,
                      int64_t ordinal, api::corev1::PersistentVolumeClaim& claim);
// The claim belongs to an earlier pod of the same name and is about to go with it.
bool is_stale(const api::corev1::PersistentVolumeClaim& claim, const std::string& pod_name);

}  // namespace orch::server
