#include "api/kinds/webhook_client.h"

#include <fmt/format.h>

#include "api/validation/object_meta.h"
#include "orch/api/scheme.h"

namespace orch::api {
namespace {

constexpr const char* kForm = "; desired format: https://host[/path]";

struct UrlParts {
  std::string scheme, user, host, query, fragment;
};

// Splits as RFC 3986 does; nothing is decoded.
UrlParts split_url(std::string_view url) {
  UrlParts out;
  if (const size_t hash = url.find('#'); hash != std::string_view::npos) {
    out.fragment = url.substr(hash + 1);
    url = url.substr(0, hash);
  }
  if (const size_t mark = url.find('?'); mark != std::string_view::npos) {
    out.query = url.substr(mark + 1);
    url = url.substr(0, mark);
  }
  const size_t colon = url.find(':');
  if (colon != std::string_view::npos && colon < url.find('/')) {
    out.scheme = url.substr(0, colon);
    url = url.substr(colon + 1);
  }
  if (!url.starts_with("//")) return out;
  url = url.substr(2);
  url = url.substr(0, url.find('/'));
  if (const size_t at = url.rfind('@'); at != std::string_view::npos) {
    out.user = url.substr(0, at);
    url = url.substr(at + 1);
  }
  out.host = url;
  return out;
}

}  // namespace

void validate_webhook_url(const std::string& url, const std::string& path, FieldErrors& errors) {
  const UrlParts parts = split_url(url);
  if (parts.scheme != "https") {
    errors.invalid(path, quoted(parts.scheme),
                   std::string("'https' is the only allowed URL scheme") + kForm);
  }
  if (parts.host.empty()) {
    errors.invalid(path, "\"\"", std::string("host must be specified") + kForm);
  }
  if (!parts.user.empty()) {
    errors.invalid(path, quoted(parts.user), "user information is not permitted in the URL");
  }
  if (!parts.fragment.empty()) {
    errors.invalid(path, quoted(parts.fragment), "fragments are not permitted in the URL");
  }
  if (!parts.query.empty()) {
    errors.invalid(path, quoted(parts.query), "query parameters are not permitted in the URL");
  }
}

void validate_webhook_service(const WebhookService& service, const std::string& path,
                              FieldErrors& errors) {
  if (service.name.empty()) errors.required(path + ".name", "service name is required");
  if (service.namespace_.empty()) {
    errors.required(path + ".namespace", "service namespace is required");
  }
  if (service.port < 1 || service.port > 65535) {
    errors.invalid(path + ".port", std::to_string(service.port),
                   "port is not valid: must be between 1 and 65535, inclusive");
  }
  if (!service.path || service.path->empty() || *service.path == "/") return;
  const std::string& url = *service.path;
  const std::string at = path + ".path";
  const auto bad = [&](const std::string& why) { errors.invalid(at, quoted(url), why); };
  if (url == "//") return bad("segment[0] may not be empty");
  if (url.front() != '/') bad("must start with a '/'");
  std::string_view rest = url;
  rest.remove_prefix(1);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  for (size_t i = 0, begin = 0; begin <= rest.size(); ++i) {
    const size_t end = std::min(rest.find('/', begin), rest.size());
    const std::string_view step = rest.substr(begin, end - begin);
    if (step.empty()) {
      bad(fmt::format("segment[{}] may not be empty", i));
    } else if (const auto why = check_dns1123_subdomain(step); !why.empty()) {
      bad(fmt::format("segment[{}]: {}", i, why));
    }
    begin = end + 1;
  }
}

}  // namespace orch::api
