// The only user of gRPC in the agent: unary calls to a CRI socket with serialised messages, so that
// no generated stubs are needed. One thread completes all calls.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/error.h"
#include "orch/base/clock.h"

namespace google::protobuf {
class MessageLite;
}

namespace orch::agent::cri {

class Channel {
 public:
  // The answer's bytes, or the error; on the channel's thread.
  using Answer = std::function<void(Result<std::string, Error>)>;

  // endpoint: a unix socket, or a gRPC target ("ipv4:10.0.0.1:80").
  static std::unique_ptr<Channel> create(const std::string& endpoint);
  // Fails the calls under way and joins the thread.
  virtual ~Channel() = default;
  // method: "/runtime.v1.RuntimeService/Status".
  virtual void call_bytes(const char* method, const std::string& request, Millis timeout,
                          Answer answer) = 0;
  void call(const char* method, const google::protobuf::MessageLite& request, Millis timeout,
            Answer answer);
};

}  // namespace orch::agent::cri
