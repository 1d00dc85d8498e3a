// NodeRestriction: what a node writes is about itself and the Pods bound to it. Its Node (but for
// taints, owners and labels that others rely on), its Lease and CSINode, mirror Pods and the status
// of its Pods, tokens for its Pods, requests for certificates of its own name.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "orch/api/authenticationv1.h"
#include "orch/api/certificatesv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "orch/api/storagev1.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"
#include "server/admission/admission.h"
#include "server/auth/node_identity.h"
#include "server/auth/pod_references.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Node, corev1::Pod;

constexpr const char* kMirrorAnnotation = "kubernetes.io/config.mirror";
constexpr std::string_view kLeaseNamespace = "kube-node-lease";

bool is_in_domain(std::string_view ns, std::string_view domain) {
  return ns == domain || (ns.size() > domain.size() && ns.ends_with(domain) &&
                          ns[ns.size() - domain.size() - 1] == '.');
}

// Labels of Kubernetes' own that a kubelet sets.
bool is_kubelet_label(const std::string& key, std::string_view ns) {
  static const std::set<std::string> known = {"kubernetes.io/hostname",
                                              "topology.kubernetes.io/zone",
                                              "topology.kubernetes.io/region",
                                              "failure-domain.beta.kubernetes.io/zone",
                                              "failure-domain.beta.kubernetes.io/region",
                                              "node.kubernetes.io/instance-type",
                                              "beta.kubernetes.io/instance-type",
                                              "kubernetes.io/os",
                                              "kubernetes.io/arch",
                                              "beta.kubernetes.io/os",
                                              "beta.kubernetes.io/arch"};
  return known.count(key) != 0 || is_in_domain(ns, "kubelet.kubernetes.io") ||
         is_in_domain(ns, "node.kubernetes.io");
}

bool is_forbidden_label(const std::string& key) {
  const size_t slash = key.find('/');
  if (slash == std::string::npos) return false;
  const std::string_view ns = std::string_view(key).substr(0, slash);
  if (is_in_domain(ns, "node-restriction.kubernetes.io")) return true;
  return (is_in_domain(ns, "kubernetes.io") || is_in_domain(ns, "k8s.io")) &&
         !is_kubelet_label(key, ns);
}

using Labels = std::map<std::string, std::string>;

// Of the labels that differ, those a node may not touch; sorted.
std::vector<std::string> forbidden_changes(const Labels& now, const Labels& old) {
  std::set<std::string> changed;
  for (const auto& [key, value] : now) {
    auto it = old.find(key);
    if (it == old.end() || it->second != value) changed.insert(key);
  }
  for (const auto& [key, value] : old) {
    if (now.count(key) == 0) changed.insert(key);
  }
  std::vector<std::string> out;
  std::copy_if(changed.begin(), changed.end(), std::back_inserter(out), is_forbidden_label);
  return out;
}

template <class T>
bool same_items(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](auto& x, auto& y) { return equal(x, y); });
}

Error refused(const AdmissionRequest& request, const std::string& why) {
  const std::string& name = request.object != nullptr && request.name.empty()
                                ? request.object->metadata.name
                                : request.name;
  return forbidden(request.resource->group_resource(), name, why);
}

bool writes(const AdmissionRequest& request) {
  return request.operation == Operation::kCreate || request.operation == Operation::kUpdate;
}

class NodeRestriction final : public AdmissionPlugin {
 public:
  explicit NodeRestriction(const AdmissionContext& context)
      : client_(context.client), drivers_(context.informers.lister<storagev1::CSIDriver>()) {}

  std::string_view name() const override { return "NodeRestriction"; }

  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (request.user == nullptr) return Unit{};
    const auto identity = node_identity(*request.user);
    if (!identity) return Unit{};
    const std::string node(*identity);
    if (node.empty()) {
      return Err(refused(request, fmt::format("could not determine node from user {}",
                                              go_quoted(request.user->name))));
    }
    const std::string_view group = request.resource->group;
    const std::string_view plural = request.resource->plural;
    if (group.empty() && plural == "pods") return admit_pod(request, node);
    std::string why;
    if (group.empty() && plural == "nodes") why = check_node(request, node);
    if (group.empty() && plural == "persistentvolumeclaims") why = check_claim(request, node);
    if (group.empty() && plural == "serviceaccounts") return check_token(request, node);
    if (group == "coordination.k8s.io" && plural == "leases") why = check_lease(request, node);
    if (group == "storage.k8s.io" && plural == "csinodes") why = check_csi_node(request, node);
    if (plural == "certificatesigningrequests") why = check_csr(request, node);
    if (why.empty()) return Unit{};
    return Err(refused(request, why));
  }

 private:
  ApiResult<Unit> admit_pod(const AdmissionRequest& request, const std::string& node) const;
  std::string check_mirror_pod(const Pod& pod, const std::string& node) const;
  ApiResult<Unit> check_pods_node(const AdmissionRequest& request, const std::string& node,
                                  const char* text) const;
  static std::string check_pod_status(const AdmissionRequest& request, const std::string& node);
  static std::string check_node(const AdmissionRequest& request, const std::string& node);
  static std::string check_claim(const AdmissionRequest& request, const std::string& node);
  ApiResult<Unit> check_token(const AdmissionRequest& request, const std::string& node) const;
  bool has_audience(const Pod& pod, const std::string& audience) const;
  bool driver_asks(const std::string& driver, const std::string& audience) const;
  static std::string check_lease(const AdmissionRequest& request, const std::string& node);
  static std::string check_csi_node(const AdmissionRequest& request, const std::string& node);
  static std::string check_csr(const AdmissionRequest& request, const std::string& node);

  const client::Client& client_;
  client::Lister<storagev1::CSIDriver> drivers_;
};

ApiResult<Unit> NodeRestriction::admit_pod(const AdmissionRequest& request,
                                           const std::string& node) const {
  std::string why;
  if (request.subresource == "status") {
    why = check_pod_status(request, node);
  } else if (request.subresource == "eviction") {
    if (request.operation == Operation::kCreate) {
      return check_pods_node(request, node,
                             "node {} can only evict pods with spec.nodeName set to itself");
    }
    why = "unexpected operation";
  } else if (!request.subresource.empty()) {
    why = fmt::format("unexpected pod subresource {}, only 'status' and 'eviction' are allowed",
                      go_quoted(request.subresource));
  } else if (request.operation == Operation::kCreate && request.object != nullptr) {
    why = check_mirror_pod(static_cast<const Pod&>(*request.object), node);
  } else if (request.operation == Operation::kDelete) {
    return check_pods_node(request, node,
                           "node {} can only delete pods with spec.nodeName set to itself");
  } else {
    why = fmt::format("unexpected operation {}, node {} can only create and delete mirror pods",
                      go_quoted(request.operation == Operation::kUpdate ? "UPDATE" : "CONNECT"),
                      go_quoted(node));
  }
  if (why.empty()) return Unit{};
  return Err(refused(request, why));
}

std::string NodeRestriction::check_mirror_pod(const Pod& pod, const std::string& node) const {
  const std::string who = "node " + go_quoted(node);
  if (!is_mirror_pod(pod)) {
    return fmt::format("pod does not have {} annotation, {} can only create mirror pods",
                       go_quoted(kMirrorAnnotation), who);
  }
  if (pod.spec.nodeName != node) {
    return who + " can only create pods with spec.nodeName set to itself";
  }
  const auto& owners = pod.metadata.ownerReferences;
  if (owners.size() > 1) {
    return who + " can only create pods with a single owner reference set to itself";
  }
  if (owners.empty() || owners[0].apiVersion != "v1" || owners[0].kind != "Node" ||
      owners[0].name != node) {
    return who + " can only create pods with an owner reference set to itself";
  }
  if (!owners[0].controller.value_or(false)) {
    return who + " can only create pods with a controller owner reference set to itself";
  }
  if (owners[0].blockOwnerDeletion.value_or(false)) {
    return who + " must not set blockOwnerDeletion on an owner reference";
  }
  const auto live = client_.get<Node>("", node);
  if (!live) return live.error().message;
  if (live->metadata.uid != owners[0].uid) {
    return fmt::format("node {} UID mismatch: expected {} got {}", node, owners[0].uid,
                       live->metadata.uid);
  }
  const PodReferences refs = references_of(pod);
  const char* what = nullptr;
  if (!refs.service_account.empty()) what = "a service account";
  if (what == nullptr && !refs.secrets.empty()) what = "secrets";
  if (what == nullptr && !refs.config_maps.empty()) what = "configmaps";
  if (what == nullptr && !refs.claims.empty()) what = "persistentvolumeclaims";
  const auto& volumes = pod.spec.volumes;
  const bool tokens = std::any_of(volumes.begin(), volumes.end(), [](const auto& volume) {
    if (!volume.projected) return false;
    const auto& sources = volume.projected->sources;
    return std::any_of(sources.begin(), sources.end(),
                       [](const auto& source) { return bool(source.clusterTrustBundle); });
  });
  if (what == nullptr && tokens) what = "clustertrustbundles";
  if (what == nullptr && !pod.spec.resourceClaims.empty()) what = "resourceclaims";
  return what == nullptr ? "" : fmt::format("{} can not create pods that reference {}", who, what);
}

ApiResult<Unit> NodeRestriction::check_pods_node(const AdmissionRequest& request,
                                                 const std::string& node, const char* text) const {
  std::string bound;
  if (request.old_object != nullptr) {
    bound = static_cast<const Pod&>(*request.old_object).spec.nodeName;
  } else {
    ORCH_TRY(const auto pod, client_.get<Pod>(request.namespace_, request.name));
    bound = pod.spec.nodeName;
  }
  if (bound == node) return Unit{};
  return Err(refused(request, fmt::format(fmt::runtime(text), go_quoted(node))));
}

std::string NodeRestriction::check_pod_status(const AdmissionRequest& request,
                                              const std::string& node) {
  const std::string who = "node " + go_quoted(node);
  if (request.operation != Operation::kUpdate || request.old_object == nullptr) {
    return "unexpected operation";
  }
  const auto& old = static_cast<const Pod&>(*request.old_object);
  const auto& now = static_cast<const Pod&>(*request.object);
  if (old.spec.nodeName != node) {
    return who + " can only update pod status for pods with spec.nodeName set to itself";
  }
  if (old.metadata.labels != now.metadata.labels) {
    return who + " cannot update labels through pod status";
  }
  if (!same_items(old.status.resourceClaimStatuses, now.status.resourceClaimStatuses)) {
    return who + " cannot update resource claim statuses";
  }
  return "";
}

std::string NodeRestriction::check_node(const AdmissionRequest& request, const std::string& node) {
  const std::string who = "node " + go_quoted(node);
  std::string asked = request.name;
  if (writes(request) && request.object != nullptr) {
    const auto& now = static_cast<const Node&>(*request.object);
    if (asked.empty()) asked = now.metadata.name;
    const auto* old = static_cast<const Node*>(request.old_object);
    const bool creates = request.operation == Operation::kCreate || old == nullptr;
    const bool configures = bool(now.spec.configSource);
    if (configures && creates) {
      return who + " is not allowed to create pods with a non-nil configSource";
    }
    if (configures &&
        (!old->spec.configSource || !equal(*old->spec.configSource, *now.spec.configSource))) {
      return who + " is not allowed to update configSource to a new non-nil configSource";
    }
    const auto labels =
        forbidden_changes(now.metadata.labels, creates ? Labels{} : old->metadata.labels);
    if (creates) {
      if (!labels.empty()) {
        return fmt::format("{} is not allowed to set the following labels: {}", who,
                           join(labels, ", "));
      }
    } else {
      if (!same_items(now.spec.taints, old->spec.taints)) {
        return who + " is not allowed to modify taints";
      }
      if (!labels.empty()) {
        return fmt::format("{} is not allowed to modify labels: {}", who, join(labels, ", "));
      }
    }
    const auto& owners = now.metadata.ownerReferences;
    if (creates ? !owners.empty() : !same_items(owners, old->metadata.ownerReferences)) {
      return who + " is not allowed to modify ownerReferences";
    }
  }
  if (asked == node) return "";
  return fmt::format("{} is not allowed to modify node {}", who, go_quoted(asked));
}

// The outcome of growing a volume, nothing else.
std::string NodeRestriction::check_claim(const AdmissionRequest& request, const std::string& node) {
  if (request.subresource != "status") return "may only update PVC status";
  if (request.operation != Operation::kUpdate || request.old_object == nullptr) {
    return "unexpected operation";
  }
  corev1::PersistentVolumeClaim now =
      static_cast<const corev1::PersistentVolumeClaim&>(*request.object);
  corev1::PersistentVolumeClaim old =
      static_cast<const corev1::PersistentVolumeClaim&>(*request.old_object);
  for (auto* claim : {&now, &old}) {
    claim->metadata.managedFields.clear();
    claim->metadata.resourceVersion.clear();
    claim->status.capacity.clear();
    claim->status.conditions.clear();
    claim->status.allocatedResources.clear();
    claim->status.allocatedResourceStatuses.clear();
  }
  if (equal(now, old)) return "";
  return fmt::format(
      "node {} is not allowed to update fields other than status.quantity and status.conditions",
      go_quoted(node));
}

bool NodeRestriction::driver_asks(const std::string& driver, const std::string& audience) const {
  const auto found = drivers_.get("", driver);
  if (!found) return false;
  const auto& asked = found->spec.tokenRequests;
  return std::any_of(asked.begin(), asked.end(),
                     [&](const auto& request) { return request.audience == audience; });
}

bool NodeRestriction::has_audience(const Pod& pod, const std::string& audience) const {
  for (const auto& volume : pod.spec.volumes) {
    if (volume.projected) {
      for (const auto& source : volume.projected->sources) {
        const auto& token = source.serviceAccountToken;
        if (token && token->audience == audience) return true;
      }
    }
    if (volume.csi && driver_asks(volume.csi->driver, audience)) return true;
  }
  for (const auto& name : references_of(pod).claims) {
    const auto claim = client_.get<corev1::PersistentVolumeClaim>(pod.metadata.namespace_, name);
    if (!claim || claim->spec.volumeName.empty()) continue;
    const auto bound = client_.get<corev1::PersistentVolume>("", claim->spec.volumeName);
    if (bound && bound->spec.csi && driver_asks(bound->spec.csi->driver, audience)) return true;
  }
  return false;
}

ApiResult<Unit> NodeRestriction::check_token(const AdmissionRequest& request,
                                             const std::string& node) const {
  if (request.operation != Operation::kCreate || request.subresource != "token" ||
      request.payload == nullptr) {
    return Unit{};
  }
  const auto& spec = static_cast<const authenticationv1::TokenRequest&>(*request.payload).spec;
  const auto& ref = spec.boundObjectRef;
  if (!ref || ref->apiVersion != "v1" || ref->kind != "Pod" || ref->name.empty()) {
    return Err(refused(request, "node requested token not bound to a pod"));
  }
  if (ref->uid.empty()) {
    return Err(refused(request, "node requested token with a pod binding without a uid"));
  }
  ORCH_TRY(const auto pod, client_.get<Pod>(request.namespace_, ref->name));
  if (pod.metadata.uid != ref->uid) {
    return Err(refused(
        request,
        fmt::format("the UID in the bound object reference ({}) does not match the UID in record. "
                    "The object might have been deleted and then recreated",
                    ref->uid)));
  }
  if (pod.spec.nodeName != node) {
    return Err(
        refused(request, "node requested token bound to a pod scheduled on a different node"));
  }
  if (spec.audiences.size() > 1) {
    return Err(refused(request, "node may only request 0 or 1 audiences"));
  }
  const std::string audience = spec.audiences.empty() ? "" : spec.audiences[0];
  if (has_audience(pod, audience)) return Unit{};
  return Err(refused(request,
                     fmt::format("audience {} not found in pod spec volume", go_quoted(audience))));
}

std::string NodeRestriction::check_lease(const AdmissionRequest& request, const std::string& node) {
  if (request.namespace_ != kLeaseNamespace) {
    return fmt::format("can only access leases in the {} system namespace",
                       go_quoted(kLeaseNamespace));
  }
  const bool creates = request.operation == Operation::kCreate && request.object != nullptr;
  if ((creates ? request.object->metadata.name : request.name) == node) return "";
  return "can only access node lease with the same name as the requesting node";
}

std::string NodeRestriction::check_csi_node(const AdmissionRequest& request,
                                            const std::string& node) {
  const bool creates = request.operation == Operation::kCreate && request.object != nullptr;
  if ((creates ? request.object->metadata.name : request.name) == node) return "";
  return "can only access CSINode with the same name as the requesting node";
}

std::string NodeRestriction::check_csr(const AdmissionRequest& request, const std::string& node) {
  if (request.operation != Operation::kCreate || request.object == nullptr) return "";
  const auto& spec =
      static_cast<const certificatesv1::CertificateSigningRequest&>(*request.object).spec;
  if (spec.signerName != "kubernetes.io/kubelet-serving" &&
      spec.signerName != "kubernetes.io/kube-apiserver-client-kubelet") {
    return "";
  }
  const auto csr = net::parse_csr(spec.request);
  if (!csr) return "unable to parse csr: " + csr.error();
  const std::string expected = "system:node:" + node;
  return csr->common_name == expected
             ? ""
             : fmt::format("can only create a node CSR with CN={}", expected);
}

}  // namespace

std::unique_ptr<AdmissionPlugin> make_node_restriction(const AdmissionContext& context) {
  return std::make_unique<NodeRestriction>(context);
}

}  // namespace orch::server
