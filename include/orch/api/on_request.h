// APIs that are served only where they are asked for: upstream's alpha ones that controllers act
// upon.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace orch::api {

// Serves one of them, given as "coordination.k8s.io/v1alpha2"; to be called before anything asks
// for resources (orch/api/scheme.h). False = there is none of that name.
bool serve_api(std::string_view api_version);
// The names of all of them.
std::vector<std::string> apis_on_request();

}  // namespace orch::api
