#include "server/scheduler/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "orch/api/codec.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"
#include "server/scheduler/config_plugins.h"
#include "server/scheduler/config_reader.h"

namespace orch::server::scheduler {
namespace {

constexpr std::string_view kKind = "KubeSchedulerConfiguration";
constexpr std::string_view kApiVersion = "kubescheduler.config.k8s.io/v1";

// Go's time.Duration: "1h2m3.5s".
std::optional<Micros> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double micros;
  };
  constexpr Unit kUnits[] = {{"ns", 1e-3}, {"us", 1},  {"ms", 1e3},
                             {"s", 1e6},   {"m", 6e7}, {"h", 3.6e9}};
  constexpr double kMax = 1e15;
  double total = 0;
  if (text.empty()) return std::nullopt;
  if (text == "0") return Micros{0};
  while (!text.empty()) {
    const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    const size_t end = std::min(text.find_first_of("0123456789.", digits), text.size());
    const std::string number(text.substr(0, digits));
    const std::string_view unit = text.substr(digits, end - digits);
    const auto* found = std::find_if(std::begin(kUnits), std::end(kUnits),
                                     [&](const Unit& u) { return u.name == unit; });
    if (number.empty() || number == "." || std::count(number.begin(), number.end(), '.') > 1 ||
        found == std::end(kUnits)) {
      return std::nullopt;
    }
    total += std::strtod(number.c_str(), nullptr) * found->micros;
    if (total > kMax) return std::nullopt;
    text.remove_prefix(end);
  }
  return Micros{static_cast<int64_t>(std::llround(total))};
}

std::string read_base64(ConfigReader& reader, const At& at) {
  auto decoded = base64_decode(reader.text(at));
  if (!decoded) reader.errors().invalid(at.path, "\"...\"", "must be base64");
  return decoded.value_or("");
}

void read_tls(ConfigReader& reader, const At& at, ExtenderTls& out) {
  auto text = [&](std::string& to) { return [&](const At& v) { to = reader.text(v); }; };
  auto data = [&](std::string& to) { return [&](const At& v) { to = read_base64(reader, v); }; };
  reader.object(at, {{"insecure", [&](const At& v) { out.insecure = reader.boolean(v); }},
                     {"serverName", text(out.server_name)},
                     {"certFile", text(out.cert_file)},
                     {"keyFile", text(out.key_file)},
                     {"caFile", text(out.ca_file)},
                     {"certData", data(out.cert_pem)},
                     {"keyData", data(out.key_pem)},
                     {"caData", data(out.ca_pem)}});
  if (out.insecure && (!out.ca_file.empty() || !out.ca_pem.empty())) {
    reader.errors().invalid(at.path + ".insecure", "true",
                            "specifying a root certificates file with the insecure flag is not "
                            "allowed");
  }
}

void read_managed(ConfigReader& reader, const At& at, ExtenderConfig& out) {
  reader.array(at, [&](const At& item) {
    ExtenderConfig::Managed one;
    reader.object(item, {{"name", [&](const At& v) { one.name = reader.text(v); }},
                         {"ignoredByScheduler",
                          [&](const At& v) { one.ignored_by_scheduler = reader.boolean(v); }}});
    if (one.name.find('/') == std::string::npos) {
      reader.errors().invalid(item.path + ".name", api::go_quoted(one.name),
                              "must be the name of an extended resource");
    }
    out.managed_resources.push_back(std::move(one));
  });
}

ExtenderConfig read_extender(ConfigReader& reader, const At& at) {
  ExtenderConfig out;
  out.weight = 0;
  auto text = [&](std::string& to) { return [&](const At& v) { to = reader.text(v); }; };
  auto flag = [&](bool& to) { return [&](const At& v) { to = reader.boolean(v); }; };
  constexpr int64_t kWeightMax = 1'000'000;
  reader.object(at,
                {{"urlPrefix", text(out.url_prefix)},
                 {"filterVerb", text(out.filter_verb)},
                 {"prioritizeVerb", text(out.prioritize_verb)},
                 {"preemptVerb", text(out.preempt_verb)},
                 {"bindVerb", text(out.bind_verb)},
                 {"weight", [&](const At& v) { out.weight = reader.integer(v, 0, kWeightMax); }},
                 {"enableHTTPS", flag(out.enable_https)},
                 {"tlsConfig", [&](const At& v) { read_tls(reader, v, out.tls); }},
                 {"httpTimeout",
                  [&](const At& v) {
                    const auto timeout = parse_duration(reader.text(v));
                    if (!timeout || *timeout < Millis{1}) {
                      reader.errors().invalid(v.path, v.value.dump(), "must be a duration like 5s");
                    } else {
                      out.timeout = *timeout;
                    }
                  }},
                 {"nodeCacheCapable", flag(out.node_cache_capable)},
                 {"managedResources", [&](const At& v) { read_managed(reader, v, out); }},
                 {"ignorable", flag(out.ignorable)}});
  if (out.url_prefix.empty()) reader.errors().required(at.path + ".urlPrefix");
  if (!out.prioritize_verb.empty() && out.weight == 0) {
    reader.errors().invalid(at.path + ".weight", "0", "must have a positive weight applied to it");
  }
  return out;
}

ProfileConfig read_profile(ConfigReader& reader, const At& at) {
  ProfileConfig out;
  constexpr int64_t kPercent = 100;
  reader.object(at,
                {{"schedulerName", [&](const At& v) { out.scheduler_name = reader.text(v); }},
                 {"percentageOfNodesToScore",
                  [&](const At& v) { out.percentage_of_nodes = reader.integer(v, 0, kPercent); }},
                 {"plugins", [&](const At& v) { read_plugins(reader, v, out); }},
                 {"pluginConfig", [&](const At& v) { read_plugin_config(reader, v, out.args); }}});
  if (out.scheduler_name.empty()) reader.errors().required(at.path + ".schedulerName");
  return out;
}

void check_extenders(ConfigReader& reader, SchedulerConfig& config) {
  std::set<std::string> managed;
  size_t binders = 0;
  for (size_t i = 0; i < config.extenders.size(); ++i) {
    const auto& extender = config.extenders[i];
    const std::string path = fmt::format("extenders[{}]", i);
    if (!extender.bind_verb.empty() && ++binders == 2) {
      reader.errors().invalid(path + ".bindVerb", api::go_quoted(extender.bind_verb),
                              "only one extender can implement bind");
    }
    for (size_t r = 0; r < extender.managed_resources.size(); ++r) {
      const auto& resource = extender.managed_resources[r];
      if (!managed.insert(resource.name).second) {
        reader.errors().duplicate(fmt::format("{}.managedResources[{}].name", path, r),
                                  api::go_quoted(resource.name));
      }
      if (!resource.ignored_by_scheduler) continue;
      for (auto& profile : config.profiles) profile.args.ignored_resources.insert(resource.name);
    }
  }
}

void check_profiles(ConfigReader& reader, SchedulerConfig& config, int64_t percentage) {
  if (config.profiles.empty()) config.profiles.emplace_back();
  std::set<std::string> names;
  for (size_t i = 0; i < config.profiles.size(); ++i) {
    auto& profile = config.profiles[i];
    if (profile.percentage_of_nodes == 0) profile.percentage_of_nodes = percentage;
    if (names.insert(profile.scheduler_name).second) continue;
    reader.errors().duplicate(fmt::format("profiles[{}].schedulerName", i),
                              api::go_quoted(profile.scheduler_name));
  }
}

SchedulerConfig read_config(ConfigReader& reader, const At& at) {
  SchedulerConfig out;
  out.profiles.clear();
  constexpr int64_t kPercent = 100;
  constexpr int64_t kParallelismMax = 1'000'000;
  int64_t percentage = 0;
  auto seconds = [&](Micros& to, int64_t min, std::string_view otherwise) {
    return [&to, min, otherwise, &reader](const At& v) {
      to = Seconds{reader.at_least(v, min, otherwise)};
    };
  };
  const auto ignored = ConfigReader::ignored();
  reader.object(
      at,
      {{"kind", [&](const At& v) { reader.choice(v, {std::string(kKind)}); }},
       {"apiVersion", [&](const At& v) { reader.choice(v, {std::string(kApiVersion)}); }},
       // Cycles run one after the other and look at the nodes on one thread: nothing to set.
       {"parallelism", [&](const At& v) { reader.integer(v, 1, kParallelismMax); }},
       // The scheduler lives in the server's process: there is one, and it needs no connection.
       {"leaderElection", ignored},
       {"clientConnection", ignored},
       {"healthzBindAddress", ignored},
       {"metricsBindAddress", ignored},
       {"enableProfiling", [&](const At& v) { reader.boolean(v); }},
       {"enableContentionProfiling", [&](const At& v) { reader.boolean(v); }},
       {"delayCacheUntilActive", [&](const At& v) { reader.boolean(v); }},
       {"percentageOfNodesToScore",
        [&](const At& v) { percentage = reader.integer(v, 0, kPercent); }},
       {"podInitialBackoffSeconds", seconds(out.pod_initial_backoff, 1, "must be greater than 0")},
       {"podMaxBackoffSeconds",
        seconds(out.pod_max_backoff, 1,
                "must be greater than or equal to PodInitialBackoffSeconds")},
       {"profiles",
        [&](const At& v) {
          reader.array(v,
                       [&](const At& item) { out.profiles.push_back(read_profile(reader, item)); });
        }},
       {"extenders", [&](const At& v) {
          reader.array(
              v, [&](const At& item) { out.extenders.push_back(read_extender(reader, item)); });
        }}});
  for (const char* name : {"apiVersion", "kind"}) {
    if (!at.value.has(name)) reader.errors().required(name);
  }
  if (out.pod_max_backoff < out.pod_initial_backoff) {
    reader.errors().invalid("podMaxBackoffSeconds",
                            std::to_string(out.pod_max_backoff / Seconds{1}),
                            "must be greater than or equal to PodInitialBackoffSeconds");
  }
  check_profiles(reader, out, percentage);
  check_extenders(reader, out);
  return out;
}

}  // namespace

Result<SchedulerConfig, std::string> parse_scheduler_config(std::string_view text) {
  std::vector<std::string> findings;
  auto json = api::yaml_to_json(text, &findings);
  if (!json) return Err(json.error().message);
  if (!findings.empty()) return Err(join(findings, "\n"));
  auto value = api::JsonValue::parse(*json);
  if (!value) return Err(value.error());
  if (!value->is_object()) return Err(fmt::format("must be a {}", kKind));
  ConfigReader reader;
  SchedulerConfig out = read_config(reader, {std::move(*value), ""});
  if (auto wrong = reader.report(); !wrong.empty()) return Err(std::move(wrong));
  return out;
}

Result<SchedulerConfig, std::string> load_scheduler_config(const std::string& file) {
  if (file.empty()) return SchedulerConfig{};
  ORCH_TRY(const std::string text, read_file(file));
  auto parsed = parse_scheduler_config(text);
  if (parsed) return parsed;
  return Err(fmt::format("{}: {}", file, join(split(parsed.error(), '\n'), "; ")));
}

}  // namespace orch::server::scheduler
