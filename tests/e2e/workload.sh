#!/bin/bash
# A Deployment behind a Service on one node, and what people do with kubectl around it.
source "$(dirname "$0")/lib.sh"
one_node
add_image n1 2

say "deployment, service"
check_out "node" 'n1 +Ready' k get nodes
check "create deployment" k create deployment web --image=docker.io/library/orch-test:1 --replicas=3
check "expose" k expose deployment web --port=80 --target-port=8080
check "expose as NodePort" k expose deployment web --name=web-np --type=NodePort --port=80 --target-port=8080
check_out "rollout status" 'successfully rolled out' k rollout status deploy/web --timeout=60s
check_out "pods -o wide" 'web-[a-z0-9]+-[a-z0-9]{5} +1/1 +Running +0 .* 10\.42\.[0-9.]+ +n1' k get pods -o wide
check_out "svc" 'web +ClusterIP +10\.43\.[0-9.]+ +<none> +80/TCP' k get svc
check_out "endpointslices" 'web-[a-z0-9]+ +IPv4 +8080 +10\.42' k get endpointslices
check_out "endpoints" 'web +10\.42\.[0-9.]+:8080,10\.42' k get endpoints
cluster_ip=$(k get svc web -o 'jsonpath={.spec.clusterIP}')
node_port=$(k get svc web-np -o 'jsonpath={.spec.ports[0].nodePort}')
wait_for 10 "three replicas behind the ClusterIP" answers a "http://$cluster_ip" 3
same "the answers are the pods" "$(k get pods -o name | sed 's,pod/,,' | sort)" "$(cat "$work/answers")"
wait_for 10 "three replicas behind the NodePort" answers b "http://192.168.77.1:$node_port" 3

check_out "events name their source" '^deployment-controller deployment-controller$' k get events \
  --field-selector involvedObject.kind=Deployment,reason=ScalingReplicaSet \
  -o 'jsonpath={.items[0].source.component} {.items[0].reportingComponent}'

say "scale, roll out, undo"
wait_for 20 "the import of a further image" grep -q test-2.tar "${node_log[n1]}"
check "patch" k patch deployment web \
  -p '{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}'
check "rollout of the patch" k rollout status deploy/web --timeout=60s
check "scale" k scale deployment/web --replicas=5
check "rollout" k rollout status deploy/web --timeout=60s
wait_for 10 "five replicas" answers a "http://$cluster_ip" 5
check "scale down" k scale deployment/web --replicas=3
wait_for 45 "three replicas" outputs '^3 3$' \
  k get deploy web -o 'jsonpath={.status.replicas} {.status.readyReplicas}'
check "set image" k set image deployment/web orch-test=docker.io/library/orch-test:2
check_out "rollout of tag 2" 'successfully rolled out' k rollout status deploy/web --timeout=90s
wait_for 10 "tag 2 answers" outputs ':2$' in_ns "$run_id-a" curl -sS --max-time 2 "http://$cluster_ip/"
check_out "history" '^3 ' k rollout history deployment/web
check_out "undo" 'rolled back' k rollout undo deployment/web
check "rollout of undo" k rollout status deploy/web --timeout=90s
wait_for 10 "tag 1 answers" outputs ':1$' in_ns "$run_id-a" curl -sS --max-time 2 "http://$cluster_ip/"

say "delete a pod: replaced"
pod=$(k get pods -l app=web -o 'go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}')
pod=${pod%% *}
check "delete pod" k delete pod "$pod"
wait_for 45 "the pod's replacement" outputs '^3 3$' \
  k get deploy web -o 'jsonpath={.status.replicas} {.status.readyReplicas}'
check_fails "the pod is gone" "not found" k get pod "$pod"
check "wait" k wait --for=condition=Available deployment/web --timeout=30s

say "apply, diff, edit"
cat >"$work/app.yaml" <<YAML
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  labels: {tier: front}
spec:
  replicas: 1
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "docker.io/library/orch-test:1", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {key: one}
YAML
check_out "apply" 'deployment.apps/app created' k apply -f "$work/app.yaml"
check_out "apply again" 'deployment.apps/app unchanged' k apply -f "$work/app.yaml"
grep -q 'configmap/app unchanged' "$work/last" || fail "configmap: $(cat "$work/last")"
sed -i 's/key: one/key: two/' "$work/app.yaml"
check_fails "diff" '^\+ +key: two' k diff -f "$work/app.yaml"
check_out "apply the change" 'configmap/app configured' k apply -f "$work/app.yaml"
same "the change" two "$(k get configmap app -o 'jsonpath={.data.key}')"
check "no diff" k diff -f "$work/app.yaml"
check_out "server-side apply" 'serverside-applied' \
  k apply --server-side --field-manager=tests --force-conflicts -f "$work/app.yaml"
check_out "managed fields" '"manager": "tests"|manager: tests' \
  k get configmap app -o yaml --show-managed-fields
sed 's/key: two/key: three/' "$work/app.yaml" >"$work/other.yaml"
check_fails "server-side conflict" 'conflict' \
  k apply --server-side --field-manager=others -f "$work/other.yaml"
printf '#!/bin/sh\nsed -i "s/key: two/key: edited/" "$1"\n' >"$work/editor"
chmod +x "$work/editor"
check_out "edit" 'configmap/app edited' env EDITOR="$work/editor" nsenter \
  --net="/var/run/netns/$server_ns" "$kubectl" --kubeconfig "$kubeconfig" edit configmap app
same "the edit" edited "$(k get configmap app -o 'jsonpath={.data.key}')"

say "read"
check_out "explain" 'KIND: +Deployment' k explain deployment
check_out "explain a field" 'FIELD: +image' k explain pod.spec.containers.image
check_out "describe deployment" 'ScalingReplicaSet' k describe deployment web
check_out "describe pod" 'Started +.*[Ss]tarted container|Started' k describe pods -l app=web
check_out "describe node" 'Allocated resources' k describe node n1
check_out "label" 'labeled' k label deployment app stage=test
check_out "selector" 'deployment.apps/app' k get deployments -l stage=test,tier=front -o name
check_out "annotate" 'annotated' k annotate deployment app note=hello
same "jsonpath" hello "$(k get deployment app -o 'jsonpath={.metadata.annotations.note}')"
check_out "custom columns" '^web +3' k get deploy -o 'custom-columns=N:.metadata.name,R:.spec.replicas'
check_out "events" 'ScalingReplicaSet' k get events
check_out "all" 'replicaset.apps/web-' k get all

k get configmaps -w >"$work/watch" 2>&1 &
children+=($!)
wait_for 5 "the watch's first rows" grep -q '^app ' "$work/watch"
check "create" k create configmap watched --from-literal=a=b
wait_for 5 "the watch's new row" grep -Eq '^watched +1 ' "$work/watch"

say "delete"
check "delete deployment" k delete deployment web app --wait=true
wait_for 45 "its replica sets and pods gone" empty k get rs,pods -o name
check "delete services" k delete svc web web-np
if in_ns "$run_id-a" curl -sS --max-time 2 "http://$cluster_ip/" >/dev/null 2>&1; then
  fail "the deleted Service still answers"
fi
