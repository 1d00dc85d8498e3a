// Kubernetes' defaults of a PodSpec, as every workload's template gets them.
#include "api/kinds/common.h"

namespace orch::api {
namespace {

using namespace corev1;

template <class T, class U>
void fill(T& field, U&& value) {
  if (field.empty()) field = std::forward<U>(value);
}
void fill(int32_t& field, int32_t value) {
  if (field == 0) field = value;
}
template <class T>
void fill(std::optional<T>& field, T value) {
  if (!field) field = std::move(value);
}

// ":latest" or no tag means Always; a digest or another tag IfNotPresent.
std::string pull_policy(const std::string& image) {
  const size_t slash = image.rfind('/');
  const std::string last = slash == std::string::npos ? image : image.substr(slash + 1);
  if (last.find('@') != std::string::npos) return "IfNotPresent";
  const size_t colon = last.find(':');
  return colon == std::string::npos || last.substr(colon + 1) == "latest" ? "Always"
                                                                          : "IfNotPresent";
}

void default_http_get(HTTPGetAction& get) {
  fill(get.path, "/");
  fill(get.scheme, "HTTP");
}

void default_probe(Ptr<Probe>& probe) {
  if (!probe) return;
  fill(probe->timeoutSeconds, 1);
  fill(probe->periodSeconds, 10);
  fill(probe->successThreshold, 1);
  fill(probe->failureThreshold, 3);
  if (probe->httpGet) default_http_get(*probe->httpGet);
  if (probe->grpc && !probe->grpc->service) probe->grpc->service = "";
}

void default_handler(Ptr<LifecycleHandler>& handler) {
  if (handler && handler->httpGet) default_http_get(*handler->httpGet);
}

// Limits without requests ask for their limit.
void default_requests(ResourceRequirements& resources) {
  for (const auto& [name, limit] : resources.limits) resources.requests.emplace(name, limit);
}

template <class C>
void default_container(C& container) {
  fill(container.imagePullPolicy, pull_policy(container.image));
  fill(container.terminationMessagePath, "/dev/termination-log");
  fill(container.terminationMessagePolicy, "File");
  for (auto& port : container.ports) fill(port.protocol, "TCP");
  for (auto& env : container.env) {
    if (env.valueFrom && env.valueFrom->fieldRef) fill(env.valueFrom->fieldRef->apiVersion, "v1");
  }
  default_probe(container.livenessProbe);
  default_probe(container.readinessProbe);
  default_probe(container.startupProbe);
  if (container.lifecycle) {
    default_handler(container.lifecycle->postStart);
    default_handler(container.lifecycle->preStop);
  }
}

void default_items(std::vector<DownwardAPIVolumeFile>& items) {
  for (auto& item : items) {
    if (item.fieldRef) fill(item.fieldRef->apiVersion, "v1");
  }
}

void default_projected(ProjectedVolumeSource& projected) {
  fill(projected.defaultMode, 0644);
  for (auto& source : projected.sources) {
    if (source.downwardAPI) default_items(source.downwardAPI->items);
    if (source.serviceAccountToken) {
      fill(source.serviceAccountToken->expirationSeconds, int64_t{3600});
    }
  }
}

void default_volume(Volume& volume) {
  if (volume.secret) fill(volume.secret->defaultMode, 0644);
  if (volume.configMap) fill(volume.configMap->defaultMode, 0644);
  if (volume.downwardAPI) {
    fill(volume.downwardAPI->defaultMode, 0644);
    default_items(volume.downwardAPI->items);
  }
  if (volume.projected) default_projected(*volume.projected);
  if (volume.hostPath && !volume.hostPath->type) volume.hostPath->type = "";
  // A volume without a source is an emptyDir.
  VolumeSource& source = volume;
  if (equal(VolumeSource::type_info(), &source, std::make_unique<VolumeSource>().get())) {
    volume.emptyDir.emplace();
  }
}

// In the host's network every container port is a host port.
void default_host_ports(std::vector<Container>& containers) {
  for (auto& container : containers) {
    for (auto& port : container.ports) fill(port.hostPort, port.containerPort);
  }
}

}  // namespace

void default_pod_spec(PodSpec& spec) {
  fill(spec.restartPolicy, "Always");
  fill(spec.dnsPolicy, "ClusterFirst");
  fill(spec.schedulerName, "default-scheduler");
  fill(spec.terminationGracePeriodSeconds, int64_t{30});
  if (!spec.securityContext) spec.securityContext.emplace();
  if (spec.serviceAccount.empty()) spec.serviceAccount = spec.serviceAccountName;
  if (spec.serviceAccountName.empty()) spec.serviceAccountName = spec.serviceAccount;
  for (auto& c : spec.initContainers) default_container(c);
  for (auto& c : spec.containers) default_container(c);
  for (auto& c : spec.ephemeralContainers) default_container(c);
  for (auto& volume : spec.volumes) default_volume(volume);
  for (auto& constraint : spec.topologySpreadConstraints) {
    fill(constraint.nodeAffinityPolicy, std::string("Honor"));
    fill(constraint.nodeTaintsPolicy, std::string("Ignore"));
  }
}

void default_pod(PodSpec& spec) {
  default_pod_spec(spec);
  fill(spec.enableServiceLinks, true);
  for (auto& c : spec.initContainers) default_requests(c.resources);
  for (auto& c : spec.containers) default_requests(c.resources);
  if (spec.hostNetwork) {
    default_host_ports(spec.initContainers);
    default_host_ports(spec.containers);
  }
}

}  // namespace orch::api
