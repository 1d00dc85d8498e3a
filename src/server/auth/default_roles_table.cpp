#include "server/auth/default_roles_table.h"

namespace orch::server {

const std::string_view kClusterRoleTable = R"(
= cluster-admin
* * *
* paths *
= system:aggregate-to-admin into=admin
create authorization.k8s.io localsubjectaccessreviews
all rbac.authorization.k8s.io rolebindings,roles
= system:aggregate-to-edit into=edit
read core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy
impersonate core serviceaccounts
write core pods,pods/attach,pods/exec,pods/portforward,pods/proxy
create core pods/eviction
write core configmaps,events,persistentvolumeclaims,replicationcontrollers,\
  replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy
create core serviceaccounts/token
write apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,\
  replicasets/scale,statefulsets,statefulsets/scale
write autoscaling horizontalpodautoscalers
write batch cronjobs,jobs
write extensions daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,\
  networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale
write policy poddisruptionbudgets
write networking.k8s.io ingresses,networkpolicies
all coordination.k8s.io leases
= system:aggregate-to-view into=view
read core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,\
  replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status
read core bindings,events,limitranges,namespaces/status,pods/log,pods/status,\
  replicationcontrollers/status,resourcequotas,resourcequotas/status
read core namespaces
read discovery.k8s.io endpointslices
read apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,\
  deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,\
  statefulsets/scale,statefulsets/status
read autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status
read batch cronjobs,cronjobs/status,jobs,jobs/status
read extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,\
  ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,\
  replicationcontrollers/scale
read policy poddisruptionbudgets,poddisruptionbudgets/status
read networking.k8s.io ingresses,ingresses/status,networkpolicies
= system:auth-delegator
create authentication.k8s.io tokenreviews
create authorization.k8s.io subjectaccessreviews
= system:basic-user
create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews
create authentication.k8s.io selfsubjectreviews
= system:certificates.k8s.io:certificatesigningrequests:nodeclient
create certificates.k8s.io certificatesigningrequests/nodeclient
= system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
create certificates.k8s.io certificatesigningrequests/selfnodeclient
= system:certificates.k8s.io:kube-apiserver-client-approver
approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client
= system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet
= system:certificates.k8s.io:kubelet-serving-approver
approve certificates.k8s.io signers kubernetes.io/kubelet-serving
= system:certificates.k8s.io:legacy-unknown-approver
approve certificates.k8s.io signers kubernetes.io/legacy-unknown
= system:discovery
get paths /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/
= system:heapster
read core events,namespaces,nodes,pods
read extensions deployments
= system:kube-aggregator
read core endpoints,services
= system:kube-controller-manager
events
create coordination.k8s.io leases
get,update coordination.k8s.io leases kube-controller-manager
create core secrets,serviceaccounts
delete core secrets
get core configmaps,namespaces,secrets,serviceaccounts
update core secrets,serviceaccounts
create authentication.k8s.io tokenreviews
create authorization.k8s.io subjectaccessreviews
list,watch * *
create core serviceaccounts/token
= system:kube-dns
list,watch core endpoints,services
= system:kube-scheduler
events
create coordination.k8s.io leases
get,update coordination.k8s.io leases kube-scheduler
read core nodes
delete,get,list,watch core pods
create core bindings,pods/binding
patch,update core pods/status
read core replicationcontrollers,services
read apps,extensions replicasets
read apps statefulsets
read policy poddisruptionbudgets
read core persistentvolumeclaims,persistentvolumes
create authentication.k8s.io tokenreviews
create authorization.k8s.io subjectaccessreviews
read storage.k8s.io csinodes
read core namespaces
read storage.k8s.io csidrivers
read storage.k8s.io csistoragecapacities
read storage.k8s.io volumeattachments
= system:kubelet-api-admin
read core nodes
proxy core nodes
* core nodes/log,nodes/metrics,nodes/proxy,nodes/stats
= system:monitoring
get paths /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*
= system:node-bootstrapper
create,get,list,watch certificates.k8s.io certificatesigningrequests
= system:node-problem-detector
get core nodes
patch core nodes/status
events
= system:node-proxier
list,watch core endpoints,services
read core nodes
events
list,watch discovery.k8s.io endpointslices
= system:persistent-volume-provisioner
create,delete,get,list,watch core persistentvolumes
get,list,update,watch core persistentvolumeclaims
read storage.k8s.io storageclasses
watch core events
events
= system:public-info-viewer
get paths /healthz,/livez,/readyz,/version,/version/
= system:service-account-issuer-discovery
get paths /.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,\
  /openid/v1/jwks/
= system:volume-scheduler
get,list,patch,update,watch core persistentvolumes
read storage.k8s.io storageclasses
get,list,patch,update,watch core persistentvolumeclaims
)";

const std::string_view kNodeRuleTable = R"(
create authentication.k8s.io tokenreviews
create authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews
read core services
create,get,list,watch core nodes
patch,update core nodes/status
patch,update core nodes
create,patch,update core events
read core pods
create,delete core pods
patch,update core pods/status
create core pods/eviction
read core configmaps,secrets
get core persistentvolumeclaims,persistentvolumes
get core endpoints
create,get,list,watch certificates.k8s.io certificatesigningrequests
create,delete,get,patch,update coordination.k8s.io leases
get storage.k8s.io volumeattachments
create core serviceaccounts/token
get,patch,update core persistentvolumeclaims/status
read storage.k8s.io csidrivers
create,delete,get,patch,update storage.k8s.io csinodes
read node.k8s.io runtimeclasses
)";

const std::string_view kControllerRoleTable = R"(
= attachdetach-controller
list,watch core persistentvolumeclaims,persistentvolumes
read core nodes
patch,update core nodes/status
list,watch core pods
events
create,delete,get,list,watch storage.k8s.io volumeattachments
read storage.k8s.io csidrivers
read storage.k8s.io csinodes
= certificate-controller
delete,get,list,watch certificates.k8s.io certificatesigningrequests
update certificates.k8s.io certificatesigningrequests/approval,certificatesigningrequests/status
approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet
sign certificates.k8s.io signers kubernetes.io/kube-apiserver-client,\
  kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,\
  kubernetes.io/legacy-unknown
create authorization.k8s.io subjectaccessreviews
events
= clusterrole-aggregation-controller
escalate,get,list,patch,update,watch rbac.authorization.k8s.io clusterroles
= cronjob-controller
get,list,update,watch batch cronjobs
create,delete,get,list,patch,update,watch batch jobs
update batch cronjobs/status
update batch cronjobs/finalizers
delete,list,watch core pods
events
= daemon-set-controller
read apps,extensions daemonsets
update apps,extensions daemonsets/status
update apps,extensions daemonsets/finalizers
list,watch core nodes
create,delete,list,patch,watch core pods
create core pods/binding
create,delete,get,list,patch,update,watch apps controllerrevisions
events
= deployment-controller
get,list,update,watch apps,extensions deployments
update apps,extensions deployments/status
update apps,extensions deployments/finalizers
create,delete,get,list,patch,update,watch apps,extensions replicasets
get,list,update,watch core pods
events
= disruption-controller
read apps,extensions deployments
read apps,extensions replicasets
read core replicationcontrollers
read policy poddisruptionbudgets
read apps statefulsets
update policy poddisruptionbudgets/status
patch,update core pods/status
get * */scale
events
= endpoint-controller
read core pods,services
create,delete,get,list,update,watch core endpoints
create core endpoints/restricted
events
= endpointslice-controller
read core nodes,pods,services
update core services/finalizers
create,delete,get,list,update,watch discovery.k8s.io endpointslices
events
= endpointslicemirroring-controller
read core endpoints,services
update core services/finalizers
update core endpoints/finalizers
create,delete,get,list,update,watch discovery.k8s.io endpointslices
events
= ephemeral-volume-controller
read core pods
update core pods/finalizers
create,get,list,watch core persistentvolumeclaims
events
= expand-controller
get,list,patch,update,watch core persistentvolumes
patch,update core persistentvolumeclaims/status
read core persistentvolumeclaims
events
get core services
= generic-garbage-collector
delete,get,list,patch,update,watch * *
events
= horizontal-pod-autoscaler
read autoscaling horizontalpodautoscalers
update autoscaling horizontalpodautoscalers/status
get,update * */scale
list,watch core pods
list,watch metrics.k8s.io pods
read custom.metrics.k8s.io *
read external.metrics.k8s.io *
events
= job-controller
get,list,patch,update,watch batch jobs
update batch jobs/status
update batch jobs/finalizers
create,delete,list,patch,watch core pods
events
= legacy-service-account-token-cleaner
get core configmaps kube-apiserver-legacy-service-account-token-tracking
delete,patch core secrets
= namespace-controller
delete,get,list,watch core namespaces
update core namespaces/finalize,namespaces/status
delete,deletecollection,get,list,watch * *
= node-controller
delete,get,list,patch,update,watch core nodes
patch,update core nodes/status
patch,update core pods/status
delete,get,list,watch core pods
events
= persistent-volume-binder
create,delete,get,list,update,watch core persistentvolumes
update core persistentvolumes/status
get,list,update,watch core persistentvolumeclaims
update core persistentvolumeclaims/status
create,delete,get,list,watch core pods
read storage.k8s.io storageclasses
list,watch core nodes
events
watch core events
get core services
= pod-garbage-collector
delete,list,watch core pods
read core nodes
patch core pods/status
= pv-protection-controller
get,list,update,watch core persistentvolumes
events
= pvc-protection-controller
get,list,update,watch core persistentvolumeclaims
read core pods
events
= replicaset-controller
get,list,update,watch apps,extensions replicasets
update apps,extensions replicasets/status
update apps,extensions replicasets/finalizers
create,delete,list,patch,watch core pods
events
= replication-controller
get,list,update,watch core replicationcontrollers
update core replicationcontrollers/status
update core replicationcontrollers/finalizers
create,delete,list,patch,watch core pods
events
= resourcequota-controller
list,watch * *
update core resourcequotas/status
events
= root-ca-cert-publisher
create,update core configmaps
events
= route-controller
list,watch core nodes
patch core nodes/status
events
= service-account-controller
create core serviceaccounts
events
= service-controller
read core services
patch,update core services/status
list,watch core nodes
events
= statefulset-controller
list,watch core pods
read apps statefulsets
update apps statefulsets/status
update apps statefulsets/finalizers
create,delete,get,patch,update core pods
create,delete,get,list,patch,update,watch apps controllerrevisions
create,get,list,watch core persistentvolumeclaims
delete,update core persistentvolumeclaims
update core pods/finalizers
events
= ttl-after-finished-controller
delete,get,list,watch batch jobs
events
= ttl-controller
list,patch,update,watch core nodes
events
= validatingadmissionpolicy-status-controller
read admissionregistration.k8s.io validatingadmissionpolicies
get,patch,update admissionregistration.k8s.io validatingadmissionpolicies/status
events
)";

// An agent is kubelet, proxy, overlay and DNS in one: what the latter three read, and the volumes
// of local-path (what a node may change of those, admission decides: LocalPathRestriction).
const std::string_view kOrchRoleTable = R"(
= orch:agent
read core endpoints,namespaces,nodes,services
read discovery.k8s.io endpointslices
read networking.k8s.io networkpolicies
list,patch,update,watch core persistentvolumes
create,patch,update events.k8s.io events
= orch:controller:apiservice-status-remote-available-controller
update apiregistration.k8s.io apiservices/status
= orch:controller:cloud-controller-manager
delete,get,list,patch,update,watch core nodes
patch,update core nodes/status
get,list,patch,update,watch core services
patch,update core services/status
events
= orch:controller:leader-election-controller
get,list,update,watch coordination.k8s.io leasecandidates
create,get,list,update,watch coordination.k8s.io leases
= orch:controller:leasecandidate-garbage-collector-controller
delete,get,list,watch coordination.k8s.io leasecandidates
= orch:controller:local-path-provisioner
create,get,list,watch storage.k8s.io storageclasses
create,delete,get,list,update,watch core persistentvolumes
get,list,update,watch core persistentvolumeclaims
read core nodes
events
= orch:controller:pod-garbage-collector
update core pods/status
= orch:controller:storageversion-garbage-collector-controller
delete,get,list,watch internal.apiserver.k8s.io storageversions
update internal.apiserver.k8s.io storageversions/status
get coordination.k8s.io leases
)";

const std::string_view kNamespaceRoleTable = R"(
= kube-public/system:controller:bootstrap-signer
read core configmaps
update core configmaps cluster-info
events
= kube-system/extension-apiserver-authentication-reader
read core configmaps extension-apiserver-authentication
= kube-system/system::leader-locking-kube-controller-manager
watch core configmaps
get,update core configmaps kube-controller-manager
= kube-system/system::leader-locking-kube-scheduler
watch core configmaps
get,update core configmaps kube-scheduler
= kube-system/system:controller:bootstrap-signer
read core secrets
= kube-system/system:controller:cloud-provider
create,get,list,watch core configmaps
= kube-system/system:controller:token-cleaner
delete,get,list,watch core secrets
events
)";

const std::string_view kBindingTable = R"(
cluster-admin cluster-admin group:system:masters
system:monitoring system:monitoring group:system:monitoring
system:discovery system:discovery group:system:authenticated
system:basic-user system:basic-user group:system:authenticated
system:public-info-viewer system:public-info-viewer group:system:authenticated \
  group:system:unauthenticated
system:node-proxier system:node-proxier user:system:kube-proxy
system:kube-controller-manager system:kube-controller-manager user:system:kube-controller-manager
system:kube-dns system:kube-dns sa:kube-system/kube-dns
system:kube-scheduler system:kube-scheduler user:system:kube-scheduler
system:volume-scheduler system:volume-scheduler user:system:kube-scheduler
system:service-account-issuer-discovery system:service-account-issuer-discovery \
  group:system:serviceaccounts
system:node system:node
orch:agent orch:agent group:system:nodes
orch:controller:local-path-provisioner orch:controller:local-path-provisioner \
  sa:kube-system/local-path-provisioner
orch:controller:leader-election-controller \
  orch:controller:leader-election-controller \
  sa:kube-system/leader-election-controller
orch:controller:leasecandidate-garbage-collector-controller \
  orch:controller:leasecandidate-garbage-collector-controller \
  sa:kube-system/leasecandidate-garbage-collector-controller
orch:controller:storageversion-garbage-collector-controller \
  orch:controller:storageversion-garbage-collector-controller \
  sa:kube-system/storageversion-garbage-collector-controller
orch:controller:pod-garbage-collector orch:controller:pod-garbage-collector \
  sa:kube-system/pod-garbage-collector
orch:controller:apiservice-status-remote-available-controller \
  orch:controller:apiservice-status-remote-available-controller \
  sa:kube-system/apiservice-status-remote-available-controller
orch:controller:cloud-controller-manager orch:controller:cloud-controller-manager \
  sa:kube-system/cloud-controller-manager
kube-public/system:controller:bootstrap-signer system:controller:bootstrap-signer \
  sa:kube-system/bootstrap-signer
kube-system/system::extension-apiserver-authentication-reader \
  extension-apiserver-authentication-reader user:system:kube-controller-manager \
  user:system:kube-scheduler
kube-system/system::leader-locking-kube-controller-manager \
  system::leader-locking-kube-controller-manager user:system:kube-controller-manager \
  sa:kube-system/kube-controller-manager
kube-system/system::leader-locking-kube-scheduler system::leader-locking-kube-scheduler \
  user:system:kube-scheduler sa:kube-system/kube-scheduler
kube-system/system:controller:bootstrap-signer system:controller:bootstrap-signer \
  sa:kube-system/bootstrap-signer
kube-system/system:controller:cloud-provider system:controller:cloud-provider \
  sa:kube-system/cloud-provider
kube-system/system:controller:token-cleaner system:controller:token-cleaner \
  sa:kube-system/token-cleaner
)";

}  // namespace orch::server
