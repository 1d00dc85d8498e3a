// The Pod Security Standards and the admission plugin that holds namespaces to them.
#include <catch2/catch.hpp>

#include "orch/api/codec.h"
#include "server/admission/admission.h"
#include "server/admission/pod_security_standards.h"
#include "unit/server/api_fixture.h"

namespace orch::server {
namespace {

using namespace test;

PodSecurityPolicy policy(const std::string& text) {
  const size_t colon = text.find(':');
  return {*parse_pod_security_level(text.substr(0, colon)),
          *parse_pod_security_version(text.substr(colon + 1))};
}

std::string misses(const std::string& standard, const std::string& pod_json) {
  auto pod = api::from_json<api::corev1::Pod>(pod_json);
  REQUIRE(pod);
  return details_of(check_pod_security(policy(standard), pod->metadata, pod->spec));
}

// A Pod that meets the restricted standard, with more in its spec or its container.
std::string good(const std::string& spec = "", const std::string& container = "",
                 const std::string& meta = "") {
  return R"({"metadata":{"name":"p")" + meta +
         R"(},"spec":{"containers":[{"name":"a","image":"i")" + container +
         R"(,"securityContext":{"allowPrivilegeEscalation":false,"runAsNonRoot":true,)"
         R"("capabilities":{"drop":["ALL"]},"seccompProfile":{"type":"RuntimeDefault"}}}])" +
         spec + "}}";
}
std::string plain(const std::string& spec = "", const std::string& security = "",
                  const std::string& meta = "") {
  return R"({"metadata":{"name":"p")" + meta +
         R"(},"spec":{"containers":[{"name":"a","image":"i")" +
         (security.empty() ? "" : R"(,"securityContext":{)" + security + "}") + "}]" + spec + "}}";
}

TEST_CASE("pod security: levels and versions") {
  CHECK_FALSE(parse_pod_security_level("Restricted"));
  CHECK_FALSE(parse_pod_security_version("1.24"));
  CHECK_FALSE(parse_pod_security_version("v1.x"));
  CHECK_FALSE(parse_pod_security_version("v1."));
  CHECK_FALSE(parse_pod_security_version("v1.024"));
  CHECK(to_string(policy("baseline:v1.24")) == "baseline:v1.24");
  CHECK(to_string(policy("restricted:latest")) == "restricted:latest");
}

TEST_CASE("pod security: what baseline refuses") {
  struct Case {
    const char* version;
    std::string pod, said;
  };
  const std::vector<Case> cases = {
      {"latest", plain(), ""},
      {"latest", plain(R"(,"hostNetwork":true,"hostIPC":true)"),
       "host namespaces (hostNetwork=true, hostIPC=true)"},
      {"latest", plain("", R"("privileged":true)"),
       R"(privileged (container "a" must not set securityContext.privileged=true))"},
      {"latest", plain(R"(,"volumes":[{"name":"v","hostPath":{"path":"/"}}])"),
       R"(hostPath volumes (volume "v"))"},
      {"latest", plain("", R"("capabilities":{"add":["CHOWN","SYS_ADMIN","NET_RAW"]})"),
       R"(non-default capabilities (container "a" must not include "NET_RAW", "SYS_ADMIN" in )"
       "securityContext.capabilities.add)"},
      {"latest", plain("", R"("procMount":"Unmasked")"),
       R"(procMount (container "a" must not set securityContext.procMount to "Unmasked"))"},
      {"latest", plain("", R"("seLinuxOptions":{"type":"spc_t","user":"u"})"),
       R"(seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type )"
       R"("spc_t"; user may not be set))"},
      {"latest", plain("", R"("seLinuxOptions":{"type":"container_engine_t"})"), ""},
      {"v1.30", plain("", R"("seLinuxOptions":{"type":"container_engine_t"})"),
       R"(seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type )"
       R"("container_engine_t"))"},
      {"latest", plain("", R"("seccompProfile":{"type":"Unconfined"})"),
       R"(seccompProfile (container "a" must not set securityContext.seccompProfile.type to )"
       R"("Unconfined"))"},
      {"v1.18",
       plain("", "", R"(,"annotations":{"seccomp.security.alpha.kubernetes.io/pod":"unconfined"})"),
       R"(seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=)"
       R"("unconfined"))"},
      {"latest",
       plain(R"(,"securityContext":{"sysctls":[{"name":"kernel.msgmax","value":"1"},)"
             R"({"name":"net.ipv4.tcp_rmem","value":"1"}]})"),
       "forbidden sysctls (kernel.msgmax)"},
      {"v1.31",
       plain(R"(,"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_rmem",)"
             R"("value":"1"}]})"),
       "forbidden sysctls (net.ipv4.tcp_rmem)"},
      {"latest", plain("", R"("windowsOptions":{"hostProcess":true})"),
       R"(hostProcess (container "a" must not set securityContext.windowsOptions.hostProcess=true))"},
      {"latest", plain("", R"("appArmorProfile":{"type":"Unconfined"})"),
       R"(forbidden AppArmor profile (container "a" must not set AppArmor profile type to )"
       R"("Unconfined"))"},
      {"latest",
       R"({"metadata":{},"spec":{"containers":[{"name":"a","image":"i","ports":[{"hostPort":80,)"
       R"("containerPort":80},{"hostPort":443,"containerPort":443}]}],"initContainers":[{"name":)"
       R"("b","image":"i","ports":[{"hostPort":80,"containerPort":80}]}]}})",
       R"(hostPort (containers "b", "a" use hostPorts 443, 80))"},
  };
  for (const auto& c : cases) {
    INFO(c.version << " " << c.pod);
    CHECK(misses(std::string("baseline:") + c.version, c.pod) == c.said);
    CHECK(misses("privileged:latest", c.pod).empty());
  }
}

TEST_CASE("pod security: what restricted demands beyond") {
  CHECK(misses("restricted:latest", good()).empty());
  CHECK(misses("restricted:latest", plain()) ==
        R"(allowPrivilegeEscalation != false (container "a" must set )"
        R"(securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container )"
        R"("a" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or )"
        R"(container "a" must set securityContext.runAsNonRoot=true), seccompProfile (pod or )"
        R"(container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or )"
        R"("Localhost"))");
  struct Case {
    const char* version;
    std::string pod, said;
  };
  const std::vector<Case> cases = {
      {"latest",
       good(R"(,"volumes":[{"name":"n","nfs":{"server":"s","path":"/"}},{"name":"c",)"
            R"("configMap":{"name":"x"}},{"name":"h","hostPath":{"path":"/"}}])"),
       R"(restricted volume types (volumes "n", "h" use restricted volume types "hostPath", "nfs"))"},
      {"latest", good(R"(,"securityContext":{"runAsUser":0})"),
       "runAsUser=0 (pod must not set runAsUser=0)"},
      {"v1.22", good(R"(,"securityContext":{"runAsUser":0})"), ""},
      {"latest", good(R"(,"securityContext":{"runAsNonRoot":false})"),
       "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"},
      {"latest", good(R"(,"hostPID":true)"), "host namespaces (hostPID=true)"},
      {"v1.7", plain(R"(,"securityContext":{"runAsNonRoot":true})"), ""},
      {"v1.21",
       plain(R"(,"securityContext":{"runAsNonRoot":true,"seccompProfile":)"
             R"({"type":"Localhost","localhostProfile":"p"}})",
             R"("allowPrivilegeEscalation":false)"),
       ""},
      {"latest", plain(R"(,"os":{"name":"windows"},"securityContext":{"runAsNonRoot":true})"), ""},
      {"v1.24",
       plain(R"(,"os":{"name":"windows"},"securityContext":{"runAsNonRoot":true,)"
             R"("seccompProfile":{"type":"RuntimeDefault"}})",
             R"("allowPrivilegeEscalation":false)"),
       R"(unrestricted capabilities (container "a" must set securityContext.capabilities.drop=)"
       R"(["ALL"]))"},
  };
  for (const auto& c : cases) {
    INFO(c.version << " " << c.pod);
    CHECK(misses(std::string("restricted:") + c.version, c.pod) == c.said);
  }
  // What is added is named too, but the port below 1024.
  const std::string added =
      misses("restricted:latest",
             R"({"metadata":{},"spec":{"containers":[{"name":"a","image":"i","securityContext":)"
             R"({"allowPrivilegeEscalation":false,"runAsNonRoot":true,"seccompProfile":{"type":)"
             R"("RuntimeDefault"},"capabilities":{"add":["NET_BIND_SERVICE","CHOWN"]}}}]}})");
  CHECK(added ==
        R"(unrestricted capabilities (container "a" must set securityContext.capabilities.drop=)"
        R"(["ALL"]; container "a" must not include "CHOWN" in securityContext.capabilities.add))");
}

struct PodSecurityFixture : ApiFixture {
  std::unique_ptr<client::Transport> transport =
      server->local_transport({.name = "system:apiserver", .groups = {"system:masters"}});
  client::Client client{*transport};
  client::InformerSet informers{env, *transport};
  std::unique_ptr<PluginChain> chain;

  explicit PodSecurityFixture(const std::string& configuration = "") {
    AdmissionSettings settings;
    settings.disabled = {"ServiceAccount"};
    if (!configuration.empty()) settings.configuration["PodSecurity"] = configuration;
    auto made = PluginChain::create({informers, *random, client}, settings);
    INFO((made ? "" : made.error()));
    REQUIRE(made);
    chain = std::move(*made);
    Hooks hooks;
    hooks.admission = chain.get();
    server->set_hooks(hooks);
    informers.start_all();
    executor->run_until_idle();
  }
  ~PodSecurityFixture() {
    informers.stop();
    executor->run_until_idle();
  }
  Answer label(const std::string& key, const std::string& value) {
    return patch(
        "/api/v1/namespaces/default", "application/merge-patch+json",
        R"({"metadata":{"labels":{"pod-security.kubernetes.io/)" + key + "\":\"" + value + "\"}}}");
  }
};

TEST_CASE("pod security: a namespace enforces, warns, and says what it would not take any more") {
  PodSecurityFixture f;
  REQUIRE(f.post(kPods, plain()).status == 201);
  const auto warned = f.label("enforce", "restricted");
  CHECK(warned.status == 200);
  std::string warnings;
  for (auto [it, end] = warned.headers.equal_range("Warning"); it != end; ++it) {
    warnings += it->second + "\n";
  }
  CHECK(warnings.find(R"(existing pods in namespace \"default\" violate the new PodSecurity )"
                      R"(enforce level \"restricted:latest\")") != std::string::npos);
  CHECK(warnings.find("p: allowPrivilegeEscalation != false, unrestricted capabilities, "
                      "runAsNonRoot != true, seccompProfile") != std::string::npos);
  const auto refused = f.post(kPods, R"({"metadata":{"name":"q"},"spec":{"containers":[{"name":)"
                                     R"("a","image":"i"}]}})");
  CHECK(refused.status == 403);
  CHECK(refused.at("message").starts_with(
      R"(pods "q" is forbidden: violates PodSecurity "restricted:latest": )"
      R"(allowPrivilegeEscalation != false (container "a" must set )"));
  // A workload is let in; its Pods will not be, when that is warned of.
  REQUIRE(f.label("warn", "baseline").status == 200);
  const auto workload =
      f.post("/apis/apps/v1/namespaces/default/deployments",
             R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":)"
             R"({"metadata":{"labels":{"a":"b"}},"spec":{"hostPID":true,"containers":)"
             R"([{"name":"a","image":"i"}]}}}})");
  CHECK(workload.status == 201);
  CHECK(workload.header("Warning").find(R"(would violate PodSecurity \"baseline:latest\": host )"
                                        "namespaces (hostPID=true)") != std::string::npos);
  // Another namespace is not concerned.
  CHECK(f.post("/api/v1/namespaces/other/pods", plain()).status == 201);
}

TEST_CASE("pod security: labels that mean nothing are refused") {
  PodSecurityFixture f;
  const auto level = f.label("enforce", "strict");
  CHECK(level.status == 422);
  CHECK(level.at("message") ==
        R"(Namespace "default" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: )"
        R"(Invalid value: "strict": must be one of privileged, baseline, restricted)");
  CHECK(f.label("warn-version", "1.2").at("message").find(R"(must be "latest" or "v1.x")") !=
        std::string::npos);
  CHECK(f.label("enforce-version", "v1.25").status == 200);
}

TEST_CASE("pod security: defaults and exemptions of the configuration file") {
  const std::string kind = R"({"apiVersion":"pod-security.admission.config.k8s.io/v1",)"
                           R"("kind":"PodSecurityConfiguration",)";
  PodSecurityFixture f(kind + R"("defaults":{"enforce":"baseline"},)"
                              R"("exemptions":{"namespaces":["other"]}})");
  const std::string host = plain(R"(,"hostNetwork":true)");
  CHECK(f.post(kPods, host).status == 403);
  CHECK(f.post("/api/v1/namespaces/other/pods", host).status == 201);
  AdmissionSettings bad;
  bad.configuration["PodSecurity"] = kind + R"("defaults":{"enforce":"hard"}})";
  const auto refused = PluginChain::create({f.informers, *f.random, f.client}, bad);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() ==
        "--admission-control-config-file: PodSecurity: defaults.enforce: "
        "Invalid value: \"hard\": must be one of privileged, baseline, "
        "restricted");
}

TEST_CASE("admission plugins are switched by name") {
  PodSecurityFixture f;
  const AdmissionContext context{f.informers, *f.random, f.client};
  const auto error = [&](std::vector<std::string> on, std::vector<std::string> off) {
    auto made = PluginChain::create(context, {std::move(on), std::move(off), {}});
    return made ? std::string() : made.error();
  };
  CHECK(error({"NamespaceLifecycle", "AlwaysPullImages"}, {}).empty());
  CHECK(error({"Nonsense"}, {}) ==
        R"(--enable-admission-plugins: enable-admission-plugins plugin "Nonsense" is unknown)");
  CHECK(error({"EventRateLimit"}, {"EventRateLimit"}) ==
        "[EventRateLimit] in enable-admission-plugins and disable-admission-plugins overlapped");
  auto chain = PluginChain::create(context, {{"AlwaysPullImages"}, {"PodSecurity"}, {}});
  REQUIRE(chain);
  const auto names = (*chain)->names();
  CHECK(std::count(names.begin(), names.end(), "AlwaysPullImages") == 1);
  CHECK(std::count(names.begin(), names.end(), "PodSecurity") == 0);
  CHECK(std::count(names.begin(), names.end(), "NodeRestriction") == 1);
}

TEST_CASE("external addresses of Services are refused, those that were there may stay") {
  PodSecurityFixture f;
  const auto service = [](const std::string& name, const std::string& ips) {
    return R"({"metadata":{"name":")" + name +
           R"("},"spec":{"ports":[{"port":80}],)"
           R"("externalIPs":[)" +
           ips + "]}}";
  };
  const auto refused = f.post(kServices, service("s", "\"8.8.8.8\""));
  CHECK(refused.status == 403);
  CHECK(refused.at("message") ==
        R"(services "s" is forbidden: Use of external IPs is denied by admission control.)");
  f.server->set_hooks({});
  REQUIRE(f.post(kServices, service("s", "\"8.8.8.8\",\"8.8.4.4\"")).status == 201);
  Hooks hooks;
  hooks.admission = f.chain.get();
  f.server->set_hooks(hooks);
  const std::string path = std::string(kServices) + "/s";
  const std::string merge = "application/merge-patch+json";
  CHECK(f.patch(path, merge, R"({"metadata":{"labels":{"a":"b"}}})").status == 200);
  CHECK(f.patch(path, merge, R"({"spec":{"externalIPs":["8.8.4.4"]}})").status == 200);
  CHECK(f.patch(path, merge, R"({"spec":{"externalIPs":["1.1.1.1"]}})").status == 403);
}

}  // namespace
}  // namespace orch::server
