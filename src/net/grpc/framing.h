// gRPC's own framing inside HTTP/2: length-prefixed messages, status and deadline texts. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orch/base/clock.h"
#include "orch/net/grpc.h"

namespace orch::net {

inline constexpr size_t kGrpcPrefixBytes = 5;  // compressed flag, big-endian length

std::string grpc_prefix(size_t message_bytes);

// Takes bytes in any portions, gives whole messages.
class GrpcAssembler {
 public:
  explicit GrpcAssembler(size_t message_bytes_max) : max_(message_bytes_max) {}
  // Takes some of `bytes` off. A message when one is complete; then call again with the rest.
  // Errors are final.
  Result<std::optional<std::string>, GrpcStatus> take(std::string_view& bytes);
  size_t buffered() const { return prefix_.size() + message_.size(); }
  bool between_messages() const { return prefix_.empty(); }

 private:
  size_t max_;
  std::string prefix_, message_;
  size_t size_ = 0;
};

// "1S", "100m" ...; nothing when malformed.
std::optional<Micros> parse_grpc_timeout(std::string_view text);
std::string format_grpc_timeout(Millis timeout);
// grpc-message: everything but printable ASCII, and '%', as %XX.
std::string encode_grpc_message(std::string_view text);
std::string decode_grpc_message(std::string_view text);

}  // namespace orch::net
