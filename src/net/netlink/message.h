// Builds netlink messages in one byte buffer. No libnl and no system calls in it; not thread-safe.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace orch::net {

class MessageWriter {
 public:
  // Starts a message (ends the one before). Sequence numbers are the caller's.
  void begin(uint16_t type, uint16_t flags, uint32_t sequence);
  template <class T>
  void header(const T& value) {  // the family's fixed header (ifinfomsg, nfgenmsg ...)
    append(&value, sizeof value);
  }
  void attr(uint16_t type, const void* data, size_t size);
  void attr(uint16_t type, std::string_view bytes) { attr(type, bytes.data(), bytes.size()); }
  void attr_text(uint16_t type, std::string_view text);  // with its NUL
  void attr_u8(uint16_t type, uint8_t value) { attr(type, &value, sizeof value); }
  void attr_u16(uint16_t type, uint16_t value) { attr(type, &value, sizeof value); }
  void attr_u32(uint16_t type, uint32_t value) { attr(type, &value, sizeof value); }
  void attr_be16(uint16_t type, uint16_t value);
  void attr_be32(uint16_t type, uint32_t value);
  void attr_be64(uint16_t type, uint64_t value);
  // Nested attributes: everything until end_nest(start) is inside. At most 64 KiB of it.
  size_t begin_nest(uint16_t type);
  void end_nest(size_t start);
  void end();  // fills in the length; called by begin() and bytes()

  void splice(const MessageWriter& attributes) { buffer_ += attributes.buffer_; }
  void add_flags(uint16_t flags);  // to the message being built
  const std::string& bytes() {
    end();
    return buffer_;
  }
  void clear() {
    buffer_.clear();
    message_ = kNone;
  }
  bool empty() const { return buffer_.empty(); }

 private:
  static constexpr size_t kNone = ~size_t{0};
  void append(const void* data, size_t size);

  std::string buffer_;
  size_t message_ = kNone;  // where the current message starts
};

}  // namespace orch::net
