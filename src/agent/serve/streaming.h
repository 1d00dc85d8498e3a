// Joins exec, attach and port-forward to the runtime's streaming server. WebSocket clients are
// translated: the runtime gets SPDY/3.1 with v4.channel.k8s.io, which can end standard input. SPDY
// clients, and the older WebSocket form of port-forward, pass as raw bytes. Blocks for the
// runtime's answer; the streams themselves run on the server's upgrade threads.
#pragma once

#include <memory>
#include <string>

#include "agent/runtime.h"
#include "agent/serve/channels.h"
#include "orch/net/http.h"
#include "orch/net/spdy.h"
#include "orch/net/websocket.h"

namespace orch::agent {

// `url`: as the runtime gave it; `options`: what it was asked for there.
void stream_command(const net::HttpRequest& request, const std::string& url,
                    const ExecOptions& options, net::HttpResponse& response);
void stream_ports(const net::HttpRequest& request, const std::string& url,
                  net::HttpResponse& response);

// Carries channels to streams and back until the command ended or one side left. Returns then.
void translate_channels(net::WebSocket& peer, net::SpdyClient& runtime,
                        const ChannelProtocol& protocol, const ExecOptions& options);
// Carries the bytes of one connection in binary messages (KEP-4006's tunnel).
void tunnel(net::WebSocket& peer, net::RawConnection& runtime);

}  // namespace orch::agent
