// Registry credentials from a pod's imagePullSecrets (kubernetes.io/dockerconfigjson, dockercfg).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/pod/environment.h"
#include "agent/runtime.h"

namespace orch::agent {

// nullopt = none fits the image's registry. Blocks on the server.
std::optional<ImageAuth> image_auth(const corev1::Pod& pod, const std::string& image,
                                    ObjectSource& objects);
// The credentials for `image` in a docker configuration; pure.
std::optional<ImageAuth> find_auth(std::string_view docker_config, const std::string& image);
// "docker.io" for "busybox"; "r.example:5000" for "r.example:5000/a/b:1".
std::string registry_of(const std::string& image);

}  // namespace orch::agent
