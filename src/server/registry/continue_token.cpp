#include "server/registry/continue_token.h"

#include "orch/base/json_scan.h"
#include "orch/base/strings.h"

namespace orch::server {

std::string encode_continue(const ContinueToken& token) {
  std::string json =
      "{\"v\":\"meta.k8s.io/v1\",\"rv\":" + std::to_string(token.revision) + ",\"start\":";
  append_json_string(json, token.start);
  json += '}';
  return base64url_encode(json);
}

Result<ContinueToken, std::string> decode_continue(std::string_view text) {
  const auto json = base64url_decode(text);
  if (!json) return Err(std::string("continue key is not valid: illegal base64 data"));
  const auto version = json_member(*json, "v");
  if (!version || *version != "\"meta.k8s.io/v1\"") {
    return Err(
        std::string("continue key is not valid: server does not recognize this encoded "
                    "version \"\""));
  }
  const auto raw_revision = json_member(*json, "rv");
  const auto revision = raw_revision ? parse_int(*raw_revision) : std::nullopt;
  if (!revision || *revision == 0 || *revision < -1) {
    return Err(
        std::string("continue key is not valid: incorrect encoded start resourceVersion "
                    "(version meta.k8s.io/v1)"));
  }
  const auto raw_start = json_member(*json, "start");
  auto start = raw_start ? json_string(*raw_start) : std::nullopt;
  if (!start || start->empty()) {
    return Err(
        std::string("continue key is not valid: encoded start key empty (version "
                    "meta.k8s.io/v1)"));
  }
  if (start->front() == '/' || start->find("..") != std::string::npos) {
    return Err("continue key is not valid: " + *start);
  }
  return ContinueToken{*revision, std::move(*start)};
}

}  // namespace orch::server
