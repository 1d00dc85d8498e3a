// Validation of Pods: every family of rules, with upstream's texts.
#include "kinds_support.h"
#include "orch/api/corev1.h"

namespace orch::api::test {
namespace {

using corev1::Pod;

const std::string kPod = R"({"metadata":{"name":"p","namespace":"default"},"spec":{
    "containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],
      "volumeMounts":[{"name":"v","mountPath":"/v"}]}],
    "initContainers":[{"name":"n","image":"i"}],
    "volumes":[{"name":"v","emptyDir":{}}]}})";
const std::string kC = "spec.containers[0]";

TEST_CASE("pod rules: containers, ports, environment") {
  check_rules<Pod>(
      kPod,
      {{"/spec/containers/0/image", R"("")", {kC + ".image: Required value"}},
       {"/spec/containers/0/image",
        R"(" i")",
        {kC + ".image: Invalid value: \" i\": must not have leading or trailing whitespace"}},
       {"/spec/initContainers/0/name",
        R"("c")",
        {"spec.initContainers[0].name: Duplicate value: \"c\""}},
       {"/spec/containers/0/restartPolicy",
        R"("Always")",
        {kC + ".restartPolicy: Forbidden: may not be set for non-init containers"}},
       {"/spec/initContainers/0/restartPolicy",
        R"("Never")",
        {"spec.initContainers[0].restartPolicy: Unsupported value: \"Never\": supported values: "
         "\"Always\""}},
       {"/spec/initContainers/0/readinessProbe",
        R"({"exec":{"command":["x"]}})",
        {"spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers "
         "without restartPolicy=Always"}},
       {"/spec/containers/0/imagePullPolicy",
        R"("x")",
        {kC + ".imagePullPolicy: Unsupported value: \"x\": supported values: \"Always\", "
              "\"IfNotPresent\", \"Never\""}},
       {"/spec/containers/0/ports/0",
        R"({"name":"-A","protocol":"X"})",
        {kC + ".ports[0].name: Invalid value: \"-A\": must contain only alpha-numeric characters "
              "(a-z, 0-9), and hyphens (-)",
         kC + ".ports[0].name: Invalid value: \"-A\": must contain at least one letter (a-z)",
         kC + ".ports[0].name: Invalid value: \"-A\": must not begin or end with a hyphen",
         kC + ".ports[0].containerPort: Required value",
         kC + ".ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", "
              "\"UDP\""}},
       {"/spec/containers/0/ports",
        R"([{"containerPort":1,"hostPort":9},
                                        {"containerPort":2,"hostPort":9}])",
        {kC + ".ports[1].hostPort: Duplicate value: \"TCP//9\""}},
       {"/spec/containers/0/env",
        R"([{"name":""},{"name":"a=b"}])",
        {kC + ".env[0].name: Required value",
         kC +
             ".env[1].name: Invalid value: \"a=b\": a valid environment variable name must consist "
             "only of printable ASCII characters other than '='"}},
       {"/spec/containers/0/env",
        R"([{"name":"a","valueFrom":{}},{"name":"b","value":"x",
          "valueFrom":{"configMapKeyRef":{"name":"m","key":""}}}])",
        {kC + ".env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, "
              "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
         kC + ".env[1].valueFrom.configMapKeyRef.key: Required value",
         kC + ".env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not "
              "empty"}},
       {"/spec/containers/0/env",
        R"([{"name":"a","valueFrom":{"fieldRef":{"fieldPath":"x"}}},
          {"name":"b","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels"}}},
          {"name":"c","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a/b/c']"}}},
          {"name":"d","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"2"}}}])",
        {kC + ".env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"x\": error converting "
              "fieldPath: field label not supported: x",
         kC + ".env[1].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": "
              "supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", "
              "\"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", "
              "\"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
         kC + ".env[2].valueFrom.fieldRef: Invalid value: \"a/b/c\": a qualified name must consist "
              "of alphanumeric characters, '-', '_' or '.', and must start and end with an "
              "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
              "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS "
              "subdomain prefix and '/' (e.g. 'example.com/MyName')",
         kC + ".env[3].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only "
              "divisor's values 1m and 1 are supported with the cpu resource"}},
       {"/spec/containers/0/envFrom",
        R"([{}])",
        {kC + ".envFrom: Invalid value: \"\": must specify one of: `configMapRef` or "
              "`secretRef`"}}});
}

TEST_CASE("pod rules: probes and hooks") {
  check_rules<Pod>(
      kPod,
      {{"/spec/containers/0/livenessProbe",
        "{}",
        {kC + ".livenessProbe: Required value: must specify a handler type"}},
       {"/spec/containers/0/livenessProbe",
        R"({"exec":{},"tcpSocket":{"port":0},"successThreshold":2,"timeoutSeconds":-1})",
        {kC + ".livenessProbe.exec.command: Required value",
         kC + ".livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
         kC + ".livenessProbe.timeoutSeconds: Invalid value: -1: must be greater than or equal to "
              "0",
         kC + ".livenessProbe.successThreshold: Invalid value: 2: must be 1"}},
       {"/spec/containers/0/readinessProbe",
        R"({"grpc":{"port":0},"terminationGracePeriodSeconds":5,"successThreshold":2})",
        {kC + ".readinessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive",
         kC +
             ".readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for "
             "readinessProbes"}},
       {"/spec/containers/0/startupProbe",
        R"({"httpGet":{"port":"9","scheme":"x","httpHeaders":[{"name":"a b","value":""}]}})",
        {kC + ".startupProbe.httpGet.port: Invalid value: \"9\": must contain at least one letter "
              "(a-z)",
         kC + ".startupProbe.httpGet.scheme: Unsupported value: \"x\": supported values: \"HTTP\", "
              "\"HTTPS\"",
         kC + ".startupProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must "
              "consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
              "validation is '[-A-Za-z0-9]+')"}},
       {"/spec/containers/0/lifecycle",
        R"({"postStart":{},"preStop":{"sleep":{"seconds":31}}})",
        {kC + ".lifecycle.postStart: Required value: must specify a handler type",
         kC + ".lifecycle.preStop.sleep: Invalid value: 31: must be greater than 0 and less than "
              "terminationGracePeriodSeconds (30). Enable AllowPodLifecycleSleepActionZeroValue "
              "feature gate for zero sleep."}}});
}

TEST_CASE("pod rules: mounts, devices, resources, security") {
  const std::string vm = kC + ".volumeMounts";
  check_rules<Pod>(
      kPod,
      {{"/spec/containers/0/volumeMounts",
        R"([{"name":"v","mountPath":"/a"},{"name":"w","mountPath":"/a"},{"name":"v",
            "mountPath":"/b","subPath":"/x","mountPropagation":"Bidirectional"}])",
        {vm + "[1].name: Not found: \"w\"",
         vm + "[1].mountPath: Invalid value: \"/a\": must be unique",
         vm + ".subPath: Invalid value: \"/x\": must be a relative path",
         vm + ".mountPropagation: Forbidden: Bidirectional mount propagation is available only to "
              "privileged containers"}},
       {"/spec/containers/0/volumeMounts",
        R"([{"name":"v","mountPath":"/a","subPath":"a/../b","subPathExpr":"c",
            "recursiveReadOnly":"Enabled"}])",
        {vm + ".subPath: Invalid value: \"a/../b\": must not contain '..'",
         vm + ".subPathExpr: Invalid value: \"c\": subPathExpr and subPath are mutually exclusive",
         vm + "[0].recursiveReadOnly: Forbidden: may only be specified when readOnly is true"}},
       {"/spec/containers/0/volumeDevices",
        R"([{"name":"v","devicePath":"/d"}])",
        {vm + "[0].name: Invalid value: \"v\": must not already exist in volumeDevices",
         kC + ".volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of "
              "PersistentVolumeClaim for block mode",
         kC + ".volumeDevices[0].name: Invalid value: \"v\": must not already exist in "
              "volumeMounts"}},
       {"/spec/containers/0/resources",
        R"({"requests":{"cpu":"2","odd":"1","example.com/gpu":"1"},"limits":{"cpu":"1",
            "memory":"-1"}})",
        {kC +
             ".resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
         kC + ".resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit "
              "of 1",
         kC + ".resources.limits: Required value: Limit must be set for non overcommitable "
              "resources",
         kC +
             ".resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to "
             "0",
         kC + ".resources.requests[odd]: Invalid value: \"odd\": must be a standard resource for "
              "containers"}},
       {"/spec/containers/0/resources",
        R"({"limits":{"hugepages-2Mi":"2Mi"}})",
        {kC + ".resources: Forbidden: HugePages require cpu or memory"}},
       {"/spec/containers/0/securityContext",
        R"({"runAsUser":-1,"seccompProfile":{"type":"Localhost"}})",
        {kC + ".securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, "
              "inclusive",
         kC + ".securityContext.seccompProfile.localhostProfile: Required value: must be set when "
              "seccomp type is Localhost"}},
       {"/spec/securityContext",
        R"({"supplementalGroups":[-1],"fsGroupChangePolicy":"x",
          "sysctls":[{"name":"a.b","value":""},{"name":"a/b","value":""},{"name":"A","value":""}],
          "appArmorProfile":{"type":"Odd"}})",
        {"spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and "
         "2147483647, inclusive",
         "spec.securityContext.sysctls[1].name: Duplicate value: \"a/b\"",
         "spec.securityContext.sysctls[2].name: Invalid value: \"A\": must have at most 253 "
         "characters and match regex "
         "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
         "spec.securityContext.fsGroupChangePolicy: Unsupported value: \"x\": supported values: "
         "\"Always\", \"OnRootMismatch\"",
         "spec.securityContext.appArmorProfile.type: Unsupported value: \"Odd\": supported values: "
         "\"Localhost\", \"RuntimeDefault\", \"Unconfined\""}}});
}

TEST_CASE("pod rules: volumes") {
  const std::string v = "spec.volumes[1]";
  const auto volume = [](const char* json) {
    return std::string("[{\"name\":\"v\",\"emptyDir\":{}},") + json + "]";
  };
  const std::vector<std::pair<std::string, Texts>> rows = {
      {R"({"name":"v","emptyDir":{}})", {v + ".name: Duplicate value: \"v\""}},
      {R"({"name":"w","secret":{"defaultMode":1000}})",
       {v + ".secret.secretName: Required value",
        v + ".secret.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 "
            "(octal), "
            "both inclusive"}},
      {R"({"name":"w","configMap":{"name":"m","items":[{"key":"","path":"..x"},
          {"key":"k","path":"../x"}]}})",
       {v + ".configMap.items[0].key: Required value",
        v + ".configMap.items[0].path: Invalid value: \"..x\": must not start with '..'",
        v + ".configMap.items[1].path: Invalid value: \"../x\": must not contain '..'"}},
      {R"({"name":"w","hostPath":{"path":"/a/../b","type":"x"}})",
       {v + ".hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
        v + ".hostPath.type: Unsupported value: \"x\": supported values: \"\", \"BlockDevice\", "
            "\"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", "
            "\"Socket\""}},
      {R"({"name":"w","emptyDir":{"sizeLimit":"-1"},"persistentVolumeClaim":{"claimName":""}})",
       {v + ".emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
        v + ".persistentVolumeClaim.claimName: Required value",
        v + ".persistentVolumeClaim: Forbidden: may not specify more than 1 volume type"}},
      {R"({"name":"w","nfs":{"server":"","path":"x"}})",
       {v + ".nfs.server: Required value",
        v + ".nfs.path: Invalid value: \"x\": must be an absolute path"}},
      {R"({"name":"w","downwardAPI":{"items":[{"path":"a"},{"path":"b","resourceFieldRef":
          {"resource":"limits.cpu"}}]}})",
       {v + ".downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
        v + ".downwardAPI.resourceFieldRef.containerName: Required value"}},
      {R"({"name":"w","projected":{"sources":[{"secret":{"name":""},"configMap":{"name":"m"}},
          {"serviceAccountToken":{"path":"t","expirationSeconds":9}},
          {"configMap":{"name":"m","items":[{"key":"k","path":"t"}]}}]}})",
       {v + ".projected.sources[0].secret.name: Required value",
        v + ".projected.sources[0].configMap: Forbidden: may not specify more than 1 volume type "
            "per source",
        v + ".projected.sources[1].serviceAccountToken.expirationSeconds: Invalid value: 9: may "
            "not "
            "specify a duration less than 10 minutes",
        v + ".projected: Invalid value: \"m\": conflicting duplicate paths"}},
      {R"({"name":"w","csi":{"driver":""}})", {v + ".csi.driver: Required value"}},
      {R"({"name":"w","ephemeral":{}})", {v + ".ephemeral.volumeClaimTemplate: Required value"}}};
  for (const auto& [json, wanted] : rows) {
    check_rules<Pod>(kPod, {{"/spec/volumes", volume(json.c_str()).c_str(), wanted}});
  }
}

TEST_CASE("pod rules: where it runs") {
  const std::string required = "requiredDuringSchedulingIgnoredDuringExecution";
  const std::string name_part =
      "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
      "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
      "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
  const std::string t = "spec.tolerations";
  check_rules<Pod>(
      kPod,
      {{"/spec/tolerations",
        R"([{"value":"x"},{"operator":"Exists","value":"x"},
          {"key":"k","operator":"~","effect":"x"}])",
        {t + "[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, "
             "which "
             "means \"match all values and all keys\"",
         t + "[1].operator: Invalid value: core.Toleration{Key:\"\", Operator:\"Exists\", "
             "Value:\"x\", Effect:\"\", TolerationSeconds:(*int64)(nil)}: value must be empty when "
             "`operator` is 'Exists'",
         t + "[2].operator: Unsupported value: \"~\": supported values: \"Equal\", \"Exists\"",
         t + "[2].effect: Unsupported value: \"x\": supported values: \"NoSchedule\", "
             "\"PreferNoSchedule\", \"NoExecute\""}},
       {"/spec/affinity",
        R"({"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
          {"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In"},
          {"key":"a","operator":"Gt","values":["1","2"]}],"matchFields":[{"key":"x",
          "operator":"Exists"}]}]},"preferredDuringSchedulingIgnoredDuringExecution":
          [{"weight":0,"preference":{}}]}})",
        {"spec.affinity.nodeAffinity." + required +
             ".nodeSelectorTerms[0].matchExpressions[0].values"
             ": Required value: must be specified when `operator` is 'In' or 'NotIn'",
         "spec.affinity.nodeAffinity." + required +
             ".nodeSelectorTerms[0].matchExpressions[1].values"
             ": Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
         "spec.affinity.nodeAffinity." + required +
             ".nodeSelectorTerms[0].matchFields[0].operator"
             ": Invalid value: \"Exists\": not a valid selector operator",
         "spec.affinity.nodeAffinity." + required +
             ".nodeSelectorTerms[0].matchFields[0].key"
             ": Invalid value: \"x\": not a valid field selector key",
         "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: "
         "Invalid value: 0: must be in the range 1-100"}},
       {"/spec/affinity",
        R"({"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
          [{"topologyKey":"","matchLabelKeys":["a"]}]}})",
        {"spec.affinity.podAntiAffinity." + required +
             "[0].matchLabelKeys: Forbidden: must not be "
             "specified when labelSelector is not set",
         "spec.affinity.podAntiAffinity." + required +
             "[0].topologyKey: Required value: can not be "
             "empty",
         "spec.affinity.podAntiAffinity." + required +
             "[0].topologyKey: Invalid value: \"\": name "
             "part must be non-empty",
         "spec.affinity.podAntiAffinity." + required +
             "[0].topologyKey: Invalid value: \"\": " + name_part}},
       {"/spec/topologySpreadConstraints",
        R"([{"maxSkew":0,"topologyKey":"z",
          "whenUnsatisfiable":"ScheduleAnyway","minDomains":1},{"maxSkew":1,"topologyKey":"z",
          "whenUnsatisfiable":"ScheduleAnyway","matchLabelKeys":["a"],
          "labelSelector":{"matchLabels":{"a":"b"}},"nodeTaintsPolicy":"x"}])",
        {"spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
         "spec.topologySpreadConstraints[0].minDomains: Invalid value: 1: can only use minDomains "
         "if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
         "spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value: "
         "\"{z, ScheduleAnyway}\"",
         "spec.topologySpreadConstraints[1].nodeTaintsPolicy: Unsupported value: \"x\": supported "
         "values: \"Honor\", \"Ignore\"",
         "spec.topologySpreadConstraints[1].matchLabelKeys[0]: Invalid value: \"a\": exists in "
         "both "
         "matchLabelKeys and labelSelector"}},
       {"/spec/dnsPolicy",
        R"("None")",
        {"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"}},
       {"/spec/dnsConfig",
        R"({"nameservers":["x","1.1.1.1","2.2.2.2","3.3.3.3"],
          "searches":["a.b.","-"],"options":[{}]})",
        {"spec.dnsConfig.nameservers: Invalid value: []string{\"x\", \"1.1.1.1\", \"2.2.2.2\", "
         "\"3.3.3.3\"}: must not have more than 3 nameservers",
         "spec.dnsConfig.nameservers[0]: Invalid value: \"x\": must be a valid IP address, (e.g. "
         "10.9.8.7 or 2001:db8::ffff)",
         "spec.dnsConfig.searches[1]: Invalid value: \"-\": a lowercase RFC 1123 subdomain must "
         "consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
         "an "
         "alphanumeric character (e.g. 'example.com', regex used for validation is "
         "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
         "spec.dnsConfig.options[0]: Required value: must not be empty"}},
       {"/spec/hostAliases",
        R"([{"ip":"x"}])",
        {"spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 "
         "or 2001:db8::ffff)"}},
       {"/spec/activeDeadlineSeconds",
        "0",
        {"spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, "
         "inclusive"}},
       {"/spec/ephemeralContainers",
        R"([{"name":"e","image":"i"}])",
        {"spec.ephemeralContainers: Forbidden: cannot be set on create"}},
       {"/spec/schedulingGates",
        R"([{"name":"a/b"},{"name":"a/b"}])",
        {"spec.schedulingGates[1]: Duplicate value: \"a/b\""}}});
}

TEST_CASE("pod updates: the rest of the rules") {
  check_changes<Pod>(
      kPod, {{"/spec/containers/-",
              R"({"name":"d","image":"i"})",
              {"spec.containers: Forbidden: pod updates may not add or remove containers"}},
             {"/spec/activeDeadlineSeconds", "5", {}},
             {"/spec/tolerations", R"([{"operator":"Exists"}])", {}},
             {"/spec/schedulingGates",
              R"([{"name":"x"}])",
              {"spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new "
               "scheduling gate 'x'"}}});
  auto old = made<Pod>(kPod);
  old.spec.activeDeadlineSeconds = 5;
  old.spec.tolerations.resize(1);
  old.spec.tolerations[0].operator_ = "Exists";
  check_changes<Pod>(
      old,
      {{"/spec/activeDeadlineSeconds",
        "6",
        {"spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous "
         "value"}},
       {"/spec/activeDeadlineSeconds",
        "",
        {"spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive "
         "integer to nil value"}},
       {"/spec/tolerations",
        "[]",
        {"spec.tolerations: Forbidden: existing toleration can not be modified except its "
         "tolerationSeconds"}}});
  // A gated pod may be narrowed.
  auto gated = made<Pod>(kPod);
  gated.spec.schedulingGates.resize(1);
  gated.spec.schedulingGates[0].name = "g";
  gated.spec.nodeSelector = {{"a", "b"}};
  check_changes<Pod>(
      gated,
      {{"/spec/nodeSelector/c", R"("d")", {}},
       {"/spec/nodeSelector",
        R"({"c":"d"})",
        {"spec.nodeSelector: Invalid value: map[string]string{\"c\":\"d\"}: only additions to "
         "spec.nodeSelector are allowed (no mutations or deletions)"}}});
}

TEST_CASE("pod status: one address and many are kept alike; ended containers stay ended") {
  auto old = made<Pod>(kPod);
  const auto& info = resource_of<Pod>();
  auto now = old;
  now.status.podIP = "1.2.3.4";
  info.prepare_status(now, old);
  REQUIRE(now.status.podIPs.size() == 1);
  CHECK(now.status.podIPs[0].ip == "1.2.3.4");
  now.status.podIP.clear();
  now.status.podIPs[0].ip = "::1";
  info.prepare_status(now, old);
  CHECK(now.status.podIP == "::1");

  const auto said = [&](const Pod& after, const Pod& before) {
    FieldErrors errors;
    info.validate_status(after, before, errors);
    Texts out;
    for (const auto& cause : errors.take()) out.push_back(cause.field + ": " + cause.message);
    return out;
  };
  now.status.podIPs.resize(2);
  now.status.podIPs[1].ip = "::2";
  CHECK(said(now, old) ==
        Texts{"status.podIPs: Invalid value: []core.PodIP{core.PodIP{IP:\"::1\"}, "
              "core.PodIP{IP:\"::2\"}}: may specify no more than one IP for each IP family"});
  old.spec.restartPolicy = "Never";
  old.status.containerStatuses.resize(1);
  old.status.containerStatuses[0].name = "c";
  now = old;
  old.status.containerStatuses[0].state.terminated.emplace();
  CHECK(said(now, old) == Texts{"status.containerStatuses[0].state: Forbidden: may not be "
                                "transitioned to non-terminated state"});
}

}  // namespace
}  // namespace orch::api::test
