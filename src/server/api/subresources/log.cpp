// pods/log: streamed from the node's kubelet (/containerLogs).
#include <fmt/format.h>

#include "orch/base/strings.h"
#include "orch/net/websocket.h"
#include "server/api/node_connector.h"
#include "server/api/relay.h"
#include "server/api/subresources/pod_target.h"
#include "server/api/subresources/subresources.h"

namespace orch::server {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// PodLogOptions, checked as upstream's ValidatePodLogOptions, as the kubelet's query.
api::ApiResult<std::string> log_query(const Call& call) {
  Pairs out;
  api::FieldErrors errors;
  std::string malformed;
  for (const char* name : {"follow", "previous", "timestamps"}) {
    if (call.flag(name)) out.emplace_back(name, "true");
  }
  const auto number = [&](const char* name, int64_t least, const char* detail) {
    if (!call.has_param(name)) return;
    const std::string text = call.param(name);
    const auto value = parse_int(text);
    if (!value) {
      malformed = fmt::format("strconv.ParseInt: parsing \"{}\": invalid syntax", text);
    } else if (*value < least) {
      errors.invalid(name, text, detail);
    } else {
      out.emplace_back(name, text);
    }
  };
  number("tailLines", 0, "must be greater than or equal to 0");
  number("limitBytes", 1, "must be greater than 0");
  number("sinceSeconds", 1, "must be greater than 0");
  const std::string since = call.param("sinceTime");
  if (!since.empty()) {
    if (call.has_param("sinceSeconds")) {
      errors.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified");
    } else if (auto time = api::Time::parse(since); !time) {
      malformed = time.error();
    } else {
      out.emplace_back("sinceTime", since);
    }
  }
  if (!malformed.empty()) return Err(api::bad_request(malformed));
  if (!errors.empty()) return Err(api::invalid("", "PodLogOptions", "", errors.take()));
  return make_query(out);
}

api::Error kubelet_error(int code, const std::string& body) {
  if (code == 400) return api::bad_request(trim(body));
  if (code >= 500) return api::internal_error(trim(body));
  api::Error error = api::error_from_response(code, body);
  return error;
}

// Over a WebSocket, if that was asked for (browsers; upstream's wsstream).
Answer as_asked(const Call& call, net::HttpResponse& response) {
  if (!net::is_websocket_request(call.http->headers)) return Unit{};
  const auto offered = net::websocket_protocols(call.http->headers);
  std::string chosen;
  for (const std::string& protocol : offered) {
    if (protocol == "binary.k8s.io" || protocol == "base64.binary.k8s.io") {
      chosen = protocol;
      break;
    }
  }
  if (chosen.empty() && !offered.empty()) {
    return Err(
        api::bad_request(fmt::format("requested protocol(s) are not supported: [{}]; supports [ "
                                     "base64.binary.k8s.io binary.k8s.io]",
                                     join(offered, " "))));
  }
  const auto form =
      chosen == "base64.binary.k8s.io" ? net::MessageForm::kBase64 : net::MessageForm::kBinary;
  if (auto accepted = net::stream_as_messages(*call.http, chosen, form, response); !accepted) {
    return Err(api::bad_request(accepted.error()));
  }
  return Unit{};
}

}  // namespace

Answer serve_log(ApiServer& server, Call& call, const api::ResourceInfo&,
                 net::HttpResponse& response) {
  const RequestInfo& info = call.info;
  if (call.http == nullptr) return Err(api::bad_request("logs need an HTTP request"));
  ORCH_TRY(const std::string query, log_query(call));
  ORCH_TRY(PodPtr pod, server.registry().get_typed<api::corev1::Pod>(info.namespace_, info.name));
  ORCH_TRY(const std::string container, choose_container(*pod, call.param("container")));
  if (pod->spec.nodeName.empty()) {  // nothing has been said yet
    response.status = 200;
    response.set("Content-Type", "text/plain");
    return Unit{};
  }
  RelayRequest request;
  if (call.flag("insecureSkipTLSVerifyBackend")) {
    ORCH_TRY(request.client, server.nodes().kubelet_unverified(pod->spec.nodeName));
  } else {
    ORCH_TRY(request.client, server.nodes().kubelet(pod->spec.nodeName));
  }
  request.method = "GET";
  request.target = fmt::format("/containerLogs/{}/{}/{}", info.namespace_, info.name, container);
  if (!query.empty()) request.target += "?" + query;
  request.on_error = kubelet_error;
  request.content_type = "text/plain";
  ORCH_CHECK(relay(server, std::move(request), response));
  return as_asked(call, response);
}

}  // namespace orch::server
