#include "agent/serve/agent_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include "agent/serve/gate.h"
#include "agent/serve/log_follower.h"
#include "agent/serve/streaming.h"
#include "agent/stats/stats.h"
#include "orch/api/codec.h"
#include "orch/api/json_value.h"
#include "orch/base/log.h"
#include "orch/base/metrics.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

using net::HttpRequest;
using net::HttpResponse;

void refuse(HttpResponse& response, int status, std::string text) {
  response.status = status;
  response.set("Content-Type", "text/plain");
  response.body = std::move(text);
}

void refuse(HttpResponse& response, const Error& error) {
  int status = 500;
  if (error.code == Error::Code::kNotFound) status = 404;
  if (error.code == Error::Code::kConfig) status = 400;
  if (error.code == Error::Code::kUnavailable) status = 503;
  refuse(response, status, error.message);
}

bool flag(const HttpRequest& request, std::string_view name) {
  const std::string value = net::query_value(request.query, name);
  return value == "1" || value == "true";
}

// Either spelling: kubelets take "input", the API's options are called "stdin".
bool stream_flag(const HttpRequest& request, std::string_view kubelet, std::string_view api) {
  return flag(request, kubelet) || flag(request, api);
}

class AgentServerImpl final : public AgentServer {
 public:
  AgentServerImpl(Env& env, PodManager& pods, const client::Client& client)
      : env_(env),
        pods_(pods),
        stats_(env, pods),
        gate_(env.clock, client, pods.config().node_name) {}
  ~AgentServerImpl() override { stop(); }

  Result<Unit, std::string> listen(const AgentServerOptions& options);
  uint16_t port() const override { return http_->port(); }
  void stop() override {
    followers_.stop();
    if (http_) http_->stop();
  }

 private:
  void handle(const HttpRequest& request, HttpResponse& response);
  void route(const HttpRequest& request, const std::vector<std::string>& path,
             HttpResponse& response);
  // Paths without a pod; false = none of them.
  bool page(const std::string& path, HttpResponse& response);
  void list_pods(HttpResponse& response);
  void config_page(HttpResponse& response);
  void logs(const HttpRequest& request, const ContainerTarget& target, HttpResponse& response);
  void whole_log(const std::string& path, const LogOptions& options, HttpResponse& response);
  Result<LogOptions, std::string> log_options(const HttpRequest& request) const;

  Env& env_;
  PodManager& pods_;
  StatsCollector stats_;
  Gate gate_;
  LogFollowers followers_;
  std::unique_ptr<net::HttpServer> http_;
};

Result<Unit, std::string> AgentServerImpl::listen(const AgentServerOptions& options) {
  net::HttpServerOptions http;
  http.address = options.address;
  http.port = options.port;
  http.tls = options.tls;
  http.read_workers = 1;
  http.waits = [](std::string_view, std::string_view) {
    return net::HttpServerOptions::Waits::kPeer;
  };
  auto server = net::HttpServer::start(
      http,
      [this](const HttpRequest& request, HttpResponse& response) { handle(request, response); });
  if (!server) return Err(server.error());
  http_ = std::move(*server);
  return Unit{};
}

void AgentServerImpl::handle(const HttpRequest& request, HttpResponse& response) {
  if (auto refusal = gate_.refuses(request)) {
    return refuse(response, refusal->status, std::move(refusal->text));
  }
  route(request, split(std::string_view(request.path).substr(1), '/'), response);
}

// Paths of the kubelet: /containerLogs/<ns>/<pod>/<container>, /exec/..., /attach/...,
// /portForward/<ns>/<pod>; an optional uid stands between pod and container.
void AgentServerImpl::route(const HttpRequest& request, const std::vector<std::string>& path,
                            HttpResponse& response) {
  const std::string verb = path.empty() ? "" : path[0];
  if (page(request.path, response)) return;
  if (path.size() < 3) return refuse(response, 404, "404 page not found");
  ContainerTarget target{path[1], path[2], "", ""};
  if (verb == "portForward" && path.size() <= 4) {
    if (path.size() == 4) target.pod_uid = path[3];
    std::vector<int32_t> ports;
    for (auto [it, end] = request.query.equal_range("port"); it != end; ++it) {
      for (const auto& text : split(it->second, ',')) {
        const auto port = parse_int(text);
        if (!port || *port < 1 || *port > 65535) {
          return refuse(response, 400, fmt::format("port: \"{}\" is not a port", text));
        }
        ports.push_back(static_cast<int32_t>(*port));
      }
    }
    auto url = pods_.port_forward_url(target, ports);
    if (!url) return refuse(response, url.error());
    return stream_ports(request, *url, response);
  }
  if (path.size() < 4 || path.size() > 5) return refuse(response, 404, "404 page not found");
  target.container = path.back();
  if (path.size() == 5) target.pod_uid = path[3];
  if (verb == "containerLogs") return logs(request, target, response);
  ExecOptions options;
  options.stdin_open = stream_flag(request, "input", "stdin");
  options.stdout_open = stream_flag(request, "output", "stdout");
  options.stderr_open = stream_flag(request, "error", "stderr");
  options.tty = flag(request, "tty");
  if (verb == "exec") {
    for (auto [it, end] = request.query.equal_range("command"); it != end; ++it) {
      options.command.push_back(it->second);
    }
    if (options.command.empty()) {
      return refuse(response, 400, "you must specify at least 1 command for the container");
    }
    auto url = pods_.exec_url(target, options);
    if (!url) return refuse(response, url.error());
    return stream_command(request, *url, options, response);
  }
  if (verb == "attach") {
    auto url = pods_.attach_url(target, options);
    if (!url) return refuse(response, url.error());
    return stream_command(request, *url, options, response);
  }
  refuse(response, 404, "404 page not found");
}

bool AgentServerImpl::page(const std::string& full_path, HttpResponse& response) {
  std::string path = full_path;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  constexpr const char* kMetrics = "text/plain; version=0.0.4; charset=utf-8";
  if (path == "/healthz" || path == "/healthz/ping" || path == "/healthz/syncloop") {
    refuse(response, 200, "ok");
  } else if (path == "/pods" || path == "/runningpods") {
    list_pods(response);
  } else if (path == "/configz") {
    config_page(response);
  } else if (path == "/metrics" || path == "/metrics/probes") {
    response.set("Content-Type", kMetrics);
    response.body = path == "/metrics" ? metrics::render() : render_probe_metrics(pods_.probes());
  } else if (path == "/stats/summary" || path == "/metrics/resource" ||
             path == "/metrics/cadvisor") {
    const auto stats = stats_.collect();
    const bool summary = path == "/stats/summary";
    if (!stats && path != "/metrics/resource") {
      refuse(response, stats.error());
      return true;
    }
    response.set("Content-Type", summary ? "application/json" : kMetrics);
    response.body = !stats                        ? render_failed_scrape()
                    : summary                     ? render_summary(*stats)
                    : path == "/metrics/resource" ? render_resource_metrics(*stats)
                                                  : render_cadvisor_metrics(*stats);
  } else {
    return false;
  }
  return true;
}

// What of a KubeletConfiguration holds here.
void AgentServerImpl::config_page(HttpResponse& response) {
  const PodManagerConfig& config = pods_.config();
  api::JsonValue kubelet = api::JsonValue::object();
  kubelet.set("port", static_cast<int64_t>(port()));
  kubelet.set("enableServer", true);
  kubelet.set("readOnlyPort", 0);
  kubelet.set_at("authentication.anonymous.enabled", false);
  kubelet.set_at("authentication.webhook.enabled", true);
  kubelet.set_at("authorization.mode", "Webhook");
  kubelet.set("clusterDomain", config.cluster_domain);
  api::JsonValue dns = api::JsonValue::array();
  for (const auto& address : config.cluster_dns) dns.push_back(address);
  kubelet.set("clusterDNS", std::move(dns));
  kubelet.set("resolvConf", config.resolv_conf);
  kubelet.set("cgroupDriver", "cgroupfs");
  kubelet.set("cgroupRoot", config.cgroup_root);
  kubelet.set("containerLogMaxSize", std::to_string(config.log_file_bytes_max));
  kubelet.set("containerLogMaxFiles", config.log_files_max);
  kubelet.set("failSwapOn", false);
  kubelet.set("kind", "KubeletConfiguration");
  kubelet.set("apiVersion", "kubelet.config.k8s.io/v1beta1");
  api::JsonValue out = api::JsonValue::object();
  out.set("kubeletconfig", std::move(kubelet));
  response.set("Content-Type", "application/json");
  response.body = out.dump();
}

void AgentServerImpl::list_pods(HttpResponse& response) {
  response.set("Content-Type", "application/json");
  response.body = R"({"kind":"PodList","apiVersion":"v1","metadata":{},"items":[)";
  bool first = true;
  for (const auto& pod : pods_.pods()) {
    if (!first) response.body += ",";
    first = false;
    response.body += api::to_json(*pod);
  }
  response.body += "]}\n";
}

Result<LogOptions, std::string> AgentServerImpl::log_options(const HttpRequest& request) const {
  LogOptions options;
  options.timestamps = flag(request, "timestamps");
  const auto number = [&](const char* name, int64_t& to) -> Result<Unit, std::string> {
    const std::string text = net::query_value(request.query, name);
    if (text.empty()) return Unit{};
    const auto value = parse_int(text);
    if (!value || *value < 0) return Err(fmt::format("{}: invalid value \"{}\"", name, text));
    to = *value;
    return Unit{};
  };
  ORCH_CHECK(number("tailLines", options.tail_lines));
  ORCH_CHECK(number("limitBytes", options.limit_bytes));
  int64_t since_seconds = -1;
  ORCH_CHECK(number("sinceSeconds", since_seconds));
  if (since_seconds >= 0) options.since = env_.clock.now() - Seconds{since_seconds};
  const std::string since_time = net::query_value(request.query, "sinceTime");
  if (!since_time.empty()) {
    auto parsed = api::MicroTime::parse(since_time);
    if (!parsed) return Err("sinceTime: " + parsed.error());
    options.since = parsed->wall();
  }
  return options;
}

void AgentServerImpl::logs(const HttpRequest& request, const ContainerTarget& target,
                           HttpResponse& response) {
  auto options = log_options(request);
  if (!options) return refuse(response, 422, options.error());
  auto path = pods_.log_path(target, flag(request, "previous"));
  if (!path) return refuse(response, path.error());
  response.set("Content-Type", "text/plain");
  if (!flag(request, "follow")) return whole_log(*path, *options, response);
  response.set("Transfer-Encoding", "chunked");
  response.stream([this, path = *path, target, options = *options](auto stream) {
    int64_t offset = 0;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
      offset = tail_offset(fd, options.tail_lines).value_or(0);
      close(fd);
    }
    const auto running = [this, target] { return pods_.container_running(target); };
    if (!followers_.follow(path, offset, options, running, stream)) stream->finish();
  });
}

void AgentServerImpl::whole_log(const std::string& path, const LogOptions& options,
                                HttpResponse& response) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return refuse(response, 404,
                  fmt::format("failed to open log file \"{}\": {}", path, strerror(errno)));
  }
  int64_t offset = tail_offset(fd, options.tail_lines).value_or(0);
  LogFormatter formatter(options);
  char buffer[64 * 1024];
  for (ssize_t n; (n = pread(fd, buffer, sizeof buffer, offset)) > 0; offset += n) {
    if (!formatter.feed({buffer, static_cast<size_t>(n)}, response.body)) break;
  }
  close(fd);
}

}  // namespace

Result<std::unique_ptr<AgentServer>, std::string> AgentServer::start(
    Env& env, PodManager& pods, const client::Client& client, const AgentServerOptions& options) {
  auto server = std::make_unique<AgentServerImpl>(env, pods, client);
  ORCH_CHECK(server->listen(options));
  return std::unique_ptr<AgentServer>(std::move(server));
}

}  // namespace orch::agent
