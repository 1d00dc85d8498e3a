#!/bin/bash
# orch ctl beside kubectl 1.32: the same commands against one server, each in a namespace of its own;
# output, errors and exit codes must be the same. NS in a command stands for the namespace (and for
# names of cluster-scoped objects).
source "$(dirname "$0")/lib.sh"
api_server

kubectl=$(kubectl_versions | grep -E 'kubectl\.1\.32' | head -n 1)
[ -n "$kubectl" ] || skip "no kubectl 1.32 on this machine"
mkdir "$work/bin" && ln -s "$orch" "$work/bin/kubectl"  # by this name it is `orch ctl`
cd "$work" || exit 1

# Times, uids, versions and names of temporary files differ from run to run.
normal() {
  sed -E "s/\b(pa-k|pa-o)\b/NS/g
    s/[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(Z| \+0000)/TIME/g
    s/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/UID/g
    s/(resourceVersion\"?:) \"[0-9]+\"/\1 RV/g
    s/Resource Version:( +)[0-9]+/Resource Version:\1RV/
    s/[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} 20[0-9: +]+/DATE/g
    s/\b10\.43\.[0-9.]+/IP/g
    s#/tmp/[^ ]*(LIVE|MERGED)-[A-Za-z0-9]+#\1#g
    s/[0-9]+(s|m|m[0-9]+s)\b/AGE/g; s/ \(x[0-9]+ over AGE\)//; s/ +/ /g; s/-{2,}/--/g"
}

run_as() {  # NAME PROGRAM NAMESPACE COMMAND
  (cd "$work" && eval "TMPDIR=/tmp KUBECONFIG=$kubeconfig EDITOR='sed -i s/apple/pear/' timeout 30 \
    nsenter --net=/var/run/netns/$server_ns $2 ${4//NS/$3}") \
    >"$work/$1.out" 2>"$work/$1.err" </dev/null
  local code=$?
  { normal <"$work/$1.out"; echo "--- errors"; normal <"$work/$1.err"; echo "--- exit code $code"; } \
    >"$work/$1.all"
}

for ns in pa-k pa-o; do
  k create namespace "$ns" >/dev/null || fail "cannot make namespace $ns"
  sed "s/NS/$ns/g" >"$work/objects-$ns.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: basket, namespace: NS}
data: {fruit: apple}
YAML
  sed 's/apple/plum/' "$work/objects-$ns.yaml" >"$work/changed-$ns.yaml"
  sed "s/NS/$ns/g" >"$work/rbac-$ns.yaml" <<'YAML'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NS}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ann}]
YAML
  sed "s/NS/$ns/g" >"$work/more-$ns.yaml" <<'YAML'
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: NS}
spec:
  limits: [{type: Container, default: {cpu: 500m}, defaultRequest: {cpu: 100m}, max: {cpu: "2"}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, namespace: NS}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: absent
  resources: {requests: {storage: 1Gi}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: NS}
spec:
  serviceName: db
  replicas: 0
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ds, namespace: NS}
spec:
  selector: {matchLabels: {app: ds}}
  template:
    metadata: {labels: {app: ds}}
    spec: {nodeSelector: {none: here}, containers: [{name: c, image: i}]}
YAML
  printf 'apiVersion: v1\nkind: Node\nmetadata: {name: %s}\n' "$ns" | k create -f - >/dev/null ||
    fail "cannot make node $ns"
  cp "$kubeconfig" "$work/config-$ns"
done
echo "some text" >"$work/file"
echo "A=1" >"$work/env"
wait_for 10 "the default service accounts" k get sa default -n pa-k
wait_for 10 "the default service accounts" k get sa default -n pa-o

cat >"$work/commands" <<'COMMANDS'
explain
explain nosuch
explain pods.nosuch
explain pods
explain pods --recursive
explain deploy.spec.template.spec.containers
explain pod.spec.restartPolicy
explain pod.spec.containers.resources.limits
explain svc.spec.ports.targetPort
explain deploy --api-version=apps/v2
create -f objects-NS.yaml
create configmap cm --from-literal=a=b --from-file=file -n NS
create configmap cm -n NS
create configmap cm --from-env-file=env --dry-run=client -o yaml
create configmap cm --from-literal=a
create configmap cm --from-file=nosuch
create configmap cm --from-literal=a=b --from-env-file=env
create secret generic s --from-literal=a=b -n NS
create secret generic s --from-literal=a=b -n NS
create secret docker-registry d --docker-server=s --docker-username=u --docker-password=p --dry-run=client -o yaml
create secret tls t --cert=nosuch --key=nosuch
create serviceaccount robot -n NS
create deployment web --image=team/web:1 --port=80 -n NS
create deployment web --image=web -n NS
create deployment web --image=a/b:1 --image=c --replicas=2 --dry-run=client -o yaml
create deployment web --image=a --dry-run=client -o json
create deployment web
create namespace one two
create namespace NS
create namespace n --dry-run=client -o yaml
create role r --verb=get,list --resource=pods,pods/log,deployments.apps --resource-name=x --dry-run=client -o yaml
create role r --verb=get
create role r
create clusterrole r --verb=get --non-resource-url=/healthz --dry-run=client -o yaml
create clusterrole r --aggregation-rule=a=b --dry-run=client -o yaml
create clusterrole r --verb=nosuch --resource=pods --dry-run=client -o name
create rolebinding b --clusterrole=view --user=ann --group=g --serviceaccount=NS:robot -n NS
create rolebinding b
create clusterrolebinding b --clusterrole=view --serviceaccount=ns:x --dry-run=client -o yaml
create service clusterip s --tcp=5678:8080 --tcp=80 --dry-run=client -o yaml
create service nodeport s --tcp=80:http --node-port=30080 --dry-run=client -o yaml
create service loadbalancer s --tcp=80 --dry-run=client -o yaml
create service externalname s --external-name=a.b --tcp=80 --dry-run=client -o yaml
create service clusterip s --clusterip=None --dry-run=client -o yaml
create service clusterip s
create pdb p --selector=app=web --min-available=1 -n NS
create pdb p --selector=a=b,c --max-unavailable=50% --dry-run=client -o yaml
create pdb p
create pdb p --selector=a=b
create priorityclass NS --value=5 --description=x
create job j
create cronjob c --image=i
create ingress i
create quota
create token nosuch
create
create nosuch
get configmap -n NS
get cm cm -n NS -o yaml
get cm -n NS -o json
get cm -n NS -o name
get cm cm nosuch -n NS
get cm,secret -n NS
get deploy -n NS --show-labels
get deploy -n NS -L app
get deploy -n NS -o custom-columns=N:.metadata.name,R:.spec.replicas
get cm -n NS -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}'
get cm -n NS --sort-by=.metadata.name
get cm -n NS --no-headers
get cm -n NS -l nosuch=1
get cm -n NS --field-selector metadata.name=cm
get cm -n NS -o nosuch
get deploy web -n NS --subresource=scale
get deploy web -n NS --subresource=scale -o name
get deploy web -n NS --subresource=status -o name
get deploy web -n NS --subresource=nosuch
get deploy -n NS --subresource=status
get cm,deploy -n NS -l a=b --subresource=status
get --raw /version
get nosuch
get
get cm -n NS --as=bob
label cm cm a=1 -n NS
label cm cm a=1 -n NS
label cm cm --list -n NS
label cm cm a=2 -n NS
label cm cm a=2 b=3 --overwrite -n NS
label cm cm b- -n NS
label cm cm nosuch- -n NS
label cm cm c- c=1 -n NS
label cm cm -n NS
label cm cm bad=_x_ -n NS
label cm -l a=2 picked=yes -n NS
label cm x=1
label nosuch cm x=1
annotate cm cm x=1 -n NS
annotate cm cm x=2 -n NS
annotate cm cm x=5 --overwrite --dry-run=client -n NS
annotate cm cm x=5 --overwrite --dry-run=server -n NS
annotate cm cm x- -n NS
annotate cm cm --list -n NS
patch cm cm -n NS -p '{"data":{"y":"2"}}'
patch cm cm -n NS -p '{"data":{"y":"2"}}'
patch cm cm -n NS -p 'data: {y: "3"}' -o jsonpath='{.data.y}'
patch cm cm -n NS --type=json -p '[{"op":"add","path":"/data/z","value":"1"}]'
patch cm cm -n NS --type=json -p '[{"op":"remove","path":"/data/nosuch"}]'
patch cm cm -n NS --type=merge -p '{"data":{"z":null}}' -o yaml
patch cm cm -n NS -p '{"data":{"y":"9"}}' --dry-run=client -o yaml
patch cm cm -n NS --type=nosuch -p '{}'
patch cm cm -n NS -p '{'
patch cm cm -n NS
patch deploy web -n NS --subresource=scale --type=merge -p '{"spec":{"replicas":2}}'
diff -f objects-NS.yaml
diff -f changed-NS.yaml
diff
replace -f changed-NS.yaml
replace --force -f objects-NS.yaml
replace
edit cm/basket -n NS
get cm basket -n NS -o jsonpath={.data}
edit cm/basket -n NS
set image deploy/web web=web:2 -n NS
set image deploy/web web=web:2 -n NS
set image deploy/web nosuch=web:2 -n NS
set image cm/cm a=b -n NS
set image deploy/web web=web:3 --dry-run=client -n NS
set env deploy/web A=1 B=2 -n NS
set env deploy/web A- -n NS
set env deploy/web --list -n NS
set env cm/cm A=1 -n NS
set resources deploy/web --limits=cpu=1,memory=5Mi --requests=cpu=500m -n NS
set resources deploy/web -n NS
set resources deploy/web --limits=cpu=nosuch -n NS
set serviceaccount deploy web robot -n NS
set subject rolebinding b --user=bob -n NS
set subject rolebinding b -n NS
set nosuch
get deploy web -n NS -o jsonpath={.spec}
expose deploy web -n NS --dry-run=client -o yaml
expose deploy web -n NS --port=8080 --target-port=http --type=NodePort --name=zz --selector=x=y --labels=q=r --dry-run=client -o yaml
expose cm cm -n NS
expose deploy web -n NS
set selector svc/web a=b,c=d -n NS
run r --image=i --dry-run=client -o yaml
run r --image=i --env=A=1 --port=80 --labels=a=b --restart=Never --image-pull-policy=Never --annotations=x=y --dry-run=client -o yaml -- cmd a
run r --image=i --expose --port=80 --dry-run=client -o yaml
run r --image=i -it --dry-run=client
run r
run --image=i
run r --image=i -n NS
run r --image=i -n NS
autoscale deploy web -n NS
rollout pause deploy/web -n NS
rollout pause deploy/web -n NS
rollout restart deploy/web -n NS
rollout resume deploy/web -n NS
rollout restart deploy/web -n NS
rollout undo deploy/web --to-revision=99 -n NS
rollout history deploy/nosuch -n NS
rollout status cm/cm -n NS
rollout nosuch
scale deploy/web --replicas=1 -n NS
scale deploy/web --replicas=2 --current-replicas=5 -n NS
scale deploy/web -n NS
scale cm/cm --replicas=1 -n NS
wait --for=jsonpath='{.spec.replicas}'=1 deploy/web --timeout=5s -n NS
wait --for=condition=Available deploy/web --timeout=1s -n NS
wait --for=delete pod/nosuch -n NS
wait --for=create deploy/nosuch --timeout=1s -n NS
wait --for=nosuch deploy/web -n NS
wait deploy/web -n NS
cordon NS
cordon NS
cordon nosuch
cordon
cordon NS --dry-run=client
uncordon NS
taint node NS a=b:NoSchedule
taint node NS a=c:NoSchedule --overwrite
taint node NS a:NoSchedule-
taint node NS nosuch-
taint node NS a:Nosuch
taint node NS
taint node NS x=y:NoSchedule x:NoSchedule-
taint pods x k=v:NoSchedule
drain NS --ignore-daemonsets
drain NS --ignore-daemonsets
drain nosuch
drain
drain NS --selector a=b
auth can-i get pods
auth can-i get pods --as=bob
auth can-i --list --as=bob
auth can-i get /healthz --as=bob
auth can-i nosuch pods
auth can-i get nosuch
auth can-i get nodes -n NS
auth can-i get pods -q
auth can-i
auth whoami
auth whoami -o yaml
auth whoami -o json
auth reconcile -f rbac-NS.yaml
auth reconcile -f rbac-NS.yaml
certificate approve
top nodes
config view
config view -o json
config view --minify -o jsonpath='{.clusters[0].name}'
config get-contexts
config get-contexts -o name
config get-clusters
config get-users
config current-context
config nosuch
config use-context nosuch
config set-context extra --cluster=c --user=u --namespace=n --kubeconfig=config-NS
config set-context extra --namespace=m --kubeconfig=config-NS
config use-context extra --kubeconfig=config-NS
config set-context --current --namespace=zz --kubeconfig=config-NS
config set-cluster c --server=https://1.2.3.4:6443 --insecure-skip-tls-verify=true --kubeconfig=config-NS
config set-credentials u --token=abc --kubeconfig=config-NS
config rename-context extra other --kubeconfig=config-NS
config rename-context nosuch other --kubeconfig=config-NS
config get-contexts other --kubeconfig=config-NS
config get-contexts nosuch --kubeconfig=config-NS
config set contexts.other.namespace q --kubeconfig=config-NS
config unset contexts.other.namespace --kubeconfig=config-NS
config view --raw --kubeconfig=config-NS
config unset current-context --kubeconfig=config-NS
config current-context --kubeconfig=config-NS
config delete-context other --kubeconfig=config-NS
config delete-context other --kubeconfig=config-NS
config delete-cluster c --kubeconfig=config-NS
config delete-user u --kubeconfig=config-NS
config view --raw --kubeconfig=config-NS
describe cm basket -n NS
describe secret s -n NS
describe sa robot -n NS
describe ns NS
describe role reader -n NS
describe rolebinding readers -n NS
describe clusterrole view
describe clusterrolebinding cluster-admin
describe priorityclass NS
describe pdb p -n NS
describe ep kubernetes
describe endpointslice kubernetes
describe svc web -n NS
describe deploy nosuch -n NS
apply -f more-NS.yaml
create quota q --hard=pods=100,requests.cpu=40 -n NS
create quota best --hard=pods=10 --scopes=BestEffort -n NS
create job once --image=i -n NS
create cronjob nightly --image=i --schedule='0 1 * * *' -n NS
create job now --from=cronjob/nightly -n NS
create ingress in --rule=a.example/x*=web:80 --class=c -n NS
autoscale deploy web --min=1 --max=3 --cpu-percent=50 -n NS
rollout status sts/db -n NS
rollout history sts/db -n NS
rollout restart ds/ds -n NS
get quota,limits,pvc,jobs,cronjobs,ingress,hpa,sts,ds -n NS
get quota,limits,pvc,jobs,cronjobs,ingress,sts,ds -n NS -o wide
get sc
describe ns NS
describe quota -n NS
describe limits limits -n NS
describe pvc claim -n NS
describe cronjob nightly -n NS
describe ingress in -n NS
describe sts db -n NS
explain cronjob.spec.jobTemplate.spec
explain ingress.spec --recursive
explain pvc.spec
delete -f more-NS.yaml
delete quota,jobs,cronjobs,hpa,ingress --all -n NS
describe pods -n pa-none
describe nosuch
describe
events -n pa-none
cluster-info
api-versions
api-resources
api-resources -o wide
api-resources -o name
api-resources --namespaced=false
delete cm basket -n NS --dry-run=client
delete cm basket -n NS
delete cm basket -n NS
delete cm basket -n NS --ignore-not-found
delete cm -n NS
exec nosuch -n NS -- ls
exec
logs
COMMANDS

# The controllers have done all that a change of Deployment web asks for: what a later command shows of
# its Pods does not depend on how fast they were.
web_settled() {
  [ "$(k get deploy web -n "$1" -o 'jsonpath={.metadata.generation}')" = \
    "$(k get deploy web -n "$1" -o 'jsonpath={.status.observedGeneration}')" ] || return 1
  [ -z "$(k get rs -n "$1" -o 'jsonpath={range .items[*]}{.spec.replicas} {.status.replicas} {.metadata.generation} {.status.observedGeneration}{"\n"}{end}' |
    awk '$1 != $2 || $3 != $4')" ]
}

# The controllers have said what they have to say of the object.
has_event() { [ -n "$(k get events -n "$1" --field-selector "involvedObject.name=$2" -o name)" ]; }

differ=0
while IFS= read -r command; do
  case $command in
    "describe cronjob nightly"* | "describe pvc claim"*)
      read -r _ _ object _ <<<"$command"
      wait_for 10 "an Event of $object" has_event pa-k "$object"
      wait_for 10 "an Event of $object" has_event pa-o "$object" ;;
  esac
  run_as kubectl "$kubectl" pa-k "$command"
  run_as orch "$work/bin/kubectl" pa-o "$command"
  case $command in
    set\ *deploy* | rollout\ *deploy/web* | scale\ *deploy/web* | "create deployment web "*"-n NS")
      wait_for 10 "the Deployments to settle after '$command'" web_settled pa-k
      wait_for 10 "the Deployments to settle after '$command'" web_settled pa-o ;;
  esac
  checks=$((checks + 1))
  cmp -s "$work/kubectl.all" "$work/orch.all" && continue
  differ=$((differ + 1))
  say "kubectl $command"
  diff "$work/kubectl.all" "$work/orch.all" | head -n 30
done <"$work/commands"
[ $differ = 0 ] || fail "$differ of $checks commands differ from kubectl's"
