// A container's environment and command line, as the kubelet builds them. Reads ConfigMaps and
// Secrets through ObjectSource, so calls may block.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/error.h"
#include "agent/pod/downward.h"
#include "agent/pod/pod_access.h"

namespace orch::agent {

// The API objects that pods refer to. Implemented by ObjectCache; calls may block on the server.
// Error kNotFound: `configmap "x" not found`, `secret "x" not found`.
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  virtual Result<std::shared_ptr<const corev1::ConfigMap>, Error> config_map(
      const std::string& ns, const std::string& name) = 0;
  virtual Result<std::shared_ptr<const corev1::Secret>, Error> secret(const std::string& ns,
                                                                      const std::string& name) = 0;
  // Error kNotFound: `persistentvolumeclaims "x" not found`, `persistentvolumes "x" not found`.
  virtual Result<std::shared_ptr<const corev1::PersistentVolumeClaim>, Error> claim(
      const std::string& ns, const std::string& name) = 0;
  virtual Result<std::shared_ptr<const corev1::PersistentVolume>, Error> persistent_volume(
      const std::string& name) = 0;
  // A token for the pod's service account, bound to the pod; refreshed when 80 % of its life
  // passed.
  virtual Result<std::string, Error> service_account_token(const corev1::Pod& pod,
                                                           const std::string& audience,
                                                           int64_t expiration_seconds) = 0;
};

using Variables = std::vector<std::pair<std::string, std::string>>;

struct EnvironmentInput {
  const corev1::Pod& pod;
  const corev1::Container& container;
  PodAddresses addresses;
  std::map<std::string, api::Quantity> allocatable;
  std::vector<std::shared_ptr<const corev1::Service>> services;  // of all namespaces
};
struct Environment {
  Variables variables;
  std::vector<std::string> warnings;  // InvalidVariableNames texts
};
Result<Environment, Error> make_environment(const EnvironmentInput& input, ObjectSource& objects);

// $(VAR) with variables of `env`; $$ is a dollar; unknown references stay as they are.
std::string expand(std::string_view text,
                   const std::function<const std::string*(const std::string&)>& find);
std::vector<std::string> expand_all(const std::vector<std::string>& words, const Variables& env);

// {NAME}_SERVICE_HOST and the rest for the services visible to a pod.
std::map<std::string, std::string> service_environment(
    const corev1::Pod& pod, const std::vector<std::shared_ptr<const corev1::Service>>& services);

}  // namespace orch::agent
