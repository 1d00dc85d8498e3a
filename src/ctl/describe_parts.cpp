#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

#include "ctl/describe.h"
#include "ctl/printers/table.h"
#include "orch/api/value.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

std::string ports_text(const JsonValue& ports, std::string_view key) {
  std::vector<std::string> out;
  for (const JsonValue& port : ports.items()) {
    const std::string protocol = port.get("protocol").text();
    out.push_back(
        fmt::format("{}/{}", port.get(key).number(), protocol.empty() ? "TCP" : protocol));
  }
  return join(out, ", ");
}

std::string state_text(const std::string& title, const JsonValue& state, const std::string& pad) {
  if (const JsonValue running = state.get("running"); !running.is_null()) {
    return fmt::format("{}{}:\tRunning\n{}  Started:\t{}\n", pad, title, pad,
                       time_text(running.get("startedAt")));
  }
  if (const JsonValue waiting = state.get("waiting"); !waiting.is_null()) {
    std::string out = fmt::format("{}{}:\tWaiting\n", pad, title);
    if (const std::string reason = waiting.get("reason").text(); !reason.empty()) {
      out += fmt::format("{}  Reason:\t{}\n", pad, reason);
    }
    return out;
  }
  if (const JsonValue ended = state.get("terminated"); !ended.is_null()) {
    std::string out = fmt::format("{}{}:\tTerminated\n", pad, title);
    for (const auto& [key, shown] : {std::pair{"reason", "Reason"}, {"message", "Message"}}) {
      if (const std::string text = ended.get(key).text(); !text.empty()) {
        out += fmt::format("{}  {}:\t{}\n", pad, shown, text);
      }
    }
    out += fmt::format("{}  Exit Code:\t{}\n", pad, ended.get("exitCode").number());
    if (ended.get("signal").number() != 0) {
      out += fmt::format("{}  Signal:\t{}\n", pad, ended.get("signal").number());
    }
    return out + fmt::format("{}  Started:\t{}\n{}  Finished:\t{}\n", pad,
                             time_text(ended.get("startedAt")), pad,
                             time_text(ended.get("finishedAt")));
  }
  return title == "State" ? fmt::format("{}{}:\tWaiting\n", pad, title) : "";
}

std::string list_text(const std::string& title, const JsonValue& list, const std::string& pad) {
  if (list.size() == 0) return "";
  std::string out = fmt::format("{}{}:\n", pad, title);
  for (const JsonValue& item : list.items()) out += fmt::format("{}  {}\n", pad, item.text());
  return out;
}

std::string resources_text(const std::string& title, const JsonValue& map, const std::string& pad) {
  if (map.size() == 0) return "";
  std::string out = fmt::format("{}{}:\n", pad, title);
  for (const auto& [name, amount] : map.members()) {
    out += fmt::format("{}  {}:\t{}\n", pad, name, amount.text());
  }
  return out;
}

std::string probe_text(const std::string& title, const JsonValue& probe, const std::string& pad) {
  if (probe.is_null()) return "";
  std::string action = "unknown";
  if (const JsonValue exec = probe.get("exec"); !exec.is_null()) {
    std::vector<std::string> words;
    for (const JsonValue& word : exec.get("command").items()) words.push_back(word.text());
    action = fmt::format("exec [{}]", join(words, " "));
  } else if (const JsonValue http = probe.get("httpGet"); !http.is_null()) {
    action = fmt::format("http-get {}://{}:{}{}", to_lower(http.get("scheme").text()),
                         http.get("host").text(), http.get("port").text(), http.get("path").text());
  } else if (const JsonValue tcp = probe.get("tcpSocket"); !tcp.is_null()) {
    action = fmt::format("tcp-socket {}:{}", tcp.get("host").text(), tcp.get("port").text());
  } else if (const JsonValue grpc = probe.get("grpc"); !grpc.is_null()) {
    action = fmt::format("grpc <pod>:{} {}", grpc.get("port").text(), grpc.get("service").text());
  }
  return fmt::format("{}{}:\t{} delay={}s timeout={}s period={}s #success={} #failure={}\n", pad,
                     title, action, probe.get("initialDelaySeconds").number(),
                     probe.get("timeoutSeconds").number(), probe.get("periodSeconds").number(),
                     probe.get("successThreshold").number(),
                     probe.get("failureThreshold").number());
}

std::string env_text(const JsonValue& container, const std::string& pad) {
  std::string out;
  if (const auto from = container.get("envFrom").items(); !from.empty()) {
    out += fmt::format("{}Environment Variables from:\n", pad);
    for (const JsonValue& source : from) {
      const bool secret = source.has("secretRef");
      out += fmt::format("{}  {}\t{}\tOptional: {}\n", pad,
                         source.get(secret ? "secretRef" : "configMapRef").get("name").text(),
                         secret ? "Secret" : "ConfigMap", false);
    }
  }
  if (container.get("env").size() == 0) return out + fmt::format("{}Environment:\t<none>\n", pad);
  out += fmt::format("{}Environment:\n", pad);
  for (const JsonValue& entry : container.get("env").items()) {
    std::string value = entry.get("value").text();
    const JsonValue from = entry.get("valueFrom");
    for (const auto& [key, kind] :
         {std::pair{"secretKeyRef", "in secret"}, {"configMapKeyRef", "of config map"}}) {
      if (const JsonValue ref = from.get(key); !ref.is_null()) {
        value = fmt::format("<set to the key '{}' {} '{}'>\tOptional: {}", ref.get("key").text(),
                            kind, ref.get("name").text(), ref.get("optional").boolean());
      }
    }
    if (const JsonValue ref = from.get("fieldRef"); !ref.is_null()) {
      value = fmt::format(" ({}:{})", ref.get("apiVersion").text(), ref.get("fieldPath").text());
    }
    if (const JsonValue ref = from.get("resourceFieldRef"); !ref.is_null()) {
      value = ref.get("resource").text();
    }
    out += fmt::format("{}  {}:\t{}\n", pad, entry.get("name").text(), value);
  }
  return out;
}

std::string mounts_text(const JsonValue& container, const std::string& pad) {
  if (container.get("volumeMounts").size() == 0) return fmt::format("{}Mounts:\t<none>\n", pad);
  std::string out = fmt::format("{}Mounts:\n", pad);
  for (const JsonValue& mount : container.get("volumeMounts").items()) {
    std::string flags = mount.get("readOnly").boolean() ? "ro" : "rw";
    if (const std::string path = mount.get("subPath").text(); !path.empty()) {
      flags += fmt::format(",path=\"{}\"", path);
    }
    out += fmt::format("{}  {} from {} ({})\n", pad, mount.get("mountPath").text(),
                       mount.get("name").text(), flags);
  }
  return out;
}

}  // namespace

std::string time_text(const JsonValue& value) {
  std::string text_given = value.text();
  if (const size_t dot = text_given.find('.'); dot != std::string::npos) {  // microseconds
    text_given.replace(dot, std::string::npos, "Z");
  }
  const auto time = api::Time::parse(text_given);
  if (!time || !*time) return value.text();
  const std::time_t seconds = time->unix_seconds;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[64];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &utc);
  return text;
}

std::string age_of(const std::string& text, WallTime now) {
  const auto time = api::Time::parse(text);
  if (!time || !*time) return "<unknown>";
  return human_duration(std::chrono::duration_cast<Seconds>(now - time->wall()).count());
}

std::string describe_map(const std::string& title, const JsonValue& map,
                         const std::string& separator) {
  auto members = map.members();
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out, before = title + ":\t";
  for (const auto& [key, value] : members) {
    if (key == "kubectl.kubernetes.io/last-applied-configuration") continue;
    std::string shown = value.text();
    std::replace(shown.begin(), shown.end(), '\n', ' ');
    out += fmt::format("{}{}{}{}\n", before, key, separator, shown);
    before = "\t";
  }
  return out.empty() ? title + ":\t<none>\n" : out;
}

std::string describe_containers(const std::string& title, const JsonValue& containers,
                                const JsonValue& statuses, size_t indent) {
  if (containers.size() == 0) return "";
  const std::string outer(indent, ' '), pad(4, ' ');
  std::string out = fmt::format("{}{}:\n", outer, title);
  for (const JsonValue& container : containers.items()) {
    const std::string name = container.get("name").text();
    JsonValue status;
    for (const JsonValue& one : statuses.items()) {
      if (one.get("name").text() == name) status = one;
    }
    out += fmt::format("{}{}:\n", indent == 0 ? "  " : "   ", name);
    if (!status.is_null()) {
      out += fmt::format("{}Container ID:\t{}\n", pad, status.get("containerID").text());
    }
    out += fmt::format("{}Image:\t{}\n", pad, container.get("image").text());
    if (!status.is_null())
      out += fmt::format("{}Image ID:\t{}\n", pad, status.get("imageID").text());
    const std::string ports = ports_text(container.get("ports"), "containerPort");
    const std::string plural = container.get("ports").size() > 1 ? "s" : "";
    out += fmt::format("{}Port{}:\t{}\n", pad, plural, ports.empty() ? "<none>" : ports);
    out += fmt::format("{}Host Port{}:\t{}\n", pad, plural,
                       ports.empty() ? "<none>" : ports_text(container.get("ports"), "hostPort"));
    out += list_text("Command", container.get("command"), pad);
    out += list_text("Args", container.get("args"), pad);
    if (!status.is_null()) {
      out += state_text("State", status.get("state"), pad);
      out += state_text("Last State", status.get("lastState"), pad);
      out += fmt::format("{}Ready:\t{}\n{}Restart Count:\t{}\n", pad,
                         status.get("ready").boolean() ? "True" : "False", pad,
                         status.get("restartCount").number());
    }
    out += resources_text("Limits", container.at("resources.limits"), pad);
    out += resources_text("Requests", container.at("resources.requests"), pad);
    out += probe_text("Liveness", container.get("livenessProbe"), pad);
    out += probe_text("Readiness", container.get("readinessProbe"), pad);
    out += probe_text("Startup", container.get("startupProbe"), pad);
    out += env_text(container, pad);
    out += mounts_text(container, pad);
  }
  return out;
}

namespace {

struct VolumeText {
  std::string_view source, about;
  std::vector<std::array<std::string_view, 3>> fields;  // title, path, what stands for nothing
};

const VolumeText* volume_text(std::string_view source) {
  static const std::vector<VolumeText> all = {
      {"emptyDir",
       "EmptyDir (a temporary directory that shares a pod's lifetime)",
       {{"Medium", "medium", ""}, {"SizeLimit", "sizeLimit", "<unset>"}}},
      {"hostPath",
       "HostPath (bare host directory volume)",
       {{"Path", "path", ""}, {"HostPathType", "type", ""}}},
      {"configMap",
       "ConfigMap (a volume populated by a ConfigMap)",
       {{"Name", "name", ""}, {"Optional", "optional", "false"}}},
      {"secret",
       "Secret (a volume populated by a Secret)",
       {{"SecretName", "secretName", ""}, {"Optional", "optional", "false"}}},
      {"persistentVolumeClaim",
       "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
       {{"ClaimName", "claimName", ""}, {"ReadOnly", "readOnly", "false"}}},
      {"nfs",
       "NFS (an NFS mount that lasts the lifetime of a pod)",
       {{"Server", "server", ""}, {"Path", "path", ""}, {"ReadOnly", "readOnly", "false"}}},
      {"csi",
       "CSI (a Container Storage Interface (CSI) volume source)",
       {{"Driver", "driver", ""}, {"FSType", "fsType", ""}, {"ReadOnly", "readOnly", "false"}}},
      {"local",
       "LocalVolume (a persistent volume backed by local storage on a node)",
       {{"Path", "path", ""}}}};
  for (const VolumeText& one : all) {
    if (one.source == source) return &one;
  }
  return nullptr;
}

std::string projected_text(const JsonValue& source, const std::string& pad) {
  std::string out = fmt::format(
      "{}Type:\tProjected (a volume that contains injected data from multiple sources)\n", pad);
  for (const JsonValue& part : source.get("sources").items()) {
    if (const JsonValue secret = part.get("secret"); !secret.is_null()) {
      out += fmt::format("{}SecretName:\t{}\n{}SecretOptionalName:\t{}\n", pad,
                         secret.get("name").text(), pad,
                         secret.has("optional") ? secret.get("optional").text() : "<nil>");
    } else if (const JsonValue map = part.get("configMap"); !map.is_null()) {
      out += fmt::format("{}ConfigMapName:\t{}\n{}ConfigMapOptional:\t{}\n", pad,
                         map.get("name").text(), pad,
                         map.has("optional") ? map.get("optional").text() : "<nil>");
    } else if (part.has("downwardAPI")) {
      out += fmt::format("{}DownwardAPI:\ttrue\n", pad);
    } else if (const JsonValue token = part.get("serviceAccountToken"); !token.is_null()) {
      out += fmt::format("{}TokenExpirationSeconds:\t{}\n", pad,
                         token.get("expirationSeconds").number());
    }
  }
  return out;
}

}  // namespace

std::string describe_volume_source(const std::string& kind, const JsonValue& source,
                                   const std::string& pad) {
  if (kind == "projected") return projected_text(source, pad);
  std::string out;
  if (const VolumeText* text = volume_text(kind)) {
    out = fmt::format("{}Type:\t{}\n", pad, text->about);
    for (const auto& [title, path, nothing] : text->fields) {
      const std::string value = source.get(path).text();
      out += fmt::format("{}{}:\t{}\n", pad, title, value.empty() ? nothing : value);
    }
    return out;
  }
  auto capital = [](std::string word) {
    word[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
    return word;
  };
  out = fmt::format("{}Type:\t{}\n", pad, capital(kind));
  for (const auto& [key, value] : source.members()) {
    out += fmt::format("{}{}:\t{}\n", pad, capital(key),
                       value.is_object() || value.is_array() ? value.dump() : value.text());
  }
  return out;
}

std::string describe_volumes(const JsonValue& volumes, size_t indent) {
  const std::string outer(indent, ' '), pad(4, ' ');
  if (volumes.size() == 0) return indent == 0 ? "" : fmt::format("{}Volumes:\t<none>\n", outer);
  std::string out = fmt::format("{}Volumes:\n", outer);
  for (const JsonValue& volume : volumes.items()) {
    out += fmt::format("{}{}:\n", indent == 0 ? "  " : "   ", volume.get("name").text());
    for (const auto& [kind, source] : volume.members()) {
      if (kind != "name") out += describe_volume_source(kind, source, pad);
    }
  }
  return out;
}

std::string describe_template(const JsonValue& pod_template) {
  const JsonValue spec = pod_template.get("spec");
  std::string out = "Pod Template:\n";
  out += describe_map("  Labels", pod_template.at("metadata.labels"), "=");
  if (pod_template.at("metadata.annotations").size() != 0) {
    out += describe_map("  Annotations", pod_template.at("metadata.annotations"), ": ");
  }
  if (const std::string account = spec.get("serviceAccountName").text(); !account.empty()) {
    out += fmt::format("  Service Account:\t{}\n", account);
  }
  out += describe_containers("Init Containers", spec.get("initContainers"), {}, 2);
  out += describe_containers("Containers", spec.get("containers"), {}, 2);
  out += describe_volumes(spec.get("volumes"), 2);
  if (const std::string name = spec.get("priorityClassName").text(); !name.empty()) {
    out += fmt::format("  Priority Class Name:\t{}\n", name);
  }
  out += describe_map("  Node-Selectors", spec.get("nodeSelector"), "=");
  return out + "  " + describe_tolerations(spec.get("tolerations"));
}

std::string describe_events(const Described& what) {
  if (what.events.empty()) return "Events:\t<none>\n";
  std::string out =
      "Events:\n  Type\tReason\tAge\tFrom\tMessage\n  ----\t------\t----\t----\t-------\n";
  for (const JsonValue& event : what.events) {
    std::string first = event.get("firstTimestamp").text(),
                last = event.get("lastTimestamp").text();
    if (first.empty()) first = event.get("eventTime").text();
    if (last.empty()) last = event.at("series.lastObservedTime").text();
    if (last.empty()) last = first;
    int64_t count = event.get("count").number();
    if (event.has("series")) count = event.at("series.count").number();
    const std::string age = count > 1 ? fmt::format("{} (x{} over {})", age_of(last, what.now),
                                                    count, age_of(first, what.now))
                                      : age_of(first, what.now);
    std::string from = event.at("source.component").text();
    if (from.empty()) from = event.get("reportingComponent").text();
    std::string message(trim(event.get("message").text()));
    std::replace(message.begin(), message.end(), '\n', ' ');
    out += fmt::format("  {}\t{}\t{}\t{}\t{}\n", event.get("type").text(),
                       event.get("reason").text(), age, from, message);
  }
  return out;
}

}  // namespace orch::ctl
