#include "net/netlink/message.h"

#include <endian.h>
#include <linux/netlink.h>

#include <cstddef>

namespace orch::net {

void MessageWriter::append(const void* data, size_t size) {
  buffer_.append(static_cast<const char*>(data), size);
  buffer_.append((4 - size % 4) % 4, '\0');
}

void MessageWriter::begin(uint16_t type, uint16_t flags, uint32_t sequence) {
  end();
  message_ = buffer_.size();
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = flags;
  head.nlmsg_seq = sequence;
  append(&head, sizeof head);
}

void MessageWriter::end() {
  if (message_ == kNone) return;
  uint32_t size = static_cast<uint32_t>(buffer_.size() - message_);
  std::memcpy(buffer_.data() + message_ + offsetof(nlmsghdr, nlmsg_len), &size, sizeof size);
  message_ = kNone;
}

void MessageWriter::add_flags(uint16_t flags) {
  if (message_ == kNone) return;
  char* at = buffer_.data() + message_ + offsetof(nlmsghdr, nlmsg_flags);
  uint16_t old;
  std::memcpy(&old, at, sizeof old);
  old |= flags;
  std::memcpy(at, &old, sizeof old);
}

void MessageWriter::attr(uint16_t type, const void* data, size_t size) {
  nlattr head{static_cast<uint16_t>(sizeof(nlattr) + size), type};
  append(&head, sizeof head);
  append(data, size);
}

void MessageWriter::attr_text(uint16_t type, std::string_view text) {
  std::string with_nul(text);
  attr(type, with_nul.c_str(), with_nul.size() + 1);
}

void MessageWriter::attr_be16(uint16_t type, uint16_t value) { attr_u16(type, htobe16(value)); }
void MessageWriter::attr_be32(uint16_t type, uint32_t value) { attr_u32(type, htobe32(value)); }
void MessageWriter::attr_be64(uint16_t type, uint64_t value) {
  value = htobe64(value);
  attr(type, &value, sizeof value);
}

size_t MessageWriter::begin_nest(uint16_t type) {
  size_t start = buffer_.size();
  nlattr head{sizeof(nlattr), static_cast<uint16_t>(type | NLA_F_NESTED)};
  append(&head, sizeof head);
  return start;
}

void MessageWriter::end_nest(size_t start) {
  uint16_t size = static_cast<uint16_t>(buffer_.size() - start);
  std::memcpy(buffer_.data() + start, &size, sizeof size);
}

}  // namespace orch::net
