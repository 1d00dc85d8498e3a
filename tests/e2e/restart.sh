#!/bin/bash
# Restarts: SIGTERM ends orch within 5 s and leaves the containers; kill -9 under load, again and again,
# loses no acknowledged write.
source "$(dirname "$0")/lib.sh"
one_node

say "SIGTERM"
check "create deployment" k create deployment web --image=docker.io/library/orch-test:1 --replicas=3
check "expose" k expose deployment web --port=80 --target-port=8080
check "rollout" k rollout status deploy/web --timeout=60s
cluster_ip=$(k get svc web -o 'jsonpath={.spec.clusterIP}')
pods() {
  k get pods -o 'jsonpath={range .items[*]}{.metadata.uid} {.status.podIP} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort
}
before=$(pods)
same_pods() { [ "$(pods)" = "$before" ] || { echo "before: $before; now: $(pods)"; return 1; }; }
ip=$(k get pods -o 'jsonpath={.items[0].status.podIP}')
k get pods -w >"$work/open-watch" 2>&1 &  # an open watch does not hold up the end
children+=($!)
started=$(date +%s%N)
stop_orch n1 TERM
took=$((($(date +%s%N) - started) / 1000000))
say "ended after $took ms"
same "exit status" 0 "$node_status"
[ $took -lt 5000 ] || fail "SIGTERM took $took ms"
check_out "the pod still answers" '^web-' \
  in_ns "$run_id-a" curl -sS --max-time 3 "http://$ip:8080/cgi-bin/hostname"
check_out "the Service still answers" '^web-' \
  in_ns "$run_id-a" curl -sS --max-time 3 "http://$cluster_ip/cgi-bin/hostname"
start_server n1 a
wait_for 20 "exec after the restart" k exec deploy/web -- true
wait_for 20 "the same pods, addresses and containers" same_pods

say "kill -9, with containers"
stop_orch n1 KILL
start_server n1 a
wait_for 20 "exec after the kill" k exec deploy/web -- true
wait_for 20 "the same pods, addresses and containers" same_pods
check "a new pod" k scale deploy/web --replicas=4
check "rollout" k rollout status deploy/web --timeout=60s
wait_for 15 "four answer" answers a "http://$cluster_ip" 4

say "kill -9 of the container runtime"
before=$(pods)
watch_line='{.metadata.name} {.status.phase} {.status.containerStatuses[0].restartCount}{"\n"}'
k get pods -w -o "jsonpath=$watch_line" >"$work/watch" 2>&1 &
watching=$!
children+=($watching)
wait_for 10 "the watch" outputs '^4$' grep -c web- "$work/watch"
check "kill" kill -9 "$(pgrep -f "^[^ ]*containerd --config ${node_data[n1]}/")"
wait_for 20 "exec after the runtime's end" k exec deploy/web -- true
check "run" k run later --image=docker.io/library/orch-test:1 --labels=app=later
check "a new pod starts" k wait --for=condition=Ready pod/later --timeout=30s
check "and goes" k delete pod later --grace-period=1
same_pods || fail "the pods changed: $(same_pods)"
kill $watching
wait $watching 2>/dev/null
same "nobody saw a pod change" "" "$(grep -Ev '^(web-[a-z0-9-]+ Running 0|later .*)$' "$work/watch")"
check_out "the node stayed" 'n1 +Ready' k get nodes

say "kill -9 under load, 20 times"
stop_orch n1 TERM
client_files
# Creates ConfigMaps until the server is gone; the names that were acknowledged go to a file.
writer() {
  local round=$1 number=0
  while true; do
    number=$((number + 1))
    printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"w-%s-%s"},"data":{"n":"%s"}}' \
      "$round" "$number" "$number" >"$work/object-$round"
    code=$(curl -sS --max-time 5 --cacert "$work/certificate-authority.pem" \
      --cert "$work/client-certificate.pem" --key "$work/client-key.pem" \
      -H 'Content-Type: application/json' --data-binary "@$work/object-$round" -o /dev/null \
      -w '%{http_code}' https://127.0.0.1:6443/api/v1/namespaces/default/configmaps 2>/dev/null)
    case $code in
      201) echo "w-$round-$number" >>"$work/acknowledged" ;;
      000) return 0 ;;
      *) echo "w-$round-$number: $code" >>"$work/refused" ;;
    esac
  done
}
write_lib="$(declare -f writer); work=$work"
: >"$work/acknowledged"
for round in $(seq 20); do
  start_server n1 a --disable-agent
  writers=()
  for w in 1 2 3; do
    nsenter --net="/var/run/netns/$server_ns" bash -c "$write_lib; writer $round-$w" &
    writers+=($!)
    children+=($!)
  done
  sleep "0.$((RANDOM % 6 + 2))"
  stop_orch n1 KILL
  wait "${writers[@]}"
done
start_server n1 a --disable-agent
sort "$work/acknowledged" >"$work/expected"
k get configmaps -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' | grep '^w-' | sort >"$work/found"
say "$(wc -l <"$work/expected") writes acknowledged, $(wc -l <"$work/found") found"
[ "$(wc -l <"$work/expected")" -ge 60 ] || fail "too few writes to prove anything"
lost=$(comm -23 "$work/expected" "$work/found")
same "acknowledged writes that are lost" "" "$lost"
[ ! -s "$work/refused" ] || fail "refused writes: $(head "$work/refused")"
stop_orch n1 TERM
start_server n1 a
wait_for 30 "node n1 ready" node_ready n1
wait_for 30 "the cluster converges" outputs '^4 4$' \
  k get deploy web -o 'jsonpath={.status.replicas} {.status.readyReplicas}'
wait_for 20 "exec" k exec deploy/web -- true
wait_for 15 "four answer" answers a "http://$cluster_ip" 4
