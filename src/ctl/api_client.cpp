#include "ctl/api_client.h"

#include <fmt/format.h>

#include <cstdio>

namespace orch::ctl {
namespace {

// `299 - "text"` of RFC 7234.
void print_warnings(const net::Headers& headers) {
  auto [from, to] = headers.equal_range("Warning");
  for (auto it = from; it != to; ++it) {
    const std::string& value = it->second;
    const size_t open = value.find('"'), close = value.rfind('"');
    if (open == std::string::npos || close <= open) continue;
    std::string text;
    for (size_t i = open + 1; i < close; ++i) {
      if (value[i] == '\\' && i + 1 < close) ++i;
      text += value[i];
    }
    fmt::print(stderr, "Warning: {}\n", text);
  }
}

}  // namespace

Outcome<std::unique_ptr<ApiClient>> ApiClient::create(const Connection& connection,
                                                      Millis timeout) {
  net::HttpClientOptions options;
  options.base_url = connection.server;
  options.server_name = connection.server_name;
  options.connect_timeout = Millis{30'000};
  options.request_timeout = timeout.count() > 0 ? timeout : Millis{24 * 3600 * 1000};
  if (connection.server.starts_with("https://")) {
    net::TlsClientContext::Options tls;
    tls.ca_pem = connection.ca_pem;
    tls.key_pair = {connection.certificate_pem, connection.key_pem};
    tls.insecure_skip_verify = connection.insecure;
    auto context = net::TlsClientContext::create(tls);
    if (!context) return Err(error(context.error()));
    options.tls = *context;
  }
  std::unique_ptr<ApiClient> client(new ApiClient(connection));
  client->http_ = net::HttpClient::create(options);
  return client;
}

net::Headers ApiClient::headers(const std::string& accept) const {
  net::Headers out{{"Accept", accept}, {"User-Agent", "orch-ctl/v1.32 (linux/amd64) kubectl"}};
  if (!connection_.token.empty()) out.emplace("Authorization", "Bearer " + connection_.token);
  for (const auto& [name, value] : connection_.headers) out.emplace(name, value);
  return out;
}

Failure ApiClient::no_answer(const std::string& cause) const {
  std::string host = connection_.server.substr(connection_.server.find("://") + 3);
  return unreachable(host.substr(0, host.find('/')), cause);
}

Outcome<std::string> ApiClient::call(const Call& call) {
  net::Headers sent = headers(call.accept);
  if (!call.body.empty()) sent.emplace("Content-Type", call.content_type);
  auto answer = http_->request(call.method, call.target, sent, call.body);
  if (!answer) return Err(no_answer(answer.error()));
  print_warnings(answer->headers);
  if (answer->status < 200 || answer->status > 299) {
    return Err(server_failure(api::error_from_response(answer->status, answer->body), call.doing));
  }
  return std::move(answer->body);
}

Outcome<api::JsonValue> ApiClient::json(const Call& request) {
  ORCH_TRY(const std::string body, call(request));
  auto value = api::JsonValue::parse(body);
  if (!value) return Err(error(fmt::format("the server's answer is no JSON: {}", value.error())));
  return std::move(*value);
}

Outcome<Unit> ApiClient::stream(const std::string& target, const std::string& accept,
                                const std::function<bool(std::string_view)>& on_data) {
  int status = 0;
  std::string refusal;
  bool stopped = false;
  auto done = http_->stream(
      "GET", target, headers(accept), "",
      [&](const net::HttpResult& head) {
        status = head.status;
        print_warnings(head.headers);
        return true;
      },
      [&](std::string_view bytes) {
        if (status >= 200 && status <= 299) {
          stopped = !on_data(bytes);
          return !stopped;
        }
        refusal += bytes;
        return refusal.size() < 1'000'000;
      },
      net::HttpClient::make_cancel());
  if (status != 0 && (status < 200 || status > 299)) {
    return Err(server_failure(api::error_from_response(status, refusal)));
  }
  if (!done && !stopped) {
    return Err(status == 0 ? no_answer(done.error()) : error(done.error()));
  }
  return Unit{};
}

Outcome<net::HttpClient::Upgraded> ApiClient::upgrade(const std::string& target,
                                                      net::Headers extra) {
  extra.merge(headers("*/*"));
  auto upgraded = http_->upgrade("GET", target, extra);
  if (!upgraded) return Err(no_answer(upgraded.error()));
  if (!upgraded->connection) {
    const net::HttpResult& answer = upgraded->answer;
    return Err(server_failure(api::error_from_response(answer.status, answer.body)));
  }
  return std::move(*upgraded);
}

std::string query_text(const std::vector<std::pair<std::string, std::string>>& query) {
  std::string out;
  for (const auto& [key, value] : query) {
    if (value.empty()) continue;
    out += fmt::format("{}{}={}", out.empty() ? '?' : '&', key, net::url_encode(value));
  }
  return out;
}

}  // namespace orch::ctl
