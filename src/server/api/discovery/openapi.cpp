// /openapi/v2, /openapi/v3 and its parts, in the encodings kubectl and client-go ask for.
#include "orch/api/openapi.h"

#include "server/api/discovery/discovery.h"
#include "server/api/encode.h"

namespace orch::server {
namespace {

constexpr std::string_view kV3 = "/openapi/v3";

// Which of the two encodings; nullopt = none of those asked for.
std::optional<api::OpenApiFormat> format_of(const Call& call, std::string_view version) {
  const auto candidates = parse_accept(call.accept);
  if (candidates.empty()) return api::OpenApiFormat::kJson;
  const std::string prefix = "application/com.github.proto-openapi.spec." + std::string(version);
  for (const AcceptedType& candidate : candidates) {
    const std::string& type = candidate.type;
    if (type == "application/json" || type == "*/*" || type == "application/*") {
      return api::OpenApiFormat::kJson;
    }
    if (type == prefix + "@v1.0+protobuf" || type == prefix + ".v1.0+protobuf") {
      return api::OpenApiFormat::kProtobuf;
    }
  }
  return std::nullopt;
}

void answer_document(const Call& call, const api::OpenApiDocument& document,
                     std::string content_type, net::HttpResponse& response) {
  const std::string etag = "\"" + document.hash + "\"";
  response.set("ETag", etag);
  response.set("Vary", "Accept-Encoding, Accept");
  if (not_modified(call, etag)) {
    response.status = 304;
    return;
  }
  response.status = 200;
  response.set("Content-Type", std::move(content_type));
  response.pieces.push_back(document.body);
}

std::string type_of(api::OpenApiFormat format, std::string_view version) {
  if (format == api::OpenApiFormat::kJson) return "application/json";
  return "application/com.github.proto-openapi.spec." + std::string(version) + ".v1.0+protobuf";
}

void refuse(const Call& call, net::HttpResponse& response) {
  answer_error(call,
               api::not_acceptable("only application/json and the protobuf form of OpenAPI are "
                                   "served"),
               response);
}

void answer_group(const Call& call, std::string_view group, net::HttpResponse& response) {
  const auto format = format_of(call, "v3");
  if (!format) return refuse(call, response);
  const auto document = api::openapi_v3(group, *format);
  if (!document) return answer_page_not_found(response);
  const std::string asked = call.param("hash");
  if (!asked.empty()) {
    if (asked != document->hash) {  // the index the client has is old
      response.status = 301;
      response.set("Location",
                   std::string(kV3) + "/" + std::string(group) + "?hash=" + document->hash);
      return;
    }
    response.set("Cache-Control", "public, immutable");
    response.set("Expires", "Thu, 31 Dec 2099 23:59:59 GMT");
  }
  answer_document(call, *document, type_of(*format, "v3"), response);
}

}  // namespace

bool answer_openapi(ApiServer&, const Call& call, net::HttpResponse& response) {
  const std::string& path = call.info.path;
  if (path == "/openapi/v2") {
    const auto format = format_of(call, "v2");
    if (format) {
      answer_document(call, api::openapi_v2(*format), type_of(*format, "v2"), response);
    } else {
      refuse(call, response);
    }
    return true;
  }
  if (path == kV3 || path == "/openapi/v3/") {
    answer_document(call, api::openapi_v3_index(), "application/json", response);
    return true;
  }
  if (!path.starts_with("/openapi/v3/")) return false;
  answer_group(call, std::string_view(path).substr(kV3.size() + 1), response);
  return true;
}

}  // namespace orch::server
