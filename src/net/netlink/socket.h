// One netlink socket (libnl) and what is asked over it. Private to net; the only place that links
// network namespaces, libnl and errno together. Not thread-safe; tied to the namespace it was
// opened in. Failures are errno values with the kernel's own explanation, if it gave one.
#pragma once

#include <linux/netlink.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/netlink/message.h"
#include "orch/base/result.h"
#include "orch/net/host.h"

struct nl_sock;

namespace orch::net {

struct NetlinkFailure {
  int code = 0;                  // errno, > 0
  std::string text;              // the kernel's explanation, or ""
  uint32_t sequence = 0;         // of the message that failed (batches)
  std::string describe() const;  // "Operation not permitted (…)"
};

// A parsed attribute list: attribute(type) is the payload, or an empty view with null data.
class Attributes {
 public:
  Attributes(const void* data, size_t size) : bytes_(static_cast<const char*>(data), size) {}
  explicit Attributes(std::string_view bytes) : bytes_(bytes) {}
  std::string_view get(uint16_t type) const;
  bool has(uint16_t type) const { return get(type).data() != nullptr; }
  Attributes nested(uint16_t type) const { return Attributes(get(type)); }
  uint32_t u32(uint16_t type, uint32_t otherwise = 0) const;
  uint16_t u16(uint16_t type, uint16_t otherwise = 0) const;
  uint8_t u8(uint16_t type, uint8_t otherwise = 0) const;
  uint32_t be32(uint16_t type, uint32_t otherwise = 0) const;
  uint16_t be16(uint16_t type, uint16_t otherwise = 0) const;
  std::string text(uint16_t type) const;  // without its NUL
  void each(const std::function<void(uint16_t type, std::string_view payload)>& fn) const;

 private:
  std::string_view bytes_;
};

class NetlinkSocket {
 public:
  static Result<std::unique_ptr<NetlinkSocket>, NetError> open(int protocol);
  ~NetlinkSocket();
  NetlinkSocket(const NetlinkSocket&) = delete;
  NetlinkSocket& operator=(const NetlinkSocket&) = delete;

  uint32_t next_sequence() { return ++sequence_; }
  // One request, answered by an ACK (the message must carry NLM_F_ACK).
  Result<Unit, NetlinkFailure> transact(MessageWriter& message);
  // A dump or a get: `fn` sees each answering message's payload (after nlmsghdr).
  using Visitor = std::function<void(uint16_t type, std::string_view payload)>;
  Result<Unit, NetlinkFailure> query(MessageWriter& message, const Visitor& fn);
  // An nfnetlink batch in one send; `ack_sequence` is the message carrying NLM_F_ACK. The first
  // error wins; then nothing of the batch happened.
  Result<Unit, NetlinkFailure> batch(MessageWriter& message, uint32_t ack_sequence);

 private:
  NetlinkSocket() = default;
  Result<Unit, NetlinkFailure> send(const std::string& bytes);
  Result<Unit, NetlinkFailure> receive(const std::function<bool(const nlmsghdr*)>& fn);

  nl_sock* socket_ = nullptr;
  uint32_t sequence_ = 0;
};

}  // namespace orch::net
