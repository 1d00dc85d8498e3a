#!/bin/bash
# Two nodes in two network namespaces: replicas on both, pods and Services across, DNS, exec; an agent
# that is killed leaves its containers running and finds them again.
source "$(dirname "$0")/lib.sh"
one_node
add_image n2 1
start_agent n2 b https://192.168.77.1:6443
wait_for 30 "node n2 ready" node_ready n2
check_out "nodes" 'n2 +Ready +<none>' k get nodes

say "spread"
check "create deployment" k create deployment web --image=docker.io/library/orch-test:1 --replicas=4
check "expose" k expose deployment web --port=80 --target-port=8080 --type=NodePort
check "rollout" k rollout status deploy/web --timeout=60s
for node in n1 n2; do
  count=$(k get pods -l app=web --field-selector "spec.nodeName=$node" -o name | wc -l)
  same "replicas on $node" 2 "$count"
done

say "across"
cluster_ip=$(k get svc web -o 'jsonpath={.spec.clusterIP}')
node_port=$(k get svc web -o 'jsonpath={.spec.ports[0].nodePort}')
wait_for 15 "the Service from n1" answers a "http://$cluster_ip" 4
wait_for 15 "the Service from n2" answers b "http://$cluster_ip" 4
wait_for 15 "the NodePort of n2 from n1" answers a "http://192.168.77.2:$node_port" 4
first=$(k get pods --field-selector spec.nodeName=n1 -o 'jsonpath={.items[0].metadata.name}')
second=$(k get pods --field-selector spec.nodeName=n2 -o 'jsonpath={.items[0].metadata.name}')
first_ip=$(k get pod "$first" -o 'jsonpath={.status.podIP}')
second_ip=$(k get pod "$second" -o 'jsonpath={.status.podIP}')
same "exec on the second node" "$second" "$(k exec "$second" -- hostname)"
same "n1's pod to n2's" "$second" \
  "$(k exec "$first" -- timeout 5 wget -qO- "http://$second_ip:8080/cgi-bin/hostname")"
same "n2's pod to n1's" "$first" \
  "$(k exec "$second" -- timeout 5 wget -qO- "http://$first_ip:8080/cgi-bin/hostname")"
for pod in "$first" "$second"; do
  check_out "the name, from $pod" "$cluster_ip" k exec "$pod" -- nslookup web.default.svc.cluster.local
  check_out "the Service by name, from $pod" "web-" \
    k exec "$pod" -- timeout 5 wget -qO- http://web.default.svc.cluster.local/cgi-bin/hostname
  check_out "the Service by its short name, from $pod" "web-" \
    k exec "$pod" -- timeout 5 wget -qO- http://web/cgi-bin/hostname
done
check "logs on the second node" k logs "$second"

say "kill the agent"
ids() {
  k get pods --field-selector spec.nodeName=n2 \
    -o 'jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort
}
before=$(ids)
stop_orch n2 KILL
sleep 1
same "the pod answers while its agent is dead" "$second" \
  "$(in_ns "$run_id-a" curl -sS --max-time 5 "http://$second_ip:8080/cgi-bin/hostname")"
start_agent n2 b https://192.168.77.1:6443
wait_for 30 "exec through the new agent" k exec "$second" -- true
wait_for 30 "node n2 ready" node_ready n2
same "the same containers" "$before" "$(ids)"
check "a pod for the new agent" k scale deployment/web --replicas=6
check "rollout" k rollout status deploy/web --timeout=60s
