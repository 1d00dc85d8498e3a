// WebSockets to the API server, and the port-forward tunnel through them.
#pragma once

#include <memory>
#include <string>

#include "ctl/api_client.h"
#include "orch/net/spdy.h"
#include "orch/net/websocket.h"

namespace orch::ctl {

// `protocols`: in order of preference, comma-separated; the one agreed on is in protocol().
Outcome<std::unique_ptr<net::WebSocket>> open_websocket(ApiClient& client,
                                                        const std::string& target,
                                                        const std::string& protocols);

// SPDY/3.1 in the binary messages of a WebSocket (KEP-4006), to a pod's portforward subresource.
// A forwarded connection is a pair of streams, opened in this order: "streamtype: error" and
// "streamtype: data", both with "port: <number>" and the same unique "requestid". What comes on the
// error stream is the reason of a failure.
Outcome<std::unique_ptr<net::SpdyClient>> open_port_forward(ApiClient& client,
                                                            const std::string& target);

}  // namespace orch::ctl
