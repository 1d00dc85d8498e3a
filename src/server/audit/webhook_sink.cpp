// Audit events as EventLists, POSTed to the server a kubeconfig file names.
#include <fmt/format.h>

#include <thread>

#include "orch/api/codec.h"
#include "orch/api/json_value.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/net/http.h"
#include "server/audit/sink.h"

namespace orch::server {
namespace {

using api::JsonValue;

constexpr Millis kFirstPause{500};

// The item of a list of named items.
Result<JsonValue, std::string> named(const JsonValue& config, const char* list, const char* inner,
                                     const std::string& name) {
  for (const auto& item : config.get(list).items()) {
    if (item.get("name").text() == name) return item.get(inner);
  }
  return Err(fmt::format("{}: there is none called \"{}\"", list, name));
}

// "x-data" holds it in base64, "x" names a file of it; "" = neither.
Result<std::string, std::string> content(const JsonValue& from, const std::string& field) {
  if (const std::string data = from.get(field + "-data").text(); !data.empty()) {
    auto decoded = base64_decode(data);
    if (!decoded) return Err(field + "-data: not base64");
    return *decoded;
  }
  const std::string path = from.get(field).text();
  if (path.empty()) return std::string();
  auto text = read_file(path);
  if (!text) return Err(field + ": " + text.error());
  return *text;
}

class Webhook final : public AuditSink {
 public:
  Webhook(std::unique_ptr<net::HttpClient> client, std::string target, net::Headers headers,
          int attempts)
      : client_(std::move(client)),
        target_(std::move(target)),
        headers_(std::move(headers)),
        attempts_(attempts) {}

  bool write(const std::vector<std::string>& events) override {
    std::string body =
        R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[)";
    for (size_t i = 0; i < events.size(); ++i) body += (i == 0 ? "" : ",") + events[i];
    body += "]}";
    Millis pause = kFirstPause;
    std::string why;
    for (int attempt = 0; attempt < attempts_; ++attempt) {
      if (attempt > 0) {
        std::this_thread::sleep_for(pause);
        pause *= 2;
      }
      const auto answer = client_->request("POST", target_, headers_, body);
      if (answer && answer->status / 100 == 2) return true;
      why = answer ? fmt::format("status {}", answer->status) : answer.error();
      // What was refused for good is refused again.
      const bool again = !answer || answer->status >= 500 || answer->status == 429;
      if (!again) break;
    }
    log::error("audit", "{} events are lost: the webhook does not take them: {}", events.size(),
               why);
    return false;
  }

 private:
  const std::unique_ptr<net::HttpClient> client_;
  const std::string target_;
  const net::Headers headers_;
  const int attempts_;
};

Result<std::unique_ptr<AuditSink>, std::string> from_config(const JsonValue& config, int attempts) {
  ORCH_TRY(const JsonValue context,
           named(config, "contexts", "context", config.get("current-context").text()));
  ORCH_TRY(const JsonValue cluster,
           named(config, "clusters", "cluster", context.get("cluster").text()));
  JsonValue user = JsonValue::object();
  if (const std::string name = context.get("user").text(); !name.empty()) {
    ORCH_TRY(user, named(config, "users", "user", name));
  }
  const std::string server = cluster.get("server").text();
  const size_t scheme = server.find("://");
  if (scheme == std::string::npos) {
    return Err(fmt::format("clusters[].cluster.server: \"{}\" is not a URL", server));
  }
  const size_t path = server.find('/', scheme + 3);
  net::HttpClientOptions options;
  options.base_url = server.substr(0, path);
  options.request_timeout = Millis{30000};
  options.connections_max = 1;
  if (server.starts_with("https://")) {
    net::TlsClientContext::Options tls;
    ORCH_TRY(tls.ca_pem, content(cluster, "certificate-authority"));
    ORCH_TRY(tls.key_pair.certificate_pem, content(user, "client-certificate"));
    ORCH_TRY(tls.key_pair.private_key_pem, content(user, "client-key"));
    tls.insecure_skip_verify = cluster.get("insecure-skip-tls-verify").boolean();
    ORCH_TRY(options.tls, net::TlsClientContext::create(tls));
  }
  options.server_name = cluster.get("tls-server-name").text();
  net::Headers headers{{"Content-Type", "application/json"}};
  if (const std::string token = user.get("token").text(); !token.empty()) {
    headers.emplace("Authorization", "Bearer " + token);
  }
  return std::unique_ptr<AuditSink>(std::make_unique<Webhook>(
      net::HttpClient::create(options), path == std::string::npos ? "/" : server.substr(path),
      std::move(headers), attempts));
}

}  // namespace

Result<std::unique_ptr<AuditSink>, std::string> make_audit_webhook(const std::string& kubeconfig,
                                                                   int attempts) {
  const auto text = read_file(kubeconfig);
  if (!text) return Err(text.error());
  const auto json = api::yaml_to_json(*text);
  if (!json) return Err(kubeconfig + ": " + json.error().message);
  const auto config = JsonValue::parse(*json);
  if (!config) return Err(kubeconfig + ": " + config.error());
  auto sink = from_config(*config, attempts);
  if (!sink) return Err(kubeconfig + ": " + sink.error());
  return sink;
}

}  // namespace orch::server
