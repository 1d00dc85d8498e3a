#include "net/netlink/socket.h"

#include <fmt/format.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace orch::net {

namespace {

constexpr int kReceiveTimeoutMs = 10000;
constexpr int kReceiveBufferBytes = 4 * 1024 * 1024;

NetlinkFailure failure_of(int code) {
  NetlinkFailure failure;
  failure.code = code;
  return failure;
}

// An NLMSG_ERROR with a code; extended-ACK text follows the echoed header (or message).
NetlinkFailure parse_error(const nlmsghdr* head) {
  const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(head));
  NetlinkFailure failure = failure_of(-error->error);
  failure.sequence = error->msg.nlmsg_seq;
  if (!(head->nlmsg_flags & NLM_F_ACK_TLVS)) return failure;
  size_t skip = sizeof(nlmsgerr);
  if (!(head->nlmsg_flags & NLM_F_CAPPED)) skip += error->msg.nlmsg_len - sizeof(nlmsghdr);
  skip = NLMSG_ALIGN(skip);
  size_t payload = head->nlmsg_len - NLMSG_HDRLEN;
  if (payload <= skip) return failure;
  Attributes attributes(static_cast<const char*>(NLMSG_DATA(head)) + skip, payload - skip);
  failure.text = attributes.text(NLMSGERR_ATTR_MSG);
  return failure;
}

}  // namespace

std::string NetlinkFailure::describe() const {
  std::string reason = std::strerror(code);
  return text.empty() ? reason : fmt::format("{} ({})", reason, text);
}

// ---- attributes ----

void Attributes::each(
    const std::function<void(uint16_t type, std::string_view payload)>& fn) const {
  const auto* at = reinterpret_cast<const nlattr*>(bytes_.data());
  int rest = static_cast<int>(bytes_.size());
  for (; at && nla_ok(at, rest); at = nla_next(at, &rest)) {
    fn(static_cast<uint16_t>(nla_type(at)),
       {static_cast<const char*>(nla_data(at)), static_cast<size_t>(nla_len(at))});
  }
}

std::string_view Attributes::get(uint16_t type) const {
  if (bytes_.empty()) return {};
  const nlattr* at = nla_find(reinterpret_cast<const nlattr*>(bytes_.data()),
                              static_cast<int>(bytes_.size()), type);
  if (!at) return {};
  return {static_cast<const char*>(nla_data(at)), static_cast<size_t>(nla_len(at))};
}

namespace {
template <class T>
T scalar(std::string_view payload, T otherwise) {
  if (payload.size() < sizeof(T)) return otherwise;
  T value;
  std::memcpy(&value, payload.data(), sizeof value);
  return value;
}
}  // namespace

uint32_t Attributes::u32(uint16_t type, uint32_t otherwise) const {
  return scalar(get(type), otherwise);
}
uint16_t Attributes::u16(uint16_t type, uint16_t otherwise) const {
  return scalar(get(type), otherwise);
}
uint8_t Attributes::u8(uint16_t type, uint8_t otherwise) const {
  return scalar(get(type), otherwise);
}
uint32_t Attributes::be32(uint16_t type, uint32_t otherwise) const {
  return be32toh(scalar(get(type), htobe32(otherwise)));
}
uint16_t Attributes::be16(uint16_t type, uint16_t otherwise) const {
  return be16toh(scalar(get(type), htobe16(otherwise)));
}
std::string Attributes::text(uint16_t type) const {
  std::string_view payload = get(type);
  if (payload.data() == nullptr) return "";
  return std::string(payload.substr(0, payload.find('\0')));
}

// ---- socket ----

Result<std::unique_ptr<NetlinkSocket>, NetError> NetlinkSocket::open(int protocol) {
  std::unique_ptr<NetlinkSocket> self(new NetlinkSocket);
  self->socket_ = nl_socket_alloc();
  if (!self->socket_) return Err(NetError("netlink socket: out of memory"));
  nl_socket_disable_auto_ack(self->socket_);
  if (int code = nl_connect(self->socket_, protocol); code < 0) {
    return Err(fmt::format("netlink socket (protocol {}): {}", protocol, nl_geterror(code)));
  }
  int fd = nl_socket_get_fd(self->socket_);
  int on = 1;
  // Best effort: older kernels only lose the explanation, smaller limits only the largest batches.
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  int size = kReceiveBufferBytes;
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  return self;
}

NetlinkSocket::~NetlinkSocket() {
  if (socket_) nl_socket_free(socket_);
}

Result<Unit, NetlinkFailure> NetlinkSocket::send(const std::string& bytes) {
  int fd = nl_socket_get_fd(socket_);
  int size = static_cast<int>(bytes.size() * 2 + 65536);
  if (bytes.size() > 65536) (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  // Left-overs of an earlier exchange that failed half-way must not be taken for our answer.
  char drop[64];
  while (recv(fd, drop, sizeof drop, MSG_DONTWAIT | MSG_TRUNC) > 0) {
  }
  int sent = nl_sendto(socket_, const_cast<char*>(bytes.data()), bytes.size());
  if (sent < 0) return Err(failure_of(errno ? errno : EIO));
  return Unit{};
}

// Calls `fn` per message until it returns false.
Result<Unit, NetlinkFailure> NetlinkSocket::receive(
    const std::function<bool(const nlmsghdr*)>& fn) {
  int fd = nl_socket_get_fd(socket_);
  std::string buffer(256 * 1024, '\0');
  for (;;) {
    pollfd waiting{fd, POLLIN, 0};
    int ready = poll(&waiting, 1, kReceiveTimeoutMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Err(failure_of(errno));
    if (ready == 0) return Err(failure_of(ETIMEDOUT));
    ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Err(failure_of(errno));
    int rest = static_cast<int>(got);
    for (auto* head = reinterpret_cast<nlmsghdr*>(buffer.data()); nlmsg_ok(head, rest);
         head = nlmsg_next(head, &rest)) {
      if (!fn(head)) return Unit{};
    }
  }
}

Result<Unit, NetlinkFailure> NetlinkSocket::transact(MessageWriter& message) {
  return query(message, [](uint16_t, std::string_view) {});
}

Result<Unit, NetlinkFailure> NetlinkSocket::query(MessageWriter& message, const Visitor& fn) {
  const std::string& bytes = message.bytes();
  const auto* request = reinterpret_cast<const nlmsghdr*>(bytes.data());
  const bool dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  const bool acknowledged = request->nlmsg_flags & NLM_F_ACK;
  const uint32_t sequence = request->nlmsg_seq;
  ORCH_CHECK(send(bytes));
  NetlinkFailure failure;
  ORCH_CHECK(receive([&](const nlmsghdr* head) {
    if (head->nlmsg_seq != sequence) return true;
    if (head->nlmsg_type == NLMSG_ERROR) {
      const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(head));
      if (error->error != 0) failure = parse_error(head);
      return false;
    }
    if (head->nlmsg_type == NLMSG_DONE) return false;
    fn(head->nlmsg_type, {static_cast<const char*>(NLMSG_DATA(head)),
                          static_cast<size_t>(head->nlmsg_len - NLMSG_HDRLEN)});
    return dump || acknowledged;
  }));
  if (failure.code != 0) return Err(std::move(failure));
  return Unit{};
}

Result<Unit, NetlinkFailure> NetlinkSocket::batch(MessageWriter& message, uint32_t ack_sequence) {
  ORCH_CHECK(send(message.bytes()));
  NetlinkFailure failure;
  ORCH_CHECK(receive([&](const nlmsghdr* head) {
    if (head->nlmsg_type != NLMSG_ERROR) return true;
    const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(head));
    if (error->error != 0) {
      failure = parse_error(head);
      return false;
    }
    return head->nlmsg_seq != ack_sequence;
  }));
  if (failure.code != 0) return Err(std::move(failure));
  return Unit{};
}

}  // namespace orch::net
