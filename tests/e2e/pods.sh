#!/bin/bash
# What a pod can ask for: init containers, environment, volumes, probes, hooks, limits, host ports.
source "$(dirname "$0")/lib.sh"
one_node
image=docker.io/library/orch-test:1

cat >"$work/pods.yaml" <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {COLOUR: blue, file.txt: first}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {WORD: sesame}
---
apiVersion: v1
kind: Pod
metadata: {name: full, labels: {role: test}, annotations: {note: hello}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: first, image: $image, command: [sh, -c, 'echo one >/shared/order'], volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: second, image: $image, command: [sh, -c, 'echo two >>/shared/order'], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - name: main
    image: $image
    command: [sh, -c, 'while true; do sleep 0.2; done']
    env:
    - {name: PLAIN, value: text}
    - {name: COMPOSED, value: "\$(PLAIN)-\$(NAME)"}
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: SECRET, valueFrom: {secretKeyRef: {name: hidden, key: WORD}}}
    - {name: ABSENT, valueFrom: {configMapKeyRef: {name: nothing, key: a, optional: true}}}
    envFrom:
    - {configMapRef: {name: settings}}
    - {prefix: S_, secretRef: {name: hidden}}
    resources: {limits: {memory: 64Mi, cpu: 500m}, requests: {cpu: 100m}}
    volumeMounts:
    - {name: shared, mountPath: /shared}
    - {name: memory, mountPath: /memory}
    - {name: settings, mountPath: /settings}
    - {name: hidden, mountPath: /hidden, readOnly: true}
    - {name: about, mountPath: /about}
    - {name: settings, mountPath: /single, subPath: file.txt}
  - {name: side, image: $image, command: [sh, -c, 'while true; do sleep 0.2; done'], volumeMounts: [{name: shared, mountPath: /s}]}
  volumes:
  - {name: shared, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 8Mi}}
  - {name: settings, configMap: {name: settings}}
  - {name: hidden, secret: {secretName: hidden, defaultMode: 0400}}
  - name: about
    downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000}
  containers:
  - name: main
    image: $image
    command: [sh, -c, 'while true; do sleep 0.2; done']
    securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: badinit}
spec:
  restartPolicy: Never
  initContainers: [{name: first, image: $image, command: [sh, -c, 'exit 4']}]
  containers: [{name: main, image: $image}]
---
apiVersion: v1
kind: Pod
metadata: {name: done}
spec:
  restartPolicy: OnFailure
  containers: [{name: main, image: $image, command: [sh, -c, 'echo bye >/dev/termination-log; exit 0']}]
---
apiVersion: v1
kind: Pod
metadata: {name: never}
spec:
  restartPolicy: Never
  containers: [{name: main, image: $image, command: [sh, -c, 'exit 7']}]
---
apiVersion: v1
kind: Pod
metadata: {name: looping}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: $image, command: [sh, -c, 'exit 1']}]
---
apiVersion: v1
kind: Pod
metadata: {name: missing}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: $image, env: [{name: A, valueFrom: {configMapKeyRef: {name: nothing, key: a}}}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: eats}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: $image, command: [sh, -c, 'a=x; while true; do a=\$a\$a; done'], resources: {limits: {memory: 24Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: huge}
spec:
  containers: [{name: main, image: $image, resources: {requests: {memory: 1Pi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: ready, labels: {app: ready}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: $image
    readinessProbe: {exec: {command: [test, -f, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: ready}
spec: {selector: {app: ready}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: live}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: $image
    command: [sh, -c, 'touch /www/alive; exec httpd -f -p 8080 -h /www']
    startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 20}
    livenessProbe: {httpGet: {path: /alive, port: 8080}, periodSeconds: 1, failureThreshold: 2}
---
apiVersion: v1
kind: Pod
metadata: {name: hooks}
spec:
  terminationGracePeriodSeconds: 10
  containers:
  - name: main
    image: $image
    command: [sh, -c, 'trap "echo term >>/out/log; exit 0" TERM; while true; do sleep 0.1; done']
    lifecycle:
      postStart: {exec: {command: [sh, -c, 'echo start >/out/log']}}
      preStop: {exec: {command: [sh, -c, 'echo stop >>/out/log']}}
    volumeMounts: [{name: out, mountPath: /out}]
  volumes: [{name: out, hostPath: {path: $work/out, type: DirectoryOrCreate}}]
---
apiVersion: v1
kind: Pod
metadata: {name: hostport}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: $image, ports: [{containerPort: 8080, hostPort: 8089}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hostnet}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: $image, command: [httpd, -f, -p, "8090", -h, /www]}]
YAML
check "apply" k apply -f "$work/pods.yaml"

say "init containers, environment, volumes"
check "running" k wait --for=condition=Ready pod/full pod/user --timeout=40s
in_full() { k exec full -c main -- "$@"; }
same "init containers in order" "one two" "$(in_full cat /shared/order | xargs)"
same "the volume is shared" "one two" "$(k exec full -c side -- cat /s/order | xargs)"
same "init containers are done" "Completed Completed" \
  "$(k get pod full -o 'jsonpath={.status.initContainerStatuses[*].state.terminated.reason}')"
env=$(in_full env)
expect_env() { grep -Fxq -- "$1" <<<"$env" || fail "no $1 in: $env"; checks=$((checks + 1)); }
for line in PLAIN=text NAME=full NODE=n1 "IP=$(k get pod full -o 'jsonpath={.status.podIP}')" \
  LIMIT=67108864 SECRET=sesame COLOUR=blue S_WORD=sesame KUBERNETES_SERVICE_HOST=10.43.0.1 HOSTNAME=full; do
  expect_env "$line"
done
expect_env 'COMPOSED=text-$(NAME)'
same "configMap" first "$(in_full cat /settings/file.txt)"
same "subPath" first "$(in_full cat /single)"
same "secret" sesame "$(in_full cat /hidden/WORD)"
same "secret's mode" 400 "$(in_full stat -L -c %a /hidden/WORD)"
same "downward API" 'role="test"' "$(in_full cat /about/labels)"
check_out "memory volume" 'tmpfs' in_full grep ' /memory ' /proc/mounts
check_fails "read-only" 'Read-only' in_full touch /hidden/x
same "user and group" "1000 1000" "$(k exec user -- sh -c 'echo $(id -u) $(id -g)')"
same "fsGroup" 2000 "$(k exec user -- stat -c %g /data)"
check "fsGroup may write" k exec user -- touch /data/x
check_fails "read-only root" 'Read-only' k exec user -- touch /x
check "a changed ConfigMap" k patch configmap settings -p '{"data":{"file.txt":"second"}}'

say "the pod's token against the API"
token=$(in_full cat /var/run/secrets/kubernetes.io/serviceaccount/token)
in_full cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt >"$work/pod-ca.pem"
same "namespace file" default "$(in_full cat /var/run/secrets/kubernetes.io/serviceaccount/namespace)"
check_out "who it is" 'system:serviceaccount:default:default' in_ns "$run_id-a" curl -sS --max-time 5 \
  --cacert "$work/pod-ca.pem" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
  -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' \
  https://10.43.0.1/apis/authentication.k8s.io/v1/selfsubjectreviews

say "limits"
check_out "QoS class" '^Burstable$' k get pod full -o 'jsonpath={.status.qosClass}'
id=$(k get pod full -o 'jsonpath={.status.containerStatuses[?(@.name=="main")].containerID}')
limits() {
  find /sys/fs/cgroup -type d -name "*${id#containerd://}*" | while read -r folder; do
    cat "$folder/memory.limit_in_bytes" "$folder/memory.max" "$folder/cpu.cfs_quota_us" \
      "$folder/cpu.max" 2>/dev/null || true
  done | xargs
}
check_out "memory and CPU in the cgroup" '^67108864 50000' limits
wait_for 30 "OOMKilled" outputs '^OOMKilled 137$' k get pod eats \
  -o 'jsonpath={.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}'
check_out "too large to schedule" 'Insufficient memory' k describe pod huge

say "ends and restarts"
wait_for 20 "Init:Error" outputs 'Init:Error' k get pod badinit
wait_for 20 "Completed" outputs 'Completed' k get pod "done"
same "phase" Succeeded "$(k get pod "done" -o 'jsonpath={.status.phase}')"
same "termination message" bye \
  "$(k get pod "done" -o 'jsonpath={.status.containerStatuses[0].state.terminated.message}')"
wait_for 20 "Error" outputs '^Failed 7$' k get pod never \
  -o 'jsonpath={.status.phase} {.status.containerStatuses[0].state.terminated.exitCode}'
wait_for 40 "CrashLoopBackOff" outputs 'CrashLoopBackOff' k get pod looping
wait_for 20 "CreateContainerConfigError" outputs 'CreateContainerConfigError' k get pod missing
check "the missing ConfigMap" k create configmap nothing --from-literal=a=b
wait_for 90 "the pod that waited for it" outputs 'Running' k get pod missing

say "probes"
address=$(k get svc ready -o 'jsonpath={.spec.clusterIP}')
check_out "not ready" '0/1 +Running' k get pod ready
check_fails "no traffic" '[Cc]ould|refused|timed out' in_ns "$run_id-a" curl -sS --max-time 2 "http://$address/"
check "make it ready" k exec ready -- touch /tmp/ready
wait_for 10 "traffic" in_ns "$run_id-a" curl -sSf --max-time 2 "http://$address/"
check "make it unready" k exec ready -- rm /tmp/ready
no_traffic() { ! in_ns "$run_id-a" curl -sSf --max-time 1 "http://$address/"; }
wait_for 10 "no traffic" no_traffic
check "live" k wait --for=condition=Ready pod/live --timeout=20s
same "no restart" 0 "$(k get pod live -o 'jsonpath={.status.containerStatuses[0].restartCount}')"
check "fail the liveness probe" k exec live -- rm /www/alive
wait_for 25 "a restart" outputs '^1$' k get pod live -o 'jsonpath={.status.containerStatuses[0].restartCount}'
check_out "the event" 'Liveness probe failed: HTTP probe failed with statuscode: 404' k describe pod live

say "host port, host network"
check "running" k wait --for=condition=Ready pod/hostport pod/hostnet --timeout=20s
wait_for 10 "the host port" outputs '^hostport$' \
  in_ns "$run_id-b" curl -sS --max-time 2 http://192.168.77.1:8089/cgi-bin/hostname
wait_for 10 "the host network" in_ns "$run_id-b" curl -sSf --max-time 2 http://192.168.77.1:8090/
same "its address" 192.168.77.1 "$(k get pod hostnet -o 'jsonpath={.status.podIP}')"

say "hooks, graceful end"
check "running" k wait --for=condition=Ready pod/hooks --timeout=20s
check "delete" k delete pod hooks --timeout=20s
same "hooks and signal in order" "start stop term" "$(xargs <"$work/out/log")"
wait_for 90 "the changed ConfigMap in the volume" outputs '^second$' in_full cat /settings/file.txt
check "force" k delete pod full --grace-period=0 --force
check_fails "gone at once" 'not found' k get pod full

say "what the node refuses"
bound() { # NAME MORE_OF_SPEC: a pod that no scheduler placed.
  k apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  nodeName: n1
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: $image, command: [sleep, "1000"]$2}]
YAML
}
ended() { outputs "^Failed $2\$" k get pod "$1" -o 'jsonpath={.status.phase} {.status.reason}'; }
bound taken ', ports: [{containerPort: 8080, hostPort: 8089}]'
wait_for 10 "a host port that is taken" ended taken NodePorts
check_out "why" '^Pod was rejected: Predicate NodePorts failed: node\(s\) didn.t have free ports' \
  k get pod taken -o 'jsonpath={.status.message}'
check_out "as kubectl shows it" '^taken +0/1 +NodePorts +0 ' k get pod taken --no-headers
bound large ', resources: {requests: {cpu: "1000"}}'
wait_for 10 "more than the node has" ended large OutOfcpu
check_out "the event" 'OutOfcpu .* resource: cpu, requested: 1000000, used: ' k get events \
  --field-selector involvedObject.name=large
check "an extended resource" k patch node n1 --subresource=status --type=json \
  -p '[{"op":"add","path":"/status/capacity/example.com~1dongle","value":"1"}]'
wait_for 20 "it can be given out" outputs '^1$' \
  k get node n1 -o 'jsonpath={.status.allocatable.example\.com/dongle}'
