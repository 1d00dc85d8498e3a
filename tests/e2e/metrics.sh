#!/bin/bash
# kubectl top, metrics.k8s.io and the agent's own pages of statistics, on two nodes.
source "$(dirname "$0")/lib.sh"
one_node
add_image n2 1
start_agent n2 b https://192.168.77.1:6443
wait_for 30 "node n2 ready" node_ready n2
cat >"$work/pods.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: busy, labels: {app: busy}}
spec:
  nodeName: n1
  terminationGracePeriodSeconds: 0
  containers:
  - name: loop
    image: docker.io/library/orch-test:1
    command: [sh, -c, 'while :; do :; done']
    resources: {limits: {cpu: 200m, memory: 64Mi}}
  - name: idle
    image: docker.io/library/orch-test:1
    command: [sleep, "3600"]
    livenessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: n2
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "docker.io/library/orch-test:1"}]
YAML
check "pods" k apply -f "$work/pods.yaml"
check "ready" k wait --for=condition=Ready pod/busy pod/web --timeout=30s
sleep 1

say "kubectl top"
for kubectl in $( (kubectl_versions | head -n 1; kubectl_versions | tail -n 1) | uniq); do
  k top nodes >"$work/top" 2>&1 || fail "top nodes: $(cat "$work/top")"
  for node in n1 n2; do
    grep -Eq "^$node +[0-9]+m +[0-9]+% +[0-9]+Mi +[0-9]+%" "$work/top" || fail "top nodes: $(cat "$work/top")"
  done
  check_out "top pods" '^busy +[0-9]+m +[0-9]+Mi' k top pods
  check_out "top pods on the other node" '^web +[0-9]+m +[0-9]+Mi' k top pods
  check_out "containers" '^busy +loop +[0-9]+m +[0-9]+Mi' k top pods --containers
  check_out "labels" '^web' k top pods -l app=web
  same "nothing else by label" "" "$(k top pods -l app=web | grep busy)"
  check_out "one pod" '^busy' k top pod busy
  check_out "sorted" '^default +busy' bash -c "nsenter --net=/var/run/netns/$server_ns \
    '$kubectl' --kubeconfig '$kubeconfig' top pods -A --sort-by=cpu --no-headers | head -n 1"
  check_fails "no such pod" 'not found' k top pod nothing
done
cpu=$(k top pods busy --containers --no-headers | awk '$2 == "loop" { sub("m", "", $3); print $3 }')
[ "$cpu" -ge 100 ] && [ "$cpu" -le 300 ] || fail "a loop held at 200m uses ${cpu}m"

say "metrics.k8s.io"
check_out "is listed" '^metrics.k8s.io/v1beta1' k api-versions
check_out "as a table" '^n1 +[0-9]' k get nodes.metrics.k8s.io
check_out "kind" '"kind":"PodMetrics"' k get --raw /apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web
check_out "window" '"window":"[0-9.]+m?s"' k get --raw /apis/metrics.k8s.io/v1beta1/nodes/n2
check_out "explain" 'Resource use of a node' k explain nodemetrics --api-version=metrics.k8s.io/v1beta1
check_out "nodes stay nodes" 'Ready' k get nodes

say "the agents' pages"
page() { k get --raw "/api/v1/nodes/$1/proxy/$2"; }
check_out "summary" '"workingSetBytes"' page n2 stats/summary
page n1 stats/summary >"$work/summary"
for field in nodeName usageCoreNanoSeconds availableBytes rxBytes imageFs podRef process_count rootfs; do
  grep -q "\"$field\"" "$work/summary" || fail "no $field in /stats/summary"
done
check_out "resource" '^container_cpu_usage_seconds_total\{container="loop",namespace="default",pod="busy"\} [0-9.]+ [0-9]+$' \
  page n1 metrics/resource
check_out "resource of the node" '^node_memory_working_set_bytes [0-9.e+]+ [0-9]+$' page n1 metrics/resource
check_out "no errors" '^resource_scrape_error 0$' page n1 metrics/resource
page n1 metrics/cadvisor >"$work/cadvisor"
for series in 'container_cpu_usage_seconds_total\{container="loop",cpu="total",' \
  'container_memory_working_set_bytes\{container="loop",' 'container_cpu_cfs_throttled_periods_total\{container="loop",' \
  'container_spec_cpu_quota\{container="loop",.*\} 20000 ' \
  'container_network_receive_bytes_total\{id=".*",image="",interface="eth0",name="[0-9a-f]+",namespace="default",pod="busy"\}' \
  'machine_cpu_cores [1-9]'; do
  grep -Eq "^$series" "$work/cadvisor" || fail "no $series in /metrics/cadvisor"
done
check_out "probes" '^prober_probe_total\{container="idle",.*probe_type="Liveness",result="successful"\} [1-9]' \
  page n1 metrics/probes
check_out "own metrics" '^# TYPE ' page n1 metrics

say "an autoscaler that sees the use"
check "a deployment at work" k apply -f - <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: load}
spec:
  selector: {matchLabels: {app: load}}
  template:
    metadata: {labels: {app: load}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: loop
        image: docker.io/library/orch-test:1
        command: [sh, -c, 'while :; do :; done']
        resources: {requests: {cpu: 50m}, limits: {cpu: 150m}}
YAML
check "autoscaler" k autoscale deployment load --cpu-percent=100 --min=1 --max=2
wait_for 60 "two replicas" outputs '^2$' k get deployment load -o 'jsonpath={.spec.replicas}'
check_out "why" 'SuccessfulRescale.*New size: 2; reason: cpu resource utilization \(percentage of request\) above target' \
  k get events --field-selector involvedObject.name=load
check_out "conditions" 'True TooManyReplicas|True ReadyForNewScale|True SucceededRescale|True ScaleDownStabilized' k get hpa load \
  -o 'jsonpath={range .status.conditions[*]}{.status} {.reason}{"\n"}{end}'
