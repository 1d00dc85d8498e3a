// The NodeConnector over net::HttpClient: kubelets by their Node objects.
#pragma once

#include <memory>

#include "server/api/api_server.h"

namespace orch::server {

// `unverified` may be null: then every kubelet must show its certificate.
std::shared_ptr<NodeConnector> make_node_connector(
    Registry& registry, std::shared_ptr<net::TlsClientContext> tls,
    std::shared_ptr<net::TlsClientContext> unverified = nullptr);

// A failure on the way to a backend: 500 without a reason, or `code`, with just this text, as
// upstream's proxies answer.
api::Error backend_error(int code, std::string_view text);

}  // namespace orch::server
