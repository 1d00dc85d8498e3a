#!/bin/bash
# exec, attach, logs, cp and port-forward with the oldest and the newest kubectl found (SPDY, WebSocket).
source "$(dirname "$0")/lib.sh"
one_node

cat >"$work/pods.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "docker.io/library/orch-test:1"}
---
apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: docker.io/library/orch-test:1
    command: [sh, -c, 'i=0; while true; do i=\$((i + 1)); echo "line \$i"; sleep 0.3; done']
---
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: docker.io/library/orch-test:1
    stdin: true
    command: [sh, -c, 'while read -r line; do echo "got \$line"; done; sleep 3600']
---
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "docker.io/library/orch-test:1", command: [sh, -c, 'echo started; sleep 1; exit 3']}
YAML
check "pods" k apply -f "$work/pods.yaml"
check "running" k wait --for=condition=Ready pod/web pod/counter pod/echo --timeout=30s
wait_for 30 "a restart" outputs '^[1-9]' \
  k get pod crash -o 'jsonpath={.status.containerStatuses[0].restartCount}'
head -c 3000000 /dev/urandom >"$work/blob"

# The numbers of the lines come in order, without gaps.
in_order() { sed 's/^line //' "$1" | awk 'NR > 1 && $1 != last + 1 { exit 1 } { last = $1 }'; }

versions=$( (kubectl_versions | head -n 1; kubectl_versions | tail -n 1) | uniq)
port=18080
for kubectl in $versions; do
  say "$kubectl"
  same "exec" web "$(k exec web -- hostname)"
  same "stdin" "some input" "$(echo "some input" | k exec -i web -- cat)"
  k exec web -- sh -c 'exit 42' >/dev/null 2>&1
  same "exit code" 42 $?
  same "stderr apart" err "$(k exec web -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)"
  same "3 MB through stdin and stdout" "$(sha256sum <"$work/blob")" \
    "$(k exec -i web -- cat <"$work/blob" | sha256sum)"
  check_fails "no such program" 'no such file|not found' k exec web -- /nothing
  check_fails "no such container" 'container .*nothing' k exec web -c nothing -- true
  check_fails "no such pod" 'pods "nothing" not found' k exec nothing -- true

  check_out "logs" '^line 1$' k logs counter
  same "--tail" 2 "$(k logs counter --tail=2 | wc -l)"
  check_out "--timestamps" '^20[0-9-]+T[0-9:.]+Z line ' k logs counter --timestamps --tail=1
  check_out "--since" '^line ' k logs counter --since=5s
  check_out "--previous" '^started$' k logs crash --previous
  check_fails "--previous of a first run" 'previous terminated container' k logs web --previous
  k_for 3 logs -f counter --tail=1 >"$work/follow" 2>&1
  [ "$(wc -l <"$work/follow")" -ge 6 ] || fail "logs -f: $(cat "$work/follow")"
  check "logs -f has every line" in_order "$work/follow"

  check "cp to the pod" k cp "$work/blob" web:/tmp/blob
  check "cp from the pod" k cp web:/tmp/blob "$work/back"
  check "the same bytes" cmp "$work/blob" "$work/back"
  mkdir -p "$work/tree/sub"
  echo deep >"$work/tree/sub/file"
  check "cp of a folder" k cp "$work/tree" web:/tmp/tree
  same "the folder" deep "$(k exec web -- cat /tmp/tree/sub/file)"
  check "tidy up" k exec web -- rm -rf /tmp/tree /tmp/blob

  { sleep 1; echo "over attach"; sleep 1; } | k_for 10 attach -i echo >"$work/attach" 2>&1 &
  attach=$!
  children+=($attach)
  wait_for 10 "attach" grep -q '^got over attach' "$work/attach"
  kill $attach 2>/dev/null
  wait $attach 2>/dev/null

  port=$((port + 1))
  k port-forward pod/web "$port:8080" >"$work/forward" 2>&1 &
  forward=$!
  children+=($forward)
  wait_for 10 "port-forward" grep -q "Forwarding from 127.0.0.1:$port -> 8080" "$work/forward"
  for i in 1 2 3 4 5; do
    same "through port-forward ($i)" web \
      "$(in_ns "$server_ns" curl -sS --max-time 5 "http://127.0.0.1:$port/cgi-bin/hostname")"
  done
  kill $forward
  wait $forward 2>/dev/null || true
done
