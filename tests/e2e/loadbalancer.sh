#!/bin/bash
# Services of type LoadBalancer: reached at the node's own address, from a host beside it.
source "$(dirname "$0")/lib.sh"
one_node

# fetch URL: from the neighbouring host.
fetch() { in_ns "$run_id-b" curl -sS --max-time 3 "$1"; }
refused() { ! fetch http://192.168.77.1:8000/; }
ingress() { k get service "$1" -o 'jsonpath={.status.loadBalancer.ingress[*].ip}'; }

say "a load balancer on the node's address"
check "deployment" k create deployment web --image=docker.io/library/orch-test:1 --replicas=2
check "rollout" k rollout status deploy/web --timeout=60s
check "expose" k expose deployment web --type=LoadBalancer --port=8000 --target-port=8080
wait_for 10 "EXTERNAL-IP" outputs 'web +LoadBalancer +10\.43\.[0-9.]+ +192\.168\.77\.1 +8000:3' k get svc web
check_out "ipMode" 'VIP' k get service web -o 'jsonpath={.status.loadBalancer.ingress[0].ipMode}'
wait_for 10 "an answer from outside" fetch http://192.168.77.1:8000/
check_out "the node itself reaches it" . in_ns "$run_id-a" curl -sS --max-time 3 http://192.168.77.1:8000/
check_out "the API is still there" ok k get --raw /readyz
check_out "events" 'EnsuredLoadBalancer' k get events --field-selector involvedObject.name=web
check_out "finalizer" 'service.kubernetes.io/load-balancer-cleanup' k get service web -o 'jsonpath={.metadata.finalizers}'

say "the same port twice"
check "a second one" k expose deployment web --name=second --type=LoadBalancer --port=8000 --target-port=8080
wait_for 10 "why it waits" outputs 'port 8000/TCP is taken on the nodes by Service default/web' \
  k get events --field-selector involvedObject.name=second
check_out "pending" 'second +LoadBalancer +[0-9.]+ +<pending>' k get svc second
check "the first goes" k delete service web --wait --timeout=10s
wait_for 10 "the second gets the port" outputs '^192\.168\.77\.1$' ingress second
wait_for 10 "and answers" fetch http://192.168.77.1:8000/

say "what is not ours, what is no longer one"
check "another class" k apply -f - <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: other}
spec:
  type: LoadBalancer
  loadBalancerClass: example.com/lb
  selector: {app: web}
  ports: [{port: 8001, targetPort: 8080}]
YAML
check "back to ClusterIP" k patch service second -p '{"spec":{"type":"ClusterIP"}}'
wait_for 10 "its address is given back" empty ingress second
wait_for 10 "its finalizer too" empty k get service second -o 'jsonpath={.metadata.finalizers}'
wait_for 10 "nobody answers" refused
same "the other class is left alone" "" "$(ingress other)"

say "addresses of a pool, announced by the node"
check "not any more" k delete service second other
stop_orch n1
start_server n1 a --lb-pool 192.168.77.100-192.168.77.101
wait_for 20 "node n1 ready again" node_ready n1
balancer() { k expose deployment web --name="$1" --type=LoadBalancer --port=8000 --target-port=8080 "${@:2}"; }
check "one" balancer one
wait_for 10 "its address" outputs '^192\.168\.77\.100$' ingress one
wait_for 15 "an answer at it, from a neighbour" fetch http://192.168.77.100:8000/
check_out "who announces it" '^n1$' k get service one -o 'jsonpath={.metadata.annotations.orch\.io/load-balancer-node}'
check "one that asks for an address" k apply -f - <<'YAML'
apiVersion: v1
kind: Service
metadata: {name: asks, annotations: {orch.io/load-balancer-ip: 192.168.77.101}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 8000, targetPort: 8080}]}
YAML
wait_for 10 "the same port at another address" fetch http://192.168.77.101:8000/
check "one too many" balancer third
wait_for 10 "the pool is empty" outputs 'no address of --lb-pool is free' \
  k get events --field-selector involvedObject.name=third
check "ranges of others" k patch service one -p '{"spec":{"loadBalancerSourceRanges":["10.0.0.0/8"]}}'
shut() { ! fetch http://192.168.77.100:8000/; }
wait_for 10 "this source is kept out" shut
check "ranges with us" k patch service one -p '{"spec":{"loadBalancerSourceRanges":["10.0.0.0/8","192.168.77.2/32"]}}'
wait_for 10 "and let in" fetch http://192.168.77.100:8000/
check "the first goes" k delete service one --timeout=10s
wait_for 10 "its address is given on" outputs '^192\.168\.77\.100$' ingress third
wait_for 10 "and answers" fetch http://192.168.77.100:8000/

say "what the cloud's controllers made of the node"
check_out "providerID" '^orch://n1$' k get node n1 -o 'jsonpath={.spec.providerID}'
check_out "instance type" '^orch$' k get node n1 -o 'jsonpath={.metadata.labels.node\.kubernetes\.io/instance-type}'
