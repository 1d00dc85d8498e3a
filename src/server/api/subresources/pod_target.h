// Finds the Pod and container that log, exec, attach and portforward speak of.
#pragma once

#include <memory>
#include <string>

#include "orch/api/corev1.h"  // generated
#include "server/api/api_server.h"
#include "server/api/call.h"

namespace orch::server {

using PodPtr = std::shared_ptr<const api::corev1::Pod>;

// `asked` or the Pod's only container. 400 with upstream's texts when it is ambiguous or unknown.
api::ApiResult<std::string> choose_container(const api::corev1::Pod& pod, const std::string& asked);
// "a=1&b=2" of the pairs, values encoded.
std::string make_query(const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace orch::server
