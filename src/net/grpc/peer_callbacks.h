// What nghttp2 calls; made once. Private to net/grpc.
#pragma once

struct nghttp2_session_callbacks;

namespace orch::net {

const nghttp2_session_callbacks* peer_callbacks();

}  // namespace orch::net
