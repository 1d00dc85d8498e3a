#include "server/scheduler/extenders.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/api/error.h"
#include "orch/api/json_value.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/net/http.h"
#include "orch/net/tls.h"

namespace orch::server::scheduler {
namespace {

using api::JsonValue;

// An extender scores from 0 to this; scaled to kScoreMax.
constexpr int64_t kExtenderScoreMax = 10;

Result<Unit, std::string> read_into(std::string& pem, const std::string& file) {
  if (!pem.empty() || file.empty()) return Unit{};
  ORCH_TRY(pem, read_file(file));
  return Unit{};
}

JsonValue json_of(const api::Object& object) {
  return JsonValue::parse(api::to_json(object)).value_or(JsonValue());
}

std::vector<std::string> texts(const JsonValue& list) {
  std::vector<std::string> out;
  for (const auto& item : list.items()) out.push_back(item.text());
  return out;
}

bool holds(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

class Extender {
 public:
  Extender(ExtenderConfig config, std::unique_ptr<net::HttpClient> client, std::string path)
      : config_(std::move(config)), client_(std::move(client)), path_(std::move(path)) {}

  static Result<std::unique_ptr<Extender>, std::string> create(ExtenderConfig config);

  const ExtenderConfig& config() const { return config_; }

  // Pods that ask for none of an extender's resources do not concern it.
  bool concerns(const PodInfo& pod) const {
    if (config_.managed_resources.empty()) return true;
    return std::any_of(config_.managed_resources.begin(), config_.managed_resources.end(),
                       [&](const auto& resource) { return asks_for(*pod.pod, resource.name); });
  }

  Result<JsonValue, std::string> call(const std::string& verb, const JsonValue& arguments) {
    const net::Headers headers{{"Content-Type", "application/json"}};
    auto answer = client_->request("POST", path_ + verb, headers, arguments.dump());
    const std::string url = config_.url_prefix + '/' + verb;
    if (!answer) return Err(fmt::format("Post {}: {}", api::go_quoted(url), answer.error()));
    if (answer->status != 200) {
      return Err(fmt::format("failed {} with extender at URL {}, code {}", verb, config_.url_prefix,
                             answer->status));
    }
    auto value = JsonValue::parse(answer->body);
    if (!value) {
      return Err(fmt::format("extender at URL {}: {}", config_.url_prefix, value.error()));
    }
    return std::move(*value);
  }

  // The pod with the nodes, whole or by name.
  JsonValue arguments(const PodInfo& pod, Nodes nodes) const {
    JsonValue out = JsonValue::object();
    out.set("pod", json_of(*pod.pod));
    JsonValue list = JsonValue::array();
    for (const auto* node : nodes) {
      list.push_back(config_.node_cache_capable ? JsonValue(node->name()) : json_of(*node->node));
    }
    if (config_.node_cache_capable) {
      out.set("nodenames", std::move(list));
      return out;
    }
    JsonValue whole = JsonValue::object();
    whole.set("kind", "NodeList");
    whole.set("apiVersion", "v1");
    whole.set("metadata", JsonValue::object());
    whole.set("items", std::move(list));
    out.set("nodes", std::move(whole));
    return out;
  }

 private:
  static bool asks_for(const corev1::Pod& pod, const std::string& resource) {
    auto any = [&](const auto& containers) {
      return std::any_of(containers.begin(), containers.end(), [&](const auto& container) {
        return container.resources.requests.contains(resource) ||
               container.resources.limits.contains(resource);
      });
    };
    return any(pod.spec.containers) || any(pod.spec.initContainers);
  }

  const ExtenderConfig config_;
  const std::unique_ptr<net::HttpClient> client_;
  const std::string path_;  // of the URL, with a slash at its end
};

Result<std::unique_ptr<Extender>, std::string> Extender::create(ExtenderConfig config) {
  net::HttpClientOptions options;
  const size_t scheme = config.url_prefix.find("://");
  const size_t slash = config.url_prefix.find('/', scheme == std::string::npos ? 0 : scheme + 3);
  options.base_url = config.url_prefix.substr(0, slash);
  std::string path = slash == std::string::npos ? "/" : config.url_prefix.substr(slash);
  if (!path.ends_with('/')) path += '/';
  const bool https = options.base_url.starts_with("https://");
  if (!https && !options.base_url.starts_with("http://")) {
    return Err(std::string("urlPrefix: must begin with http:// or https://"));
  }
  options.request_timeout = std::chrono::duration_cast<Millis>(config.timeout);
  options.connect_timeout = std::min(options.connect_timeout, options.request_timeout);
  if (https || config.enable_https) {
    auto& tls = config.tls;
    ORCH_CHECK(read_into(tls.ca_pem, tls.ca_file));
    ORCH_CHECK(read_into(tls.cert_pem, tls.cert_file));
    ORCH_CHECK(read_into(tls.key_pem, tls.key_file));
    ORCH_TRY(options.tls, net::TlsClientContext::create({.ca_pem = tls.ca_pem,
                                                         .key_pair = {tls.cert_pem, tls.key_pem},
                                                         .insecure_skip_verify = tls.insecure}));
    options.server_name = tls.server_name;
  }
  auto client = net::HttpClient::create(options);
  return std::make_unique<Extender>(std::move(config), std::move(client), std::move(path));
}

Extenders::Extenders() = default;
Extenders::~Extenders() = default;

Result<std::unique_ptr<Extenders>, std::string> Extenders::create(
    const std::vector<ExtenderConfig>& configs) {
  std::unique_ptr<Extenders> out(new Extenders);
  if (configs.empty()) return out;
  for (size_t i = 0; i < configs.size(); ++i) {
    auto made = Extender::create(configs[i]);
    if (!made) return Err(fmt::format("extenders[{}]: {}", i, made.error()));
    out->all_.push_back(std::move(*made));
  }
  // Those that may be ignored last, as upstream has it.
  std::stable_partition(out->all_.begin(), out->all_.end(),
                        [](const auto& extender) { return !extender->config().ignorable; });
  return out;
}

Status Extenders::filter(const PodInfo& pod, std::vector<const NodeInfo*>& feasible,
                         Diagnosis& diagnosis, std::set<std::string>& rejected_by) {
  for (const auto& extender : all_) {
    const auto& config = extender->config();
    if (feasible.empty()) break;
    if (config.filter_verb.empty() || !extender->concerns(pod)) continue;
    auto answer = extender->call(config.filter_verb, extender->arguments(pod, feasible));
    std::string error = answer ? answer->get("error").text() : answer.error();
    if (!error.empty()) {
      if (!config.ignorable) return Status::error(std::move(error));
      log::warn("scheduler",
                "skipping extender {} as it returned error {} and has ignorable flag "
                "set",
                config.url_prefix, error);
      continue;
    }
    std::vector<std::string> left = texts(answer->get("nodenames"));
    if (!config.node_cache_capable || !answer->get("nodenames").is_array()) {
      for (const auto& node : answer->get("nodes").get("items").items()) {
        left.push_back(node.at("metadata.name").text());
      }
    }
    const JsonValue failed = answer->get("failedNodes");
    const JsonValue hopeless = answer->get("failedAndUnresolvableNodes");
    std::erase_if(feasible, [&](const NodeInfo* node) {
      const bool unresolvable = hopeless.has(node->name());
      if (holds(left, node->name()) && !unresolvable) return false;
      const std::string reason =
          unresolvable ? hopeless.get(node->name()).text() : failed.get(node->name()).text();
      diagnosis.refuse(*node,
                       unresolvable ? Status::unresolvable(reason) : Status::unschedulable(reason));
      return true;
    });
    // Nothing in the cluster tells when an extender thinks otherwise: any change may help.
    if (feasible.empty()) rejected_by.insert(std::string(kExtenderName));
  }
  return Status::success();
}

void Extenders::prioritize(const PodInfo& pod, Nodes feasible, std::vector<NodeScore>& scores) {
  for (const auto& extender : all_) {
    const auto& config = extender->config();
    if (config.prioritize_verb.empty() || !extender->concerns(pod)) continue;
    auto answer = extender->call(config.prioritize_verb, extender->arguments(pod, feasible));
    if (!answer) {
      log::debug("scheduler", "extender {}: {}", config.url_prefix, answer.error());
      continue;
    }
    std::map<std::string, int64_t> given;
    for (const auto& item : answer->items()) {
      given[item.get("host").text()] =
          std::clamp<int64_t>(item.get("score").number(), 0, kExtenderScoreMax);
    }
    for (auto& score : scores) {
      auto at = given.find(score.node->name());
      if (at == given.end()) continue;
      score.score += at->second * config.weight * (kScoreMax / kExtenderScoreMax);
    }
  }
}

Status Extenders::preempt(const PodInfo& pod, Candidates& candidates) {
  for (const auto& extender : all_) {
    const auto& config = extender->config();
    if (candidates.empty()) break;
    if (config.preempt_verb.empty() || !extender->concerns(pod)) continue;
    JsonValue arguments = JsonValue::object(), victims = JsonValue::object();
    for (const auto& [node, chosen] : candidates) {
      JsonValue pods = JsonValue::array();
      for (const auto& uid : chosen.uids) {
        JsonValue one = JsonValue::object();
        one.set("uid", uid);
        pods.push_back(std::move(one));
      }
      JsonValue of_node = JsonValue::object();
      of_node.set("pods", std::move(pods));
      of_node.set("numPDBViolations", chosen.budget_violations);
      victims.set(node, std::move(of_node));
    }
    arguments.set("pod", json_of(*pod.pod));
    arguments.set("nodeNameToMetaVictims", std::move(victims));
    auto answer = extender->call(config.preempt_verb, arguments);
    if (!answer) {
      if (config.ignorable) continue;
      return Status::error(answer.error());
    }
    Candidates left;
    for (const auto& [node, chosen] : answer->get("nodeNameToMetaVictims").members()) {
      if (!candidates.contains(node)) continue;
      auto& mine = left[node];
      mine.budget_violations = chosen.get("numPDBViolations").number();
      for (const auto& victim : chosen.get("pods").items()) {
        mine.uids.push_back(victim.get("uid").text());
      }
    }
    candidates = std::move(left);
  }
  return Status::success();
}

std::optional<Status> Extenders::bind(const PodInfo& pod, const std::string& node) {
  for (const auto& extender : all_) {
    const auto& config = extender->config();
    if (config.bind_verb.empty() || !extender->concerns(pod)) continue;
    JsonValue arguments = JsonValue::object();
    arguments.set("podName", pod.name());
    arguments.set("podNamespace", pod.namespace_());
    arguments.set("podUID", pod.uid());
    arguments.set("node", node);
    auto answer = extender->call(config.bind_verb, arguments);
    std::string error = answer ? answer->get("error").text() : answer.error();
    return error.empty() ? Status::success() : Status::error(std::move(error));
  }
  return std::nullopt;
}

}  // namespace orch::server::scheduler
