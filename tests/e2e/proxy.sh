#!/bin/bash
# The proxy subresources of pods, services and nodes, to both of two nodes; kubectl proxy.
source "$(dirname "$0")/lib.sh"
one_node
add_image n2 1
start_agent n2 b https://192.168.77.1:6443
wait_for 30 "node n2 ready" node_ready n2

for node in n1 n2; do
  cat <<YAML
apiVersion: v1
kind: Pod
metadata: {name: web-$node, labels: {app: web, on: $node}}
spec:
  nodeName: $node
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: docker.io/library/orch-test:1
    ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: $node}
spec:
  selector: {on: $node}
  ports: [{name: http, port: 80, targetPort: http}]
---
YAML
done >"$work/web.yaml"
cat >>"$work/web.yaml" <<YAML
apiVersion: v1
kind: Service
metadata: {name: headless}
spec:
  clusterIP: None
  selector: {app: web}
  ports: [{port: 8080}]
YAML
check "pods and services" k apply -f "$work/web.yaml"
check "ready" k wait --for=condition=Ready pod/web-n1 pod/web-n2 --timeout=30s
ns=/api/v1/namespaces/default

for node in n1 n2; do
  say "pods and services on $node"
  for name in "web-$node" "web-$node:8080" "http:web-$node:8080"; do
    same "pod $name" "web-$node" "$(k get --raw "$ns/pods/$name/proxy/cgi-bin/hostname")"
  done
  wait_for 10 "the Service" k get --raw "$ns/services/$node:80/proxy/cgi-bin/hostname"
  for name in "$node:80" "$node:http" "http:$node:80" "http:$node:http"; do
    same "service $name" "web-$node" "$(k get --raw "$ns/services/$name/proxy/cgi-bin/hostname")"
  done
  say "node $node"
  same "healthz" ok "$(k get --raw "/api/v1/nodes/$node/proxy/healthz")"
  same "healthz by port" ok "$(k get --raw "/api/v1/nodes/$node:10250/proxy/healthz")"
  check_out "pods" "\"web-$node\"" k get --raw "/api/v1/nodes/$node/proxy/pods"
  check_out "configz" '"clusterDomain":"cluster.local"' k get --raw "/api/v1/nodes/$node/proxy/configz"
done
for i in $(seq 30); do k get --raw "$ns/services/headless:8080/proxy/cgi-bin/hostname"; done |
  sort -u >"$work/seen"
same "a headless Service's pods" "web-n1 web-n2" "$(xargs <"$work/seen")"

say "verbs, headers, refusals"
api POST "$ns/services/n2:80/proxy/cgi-bin/hostname" -d body >/dev/null
same "POST" 200 "$(cat "$work/code")"
api GET "$ns/services/n2:80/proxy" >/dev/null
same "without a slash" 301 "$(cat "$work/code")"
api GET "$ns/services/n2:80/proxy/nothing" >/dev/null
same "the pod's own answer" 404 "$(cat "$work/code")"
check "a page" k exec web-n2 -- sh -c 'echo "<a href=\"/next\">next</a>" >/www/page.html'
same "links of a page lead through the proxy" "<a href=\"$ns/services/n2:80/proxy/next\">next</a>" \
  "$(api GET "$ns/services/n2:80/proxy/page.html")"
check_out "no such port" 'no service port 81 found for service \\"n2\\"' api GET "$ns/services/n2:81/proxy/"
same "its code" 503 "$(cat "$work/code")"
check_out "no such scheme" 'invalid service request \\"ftp:n2:80\\"' api GET "$ns/services/ftp:n2:80/proxy/"
check_out "a port nobody serves" 'error trying to reach service: dial tcp .*: connect: connection refused' \
  api GET "$ns/pods/web-n1:1/proxy/"
check "no endpoints" k create service clusterip empty --tcp=80
wait_for 5 "no endpoints" outputs 'no endpoints available for service \\"empty\\"' \
  api GET "$ns/services/empty:80/proxy/"

say "forbidden targets"
cat >"$work/endpoints.yaml" <<YAML
apiVersion: v1
kind: Service
metadata: {name: evil}
spec: {ports: [{port: 6443}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: evil}
subsets: [{addresses: [{ip: 192.168.77.1}], ports: [{port: 6443}]}]
YAML
check "endpoints of no pod" k apply -f "$work/endpoints.yaml"
check_out "are not proxied to" 'no endpoints available for service \\"evil\\"' \
  api GET "$ns/services/https:evil:6443/proxy/"
same "their code" 503 "$(cat "$work/code")"

say "kubectl proxy"
nsenter --net="/var/run/netns/$server_ns" "$kubectl" --kubeconfig "$kubeconfig" proxy --port=18901 \
  >"$work/proxy.log" 2>&1 &
children+=($!)
wait_for 10 "kubectl proxy" grep -q 'Starting to serve' "$work/proxy.log"
same "through kubectl proxy" web-n2 \
  "$(in_ns "$server_ns" curl -sS --max-time 5 "http://127.0.0.1:18901$ns/services/n2:80/proxy/cgi-bin/hostname")"
