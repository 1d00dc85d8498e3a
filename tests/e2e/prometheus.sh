#!/bin/bash
# Prometheus scrapes the API server and, through the API's proxy, the agent, and finds nodes, pods, services and
# endpoints with kubernetes_sd. Debian 12 builds it without; the one of Debian 13 runs on Debian 12 too.
source "$(dirname "$0")/lib.sh"
need_commands jq
if ! prometheus=$(command -v prometheus) || ! grep -q prometheus/discovery/kubernetes "$prometheus"; then
  folder=$("$here/../support/debian_package.sh" trixie prometheus 2>&1) ||
    skip "no Prometheus with kubernetes_sd on this machine, and $folder"
  prometheus=$folder/usr/bin/prometheus
fi
one_node
client_files

say "an application to find"
check "deployment" k create deployment web --image=docker.io/library/orch-test:1 --replicas=2
check "service" k expose deployment web --port=80 --target-port=8080
check "rollout" k rollout status deploy/web --timeout=60s

tls="tls_config: {ca_file: $work/certificate-authority.pem, cert_file: $work/client-certificate.pem, key_file: $work/client-key.pem}"
scrape() {  # NAME PATH
  printf '  - job_name: %s\n    scheme: https\n    metrics_path: %s\n    %s\n' "$1" "$2" "$tls"
  printf '    static_configs: [{targets: ["192.168.77.1:6443"]}]\n'
}
find_role() {
  printf '  - job_name: %s\n    scheme: https\n    %s\n    kubernetes_sd_configs:\n' "$1" "$tls"
  printf '      - role: %s\n        api_server: https://192.168.77.1:6443\n        %s\n' "$1" "$tls"
}
{
  printf 'global: {scrape_interval: 1s}\nscrape_configs:\n'
  scrape apiserver /metrics
  scrape agent /api/v1/nodes/n1/proxy/metrics
  scrape resource /api/v1/nodes/n1/proxy/metrics/resource
  scrape cadvisor /api/v1/nodes/n1/proxy/metrics/cadvisor
  for role in node pod service endpoints endpointslice; do find_role "$role"; done
} >"$work/prometheus.yml"
nsenter --net="/var/run/netns/$run_id-b" "$prometheus" --config.file="$work/prometheus.yml" \
  --storage.tsdb.path="$work/tsdb" --web.listen-address=192.168.77.2:9090 >"$work/prometheus.log" 2>&1 3>&- &
children+=($!)

# ask PATH [curl arguments]
ask() { in_ns "$run_id-b" curl -sS --max-time 5 "http://192.168.77.2:9090/api/v1/$1" "${@:2}"; }
# found JOB COUNT JQ: at least COUNT targets of the job match.
found() {
  ask targets | jq -e "[.data.activeTargets[] | select(.scrapePool == \"$1\") | select($3)] | length >= $2"
}
has() { ask query -G --data-urlencode "query=$1" | jq -e '.data.result | length > 0'; }

say "scraping"
wait_for 20 "Prometheus" ask status/runtimeinfo
for job in apiserver agent resource cadvisor; do
  wait_for 20 "$job scraped: $(ask targets | jq -c '[.data.activeTargets[] | {scrapePool, lastError}]')" \
    found "$job" 1 '.health == "up"'
done
wait_for 20 "requests" has 'sum(apiserver_request_total{verb="WATCH"})>0'
wait_for 20 "a pod's memory" has 'container_memory_working_set_bytes{pod=~"web-.*"}>0'
wait_for 20 "a pod's CPU" has 'pod_cpu_usage_seconds_total{pod=~"web-.*"}'
same "every line was understood" "" \
  "$(ask targets | jq -r '.data.activeTargets[] | select(.scrapePool as $pool |
    ["apiserver", "agent", "resource", "cadvisor"] | index($pool)) | .lastError' | grep . | head -n 3)"

say "what it finds"
wait_for 20 "the node" found node 1 '.discoveredLabels.__meta_kubernetes_node_name == "n1"'
wait_for 20 "both pods" found pod 2 '.discoveredLabels.__meta_kubernetes_pod_label_app == "web" and
  .discoveredLabels.__meta_kubernetes_pod_ready == "true"'
wait_for 20 "the service" found service 1 '.discoveredLabels.__meta_kubernetes_service_name == "web"'
wait_for 20 "its endpoints" found endpoints 2 '.discoveredLabels.__meta_kubernetes_service_name == "web"'
wait_for 20 "its endpoint slices" found endpointslice 2 \
  '.discoveredLabels.__meta_kubernetes_endpointslice_address_target_kind == "Pod"'

say "what changes"
check "scale" k scale deployment web --replicas=3
wait_for 30 "the third pod" found pod 3 '.discoveredLabels.__meta_kubernetes_pod_label_app == "web"'
