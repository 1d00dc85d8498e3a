// How webhooks are reached: by URL or by Service. Pure; texts as upstream.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orch/api/error.h"

namespace orch::api {

struct WebhookService {
  std::string_view namespace_, name;
  std::optional<std::string> path;
  int32_t port = 443;
};

// Must be https://host[/path].
void validate_webhook_url(const std::string& url, const std::string& path, FieldErrors& errors);
void validate_webhook_service(const WebhookService& service, const std::string& path,
                              FieldErrors& errors);

}  // namespace orch::api
