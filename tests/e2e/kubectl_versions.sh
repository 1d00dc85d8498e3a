#!/bin/bash
# Every kubectl on the machine against the API server.
source "$(dirname "$0")/lib.sh"
api_server

cat >"$work/objects.yaml" <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {key: one}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: idle}
spec:
  replicas: 0
  selector: {matchLabels: {app: idle}}
  template:
    metadata: {labels: {app: idle}}
    spec: {containers: [{name: main, image: "example.invalid/none:1"}]}
YAML

for kubectl in $(kubectl_versions); do
  say "$kubectl"
  check_out "version" 'Server Version: .*v1\.32' k version
  check_out "api-resources" '^deployments +deploy +apps/v1 +true +Deployment' k api-resources
  check_out "api-versions" '^discovery.k8s.io/v1$' k api-versions
  check_out "explain" 'VERSION: +v1' k explain pod.spec.containers
  check_out "explain --recursive" 'containerPort' k explain pod --recursive
  check_out "create configmap" 'configmap/cm created' k create configmap cm --from-literal=a=b
  check_out "get" '^cm +1 +' k get configmap
  check_out "get -o yaml" '^kind: ConfigMap' k get configmap cm -o yaml
  check_fails "create again" 'configmaps "cm" already exists' \
    k create configmap cm
  check_out "apply" 'deployment.apps/idle created' k apply -f "$work/objects.yaml"
  check_out "apply again" 'deployment.apps/idle unchanged' k apply -f "$work/objects.yaml"
  check "diff" k diff -f "$work/objects.yaml"
  sed 's/key: one/key: two/' "$work/objects.yaml" >"$work/changed.yaml"
  check_fails "diff of a change" '\+ +key: two' k diff -f "$work/changed.yaml"
  check_out "server-side apply" 'serverside-applied' \
    k apply --server-side --force-conflicts -f "$work/changed.yaml"
  same "the change" two "$(k get configmap one -o 'jsonpath={.data.key}')"
  check_out "dry run" 'created \(server dry run\)' k create configmap dry --dry-run=server
  check_fails "not made by a dry run" 'configmaps "dry" not found' k get configmap dry
  check_out "patch" 'patched' k patch configmap one -p '{"data":{"key":"three"}}'
  check_out "JSON patch" 'patched' \
    k patch configmap one --type=json -p '[{"op":"replace","path":"/data/key","value":"four"}]'
  same "the patch" four "$(k get configmap one -o 'jsonpath={.data.key}')"
  check_out "scale" 'scaled' k scale deployment idle --replicas=0
  check_out "describe" 'Replicas: +0 desired' k describe deployment idle
  check_out "label" 'labeled' k label configmap one a=b
  check_out "selector" '^configmap/one$' k get configmap -l a=b -o name
  check_out "auth can-i" '^yes$' k auth can-i create pods
  check_out "namespace" 'created' k create namespace other
  check_out "get --all-namespaces" '^default +one ' k get configmap -A
  check_out "delete" 'configmap "cm" deleted' k delete configmap cm
  check "delete -f" k delete -f "$work/objects.yaml" --wait
  check "delete namespace" k delete namespace other --timeout=20s
  check_fails "a deleted object" 'Error from server \(NotFound\): configmaps "cm" not found' \
    k get configmap cm
  check_fails "an unknown kind" 'the server doesn.t have a resource type "widgets"' k get widgets
done
