// The one place where a store's error becomes an API error.
#include <fmt/format.h>

#include "orch/base/strings.h"
#include "server/registry/registry.h"

namespace orch::server {

api::Error to_api_error(const storage::Error& error) {
  switch (error.code) {
    case storage::ErrorCode::kCompacted:
      return api::expired("The resourceVersion for the provided list is too old.");
    case storage::ErrorCode::kFutureRev:
      return api::timeout("Too large resource version", 1);
    case storage::ErrorCode::kTooLarge:
      return api::request_entity_too_large("etcdserver: request is too large");
    case storage::ErrorCode::kUnavailable:
      return api::service_unavailable(error.message);
    case storage::ErrorCode::kNoSpace:
      return api::internal_error("no space left on the data disk: " + error.message);
    default:
      return api::internal_error(error.message);
  }
}

api::Error too_large_resource_version(storage::Revision asked, storage::Revision current) {
  api::Error error =
      api::timeout(fmt::format("Too large resource version: {}, current: {}", asked, current), 1);
  error.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  return error;
}

api::ApiResult<storage::Revision> parse_resource_version(std::string_view text) {
  if (text.empty()) return storage::Revision{0};
  const auto value = parse_int(text);
  const bool digits = text.find_first_not_of("0123456789") == std::string_view::npos;
  if (!value || !digits) {
    return Err(api::bad_request(fmt::format(
        "invalid resource version: resourceVersion: Invalid value: \"{}\": strconv.ParseUint: "
        "parsing \"{}\": {}",
        text, text, digits ? "value out of range" : "invalid syntax")));
  }
  return storage::Revision{*value};
}

}  // namespace orch::server
