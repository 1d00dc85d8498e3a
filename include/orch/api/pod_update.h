// The rules of pods/ephemeralcontainers, whose strategy is not the Pod's own. Pure; any thread.
#pragma once

#include "orch/api/corev1.h"
#include "orch/api/error.h"

namespace orch::api {

// `now` is `old` with other ephemeral containers: the Pod as a whole must be right, and what is
// there may neither change nor go.
void validate_ephemeral_update(const corev1::Pod& now, const corev1::Pod& old, FieldErrors& errors);

}  // namespace orch::api
