// Warnings about Pods and pod templates: deprecated or odd, but accepted input. Stateless.
#pragma once

#include <string>
#include <vector>

#include "orch/api/scheme.h"

namespace orch::server {

// For every kind that holds a Pod's spec. `old`: nullptr on creation; updates of Pods themselves
// and of anything whose spec stayed are not warned about, as upstream.
void pod_warnings(const api::ResourceInfo& resource, const api::Object& now, const api::Object* old,
                  std::vector<std::string>& out);

}  // namespace orch::server
